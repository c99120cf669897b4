"""Gradients of a loss with respect to everything, as plain arrays."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _core
from fastgrad.telemetry import STATISTICS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Gradients:
    """What backward found.

    Attributes
    ----------
    weights : list of (fan_in, fan_out) arrays
        dL/dW_l, in the network's dtype.
    biases : list of (fan_out,) arrays
        dL/db_l; empty for a network without biases.
    input : (n, n_features) array
        dL/dX.
    log10_norm : (layers,) float64 array
        log10 of the Frobenius norm of each dL/dW_l; -inf for an exact zero. The norm's square must fit float64: below
        1e-154 it reads 0.
    """

    weights: list[Array]
    biases: list[Array]
    input: Array
    log10_norm: npt.NDArray[np.float64]


def read_gradients(plan: _core.Plan) -> Gradients:
    """Copy the gradients out of a plan that has just run backward."""
    net = plan.network
    weights: list[Array] = [np.empty(shape, net.dtype) for shape in pairwise(net.sizes)]
    biases: list[Array] = [np.empty(width, net.dtype) for width in net.sizes[1:]] if net.has_bias else []
    inputs = np.empty((plan.rows, net.sizes[0]), net.dtype)
    statistics = np.empty((len(STATISTICS), net.layers))
    for layer, array in enumerate(weights):
        plan.weight_gradient(layer, array)
    for layer, array in enumerate(biases):
        plan.bias_gradient(layer, array)
    plan.input_gradient(inputs)
    plan.statistics(statistics)
    with np.errstate(divide="ignore"):
        return Gradients(weights, biases, inputs, np.log10(statistics[STATISTICS.index("grad_norm")]))
