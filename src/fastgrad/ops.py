"""Each fused kernel on NumPy arrays, so that one can be called, read about and timed by itself.

Every function packs its arguments as the engine keeps them, runs the kernel of the active instruction set on the
calling thread and unpacks the result; packing is linear in the arrays. Arrays are float32 or float64, all of the dtype
of the first argument. For training use `fastgrad.MLP`, which packs once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, losses, optim
from fastgrad._closed import VALUE, closed
from fastgrad._core_options import optimizer_options
from fastgrad._isa import active_isa

Array = npt.NDArray[Any]


@closed(cure=VALUE)
@dataclass(frozen=True)
class Forward:
    """What `forward` computes: (n, fan_out) `output` and `slope`, and their statistics."""

    output: Array
    slope: Array
    act_mean: float
    act_rms: float
    deriv_mean: float


@closed(cure=VALUE)
@dataclass(frozen=True)
class BackwardWeights:
    """What `backward_weights` computes: (fan_in, fan_out) `weights`, (fan_out,) `bias`, and their norms."""

    weights: Array
    bias: Array
    grad_norm: float
    bias_grad_norm: float


@closed(cure=VALUE)
@dataclass(frozen=True)
class Update:
    """What `update` computes: new `weights` and `states`, and the norms of the old weights and of the increment."""

    weights: Array
    states: list[Array]
    weight_norm: float
    update_norm: float


def forward(
    x: npt.ArrayLike, w: npt.ArrayLike, b: npt.ArrayLike | None = None, activation: str = "identity"
) -> Forward:
    """Compute f(x @ w + b), f' and their statistics in one pass.

    Parameters
    ----------
    x : (n, fan_in) array_like
    w : (fan_in, fan_out) array_like
    b : (fan_out,) array_like, optional
        0 unless given.
    activation : str
        A name that `fastgrad.MLP` takes.

    Raises
    ------
    ValueError, TypeError
        Wrong shape, dtype or name.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> layer = fg.ops.forward(np.array([[1.0, -2.0]]), np.array([[1.0, 3.0], [1.0, 1.0]]), activation="relu")
    >>> layer.output, layer.deriv_mean
    (array([[0., 1.]]), 0.5)
    """
    activation = _checks.choice("activation", activation, _core.ACTIVATIONS)
    x, dtype = _first("x", x, 2)
    w = _another("w", w, dtype, (x.shape[1], None), "x")
    b = np.zeros(w.shape[1], dtype) if b is None else _another("b", b, dtype, (w.shape[1],), "w")
    output, slope = np.empty((len(x), w.shape[1]), dtype), np.empty((len(x), w.shape[1]), dtype)
    moments = _core.op_forward(active_isa(), dtype.name, activation, x, w, b, output, slope)
    return Forward(output, slope, *moments)


def backward_data(delta: npt.ArrayLike, w: npt.ArrayLike, slope: npt.ArrayLike) -> tuple[Array, float]:
    """Compute (delta @ w.T) * slope, the delta of the layer below, and its Frobenius norm.

    Parameters
    ----------
    delta : (n, fan_out) array_like
        dL/dz of the layer.
    w : (fan_in, fan_out) array_like
    slope : (n, fan_in) array_like
        f' of the layer below.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> fg.ops.backward_data(np.array([[2.0]]), np.array([[1.0], [3.0]]), np.array([[1.0, 0.0]]))
    (array([[2., 0.]]), 2.0)
    """
    delta, dtype = _first("delta", delta, 2)
    w = _another("w", w, dtype, (None, delta.shape[1]), "delta")
    slope = _another("slope", slope, dtype, (len(delta), w.shape[0]), "delta and w")
    out = np.empty_like(slope)
    return out, _core.op_backward_data(active_isa(), dtype.name, delta, w, slope, out)


def backward_weights(x: npt.ArrayLike, delta: npt.ArrayLike) -> BackwardWeights:
    """Compute x.T @ delta and the column sums of delta, with their norms.

    Up to 512 rows are added one after the other. More are added so in chains of 256, counted from the first, and what
    the chains give with compensation for rounding: the error does not grow with the number of rows.

    Parameters
    ----------
    x : (n, fan_in) array_like
        Input of the layer.
    delta : (n, fan_out) array_like
        dL/dz of the layer.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> dW = fg.ops.backward_weights(np.array([[3.0], [4.0]]), np.array([[1.0], [0.5]]))
    >>> dW.weights, dW.bias, dW.grad_norm
    (array([[5.]]), array([1.5]), 5.0)
    """
    x, dtype = _first("x", x, 2)
    delta = _another("delta", delta, dtype, (len(x), None), "x")
    dw, db = np.empty((x.shape[1], delta.shape[1]), dtype), np.empty(delta.shape[1], dtype)
    norms = _core.op_backward_weights(active_isa(), dtype.name, x, delta, dw, db)
    return BackwardWeights(dw, db, *norms)


def loss(name: str, outputs: npt.ArrayLike, y: npt.ArrayLike) -> tuple[float, Array]:
    """Compute a loss and its gradient with respect to the outputs in one pass.

    Parameters
    ----------
    name : str
        One of `fastgrad.losses.LOSSES`.
    outputs : (n, n_outputs) array_like
        Logits for the cross-entropies.
    y : array_like
        Targets as `fastgrad.losses.check_targets` takes them.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> fg.ops.loss("mse", np.array([[1.0], [4.0]]), [[1.0], [2.0]])
    (2.0, array([[0.],
           [2.]]))
    """
    name = losses.check_loss(name)
    outputs, dtype = _first("outputs", outputs, 2)
    y = losses.check_targets(name, y, len(outputs), outputs.shape[1], dtype)
    gradient = np.empty_like(outputs)
    return _core.op_loss(active_isa(), dtype.name, name, outputs, y, gradient), gradient


def update(
    optimizer: optim.Optimizer | str,
    w: npt.ArrayLike,
    gradient: npt.ArrayLike,
    states: list[npt.ArrayLike] | None = None,
    steps: int = 0,
) -> Update:
    """Apply one optimizer step to a matrix of weights.

    Parameters
    ----------
    optimizer : SGD, Adam, AdamW, RMSprop or str
    w, gradient : (fan_in, fan_out) array_like
    states : list of (fan_in, fan_out) array_like, optional
        As the last call returned them; zeros at first. They are what the kernels keep, not PyTorch's: of Adam m / u and
        s, of RMSprop s, then where centered c / u, then the momentum. s is sqrt(v / (1 - beta2)), alpha being RMSprop's
        beta2; where centered, v - c^2 stands for v. u is a power of two near s: 2^(4k) times the smallest normal number
        for s in [2^(4k - 1), 2^(4k + 3)) times it, k >= 0.
    steps : int
        How many steps came before, >= 0.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> done = fg.ops.update(fg.SGD(lr=0.5), np.array([[1.0]]), np.array([[4.0]]))
    >>> done.weights, done.update_norm
    (array([[-1.]]), 2.0)
    """
    options = optimizer_options(optim.resolve(optimizer))
    given, dtype = _first("w", w, 2)
    weights = given.copy()
    gradient = _another("gradient", gradient, dtype, weights.shape, "w")
    wanted = _core.optimizer_states(options["kind"])
    if states is None:
        states = [np.zeros_like(weights) for _ in range(wanted)]
    if not isinstance(states, list | tuple):
        raise TypeError(f"states: got {type(states).__name__}, wants a list of {wanted} arrays")
    if len(states) != wanted:
        raise ValueError(f"states: got {len(states)} arrays, wants a list of {wanted} arrays")
    new = [_another(f"states[{i}]", state, dtype, weights.shape, "w").copy() for i, state in enumerate(states)]
    before = _checks.integer("steps", steps, at_least=0, below=2**53)
    norms = _core.op_update(active_isa(), dtype.name, options, before, weights, gradient, new)
    return Update(weights, new, *norms)


def unary(name: str, x: npt.ArrayLike) -> Array:
    """Apply one of the kernels' vector functions: exp, expm1, log1p, tanh, erf or erfc.

    Parameters
    ----------
    name : str
    x : array_like
        float32 or float64. Subnormal values count as 0, and results below the normal range are 0. (On processors that
        cannot flush, all but x86-64 and AArch64, they are some number below it.)

    Returns
    -------
    array
        Of x's shape and dtype.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> fg.ops.unary("tanh", np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    name = _checks.choice("name", name, _core.UNARIES)
    x, dtype = _first("x", x, None)
    y = np.empty_like(x)
    _core.map_unary(active_isa(), dtype.name, name, x.reshape(-1), y.reshape(-1))
    return y


