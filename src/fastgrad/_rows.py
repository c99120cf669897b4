"""Rows that arrive in the course of a run and are read, at any time, as one array without a copy.

What belongs together is changed together: memory is found first, and then `commit` sets all of it at once. Nothing here
knows what rows are.
"""

from collections import deque
from collections.abc import Iterable
from itertools import starmap
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Change = tuple[object, str, Any]  # an attribute of an object, and what it is to be

_FIRST_CAPACITY = 16


def commit(changes: Iterable[Change]) -> None:
    """Set attributes, of several objects, in one call of C code: a signal comes before all or after all of them."""
    deque(starmap(object.__setattr__, list(changes)), maxlen=0)


class Rows:
    """Rows of one shape and dtype, in storage that doubles as they come.

    A view that was given out stays as it is: storage that is outgrown, or in which rows would be replaced, is left to
    its views.

    Parameters
    ----------
    shape : tuple of int
        Of a row.
    dtype : dtype
    most : int, optional
        Rows beyond which storage does not double.
    held : array, optional
        The first rows, which are not copied.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike = np.float64,
        most: int | None = None,
        held: Array | None = None,
    ) -> None:
        self._storage = np.empty((0, *shape), dtype) if held is None else held
        self._count = len(self._storage)
        self._most = most

    @classmethod
    def holding(cls, array: Array, most: int | None = None) -> "Rows":
        """Return the rows of an array, which is not copied."""
        return cls(array.shape[1:], array.dtype, most, array)

    def view(self) -> Array:
        """Return the rows, read-only."""
        return read_only(self._storage[: self._count])

    def reserve(self, rows: int) -> None:
        """Have memory for so many more rows: to add them will need none."""
        if self._count + rows > len(self._storage):
            self._storage = self._copied(self._count, self._count + rows)

    def storage(self, rows: int) -> Array:
        """Return other storage, for so many rows."""
        return np.empty((rows, *self._storage.shape[1:]), self._storage.dtype)

    def emptied(self) -> "Rows":
        """Return rows of this kind, none yet."""
        return Rows(self._storage.shape[1:], self._storage.dtype, self._most)

    def with_rows(self, at: int, rows: Array) -> list[Change]:
        """Return what makes rows at `at` and after the last ones; until then nothing that can be seen has changed."""
        end = at + len(rows)
        in_place = self._count <= at and end <= len(self._storage)
        storage = self._storage if in_place else self._copied(at, end)
        storage[at:end] = rows
        return [(self, "_storage", storage), (self, "_count", end)]

    def with_chosen(self, chosen: npt.NDArray[np.bool_], rows: Array, storage: Array) -> list[Change]:
        """Return what has other rows follow those that `chosen` is true for, in other storage."""
        kept = np.flatnonzero(chosen)
        end = len(kept) + len(rows)
        np.take(self._storage, kept, axis=0, out=storage[: len(kept)], mode="clip")  # the mode that needs no buffer
        storage[len(kept) : end] = rows
        return [(self, "_storage", storage), (self, "_count", end)]

    def _copied(self, kept: int, least: int) -> Array:
        capacity = len(self._storage)
        if least > capacity:
            doubled = max(2 * capacity, _FIRST_CAPACITY)
            capacity = max(least, doubled if self._most is None else min(doubled, self._most))
        larger = self.storage(capacity)
        larger[:kept] = self._storage[:kept]
        return larger

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_storage": self._storage[: self._count]}


def read_only(array: Array) -> Array:
    """Return a view through which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view
