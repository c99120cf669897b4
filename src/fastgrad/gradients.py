"""Gradients of a loss with respect to everything, as plain arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._closed import VALUE, closed

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
