"""A piece of a run: as many steps as fit the buffers to which the engine writes their losses and statistics."""

import math
from typing import NamedTuple

import numpy as np

from fastgrad._record import RECORD, Array
from fastgrad._ring import RING
from fastgrad.sinks import Chunk

_BYTES = 1 << 20


class Start(NamedTuple):
    """Where a call of the engine starts: as a step of the piece, of the history, the Trainer and the pass."""

    of_piece: int
    of_history: int
    of_trainer: int
    of_pass: int


class Buffers:
    """Memory for the losses, and where they are recorded the statistics, of a piece's steps."""

    def __init__(self, layers: int, recorded: bool) -> None:
        self._record = len(RECORD), layers
        self._recorded = recorded
        self._losses: Array = np.empty(0)
        self._statistics: Array = np.empty((0, *self._record))

    def make_room(self, steps: int) -> int:
        """Have room for that many steps, or for as many as a piece may have; return for how many."""
        most = max(RING, _BYTES // (8 + 8 * math.prod(self._record) if self._recorded else 8))
        steps = min(steps, most)
        if steps > len(self._losses):
            self._losses, self._statistics = np.empty(steps), np.empty((steps if self._recorded else 0, *self._record))
        return steps

    def of(self, steps: slice) -> tuple[Array, Array | None]:
        """Return where the losses (steps,) and the statistics (steps, len(RECORD), layers) of these steps go."""
        return self._losses[steps], self._statistics[steps] if self._recorded else None

    def chunk(self, start: Start, steps: int) -> Chunk:
        """Return so many steps from there on, which have been done."""
        return Chunk(start.of_history, start.of_trainer, *self.of(slice(start.of_piece, start.of_piece + steps)))
