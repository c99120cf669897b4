"""Gradients of a loss with respect to everything, as plain arrays."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _core
from fastgrad.telemetry import RECORD, LayerStats

Array = npt.NDArray[Any]


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
    """

    weights: list[Array]
    biases: list[Array]
    input: Array
    log10_norm: npt.NDArray[np.float64]
    _scaled: list[tuple[Array, int]]

    def scaled(self, layer: int) -> tuple[Array, int]:
        """Return (array, exponent): dL/dW of a layer is array * 2**exponent, from which nothing is lost.

        Raises
        ------
        IndexError
            There is no such layer.
        """
        return self._scaled[layer]


def read_gradients(plan: _core.Plan) -> Gradients:
    """Copy the gradients out of a plan that has just run backward."""
    net = plan.network
    weights: list[Array] = [np.empty(shape, net.dtype) for shape in pairwise(net.sizes)]
    biases: list[Array] = [np.empty(width, net.dtype) for width in net.sizes[1:]] if net.has_bias else []
    inputs = np.empty((plan.rows, net.sizes[0]), net.dtype)
    record = np.empty((len(RECORD), net.layers))
    exponents = plan.exponents()
    for layer, array in enumerate(weights):
        plan.weight_gradient(layer, array)
    for layer, array in enumerate(biases):
        plan.bias_gradient(layer, array)
    plan.input_gradient(inputs)
    plan.statistics(record)
    return Gradients(
        [_times_power(array, exponent) for array, exponent in zip(weights, exponents[1:], strict=True)],
        [_times_power(array, exponent) for array, exponent in zip(biases, exponents[1:], strict=False)],
        _times_power(inputs, exponents[0]),
        LayerStats(record, 0).log10("grad_norm"),
        list(zip(weights, exponents[1:], strict=True)),
    )


def _times_power(array: Array, exponent: int) -> Array:
    """Return array * 2**exponent, the array itself where that is 1."""
    if exponent == 0:
        return array
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(array, exponent)
