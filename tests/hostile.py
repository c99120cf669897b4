"""One list of hostile values, which every argument of every public callable meets, and good values in disguise.

A value is made afresh for each call. Nothing here knows fastgrad.
"""

import datetime
import enum
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import sparse


def raising(error, *names):
    """Return an object of a class whose methods of those names raise `error`."""

    def method(self, *_, **__):
        raise error

    return type("Evil", (), dict.fromkeys(names, method))()


def evil(*names):
    return lambda: raising(ZeroDivisionError("evil"), *names)


def array_like(result):
    """Return a class of objects that NumPy takes for arrays; `result` is called where it asks for one."""
    return lambda: type("ArrayLike", (), {"__array__": lambda self, dtype=None, copy=None: result()})()


def throw(error):
    raise error


class Text(str):
    """A str subclass that compares, hashes and shows itself by raising."""

    def __eq__(self, other):
        raise ZeroDivisionError

    def __hash__(self):
        raise ZeroDivisionError

    def __repr__(self):
        raise ZeroDivisionError

    __str__ = __format__ = __repr__


class Number(int):
    """An int subclass that shows and converts itself by raising."""

    def __int__(self):
        raise ZeroDivisionError

    def __repr__(self):
        raise ZeroDivisionError

    __str__ = __float__ = __index__ = __format__ = __repr__


class Colour(enum.IntEnum):
    RED = 1


class RaisingArray(np.ndarray):
    def __array_finalize__(self, parent):
        pass

    def __repr__(self):
        raise ZeroDivisionError

    __str__ = __repr__


def self_containing():
    loop = [1, 2]
    loop.append(loop)
    return loop


def deep():
    inner = [1.0]
    for _ in range(5000):
        inner = [inner]
    return inner


MATRIX = np.arange(15.0).reshape(5, 3) / 16

