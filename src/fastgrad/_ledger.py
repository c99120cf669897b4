"""What a history keeps beside its record: the loss of each step, and which run may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastgrad import _checks, _core
from fastgrad._inside import inside
from fastgrad._record import RECORD, Array
from fastgrad._rows import Change, Rows
from fastgrad.telemetry import Record


class Ledger:
    """The losses of a history's steps."""

    def __init__(self) -> None:
        self._losses = Rows(())
        self._turn = _core.Lock()  # of the run that writes

    @property
    def losses(self) -> Array:
        """(steps,) read-only array."""
        return self._losses.view()

    def __len__(self) -> int:
        return len(self._losses)

    def reserve(self, steps: int) -> None:
        """Have memory for so many more steps: to add them will need none."""
        self._losses.reserve(steps)

    def with_chunk(self, record: Record, losses: Array, statistics: Array | None, first: int) -> list[Change]:
        """Return what adds steps, their statistics to `record`, as `History.append_chunk` does."""
        _checks.require_float64("losses", losses, ("steps",))
        if statistics is not None:
            _checks.require_float64("statistics", statistics, ("steps", len(RECORD), record.layers))
            if len(losses) != len(statistics):
                raise ValueError(f"losses: got {len(losses)} steps, wants {len(statistics)} as in statistics")
        first = _checks.integer("first", first, at_least=0, below=len(self) + 1)
        changes = self._losses.with_rows(first, losses)
        return changes if statistics is None else changes + inside(record).with_chunk(first, statistics)

    @contextmanager
    def one_writer(self) -> Iterator[None]:
        """Keep other runs from writing meanwhile; raise ValueError where one does."""
        with _core.Claim(self._turn) as granted:
            if not granted:
                raise ValueError("history: got one that another run is writing to, wants one of its own")
            yield

    def state(self) -> dict[str, Any]:
        """Return what a pickle is to have."""
        return dict(vars(self))

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Ledger":
        """Return what a pickle has; takes it out of the state."""
        ledger = cls()
        vars(ledger).update({name: state.pop(name) for name in vars(ledger)})
        return ledger
