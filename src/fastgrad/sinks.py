"""Internal: one protocol for whatever keeps the steps of a run, be it a history, a ring or a file.

Steps come in chunks. All sinks of a run have a chunk, or none has: memory for it is found before its steps are done,
and then one call of C code adds it everywhere.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fastgrad._record import Array
from fastgrad._rows import Change, commit


class Chunk(NamedTuple):
    """Consecutive steps that have been done."""

    first: int  # number of the first one, counted in the history
    step: int  # and counted in the Trainer's life
    losses: Array  # (steps,)
    statistics: Array | None  # (steps, len(RECORD), layers); None where they are not recorded


class Sink(Protocol):
    """Keeps the steps of a run, or some of them."""

    def reserve(self, steps: int) -> None:
        """Have memory for so many more steps: to add them will need none."""

    def with_chunk(self, chunk: Chunk) -> list[Change]:
        """Return what adds a chunk, whose arrays are copied; until then nothing that can be seen has changed."""

    def settle(self) -> None:
        """Do what may take long or fail, now and then after chunks have been added."""


class Recording:
    """The sinks of a run, as one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._kept = 0  # steps of the Trainer's life, the last one that was added included

    def reserve(self, steps: int) -> None:
        """Have memory for so many more steps in all of them."""
        for sink in self._sinks:
            sink.reserve(steps)

    def keep(self, chunk: Chunk) -> None:
        """Add a chunk to all of them; to do it twice is to do it once."""
        end = chunk.step + len(chunk.losses)
        if self._kept < end:
            changes = [change for sink in self._sinks for change in sink.with_chunk(chunk)]
            commit([*changes, (self, "_kept", end)])

    def settle(self) -> None:
        """Have all of them do what may take long or fail."""
        for sink in self._sinks:
            sink.settle()
