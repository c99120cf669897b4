"""Weight initialisation: from a name, a rule, a callable or an array to the first weights of one layer.

A weight matrix has shape (fan_in, fan_out). Draws are made in float64 and cast last, from one random stream per layer,
so the weights of a layer depend on the seed, the layer's number and its shape alone. Biases start at zero and are not
drawn here. Rules that look at the data (LSUV and the like) do not belong here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._closed import VALUE, closed

Rule = Callable[[np.random.Generator, tuple[int, int]], npt.ArrayLike]
Init = str | Rule | npt.ArrayLike
Matrix = npt.NDArray[np.float64]

_LEAKY_SLOPE = 0.01


@closed(cure=VALUE)
@dataclass(frozen=True)
class VarianceScaling:
    """Independent entries of mean 0 and variance ``scale / fan``, the family of LeCun, Glorot and He.

    Parameters
    ----------
    scale : float
        Numerator of the variance, >= 0.
    fan : {"fan_in", "fan_out", "fan_avg"}
        Inputs of a unit, outputs of a unit, or the mean of both.
    distribution : {"normal", "uniform"}
        The normal is not truncated; the uniform is on [-limit, limit) with limit = sqrt(3 * variance).
    """

    scale: float = 1.0
    fan: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _checks.number("scale", self.scale, at_least=0.0))
        for field, known in (("fan", ("fan_in", "fan_out", "fan_avg")), ("distribution", ("normal", "uniform"))):
            object.__setattr__(self, field, _checks.choice(field, getattr(self, field), known))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        fan_in, fan_out = shape
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / fans[self.fan]
        if self.distribution == "normal":
            return Normal(math.sqrt(variance))(rng, shape)
        return Uniform(math.sqrt(3.0 * variance))(rng, shape)


@closed(cure=VALUE)
@dataclass(frozen=True)
class Normal:
    """Independent normal entries of mean 0 and standard deviation `std` >= 0."""

    std: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "std", _checks.number("std", self.std, at_least=0.0))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        return self.std * rng.standard_normal(shape)


@closed(cure=VALUE)
@dataclass(frozen=True)
class Uniform:
    """Independent uniform entries on [-limit, limit), limit >= 0."""

    limit: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", _checks.number("limit", self.limit, at_least=0.0))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        return self.limit * (2.0 * rng.random(shape) - 1.0)


@closed(cure=VALUE)
@dataclass(frozen=True)
class Constant:
    """Every entry equal to `value`."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.number("value", self.value))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        return np.full(shape, self.value)


@closed(cure=VALUE)
@dataclass(frozen=True)
class ScaledIdentity:
    """`scale` on the main diagonal and zero elsewhere; a rectangular matrix keeps the leading units."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _checks.number("scale", self.scale))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        return self.scale * np.eye(*shape)


@closed(cure=VALUE)
@dataclass(frozen=True)
class Orthogonal:
    """`gain` times a random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2013).

    The Q factor of a normal matrix, its signs fixed by the diagonal of R so that it is uniform over the orthogonal
    matrices (Mezzadri 2007). The factorisation is LAPACK's, so the last bits may differ between machines.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", _checks.number("gain", self.gain))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        fan_in, fan_out = shape
        tall = rng.standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(tall)
        q *= self.gain * np.copysign(1.0, np.diagonal(r))
        return q if fan_in >= fan_out else q.T


_RULES: dict[str, Rule] = {
    "he_normal": VarianceScaling(2.0, "fan_in", "normal"),
    "he_uniform": VarianceScaling(2.0, "fan_in", "uniform"),
    "glorot_normal": VarianceScaling(1.0, "fan_avg", "normal"),
    "glorot_uniform": VarianceScaling(1.0, "fan_avg", "uniform"),
    "lecun_normal": VarianceScaling(1.0, "fan_in", "normal"),
    "lecun_uniform": VarianceScaling(1.0, "fan_in", "uniform"),
    "orthogonal": Orthogonal(),
    "zeros": Constant(0.0),
}

NAMES = ("auto", *_RULES)

AUTO = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "elu": "he_normal",
    "gelu": "he_normal",
    "gelu_tanh": "he_normal",
    "silu": "he_normal",
    "mish": "he_normal",
    "softplus": "he_normal",
    "selu": "lecun_normal",
    "sigmoid": "glorot_uniform",
    "tanh": "glorot_uniform",
    "identity": "glorot_uniform",
}


