"""In what order a Trainer's runs meet the rows of their data, and how far they have come.

A pass meets every row once. Its order is drawn when it begins and kept until it is over, so that a run may stop
anywhere and a later one go on. What a row holds, and what is done with it, is the business of others.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.int64]


class _Pass(NamedTuple):
    """A pass over `rows` rows in batches of `batch_size`, of which `done` have been done."""

    rows: int
    batch_size: int
    order: Order | None  # of all rows; None where they come as they stand
    done: int
    coming: Any  # the state of the stream from which the next order is drawn

    @property
    def is_over(self) -> bool:
        return self.done * self.batch_size >= self.rows

    def is_of(self, rows: int, batch_size: int, shuffle: bool) -> bool:
        return (self.rows, self.batch_size, self.order is not None) == (rows, batch_size, shuffle)


class Passes:
    """The pass that is under way, and from where the orders of those to come are drawn.

    Parameters
    ----------
    key : (2,) uint64 array
        Of the stream (NumPy's Philox) from which one permutation is drawn for each shuffled pass.
    """

    def __init__(self, key: npt.NDArray[np.uint64]) -> None:
        self._idle: np.random.Philox | None = np.random.Philox(key=key)
        self._current = _Pass(0, 1, None, 0, self._idle.state)

    @property
    def done(self) -> int:
        """Batches of this pass that have been done."""
        return self._current.done

    def move_to(self, done: int) -> None:
        """Note how many batches of this pass have been done."""
        self._current = self._current._replace(done=done)

    def begin(self) -> None:
        """Leave this pass: the next batch is the first of a new one."""
        self._current = self._current._replace(rows=0)

    def coming(self, rows: int, batch_size: int, shuffle: bool, most: int) -> Order:
        """Return the rows of the next batches, at most so many and no more than this pass has.

        A pass that is over, or that was over other `rows`, in another `batch_size` or with another `shuffle`, is
        followed by a new one.

        Returns
        -------
        (n,) int64 array
            A view of the order where that was drawn.
        """
        if self._current.is_over or not self._current.is_of(rows, batch_size, shuffle):
            order, state = self._drawn(rows) if shuffle else (None, self._current.coming)
            self._current = _Pass(rows, batch_size, order, 0, state)
        first = self._current.done * batch_size
        end = min(rows, first + most * batch_size)
        order = self._current.order
        return np.arange(first, end) if order is None else order[first:end]

    def _drawn(self, rows: int) -> tuple[Order, Any]:
        """Return the next order and the state after it.

        The stream is nobody else's meanwhile: a shuffle that a signal or a fork cuts off leaves behind neither a state
        that has half moved nor a lock that is held for ever.
        """
        stream, self._idle = self._idle or np.random.Philox(key=0), None
        stream.state = self._current.coming
        order = np.random.Generator(stream).permutation(rows)
        state, self._idle = stream.state, stream
        return order, state
