"""What a record holds: the statistics' names and meanings, and how its numbers are read.

A record is an array (..., len(RECORD), layers) as the engine writes it, which says what its rows are: nothing depends
on their number or order. Records of another version are read by the names of their rows. Nothing here knows of steps or
runs.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core
from fastgrad._rows import read_only

Array = npt.NDArray[np.float64]

MEANINGS = {
    "act_mean": "mean of a_l over batch x units",
    "act_rms": "root mean square of a_l over batch x units",
    "preact_rms": "root mean square of z_l over batch x units",
    "deriv_mean": "mean of |f'(z_l)|: 1 for identity, the share of active units for ReLU",
    "saturated": "share of entries with |f'(z_l)| under 5 % of the activation's largest; NaN where piecewise linear",
    "dead": "share of units with f'(z_l) = 0 for every sample of the last 100 steps, in fit an epoch's; fewer at first",
    "delta_norm": "Frobenius norm of dL/dz_l",
    "act_grad_norm": "Frobenius norm of dL/da_l: delta before f' is multiplied in",
    "grad_norm": "Frobenius norm of dL/dW_l, before weight decay and clipping",
    "grad_max": "largest magnitude in dL/dW_l, before weight decay and clipping",
    "bias_grad_norm": "Euclidean norm of dL/db_l, before weight decay and clipping",
    "weight_norm": "Frobenius norm of W_l before the step",
    "update_norm": "Frobenius norm of the increment of W_l before it is rounded into W_l",
    "update_ratio": "update_norm / weight_norm",
    "clip_factor": "norm of dL/dW_l after clipping by that before; 1 where nothing is clipped, and where that is 0",
}

SCALED = {
    "act_mean": "signal_exponent",
    "act_rms": "signal_exponent",
    "preact_rms": "preactivation_exponent",
    "delta_norm": "delta_exponent",
    "act_grad_norm": "delta_exponent",
    "bias_grad_norm": "delta_exponent",
    "grad_norm": "gradient_exponent",
    "grad_max": "gradient_exponent",
}
"""Statistics that are what stands in a record times 2 to the row named here, which is 0 unless they come near the end
of float64's range."""

RECORD = _core.STATISTICS
"""The rows of a record as the engine writes it."""

STATISTICS = tuple(name for name in RECORD if name not in SCALED.values())

ROWS = {name: RECORD.index(name) for name in STATISTICS}
_ROWS_COME_FIRST = list(ROWS.values()) == list(range(len(ROWS)))
_SCALED_ROWS = {ROWS[name]: RECORD.index(exponent) for name, exponent in SCALED.items()}
_EXPONENTS = sorted(set(_SCALED_ROWS.values()))
_LOG10_2 = math.log10(2.0)


class UnknownStatisticError(KeyError, ValueError):
    """A name that no statistic has: an item that is not there, and a bad argument."""

    __str__ = ValueError.__str__  # without the quotes of a KeyError


def index_of(name: object) -> int:
    """Return the row of a record that is the statistic of that name.

    Raises
    ------
    TypeError, UnknownStatisticError
        Not a name; no statistic's.
    """
    if not isinstance(name, str):
        raise TypeError(f"statistic: got {type(name).__name__}, wants one of {', '.join(STATISTICS)}")
    text = str.__str__(name)
    if text not in ROWS:
        known = ", ".join(STATISTICS)
        raise UnknownStatisticError(f"statistic: {_checks.shown(text)} is not a statistic; known are {known}")
    return ROWS[text]


def require_known(names: Sequence[str]) -> None:
    """Raise ValueError if a name is there twice, or none is that of a statistic."""
    if len(set(names)) != len(names) or not set(names) & set(STATISTICS):
        got = ", ".join(names[: 2 * len(RECORD)])
        raise ValueError(f"its statistics are {got:.1000}; this version has {', '.join(RECORD)}")


def arranged(names: Sequence[str], rows: Array) -> Array:
    """Return rows (..., len(names), layers) as a record: themselves where the names are those of `RECORD`.

    A statistic that is missing is NaN, and those that have an exponent that is missing are as they stand there. What is
    no statistic of this version is left out.

    Raises
    ------
    ValueError
        As `require_known` does.
    """
    if tuple(names) == RECORD:
        return rows
    require_known(names)
    record = np.full((*rows.shape[:-2], len(RECORD), rows.shape[-1]), math.nan)
    record[..., _EXPONENTS, :] = 0.0
    for row, name in enumerate(names):
        if name in RECORD:
            record[..., RECORD.index(name), :] = rows[..., row, :]
    return record


def require_exponents(record: Array) -> None:
    """Raise ValueError unless the exponents of a record (..., len(RECORD), layers) are such as the engine counts."""
    exponents = record[..., _EXPONENTS, :]
    with np.errstate(invalid="ignore"):
        whole = (np.abs(exponents) < 2.0**31) & (exponents == np.rint(exponents))
    if not whole.all():
        raise ValueError("an exponent is no whole number under 2^31")


def _true(values: Array, exponents: Array) -> Array:
    """Return values * 2**exponents: the array itself where nothing is to do."""
    if not exponents.any():
        return values
    with np.errstate(over="ignore", under="ignore"):
        return read_only(np.ldexp(values, exponents.astype(np.int64)))


def statistic(record: Array, name: str) -> Array:
    """Return (..., layers) of a record (..., len(RECORD), layers)."""
    row = index_of(name)
    values = record[..., row, :]
    return _true(values, record[..., _SCALED_ROWS[row], :]) if row in _SCALED_ROWS else values


def all_values(record: Array) -> Array:
    """Return all statistics of a record (len(RECORD), layers), a view where that is possible."""
    if _ROWS_COME_FIRST and not record[_EXPONENTS].any():
        return record[: len(ROWS)]
    return read_only(np.stack([statistic(record, name) for name in STATISTICS]))


def log10_magnitude(record: Array, name: str) -> Array:
    row = index_of(name)
    with np.errstate(divide="ignore"):
        log10 = np.log10(np.abs(record[..., row, :]))
    return read_only(log10 + record[..., _SCALED_ROWS[row], :] * _LOG10_2 if row in _SCALED_ROWS else log10)