def rule_for(init: str, activation: str) -> Rule:
    """Return the rule that a name stands for in front of an activation.

    Parameters
    ----------
    init : str
        One of `NAMES`.
    activation : str
        The activation that follows the weights. It decides "auto", and the slope of "leaky_relu" enters He's variance.

    Returns
    -------
    callable
        ``rule(rng, (fan_in, fan_out)) -> (fan_in, fan_out) array``.

    Raises
    ------
    ValueError, TypeError
        Unknown `init` or `activation`.

    Notes
    -----
    ============================================================  ==============  =========================
    activation                                                    "auto"          source
    ============================================================  ==============  =========================
    relu, leaky_relu; elu, gelu, gelu_tanh, silu, mish, softplus  he_normal       He et al. 2015, eq. 10, 15
    selu                                                          lecun_normal    Klambauer et al. 2017
    sigmoid, tanh, identity                                       glorot_uniform  Glorot and Bengio 2010, eq. 16
    ============================================================  ==============  =========================

    He's variance 2 / ((1 + slope^2) fan_in) is derived for (leaky) ReLU; the smooth activations that share its line use
    it as ReLU's approximations. LeCun's 1 / fan_in is from LeCun et al. 1998, section 4.6.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.init.rule_for("auto", "relu")
    VarianceScaling(scale=2.0, fan='fan_in', distribution='normal')
    """
    init = _checks.choice("init", init, NAMES)
    activation = _checks.choice("activation", activation, AUTO)
    name = AUTO[activation] if init == "auto" else init
    rule = _RULES[name]
    if activation == "leaky_relu" and name.startswith("he_") and isinstance(rule, VarianceScaling):
        return replace(rule, scale=rule.scale / (1.0 + _LEAKY_SLOPE**2))
    return rule


def layer_rng(seed: int, layer: int) -> np.random.Generator:
    """Return the random stream of one layer: a counter-based Philox generator keyed by (seed, layer).

    Parameters
    ----------
    seed : int
        In [0, 2**64).
    layer : int
        Number of the layer, counted from 0.

    Notes
    -----
    Streams of different keys are independent, so a layer's weights do not depend on the other layers. The bits are the
    same on every machine; NumPy may change how it makes normal numbers of them in a new version (NEP 19).
    """
    key = [_checks.integer(name, word, at_least=0, below=1 << 64) for name, word in (("seed", seed), ("layer", layer))]
    return np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))


def initialise(
    init: Init,
    fan_in: int,
    fan_out: int,
    *,
    activation: str = "identity",
    dtype: npt.DTypeLike = np.float64,
    rng: np.random.Generator,
    layer: int = 0,
) -> npt.NDArray[Any]:
    """Return the first weights of one layer.

    Parameters
    ----------
    init : str, callable or array_like
        One of `NAMES`; or ``rule(rng, (fan_in, fan_out))`` such as `Normal(0.1)`, `Orthogonal()` or a function of the
        caller's; or the weights themselves.
    fan_in, fan_out : int
        Inputs and units of the layer, >= 1.
    activation : str
        The activation that follows; see `rule_for`.
    dtype : {float32, float64}
        Of the result; draws are float64.
    rng : numpy.random.Generator
        Usually `layer_rng(seed, layer)`.
    layer : int
        Number of the layer, for error messages.

    Returns
    -------
    (fan_in, fan_out) array of `dtype`
        C-contiguous and the caller's own.

    Raises
    ------
    ValueError
        Unknown name, wrong shape, or an entry that is not finite in `dtype`.
    TypeError
        Neither a name, a callable nor a real array.
    MemoryError
        There is none for so large a matrix.

    Examples
    --------
    >>> import fastgrad as fg
    >>> rng = fg.init.layer_rng(seed=0, layer=0)
    >>> fg.init.initialise("he_normal", 784, 256, activation="relu", dtype="float32", rng=rng).shape
    (784, 256)
    """
    fans = (("fan_in", fan_in), ("fan_out", fan_out))
    shape = cast("tuple[int, int]", tuple(_checks.integer(name, fan, at_least=1, below=2**31) for name, fan in fans))
    _checks.require_memory("(fan_in, fan_out)", shape, 8 * math.prod(shape))
    rng = _checks.instance("rng", rng, np.random.Generator)
    layer = _checks.integer("layer", layer, at_least=0, below=2**64)
    _checks.choice("activation", activation, AUTO)
    wanted = _checks.float_dtype("dtype", dtype)
    if isinstance(init, type):
        raise TypeError(f"init: got the class {init.__name__}, wants an instance such as {init.__name__}(...)")
    rule = rule_for(init, activation) if isinstance(init, str) else init
    label = f"init of layer {layer}"
    drawn = _checks.real_array(label, rule(rng, shape) if callable(rule) else rule)
    if drawn.shape != shape:
        raise ValueError(f"{label}: got shape {drawn.shape}, wants (fan_in, fan_out) = {shape}")
    weights = _checks.converted(label, drawn, wanted)
    _checks.require_entries(label, weights, drawn, np.isfinite, f"a value finite in {wanted}")
    return weights.copy() if np.shares_memory(weights, drawn) else weights
