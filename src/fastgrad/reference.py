"""The engine's mathematics in readable NumPy float64: documentation and test oracle.

Layer l computes a_l = f(z_l) with z_l = a_{l-1} @ W_l + b_l; rows are samples, a_{-1} is X, W_l is (fan_in, fan_out).
Nothing here is fast, nothing is checked, nothing is shared with the kernels; every formula keeps its relative accuracy
in the tails, where the textbook form cancels. A gradient outside float64's range is out of reach here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from fastgrad._curves import ACTIVATIONS as ACTIVATIONS
from fastgrad._curves import LEAKY_SLOPE as LEAKY_SLOPE
from fastgrad._curves import SELU_ALPHA as SELU_ALPHA
from fastgrad._curves import SELU_SCALE as SELU_SCALE
from fastgrad._curves import sigmoid, softplus
from fastgrad.clip import NORM_EPS, Clip, ClipNorm, ClipValue
from fastgrad.optim import SGD, Adam, Optimizer, RMSprop
from fastgrad.telemetry import STATISTICS

Array = npt.NDArray[np.float64]


def norm(values: Array, axis: int | None = None) -> Array:
    """Euclidean (Frobenius) norm that neither under- nor overflows while the result is representable."""
    largest = np.max(np.abs(values), axis=axis, initial=0.0, keepdims=True)
    safe = np.where(largest > 0.0, largest, 1.0)
    length: Array = np.squeeze(safe, axis) * np.sqrt(np.sum((values / safe) ** 2, axis=axis))
    return length


def _mse(a: Array, y: Array) -> tuple[float, Array]:
    return float(np.mean((a - y) ** 2)), 2.0 * (a - y) / a.size


def _l2_norm(a: Array, y: Array) -> tuple[float, Array]:
    lengths = norm(a - y, axis=1)
    return float(np.sum(lengths)), (a - y) / np.where(lengths > 0.0, lengths, 1.0)[:, np.newaxis]


def _mae(a: Array, y: Array) -> tuple[float, Array]:
    return float(np.mean(np.abs(a - y))), np.sign(a - y) / a.size


def _huber(a: Array, y: Array) -> tuple[float, Array]:
    d = a - y
    entries = np.where(np.abs(d) < 1.0, 0.5 * d**2, np.abs(d) - 0.5)
    return float(np.mean(entries)), np.clip(d, -1.0, 1.0) / a.size


def _cross_entropy(a: Array, y: Array) -> tuple[float, Array]:
    samples, classes = a.shape
    if y.ndim == 1:
        y = np.eye(classes)[y.astype(np.int64)]
    others = 1.0 - np.eye(classes)
    top = np.argmax(a, axis=1)
    shifted = a - a[np.arange(samples), top, np.newaxis]
    exponentials = np.exp(shifted)
    rest = np.sum(exponentials * others[top], axis=1, keepdims=True)  # sum of exp without the largest, which is 1
    log_p = shifted - np.log1p(rest)
    p = exponentials / (1.0 + rest)
    # dL/da_j = p_j sum_k y_k - y_j; its terms in y_j join to -y_j (1 - p_j), and 1 - p_j is summed, not subtracted
    gradient = p * (y @ others) - y * (p @ others)
    return float(-np.sum(y * log_p) / samples), gradient / samples


def _binary_cross_entropy(a: Array, y: Array) -> tuple[float, Array]:
    # -log s(a) = softplus(-a) and -log (1 - s(a)) = softplus(a): both terms are positive, so nothing cancels
    entries = y * softplus(-a) + (1.0 - y) * softplus(a)
    return float(np.mean(entries)), ((1.0 - y) * sigmoid(a) - y * sigmoid(-a)) / a.size


LOSSES: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "mse": _mse,
    "l2_norm": _l2_norm,
    "mae": _mae,
    "huber": _huber,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
}


@dataclass(frozen=True)
class Gradients:
    """The loss and its derivatives: `weights[l]`, `biases[l]`, `deltas[l]` = dL/dz_l and `outputs[l]` = dL/da_l per
    layer, `input` = dL/dX.
    """

    loss: float
    weights: list[Array]
    biases: list[Array]
    input: Array
    deltas: list[Array]
    outputs: list[Array]


def forward(
    weights: Sequence[Array], biases: Sequence[Array], X: Array, activations: Sequence[str]
) -> tuple[list[Array], list[Array]]:
    """Return the pre-activations z_0 ... z_{L-1} and the outputs X, a_0 ... a_{L-1} (one entry more).

    Parameters
    ----------
    weights, biases : sequences of (fan_in, fan_out) and (fan_out,) arrays
    X : (n, fan_in of layer 0) array
    activations : sequence of str
        One name per layer, the output layer's included.
    """
    zs: list[Array] = []
    outputs = [X]
    for W, b, name in zip(weights, biases, activations, strict=True):
        zs.append(outputs[-1] @ W + b)
        outputs.append(ACTIVATIONS[name].value(zs[-1]))
    return zs, outputs


def gradients(
    weights: Sequence[Array], biases: Sequence[Array], X: Array, y: Array, activations: Sequence[str], loss: str
) -> Gradients:
    """Return loss and gradients by backpropagation; arguments as in `forward`, `y` and `loss` as in `LOSSES`."""
    zs, outputs = forward(weights, biases, X, activations)
    value, upstream = LOSSES[loss](outputs[-1], y)
    deltas: list[Array] = []
    upstreams: list[Array] = []
    for W, z, name in zip(reversed(weights), reversed(zs), reversed(activations), strict=True):
        upstreams.insert(0, upstream)
        deltas.insert(0, upstream * ACTIVATIONS[name].slope(z))  # dL/dz_l = dL/da_l * f'(z_l)
        upstream = deltas[0] @ W.T  # dL/da_{l-1} = dL/dz_l W_l^T
    return Gradients(
        loss=value,
        weights=[a.T @ delta for a, delta in zip(outputs, deltas, strict=False)],  # dL/dW_l = a_{l-1}^T dL/dz_l
        biases=[np.sum(delta, axis=0) for delta in deltas],
        input=upstream,
        deltas=deltas,
        outputs=upstreams,
    )


def gradient_norm(weights: Sequence[Array], biases: Sequence[Array]) -> float:
    """Return the norm of the gradients of all these weights and biases together."""
    return float(norm(np.array([norm(g) for g in (*weights, *biases)])))


def _norm_factor(bound: float, length: float) -> float:
    return min(1.0, bound / (length + NORM_EPS))


def _unit_factors(bound: float, eps: float, w: Array, g: Array) -> Array:
    """Return a factor for each column of a matrix, or one for a vector."""
    lengths = norm(g, axis=0)
    allowed = bound * np.maximum(norm(w, axis=0), eps)
    return np.where(lengths > allowed, allowed / np.where(lengths > 0.0, lengths, 1.0), 1.0)


def clipped(clip: Clip | None, weights: Sequence[Array], biases: Sequence[Array], grads: Gradients) -> Gradients:
    """Return the gradients with those of weights and biases as clipping leaves them; nothing else differs.

    Parameters
    ----------
    clip : ClipValue, ClipNorm, ClipAdaptive or None
    weights, biases : sequences of arrays
        What the gradients are of.
    grads : Gradients
    """
    pairs = list(zip(grads.weights, grads.biases, strict=True))
    if clip is None:
        return grads
    if isinstance(clip, ClipValue):
        pairs = [(np.clip(dW, -clip.c, clip.c), np.clip(db, -clip.c, clip.c)) for dW, db in pairs]
    elif isinstance(clip, ClipNorm):
        whole = gradient_norm(grads.weights, grads.biases)
        lengths = [whole if clip.per is None else gradient_norm([dW], [db]) for dW, db in pairs]
        factors = [_norm_factor(clip.c, length) for length in lengths]
        pairs = [(factor * dW, factor * db) for factor, (dW, db) in zip(factors, pairs, strict=True)]
    else:
        count = len(pairs) if clip.output else len(pairs) - 1
        for layer, (dW, db) in enumerate(pairs[:count]):
            of_units = _unit_factors(clip.c, clip.eps, weights[layer], dW)
            pairs[layer] = dW * of_units, db * _unit_factors(clip.c, clip.eps, biases[layer], db)
    return replace(grads, weights=[dW for dW, _ in pairs], biases=[db for _, db in pairs])


@dataclass(frozen=True)
class State:
    """What an optimizer remembers of one array: steps taken, momentum, and averages of g^2 and g. Starts at zero.

    Where RMSprop is centered, `square` is the variance about `mean`.
    """

    step: int = 0
    momentum: Array | float = 0.0
    square: Array | float = 0.0
    mean: Array | float = 0.0


def increment(options: Optimizer, w: Array, g: Array, state: State) -> tuple[Array, State]:
    """Return what the optimizer adds to `w` for the gradient `g`, and its next state: PyTorch's formulas."""
    if isinstance(options, SGD):
        return _sgd(options, w, g, state)
    if isinstance(options, RMSprop):
        return _rmsprop(options, w, g, state)
    return _adam(options, w, g, state)


