"""What a record holds: the statistics' names and meanings, and how its numbers are read.

A record is an array (..., len(RECORD), layers) as the engine writes it. Nothing here knows of steps or runs.
"""

import math

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
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
}

STATISTICS = tuple(MEANINGS)

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

RECORD = (*STATISTICS, *dict.fromkeys(SCALED.values()))
"""The rows of a record as the engine writes it."""

INDEX = {name: index for index, name in enumerate(STATISTICS)}
_SCALED_ROWS = {INDEX[name]: RECORD.index(exponent) for name, exponent in SCALED.items()}
_EXPONENTS = slice(len(STATISTICS), None)
_LOG10_2 = math.log10(2.0)


class UnknownStatisticError(KeyError, ValueError):
    """A name that no statistic has: an item that is not there, and a bad argument."""

    __str__ = ValueError.__str__  # without the quotes of a KeyError


def index_of(name: object) -> int:
    """Return the row of the statistic of that name.

    Raises
    ------
    TypeError, UnknownStatisticError
        Not a name; no statistic's.
    """
    if not isinstance(name, str):
        raise TypeError(f"statistic: got {type(name).__name__}, wants one of {', '.join(STATISTICS)}")
    text = str.__str__(name)
    if text not in INDEX:
        known = ", ".join(STATISTICS)
        raise UnknownStatisticError(f"statistic: {_checks.shown(text)} is not a statistic; known are {known}")
    return INDEX[text]


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
    values = record[: len(STATISTICS)]
    if not record[_EXPONENTS].any():
        return values
    values = values.copy()
    for row, exponent in _SCALED_ROWS.items():
        values[row] = _true(values[row], record[exponent])
    return read_only(values)


def log10_magnitude(record: Array, name: str) -> Array:
    row = index_of(name)
    with np.errstate(divide="ignore"):
        log10 = np.log10(np.abs(record[..., row, :]))
    return read_only(log10 + record[..., _SCALED_ROWS[row], :] * _LOG10_2 if row in _SCALED_ROWS else log10)
