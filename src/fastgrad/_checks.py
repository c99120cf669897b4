"""Argument checks shared by the Python layer.

Every failure names the argument, what it got and what it wants, and is raised before anything has changed. Nothing here
knows about networks; nothing here repairs a bad value.
"""

import errno
import inspect
import math
import numbers
import os
import reprlib
import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Array = npt.NDArray[Any]

_CHUNK_ELEMENTS = 1 << 16
_LONGEST_INTEGER = 40  # digits; Python itself refuses to print more than 4300


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 100

    def repr_int(self, x: int, level: int) -> str:
        digits = int(math.log10(abs(x) or 1)) + 1
        return repr(x) if digits <= _LONGEST_INTEGER else f"an integer of {digits} digits"

    def repr_instance(self, x: object, level: int) -> str:
        text = " ".join(repr(x).split())
        return text if len(text) <= self.maxother else f"{text[: self.maxother]}..."


_short = _Short()


def shown(value: object) -> str:
    """Return `value` as a message shows it: briefly, and its type where it cannot be shown at all."""
    try:
        return _short.repr(value)
    except Exception:  # whatever its __repr__ raises
        return f"a {type(value).__name__}"


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller's own that led here, however deep within the package that is."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastgrad":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of the `known` names."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: got {type(value).__name__}, wants one of {', '.join(known)}")
    text = str.__str__(value)  # plain, whatever a subclass makes of comparisons
    if text not in known:
        raise ValueError(f"{name}: got {shown(text)}, wants one of {', '.join(known)}")
    return text


def number(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    infinite: bool = False,
) -> float:
    """Return `value` as a float if it is a real number within the limits given, and finite unless `infinite`."""
    limits = {">=": at_least, ">": above, "<": below}
    wants = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None)
    wants = f"{'a number' if infinite else 'a finite number'} {wants}".rstrip()
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: got {shown(value)} ({type(value).__name__}), wants {wants}")
    try:
        result = float(value)
    except OverflowError:
        result = math.nan  # beyond all floats is within no limits
    except Exception as error:  # whatever its __float__ raises
        raise TypeError(f"{name}: got a {type(value).__name__} without a value, wants {wants}") from error
    inside = (
        (math.isfinite(result) or (infinite and not math.isnan(result)))
        and (at_least is None or result >= at_least)
        and (above is None or result > above)
        and (below is None or result < below)
    )
    if not inside:
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}")
    return result


def integer(name: str, value: object, *, at_least: int | None = None, below: int | None = None) -> int:
    """Return `value` as an int if it is an integer (not a bool) within the limits given."""
    wants = (
        "an integer" + ("" if at_least is None else f" >= {at_least}") + ("" if below is None else f" and < {below}")
    )
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: got {shown(value)} ({type(value).__name__}), wants {wants}")
    try:
        result = int(value)
    except Exception as error:  # whatever its __int__ raises
        raise TypeError(f"{name}: got a {type(value).__name__} without a value, wants {wants}") from error
    if (at_least is not None and result < at_least) or (below is not None and result >= below):
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}")
    return result


def position(name: str, value: object, count: int, holds: str) -> int:
    """Return `value` if it numbers one of `count` things, or counts from their end where it is below 0.

    Raises
    ------
    TypeError, IndexError
        Not an integer; none of them.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: got index {shown(value)}, wants an integer: {holds}")
    index = integer(name, value)
    if not -count <= index < count:
        raise IndexError(f"{name}: got {shown(index)}, {holds}")
    return index


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return `value` if it is of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: got {type(value).__name__}, wants a {kind.__name__}")
    return value


def boolean(name: str, value: object) -> bool:
    """Return `value` if it is True or False, NumPy's included."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: got {shown(value)}, wants True or False")
    return bool(value)


def require_memory(name: str, value: object, size: int) -> None:
    """Raise MemoryError naming what was asked for unless the system would give so many bytes."""
    try:
        np.empty(size, np.uint8)
    except (MemoryError, ValueError, OverflowError) as error:
        raise MemoryError(f"{name}: got {shown(value)}, which takes {size:,} bytes: more than there is") from error


def path(name: str, value: object, wants: str = "a path: a str or a pathlib.Path") -> Path:
    """Return `value` as a path, which may be that of a file or not."""
    try:
        text: object = os.fspath(value)  # type: ignore[call-overload]
        if not isinstance(text, str):
            raise TypeError(f"a path of {type(text).__name__}")
        result = Path(text)
    except Exception as error:  # whatever its __fspath__ raises
        raise TypeError(f"{name}: got {shown(value)}, wants {wants}") from error
    try:
        os.lstat(result)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"{name}: got {shown(text)}, wants a name that a file can have ({reason})") from error
    return result


def new_file(name: str, value: str | PathLike[str], suffixes: Iterable[str]) -> Path:
    """Return `value` as a path if a file with such a suffix could be made there, for all that its name tells."""
    wants = f"a path that ends in {' or '.join(suffixes)}, in an existing folder"
    result = path(name, value, wants)
    if result.suffix.lower() not in suffixes or result.is_dir() or not result.parent.is_dir():
        raise ValueError(f"{name}: got {shown(str(result))}, wants {wants}")
    return result


def writable_file(name: str, value: str | PathLike[str], suffixes: Iterable[str]) -> Path:
    """Return `value` as a path after opening a file there to be written, which is left as it was, or not there.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    result = new_file(name, value, suffixes)
    try:
        try:
            result.open("xb").close()
            result.unlink()
        except FileExistsError:
            result.open("r+b").close()
    except OSError as error:
        reason = f"{name}: got {shown(str(result))}, which cannot be written ({error.strerror or error})"
        raise type(error)(error.errno, reason) from error
    return result


def real_array(name: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of bools, integers or real floats, without a copy where it is one already."""
    try:
        array = np.asarray(value)
        masked = np.ma.is_masked(value)
    except MemoryError as error:
        raise MemoryError(f"{name}: got {type(value).__name__}, for which there is no memory") from error
    except Exception as error:  # whatever its __array__ or __len__ raises
        kind = ValueError if isinstance(error, ValueError) else TypeError
        ragged = "inhomogeneous" in shown(error)
        unread = f"{type(value).__name__}, which NumPy cannot read ({shown(error)})"
        got = "rows of different lengths" if ragged else unread
        raise kind(f"{name}: got {got}, wants a rectangular array of real numbers") from error
    if masked:
        raise ValueError(f"{name}: got masked entries, wants an array without a mask")
    if array.dtype.kind not in "biuf":
        dtype = array.dtype if array.dtype.names is None else "a structure"
        raise TypeError(f"{name}: got {type(value).__name__} of dtype {dtype}, wants a real numeric array")
    return array


def float_dtype(name: str, value: npt.DTypeLike) -> np.dtype[Any]:
    """Return `value` as the dtype float32 or float64."""
    try:
        dtype = np.dtype(object if value is None else value)
    except Exception:  # whatever NumPy finds when it looks for a dtype in there
        dtype = np.dtype(object)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"{name}: got {shown(value)}, wants float32 or float64")
    return dtype


def converted(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` as C-contiguous, aligned `dtype`, itself where it is that; overflow gives inf, silently."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            return np.require(array, dtype, ["C", "A"])
    except MemoryError as error:
        raise MemoryError(f"{name}: got shape {array.shape}, for a copy of which there is no memory") from error


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