def _sgd(options: SGD, w: Array, g: Array, state: State) -> tuple[Array, State]:
    g = g + options.weight_decay * w
    if options.momentum == 0.0:
        return -options.lr * g, replace(state, step=state.step + 1)
    b = g if state.step == 0 else options.momentum * state.momentum + (1.0 - options.dampening) * g
    direction = g + options.momentum * b if options.nesterov else b
    return -options.lr * direction, replace(state, step=state.step + 1, momentum=b)


def _adam(options: Adam, w: Array, g: Array, state: State) -> tuple[Array, State]:
    beta1, beta2 = options.betas
    decoupled = options.name == "adamw"
    if not decoupled:
        g = g + options.weight_decay * w
    t = state.step + 1
    m = beta1 * state.momentum + (1.0 - beta1) * g
    v = beta2 * state.square + (1.0 - beta2) * g**2
    deviation = np.sqrt(v) / np.sqrt(1.0 - beta2**t) + options.eps  # eps is added outside the root
    change = -options.lr / (1.0 - beta1**t) * m / deviation
    if decoupled:
        change = change - options.lr * options.weight_decay * w
    return change, replace(state, step=t, momentum=m, square=v)


def _rmsprop(options: RMSprop, w: Array, g: Array, state: State) -> tuple[Array, State]:
    g = g + options.weight_decay * w
    c = state.mean
    if options.centered:  # v - c^2 of PyTorch's averages, which would cancel
        v = options.alpha * (state.square + (1.0 - options.alpha) * (g - c) ** 2)
        moved = c + (1.0 - options.alpha) * (g - c)
        c = np.where(moved == c, np.nextafter(c, g), moved)  # a constant g is its own average in the end
    else:
        v = options.alpha * state.square + (1.0 - options.alpha) * g**2
    b = options.momentum * state.momentum + g / (np.sqrt(v) + options.eps)
    return -options.lr * b, State(step=state.step + 1, momentum=b, square=v, mean=c)