def activation(name: str, z: npt.ArrayLike) -> tuple[Array, Array]:
    """Return f(z) and f'(z), of z's shape and dtype, for an activation that `fastgrad.MLP` takes.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> fg.ops.activation("leaky_relu", np.array([-1.0, 2.0]))
    (array([-0.01,  2.  ]), array([0.01, 1.  ]))
    """
    name = _checks.choice("name", name, _core.ACTIVATIONS)
    z, dtype = _first("z", z, None)
    a, slope = np.empty_like(z), np.empty_like(z)
    _core.map_activation(active_isa(), dtype.name, name, z.reshape(-1), a.reshape(-1), slope.reshape(-1))
    return a, slope


def _first(name: str, value: npt.ArrayLike, ndim: int | None) -> tuple[Array, np.dtype[Any]]:
    array = _checks.real_array(name, value)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name}: got dtype {array.dtype}, wants float32 or float64")
    if ndim is not None and (array.ndim != ndim or 0 in array.shape):
        raise ValueError(f"{name}: got shape {array.shape}, wants {ndim} dimensions, none empty")
    return np.require(array, requirements=["C", "A"]), array.dtype


def _another(
    name: str, value: npt.ArrayLike, dtype: np.dtype[Any], shape: tuple[int | None, ...], others: str
) -> Array:
    array, found = _first(name, value, len(shape))
    if found != dtype:
        raise TypeError(f"{name}: got dtype {found}, wants {dtype} to suit {others}")
    if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
        wants = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}: got shape {array.shape}, wants ({wants}) to suit {others}")
    return array
