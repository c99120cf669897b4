"""Gradients of a loss with respect to everything, as plain arrays."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core
from fastgrad._closed import VALUE, closed
from fastgrad.telemetry import RECORD, LayerStats

Array = npt.NDArray[Any]


@closed(cure=VALUE)
@dataclass(frozen=True)
class Gradients:
    """What backward found.

    Attributes
    ----------
    weights : list of (fan_in, fan_out) arrays
        dL/dW_l, in the network's dtype: what lies outside its range reads 0 or inf, see `scaled`.
    biases : list of (fan_out,) arrays
        dL/db_l; empty for a network without biases.
    input : (n, n_features) array
        dL/dX.
    log10_norm : (layers,) float64 array
        log10 of the Frobenius norm of each dL/dW_l, far beyond the range of the dtype; -inf for zero.
    log10_loss : float
        log10 of the loss's magnitude, likewise; nan after `MLP.backward`, which knows no loss.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([1, 1, 1], activation="identity", init=[[[1e-30]], [[1e-30]]])
    >>> loss, grads = net.gradients([[1.0]], [[1e-30]], loss="mse")
    >>> bool(grads.weights[0] == 0.0), grads.log10_norm.round(3)
    (True, array([-59.699, -59.699]))
    """

    weights: list[Array]
    biases: list[Array]
    input: Array
    log10_norm: npt.NDArray[np.float64]
    log10_loss: float
    _scaled: list[tuple[Array, int]]

    def scaled(self, layer: int) -> tuple[Array, int]:
        """Return (array, exponent): dL/dW of a layer is array * 2**exponent, from which nothing is lost.

        Raises
        ------
        TypeError, IndexError
            Not an integer; there is no such layer.
        """
        return self._scaled[
            _checks.position("layer", layer, len(self._scaled), f"there are {len(self._scaled)} layers")
        ]


def read_gradients(plan: _core.Plan, *, of_loss: bool) -> Gradients:
    """Copy the gradients out of a plan that has just run backward, from a loss that it computed or not."""
    net = plan.network
    weights: list[Array] = [np.empty(shape, net.dtype) for shape in pairwise(net.sizes)]
    biases: list[Array] = [np.empty(width, net.dtype) for width in net.sizes[1:]] if net.has_bias else []
    inputs = np.empty((plan.rows, net.sizes[0]), net.dtype)
    record = np.empty((len(RECORD), net.layers))
    exponents, bias_exponents = plan.exponents(False), plan.exponents(True)
    for layer, array in enumerate(weights):
        plan.weight_gradient(layer, array)
    for layer, array in enumerate(biases):
        plan.bias_gradient(layer, array)
    plan.input_gradient(inputs)
    plan.statistics(record)
    return Gradients(
        [_times_power(array, exponent) for array, exponent in zip(weights, exponents, strict=True)],
        [_times_power(array, exponent) for array, exponent in zip(biases, bias_exponents, strict=False)],
        inputs,
        LayerStats(record, 0).log10("grad_norm"),
        plan.log10_loss() if of_loss else math.nan,
        list(zip(weights, exponents, strict=True)),
    )


def _times_power(array: Array, exponent: int) -> Array:
    """Return array * 2**exponent, the array itself where that is 1."""
    if exponent == 0:
        return array
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(array, exponent)
