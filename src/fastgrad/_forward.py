"""Passes forward over many rows: in calls of the engine short enough for signals, yet of one state of the network.

The network is held for all of them, so that a Trainer in another thread waits until the last row is done.
"""

from typing import Any

import numpy.typing as npt

from fastgrad import _core
from fastgrad.data import Data

Array = npt.NDArray[Any]

ROWS = 256  # of one pass through the layers in inference: their activations stay in cache


def outputs(plan: _core.Plan, inputs: Array, out: Array, exponents: Array | None = None) -> None:
    """Write the outputs of the last layer, (n, n_outputs), for checked inputs.

    They are the true ones, or with `exponents`, (n,) int32, to be multiplied by 2 to the power of their row's.
    """
    done = 0
    with plan.network:
        while done < len(inputs):
            done = plan.forward(inputs, out, done, exponents)


def mean_loss(plan: _core.Plan, data: Data, loss: str) -> float:
    """Return the loss of data as one batch."""
    total = 0.0
    with plan.network:
        for start in range(0, len(data), ROWS):
            part = data.part(slice(start, start + ROWS))
            value = plan.loss(part.X, part.y, loss)
            total += value if loss == "l2_norm" else value * len(part)
    return total if loss == "l2_norm" else total / len(data)