@dataclass(frozen=True)
class Step:
    """The outcome of a training step.

    `loss` is that before the update; `weights` and `biases` are new lists, `states` a (weight, bias) pair per layer,
    and `statistics` the (len(STATISTICS), layers) table of `fastgrad.telemetry`.
    """

    loss: float
    weights: list[Array]
    biases: list[Array]
    states: list[tuple[State, State]]
    statistics: Array


def train_step(
    weights: Sequence[Array],
    biases: Sequence[Array],
    X: Array,
    y: Array,
    activations: Sequence[str],
    loss: str,
    optimizer: Optimizer,
    states: Sequence[tuple[State, State]] | None = None,
    clip: Clip | None = None,
) -> Step:
    """Return the network after one forward, backward and update. The arguments are not changed.

    Parameters
    ----------
    weights, biases, X, y, activations, loss
        As in `gradients`.
    optimizer : SGD, Adam, AdamW or RMSprop
    states : sequence of (State, State), optional
        A pair per layer from the step before; none for the first step.
    clip : ClipValue, ClipNorm, ClipAdaptive or None
    """
    if states is None:
        states = [(State(), State())] * len(weights)
    grads = gradients(weights, biases, X, y, activations, loss)
    applied = clipped(clip, weights, biases, grads)
    changes: list[Array] = []
    after = Step(loss=grads.loss, weights=[], biases=[], states=[], statistics=np.empty(0))
    for W, b, dW, db, (of_W, of_b) in zip(weights, biases, applied.weights, applied.biases, states, strict=True):
        W_change, W_state = increment(optimizer, W, dW, of_W)
        b_change, b_state = increment(optimizer, b, db, of_b)
        changes.append(W_change)
        after.weights.append(W + W_change)
        after.biases.append(b + b_change)
        after.states.append((W_state, b_state))
    return replace(after, statistics=statistics(weights, biases, X, activations, grads, applied, changes))