HOSTILE = {
    "None": lambda: None,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "True": lambda: True,
    "np.True_": lambda: np.True_,
    "0": lambda: 0,
    "-1": lambda: -1,
    "3": lambda: 3,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "2**31": lambda: 2**31,
    "2**63": lambda: 2**63,
    "2**64": lambda: 2**64,
    "-2**63-1": lambda: -(2**63) - 1,
    "np.int64": lambda: np.int64(-5),
    "np.uint64": lambda: np.uint64(2**64 - 1),
    "0.5": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "-0.0": lambda: -0.0,
    "1e-320": lambda: 1e-320,
    "'1e400'": lambda: "1e400",
    "a huge Fraction": lambda: Fraction(10**5000, 3),
    "Fraction": lambda: Fraction(-1, 3),
    "Decimal": lambda: Decimal("0.5"),
    "complex": lambda: 1 + 2j,
    "np.float16": lambda: np.float16(0.5),
    "longdouble": lambda: np.longdouble("1e4000"),
    "np.complex64": lambda: np.complex64(1),
    "''": lambda: "",
    "'x'": lambda: "x",
    "a long string": lambda: "x" * 5000,
    "a surrogate": lambda: "x\ud800.npz",
    "a NUL": lambda: "x\0.npz",
    "255 bytes": lambda: "x" * 251 + ".npz",
    "a PNG in no folder": lambda: "nowhere/x.png",
    "bytes": lambda: b"x.npz",
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"\xff\xfe"),
    "Path with NUL": lambda: Path("x\0.png"),
    "Path with surrogates": lambda: Path("x\ud800.png"),
    "a folder": lambda: Path("."),
    "str subclass": lambda: Text("x"),
    "int subclass": lambda: Number(2),
    "IntEnum": lambda: Colour.RED,
    "[]": lambda: [],
    "()": lambda: (),
    "{}": dict,
    "set": lambda: {1, 2},
    "nested": lambda: [[[]]],
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "a list of None": lambda: [None, None],
    "a list of huge integers": lambda: [10**5000] * 2,
    "a pair": lambda: (1, 2),
    "a pair of strings": lambda: ("a", "b"),
    "a self-containing list": self_containing,
    "a deep list": deep,
    "a mapping of nothing": lambda: {"x": None},
    "a mapping with an evil key": lambda: {Number(2): 3},
    "range": lambda: range(3),
    "slice": lambda: slice("a", None),
    "a generator": lambda: (n for n in (1, 2)),
    "object": object,
    "a class": lambda: int,
    "a class of ours": lambda: Path,
    "lambda": lambda: lambda *_: None,
    "module": lambda: np,
    "exception": lambda: ValueError("x"),
    "date": lambda: datetime.date(2020, 1, 1),
    "a matrix": lambda: MATRIX.copy(),
    "objects": lambda: MATRIX.astype(object),
    "evil objects": lambda: np.array([raising(KeyError("k"), "__float__")] * 15, object).reshape(5, 3),
    "strings": lambda: MATRIX.astype(str),
    "structured": lambda: np.zeros((5, 3), [("a", "f4"), ("b", "i4")]),
    "records": lambda: np.zeros(5, "f4,f4,f4").view(np.recarray),
    "masked": lambda: np.ma.masked_less(MATRIX, 0.1),
    "datetime64": lambda: MATRIX.astype("M8[s]"),
    "timedelta64": lambda: MATRIX.astype("m8[s]"),
    "complex array": lambda: MATRIX.astype(complex),
    "sparse": lambda: sparse.csr_matrix(MATRIX),
    "sparse array": lambda: sparse.coo_array(MATRIX),
    "0-d": lambda: np.array(0.5),
    "0-d object": lambda: np.array(None),
    "(0, 3)": lambda: np.empty((0, 3)),
    "(5, 0)": lambda: np.empty((5, 0)),
    "(1, 5, 3)": lambda: MATRIX[np.newaxis],
    "nan array": lambda: np.full((5, 3), np.nan),
    "inf array": lambda: np.full((5, 3), -np.inf, np.float32),
    "1e300 array": lambda: np.full((5, 3), 1e300),
    "non-contiguous": lambda: np.zeros((10, 9))[::2, ::3],
    "negative strides": lambda: MATRIX[::-1, ::-1],
    "byte-swapped": lambda: MATRIX.astype(">f8"),
    "read-only": lambda: np.broadcast_to(np.float32(0.5), (5, 3)),
    "float16": lambda: MATRIX.astype(np.float16),
    "int8": lambda: (16 * MATRIX).astype(np.int8),
    "bools": lambda: MATRIX > 0.5,
    "np.matrix": lambda: MATRIX.view(RaisingArray),
    "__array__: RuntimeError": array_like(lambda: throw(RuntimeError("requires grad"))),
    "__array__: TypeError": array_like(lambda: throw(TypeError("bfloat16"))),
    "__array__: SystemError": array_like(lambda: throw(SystemError("s"))),
    "__array__: MemoryError": array_like(lambda: throw(MemoryError)),
    "__array__: RecursionError": array_like(lambda: throw(RecursionError("deep"))),
    "__array__: garbage": array_like(lambda: "garbage"),
    "__array__: objects": array_like(lambda: np.array([None])),
    "a broken interface": lambda: type("B", (), {"__array_interface__": {"shape": (3,), "version": 3}})(),
    "raises: everything": evil(
        "__repr__", "__str__", "__len__", "__iter__", "__getitem__", "__bool__", "__float__", "__int__", "__index__",
        "__fspath__", "__eq__", "__hash__", "__call__", "__format__", "__contains__", "__lt__", "__array__",
    ),
    **{
        f"raises: {name}": evil(name)
        for name in (
            "__repr__", "__str__", "__len__", "__iter__", "__getitem__", "__bool__", "__float__", "__int__",
            "__index__", "__fspath__", "__eq__", "__hash__", "__format__", "__array__",
        )
    },
}  # fmt: skip


class PlainText(str):
    pass


class PlainNumber(int):
    pass


def dressed(value):
    """Yield, by name, values that mean the same as a good one."""
    if isinstance(value, bool):
        yield "NumPy's bool", np.bool_(value)
    elif isinstance(value, int):
        yield "NumPy's int", np.int64(value)
        yield "NumPy's small int", np.uint8(value)
        yield "an int subclass", PlainNumber(value)
    elif isinstance(value, float):
        yield "NumPy's float", np.float64(value)
        yield "NumPy's single", np.float32(value)
    elif isinstance(value, str):
        yield "NumPy's str", np.str_(value)
        yield "a str subclass", PlainText(value)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 2:
        yield "reversed strides", value[::-1, ::-1].copy()[::-1, ::-1]
        yield "Fortran order", np.asfortranarray(value)
        yield "an array-like", type("Tensor", (), {"__array__": lambda self, dtype=None, copy=None: value})()
