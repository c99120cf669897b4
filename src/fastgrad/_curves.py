"""The activations and their derivatives in readable NumPy float64, for `fastgrad.reference`.

Every formula keeps its relative accuracy in the tails, where the textbook form cancels. Nothing here is fast, and
nothing is shared with the kernels.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


def sigmoid(z: Array) -> Array:
    return np.asarray(special.expit(z))


def _sigmoid_slope(z: Array) -> Array:
    t = np.exp(-np.abs(z))
    return t / (1.0 + t) ** 2  # s(z) s(-z), never s (1 - s): 1 - s is 0 for z > 37


def _tanh_slope(z: Array) -> Array:
    t = np.exp(-np.abs(z)) ** 2
    return 4.0 * t / (1.0 + t) ** 2  # sech(z)^2, never 1 - tanh(z)^2


def softplus(z: Array) -> Array:
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def _exp_left(z: Array) -> Array:
    return np.exp(np.minimum(z, 0.0))


def _elu(z: Array) -> Array:
    return np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0)))


def _selu(z: Array) -> Array:
    return SELU_SCALE * np.where(z > 0.0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0.0)))


def _normal_cdf(z: Array) -> Array:
    return np.asarray(special.ndtr(z))  # by erfc on the left, where 1 + erf would cancel


def _normal_density(z: Array) -> Array:
    density: Array = np.exp(-0.5 * np.minimum(np.abs(z), 40.0) ** 2) / np.sqrt(2.0 * np.pi)
    return density  # 0 from |z| = 38.6 on


def _gelu(z: Array) -> Array:
    return z * _normal_cdf(z)


def _gelu_slope(z: Array) -> Array:
    return _normal_cdf(z) + z * _normal_density(z)


def _gelu_tanh_gate(z: Array) -> tuple[Array, Array]:
    """Return u and du/dz of 0.5 (1 + tanh(u/2)) = sigmoid(u); beyond |z| = 40 the gate is exactly 0 or 1."""
    z = np.clip(z, -40.0, 40.0)
    scale = 2.0 * np.sqrt(2.0 / np.pi)
    return scale * (z + 0.044715 * z**3), scale * (1.0 + 3.0 * 0.044715 * z**2)


def _gelu_tanh(z: Array) -> Array:
    u, _ = _gelu_tanh_gate(z)
    return z * sigmoid(u)


def _gelu_tanh_slope(z: Array) -> Array:
    u, du = _gelu_tanh_gate(z)
    return sigmoid(u) + np.clip(z, -40.0, 40.0) * _sigmoid_slope(u) * du


def _silu(z: Array) -> Array:
    return z * sigmoid(z)


def _silu_slope(z: Array) -> Array:
    return sigmoid(z) * (1.0 + z * sigmoid(-z))


def _mish(z: Array) -> Array:
    return z * np.tanh(softplus(z))


def _mish_slope(z: Array) -> Array:
    s = softplus(z)
    return np.tanh(s) + z * _tanh_slope(s) * sigmoid(z)  # softplus' = sigmoid


class Activation(NamedTuple):
    """A function f and its derivative f', elementwise."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


ACTIVATIONS = {
    "identity": Activation(np.copy, np.ones_like),
    "relu": Activation(lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0.0, 1.0, 0.0)),
    "leaky_relu": Activation(
        lambda z: np.where(z > 0.0, z, LEAKY_SLOPE * z), lambda z: np.where(z > 0.0, 1.0, LEAKY_SLOPE)
    ),
    "elu": Activation(_elu, _exp_left),
    "selu": Activation(_selu, lambda z: SELU_SCALE * np.where(z > 0.0, 1.0, SELU_ALPHA * _exp_left(z))),
    "gelu": Activation(_gelu, _gelu_slope),
    "gelu_tanh": Activation(_gelu_tanh, _gelu_tanh_slope),
    "silu": Activation(_silu, _silu_slope),
    "softplus": Activation(softplus, sigmoid),
    "sigmoid": Activation(sigmoid, _sigmoid_slope),
    "tanh": Activation(np.tanh, _tanh_slope),
    "mish": Activation(_mish, _mish_slope),
}
