"""Inference: outputs, and the classes, labels and probabilities that they tell.

What is told is what the true outputs tell, also where these lie outside the range of the dtype: they come as the engine
stores them, with a power of two for each row. A row that tells nothing is refused, never guessed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _core, _forward

Array = npt.NDArray[Any]


def true_outputs(plan: _core.Plan, inputs: Array) -> Array:
    """Return the (n, k) true outputs; inf or nan where the forward pass leaves the range."""
    out = np.empty((len(inputs), plan.network.sizes[-1]), plan.network.dtype)
    _forward.outputs(plan, inputs, out)
    return out


def told(plan: _core.Plan, inputs: Array, loss: str) -> Array:
    """Return what a network trained with `loss` tells of n rows: (n,) classes, or (n, k) labels or outputs.

    Raises
    ------
    ValueError
        Of a row an output is nan or, where there are classes, several share an infinite maximum.
    """
    if loss == "cross_entropy":
        return largest_class(_of_any_size(plan, inputs)[0])
    if loss == "binary_cross_entropy":
        return (_numbers(_of_any_size(plan, inputs)[0]) > 0).astype(np.int64)
    return _numbers(true_outputs(plan, inputs))


def probabilities(plan: _core.Plan, inputs: Array, loss: str) -> Array:
    """Return the (n, k) probabilities that a network trained with a cross-entropy tells; errors as in `told`."""
    return (softmax if loss == "cross_entropy" else sigmoid)(*_of_any_size(plan, inputs))


def _of_any_size(plan: _core.Plan, inputs: Array) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return (n, k) outputs, and for each row the power of two by which they are to be multiplied."""
    out = np.empty((len(inputs), plan.network.sizes[-1]), plan.network.dtype)
    exponents = np.empty(len(inputs), np.int32)
    _forward.outputs(plan, inputs, out, exponents)
    return out, exponents


def largest_class(outputs: Array) -> npt.NDArray[np.int64]:
    """Return the column of each row's largest output, the first where several are; any power of two does.

    Parameters
    ----------
    outputs : (n, k) float array

    Raises
    ------
    ValueError
        Of a row an output is nan, or several share an infinite maximum.
    """
    top = outputs.max(axis=1)
    shared = np.isinf(top)
    shared[shared] = (outputs[shared] == top[shared, np.newaxis]).sum(axis=1) > 1
    _require_rows(~(np.isnan(top) | shared), "outputs of which one is the largest")
    columns: npt.NDArray[np.int64] = outputs.argmax(axis=1)
    return columns


def softmax(outputs: Array, exponents: npt.NDArray[np.int32]) -> Array:
    """Return softmax(outputs * 2**exponents) along each row, in the dtype of the outputs.

    Parameters
    ----------
    outputs : (n, k) float array
    exponents : (n,) int32 array

    Raises
    ------
    ValueError
        As in `largest_class`.
    """
    top = np.take_along_axis(outputs, largest_class(outputs)[:, np.newaxis], axis=1).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        below = np.where(outputs == top, 0.0, outputs - top)
        terms = np.exp(np.ldexp(below, exponents[:, np.newaxis]))
        shares: Array = (terms / terms.sum(axis=1, keepdims=True)).astype(outputs.dtype)
    return shares


def sigmoid(outputs: Array, exponents: npt.NDArray[np.int32]) -> Array:
    """Return 1 / (1 + exp(-outputs * 2**exponents)) of each entry, in the dtype of the outputs.

    Parameters
    ----------
    outputs : (n, k) float array
    exponents : (n,) int32 array

    Raises
    ------
    ValueError
        An output is nan.
    """
    from scipy.special import expit

    _numbers(outputs)
    with np.errstate(over="ignore", under="ignore"):
        shares: Array = expit(np.ldexp(outputs.astype(np.float64), exponents[:, np.newaxis])).astype(outputs.dtype)
    return shares


def _numbers(outputs: Array) -> Array:
    """Return (n, k) outputs none of which is nan; raise a ValueError that names the first row that has one."""
    _require_rows(~np.isnan(outputs.max(axis=1)), "outputs that are numbers")
    return outputs


def _require_rows(good: Array, wants: str) -> None:
    """Raise a ValueError that names the first row that is not good."""
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"X: row {row} leaves the range of the network's dtype on its way, wants {wants}")