def saturated(activation: str, slope: Array) -> float:
    """Return the share of entries under 5 % of the steepest slope there is; NaN for piecewise linear activations.
    >>> import fastgrad as fg
    >>> fg.reference.saturated("tanh", [1.0, 0.01])
    0.5
    """
    if activation in ("identity", "relu", "leaky_relu"):
        return np.nan
    return float(np.mean(np.abs(slope) < 0.05 * _steepest(activation)))


def _shrunk(before: Array, after: Array) -> float:
    length = norm(before)
    return float(norm(after) / length) if length > 0.0 else 1.0


@cache
def _steepest(activation: str) -> float:
    return float(np.max(np.abs(ACTIVATIONS[activation].slope(np.linspace(-40.0, 40.0, 400_001)))))


def statistics(
    weights: Sequence[Array],
    biases: Sequence[Array],
    X: Array,
    activations: Sequence[str],
    grads: Gradients,
    applied: Gradients,
    increments: Sequence[Array],
) -> Array:
    """Return the (len(STATISTICS), layers) table of a step from its gradients, those after clipping, and the increments
    of its weights.

    dead is of this step alone.
    update_ratio is inf where weights that are all zero move, and NaN where they do not.
    """
    zs, outputs = forward(weights, biases, X, activations)
    slopes = [ACTIVATIONS[name].slope(z) for name, z in zip(activations, zs, strict=True)]
    rows = {
        "act_mean": [np.mean(a) for a in outputs[1:]],
        "act_rms": [norm(a) / np.sqrt(a.size) for a in outputs[1:]],
        "preact_rms": [norm(z) / np.sqrt(z.size) for z in zs],
        "deriv_mean": [np.mean(np.abs(slope)) for slope in slopes],
        "saturated": [saturated(name, slope) for name, slope in zip(activations, slopes, strict=True)],
        "dead": [np.mean(np.all(slope == 0.0, axis=0)) for slope in slopes],
        "delta_norm": [norm(delta) for delta in grads.deltas],
        "act_grad_norm": [norm(upstream) for upstream in grads.outputs],
        "grad_norm": [norm(g) for g in grads.weights],
        "grad_max": [np.max(np.abs(g)) for g in grads.weights],
        "bias_grad_norm": [norm(g) for g in grads.biases],
        "weight_norm": [norm(W) for W in weights],
        "update_norm": [norm(change) for change in increments],
        "clip_factor": [_shrunk(*pair) for pair in zip(grads.weights, applied.weights, strict=True)],
    }
    table = {name: np.array(row, dtype=np.float64) for name, row in rows.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        table["update_ratio"] = table["update_norm"] / table["weight_norm"]
    return np.stack([table[name] for name in STATISTICS])
