"""The machine and the process: which instruction set the kernels use, and how many threads.

Environment, read once at import: FASTGRAD_ISA (may only lower what the machine has), FASTGRAD_NUM_THREADS, then
OMP_NUM_THREADS. Empty ones count as unset. An instruction set that is not to be had gives a RuntimeWarning and the
best there is: one job's script may run on many machines, and none of them is to fail for it. What is no number of
threads is an error where it was meant for us; OMP_NUM_THREADS was set for others.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypedDict

from fastgrad import _checks, _core

_MOST_THREADS = 256
_LONGEST_NUMBER = 9  # digits: whatever has more is too large


class CpuInfo(TypedDict):
    """What `cpu_info` tells."""

    brand: str
    isas: list[str]
    isa: str
    threads: int
    default_threads: int


def _isa_from_environment() -> str:
    known = list(_core.ISAS)
    given = os.environ.get("FASTGRAD_ISA", "")
    name = given.strip().lower() or _core.BEST_ISA
    if name in known:
        return name
    wants = f"one of {', '.join(known)} on this machine; uses {_core.BEST_ISA}"
    warnings.warn(f"FASTGRAD_ISA: got {_checks.shown(given)}, wants {wants}", RuntimeWarning, stacklevel=2)
    return _core.BEST_ISA


def _threads_from_environment() -> None:
    for name in ("FASTGRAD_NUM_THREADS", "OMP_NUM_THREADS"):
        given = os.environ.get(name, "")
        first = given.split(",")[0].strip()  # OpenMP allows one number for each nesting level
        if not first:
            continue
        number = int(first.lstrip("0")[:_LONGEST_NUMBER] or 0) if first.isdecimal() else 0
        if name == "FASTGRAD_NUM_THREADS" and not 1 <= number <= _MOST_THREADS:
            raise ValueError(f"{name}: got {_checks.shown(given)}, wants a whole number, 1 to {_MOST_THREADS}")
        if number >= 1:
            _core.set_threads(min(number, _MOST_THREADS))
            return


_highest = _isa_from_environment()
_active: ContextVar[str] = ContextVar("fastgrad_isa", default=_highest)
_threads_from_environment()


def active_isa() -> str:
    """Return the instruction set that new networks and `fastgrad.ops` use here."""
    return _active.get()


def usable_isas() -> list[str]:
    """Return the instruction sets that may be asked for: what the best is based on, the best last."""
    usable = [_highest]
    while (base := _core.isa_based_on(usable[0])) != usable[0]:
        usable.insert(0, base)
    return usable


@contextmanager
def force_isa(isa: str) -> Iterator[None]:
    """Use a lower instruction set within a ``with`` block.

    It governs networks made in the block, for their whole life, and `fastgrad.ops` called in it. It holds for the
    current thread (or asynchronous task) alone.

    Parameters
    ----------
    isa : {"scalar", "avx2", "avx512"}
        Not above what the machine, and FASTGRAD_ISA where it is set, allow.

    Raises
    ------
    ValueError, TypeError
        Unknown, or not to be had on this machine.

    Examples
    --------
    >>> import fastgrad as fg
    >>> with fg.force_isa("scalar"):
    ...     net = fg.MLP([2, 1])
    >>> net.isa
    'scalar'
    """
    token = _active.set(_checks.choice("isa", isa, usable_isas()))
    try:
        yield
    finally:
        _active.reset(token)


def set_num_threads(n: int) -> None:
    """Let a step use up to `n` threads, the calling one included. The results do not depend on it.

    Parameters
    ----------
    n : int
        1 to 256. A step too small to share runs on fewer. More than the processors is honoured, and slow.

    Examples
    --------
    >>> import fastgrad as fg
    >>> before = fg.get_num_threads()
    >>> fg.set_num_threads(1)
    >>> fg.get_num_threads()
    1
    >>> fg.set_num_threads(before)
    """
    _core.set_threads(_checks.integer("n", n, at_least=1, below=_MOST_THREADS + 1))


def get_num_threads() -> int:
    """Return how many threads a step may use; at first what the affinity mask and the cgroup's quota allow.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.get_num_threads() >= 1
    True
    """
    return _core.get_threads()


def cpu_info() -> CpuInfo:
    """Return the processor's name, the usable instruction sets, the active one, and the numbers of threads.

    Examples
    --------
    >>> import fastgrad as fg
    >>> info = fg.cpu_info()
    >>> info["isa"] in info["isas"]
    True
    """
    return {
        "brand": _core.cpu_brand(),
        "isas": usable_isas(),
        "isa": active_isa(),
        "threads": _core.get_threads(),
        "default_threads": _core.default_threads(),
    }
