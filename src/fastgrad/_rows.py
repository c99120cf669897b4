"""Rows that arrive in the course of a run and are read, at any time, as one array without a copy."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FIRST_CAPACITY = 16


class Rows:
    """Rows of one shape and dtype, in storage that doubles as they come.

    A view that was given out stays as it is, unless rows are put where it looks: storage that is outgrown is left to
    its views.

    Parameters
    ----------
    shape : tuple of int
        Of a row.
    dtype : dtype
    most : int, optional
        Rows beyond which storage does not double.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64, most: int | None = None) -> None:
        self._storage = np.empty((0, *shape), dtype)
        self._count = 0
        self._most = most

    def view(self) -> Array:
        """Return the rows, read-only."""
        return read_only(self._storage[: self._count])

    def put(self, at: int, rows: Array) -> None:
        """Copy rows to `at` and after; they become the last ones."""
        end = at + len(rows)
        if end > len(self._storage):
            self._grow(at, end)
        self._storage[at:end] = rows
        self._count = end

    def selected(self, chosen: npt.NDArray[np.bool_]) -> "Rows":
        """Return those of the first len(chosen) rows where `chosen` is true, in storage of their own."""
        other = Rows(self._storage.shape[1:], self._storage.dtype, self._most)
        other.put(0, self.view()[: len(chosen)][chosen])
        return other

    def _grow(self, kept: int, least: int) -> None:
        doubled = max(2 * len(self._storage), _FIRST_CAPACITY)
        capacity = max(least, doubled if self._most is None else min(doubled, self._most))
        larger = np.empty((capacity, *self._storage.shape[1:]), self._storage.dtype)
        larger[:kept] = self._storage[:kept]
        self._storage = larger

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_storage": self._storage[: self._count]}


def read_only(array: Array) -> Array:
    """Return a view through which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view
