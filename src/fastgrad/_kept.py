"""The rows that a record keeps of a run: evenly spaced, however long that is, and never more than there may be.

What a row holds is not looked at.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._record import RECORD, Array, arranged
from fastgrad._rows import Change, Rows

Steps = npt.NDArray[np.int64]


class Kept:
    """The statistics of the steps that are kept, and which these are.

    Parameters
    ----------
    layers : int
    every : int
        Steps from one row to the next as long as none is dropped.
    keep : int
        The most rows.

    Attributes
    ----------
    stride : int
        Steps from one row to the next: `every`, doubled each time that rows were dropped.
    """

    def __init__(self, layers: int, every: int, keep: int) -> None:
        self.layers, self.every, self.keep, self.stride = layers, every, keep, every
        self._steps = Rows((), np.int64, keep)
        self._rows = Rows((len(RECORD), layers), most=keep)
        self._spare: tuple[Array, Steps] | None = None  # storage for when rows are dropped

    def hold(self, steps: Rows, statistics: Rows) -> None:
        """Keep these, whatever was kept before."""
        self._steps, self._rows = steps, statistics

    @property
    def steps(self) -> Steps:
        """(rows,) read-only array."""
        return self._steps.view()

    @property
    def statistics(self) -> Array:
        """(rows, len(RECORD), layers) read-only array."""
        return self._rows.view()[: len(self)]

    def __len__(self) -> int:
        return len(self._steps)

    def reserve(self, first: int, steps: int) -> None:
        """Have memory for so many steps after those before `first`: to add them will need none."""
        if self._stride_for(first, steps) == self.stride:
            for rows in (self._rows, self._steps):
                rows.reserve(len(range(first + -first % self.stride, first + steps, self.stride)))
        elif self._spare is None:
            self._spare = self._rows.storage(self.keep), self._steps.storage(self.keep)

    def with_chunk(self, first: int, values: Array) -> list[Change]:
        """Return what adds steps from `first` on, in place of those that are there; until then nothing has changed."""
        _checks.require_float64("values", values, ("steps", len(RECORD), self.layers))
        first = _checks.integer("first", first, at_least=0, below=2**63 - len(values))
        stride = self._stride_for(first, len(values))
        chosen = slice(-first % stride, None, stride)
        values, steps = values[chosen], np.arange(first, first + len(values))[chosen]
        if stride == self.stride:
            at = self._rows_before(first)
            return self._rows.with_rows(at, values) + self._steps.with_rows(at, steps)
        kept = (self.steps % stride == 0) & (self.steps < first)
        storage = self._spare or (self._rows.storage(self.keep), self._steps.storage(self.keep))
        rest: list[Change] = [(self, "stride", stride), (self, "_spare", None)]
        return (
            self._rows.with_chosen(kept, values, storage[0]) + self._steps.with_chosen(kept, steps, storage[1]) + rest
        )

    def _stride_for(self, first: int, steps: int) -> int:
        """Return the stride at which there are few enough rows before `first` and of so many steps from there on."""
        stride, rows = self.stride, self._rows_before(first)
        while rows + len(range(first + -first % stride, first + steps, stride)) > self.keep:
            stride *= 2
            rows = int(np.count_nonzero(self.steps[: self._rows_before(first)] % stride == 0))
        return stride

    def _rows_before(self, step: int) -> int:
        rows = len(self)
        return rows if rows == 0 or self.steps[-1] < step else int(np.searchsorted(self.steps, step))

    def state(self) -> dict[str, Any]:
        """Return what a pickle is to have, the names of the statistics among it."""
        numbers = {"_every": self.every, "_keep": self.keep, "_stride": self.stride}
        return {"names": RECORD, "_steps": self._steps, "_rows": self._rows, **numbers}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Kept":
        """Return what a pickle has, be it of another version's statistics; takes it out of the state.

        Raises
        ------
        ValueError
            It does not tell the names of its statistics, or none of them is known.
        """
        names, rows, steps = state.pop("names", ()), state.pop("_rows"), state.pop("_steps")
        every, keep, stride = (state.pop(name) for name in ("_every", "_keep", "_stride"))
        if names != RECORD:
            try:
                rows = Rows.holding(arranged(names, rows.view()), keep)
            except ValueError as error:
                raise ValueError(f"record: got one of another version: {error}") from None
        kept = cls(rows.view().shape[-1], every, keep)
        kept.stride = stride
        kept.hold(steps, rows)
        return kept
