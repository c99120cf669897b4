"""Which instruction set new networks and `fastgrad.ops` use, and which there are."""

import os
import warnings
from contextvars import ContextVar

from fastgrad import _checks, _core


def from_environment() -> str:
    """Return the instruction set that FASTGRAD_ISA names, or the best where that is unset or, with a warning, none."""
    known = list(_core.ISAS)
    given = os.environ.get("FASTGRAD_ISA", "")
    name = given.strip().lower() or _core.BEST_ISA
    if name in known:
        return name
    wants = f"one of {', '.join(known)} on this machine; uses {_core.BEST_ISA}"
    warnings.warn(f"FASTGRAD_ISA: got {_checks.shown(given)}, wants {wants}", RuntimeWarning, stacklevel=2)
    return _core.BEST_ISA


HIGHEST = from_environment()
ACTIVE: ContextVar[str] = ContextVar("fastgrad_isa", default=HIGHEST)


def active_isa() -> str:
    """Return the instruction set that new networks and `fastgrad.ops` use here."""
    return ACTIVE.get()


def usable_isas() -> list[str]:
    """Return the instruction sets that may be asked for: what the best is based on, the best last."""
    usable = [HIGHEST]
    while (base := _core.isa_based_on(usable[0])) != usable[0]:
        usable.insert(0, base)
    return usable
