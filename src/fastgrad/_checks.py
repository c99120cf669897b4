"""Argument checks shared by the Python layer.

Every failure names the argument, what it got and what it wants, and is raised before anything has changed. Nothing here
knows about networks; nothing here repairs a bad value.
"""

import math
import numbers
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Array = npt.NDArray[Any]

_CHUNK_ELEMENTS = 1 << 16


def choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of the `known` names."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: got {type(value).__name__}, wants one of {', '.join(known)}")
    if value not in known:
        raise ValueError(f"{name}: got {value!r}, wants one of {', '.join(known)}")
    return value


def number(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return `value` as a float if it is a finite real number within the limits given."""
    limits = {">=": at_least, ">": above, "<": below}
    wants = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None)
    wants = f"a finite number {wants}".rstrip()
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: got {value!r} ({type(value).__name__}), wants {wants}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    inside = (
        math.isfinite(result)
        and (at_least is None or result >= at_least)
        and (above is None or result > above)
        and (below is None or result < below)
    )
    if not inside:
        raise ValueError(f"{name}: got {value!r}, wants {wants}")
    return result


def integer(name: str, value: object, *, at_least: int, below: int | None = None) -> int:
    """Return `value` as an int if it is an integer (not a bool) within the limits given."""
    wants = f"an integer >= {at_least}" + ("" if below is None else f" and < {below}")
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: got {value!r} ({type(value).__name__}), wants {wants}")
    result = int(value)
    if result < at_least or (below is not None and result >= below):
        raise ValueError(f"{name}: got {value!r}, wants {wants}")
    return result


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return `value` if it is of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: got {type(value).__name__}, wants a {kind.__name__}")
    return value


def boolean(name: str, value: object) -> bool:
    """Return `value` if it is True or False, NumPy's included."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: got {value!r}, wants True or False")
    return bool(value)


def new_file(name: str, value: object, suffix: str) -> Path:
    """Return `value` as a path if a file with that suffix could be made there, for all that its name tells."""
    wants = f"a path that ends in {suffix}, in an existing folder"
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{name}: got {value!r}, wants {wants}")
    path = Path(value)
    if path.suffix != suffix or path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"{name}: got {str(path)!r}, wants {wants}")
    return path


def real_array(name: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of bools, integers or real floats, without a copy where it is one already."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        ragged = "inhomogeneous" in str(error)
        got = "rows of different lengths" if ragged else f"{type(value).__name__}, which NumPy cannot read ({error})"
        raise ValueError(f"{name}: got {got}, wants a rectangular array") from error
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: got masked entries, wants an array without a mask")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: got {type(value).__name__} of dtype {array.dtype}, wants a real numeric array")
    return array


def float_dtype(name: str, value: npt.DTypeLike) -> np.dtype[Any]:
    """Return `value` as the dtype float32 or float64."""
    try:
        dtype = np.dtype(object if value is None else value)
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"{name}: got {value!r}, wants float32 or float64")
    return dtype


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` as C-contiguous, aligned `dtype`, itself where it is that; overflow gives inf, silently."""
    with np.errstate(over="ignore", under="ignore"):
        return np.require(array, dtype, ["C", "A"])


def require_entries(name: str, matrix: Array, given: Array, good: Callable[[Array], Array], wants: str) -> None:
    """Raise ValueError naming the first entry of a 2-D `matrix` that is not `good`, with its value in `given`.

    `good` maps a block of rows to booleans. Blocks are small, so no temporary grows with the matrix.
    """
    rows, columns = matrix.shape
    step = max(1, _CHUNK_ELEMENTS // max(1, columns))
    for start in range(0, rows, step):
        passed = good(matrix[start : start + step])
        if not passed.all():
            row, column = np.argwhere(~passed)[0]
            row += start
            found = given.reshape(matrix.shape)[row, column]
            raise ValueError(f"{name}: row {row}, column {column} is {found}, wants {wants}")


def require_float64(name: str, array: object, shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless `array` is a float64 array of `shape`, in which a name stands for any size."""
    wants = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name}: got {got}, wants a float64 array of shape {wants}")
    fits = (size == want or isinstance(want, str) for size, want in zip(array.shape, shape, strict=False))
    if array.ndim != len(shape) or not all(fits):
        raise ValueError(f"{name}: got shape {array.shape}, wants {wants}")
