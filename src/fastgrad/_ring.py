"""The statistics of a Trainer's last steps, in memory that is written again and again."""

import math

import numpy as np

from fastgrad._record import RECORD, Array
from fastgrad._rows import Change
from fastgrad.layer_stats import LayerStats
from fastgrad.sinks import Chunk

RING = 32


class Ring:
    """Holds a record of each of the last `RING` steps, or of none.

    Parameters
    ----------
    layers : int
    recorded : bool
        Whether there are statistics to hold.

    Attributes
    ----------
    slots : list of (1, len(RECORD), layers) arrays, or of None
        Where step s is written: slot s modulo `RING`.
    """

    def __init__(self, layers: int, recorded: bool) -> None:
        self._records = np.full((RING if recorded else 0, len(RECORD), layers), math.nan)
        self.slots: list[Array | None] = list(self._records[:, np.newaxis]) or [None] * RING

    def reserve(self, steps: int) -> None:
        """Needs no more memory."""

    def with_chunk(self, chunk: Chunk) -> list[Change]:
        """Write the last of these steps, which nobody reads before the run is over, at once."""
        if chunk.statistics is not None:
            recent = chunk.statistics[-RING:]
            slot = (chunk.step + len(chunk.losses) - len(recent)) % RING
            self._records[slot : slot + len(recent)] = recent[: RING - slot]
            self._records[: max(0, slot + len(recent) - RING)] = recent[RING - slot :]
        return []

    def settle(self) -> None:
        """Has nothing left to do."""

    def last(self, steps: int) -> LayerStats:
        """Return the last of so many steps, a view."""
        return LayerStats(self._records[(steps - 1) % RING], steps - 1)

    def recent(self, steps: int) -> tuple[LayerStats, ...]:
        """Return copies of the last of so many steps, at most `RING`; none where there are no statistics."""
        if not len(self._records):
            return ()
        return tuple(self.last(step + 1).copy() for step in range(max(0, steps - RING), steps))
