"""Gradients out of a plan: what they are truly, and what of them the network's dtype holds."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _core
from fastgrad._record import RECORD
from fastgrad.gradients import Gradients
from fastgrad.layer_stats import LayerStats

Array = npt.NDArray[Any]


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
