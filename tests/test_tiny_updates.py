"""Updates by gradients of any size: weights, biases and `update_norm`, step by step, against PyTorch's formulas.

The oracle takes the engine's gradients at their true size, counts as zero what the dtype cannot hold as a normal
number, and computes in float64 what each optimizer is documented to add. Its states are float64 too.
"""

import numpy as np
import pytest
from support import DTYPES, ISAS, parameters

import fastgrad as fg

OPTIMIZERS = (
    fg.SGD(lr=0.5),
    fg.SGD(lr=0.5, momentum=0.9),
    fg.SGD(lr=0.5, momentum=0.9, dampening=0.3, weight_decay=0.01),
    fg.SGD(lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-6),
    fg.Adam(lr=0.01),
    fg.Adam(lr=0.01, betas=(0.7, 0.95), weight_decay=1e-6),
    fg.AdamW(lr=0.01),
    fg.RMSprop(lr=0.01),
    fg.RMSprop(lr=0.01, momentum=0.9, weight_decay=1e-6),
    fg.RMSprop(lr=0.01, centered=True),
    fg.RMSprop(lr=0.01, centered=True, momentum=0.9),
)
SHAPES = {60: [9, *[8] * 59, 5], 120: [9, *[6] * 119, 5]}  # by number of layers
ROWS = (24, 24, 24, 17, 31, 24)  # of the batch of each step: one that repeats, then others


def sgd(options):
    buffer = None

    def increment(g, w):
        nonlocal buffer
        g = g + options.weight_decay * w
        if options.momentum == 0.0:
            return -options.lr * g
        buffer = g if buffer is None else options.momentum * buffer + (1.0 - options.dampening) * g
        return -options.lr * (g + options.momentum * buffer if options.nesterov else buffer)

    return increment


def adam(options):
    (beta1, beta2), decoupled = options.betas, isinstance(options, fg.AdamW)
    mean, square, steps = 0.0, 0.0, 0

    def increment(g, w):
        nonlocal mean, square, steps
        steps += 1
        g = g if decoupled else g + options.weight_decay * w
        mean = beta1 * mean + (1.0 - beta1) * g
        square = beta2 * square + (1.0 - beta2) * g**2
        root = np.sqrt(square / (1.0 - beta2**steps))
        added = -options.lr * mean / (1.0 - beta1**steps) / (root + options.eps)
        return added - options.lr * options.weight_decay * w if decoupled else added

    return increment


def rmsprop(options):
    square, mean, buffer = 0.0, 0.0, 0.0

    def increment(g, w):
        nonlocal square, mean, buffer
        g = g + options.weight_decay * w
        square = options.alpha * square + (1.0 - options.alpha) * g**2
        mean = options.alpha * mean + (1.0 - options.alpha) * g
        variance = square - mean**2 if options.centered else square
        buffer = options.momentum * buffer + g / (np.sqrt(variance) + options.eps)
        return -options.lr * buffer

    return increment


FORMULAS = {"sgd": sgd, "adam": adam, "adamw": adam, "rmsprop": rmsprop}


def network(layers, dtype, isa):
    with fg.force_isa(isa):
        return fg.MLP(SHAPES[layers], activation="sigmoid", init="glorot_normal", dtype=dtype, seed=layers)


def batches(net):
    """Return a batch for each step; steps of as many rows share one."""
    drawn = {rows: np.random.default_rng(rows).standard_normal((rows, 14)) for rows in ROWS}
    return [(drawn[rows][:, :9], drawn[rows][:, 9:]) for rows in ROWS]


def flat(arrays):
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])


def true_gradients(net, X, y):
    """Return all gradients as one vector in the order of `parameters`, and log10 of the norm of each layer's."""
    grads = net.gradients(X, y, loss="mse")[1]
    scaled = [grads.scaled(layer) for layer in range(len(grads.weights))]
    g = flat([*(np.ldexp(array.astype(np.float64), power) for array, power in scaled), *grads.biases])
    return np.where(np.abs(g) < np.finfo(net.dtype).tiny, 0.0, g), grads.log10_norm


def norms_by_layer(increments, net):
    """Return the norm of the increment of each W_l, and that of its tensor for each parameter."""
    ends = np.cumsum([array.size for array in parameters(net)])
    norms = np.array([np.linalg.norm(part) for part in np.split(increments, ends[:-1])])
    return norms[: len(net.weights)], np.repeat(norms, np.diff(ends, prepend=0))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layers", SHAPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_updates_of_tiny_gradients(optimizer, layers, dtype, isa):
    """What is flushed on the way to an increment is a few smallest normal numbers, by eps where it divides."""
    net = network(layers, dtype, isa)
    trainer = fg.Trainer(net, "mse", optimizer)
    increment = FORMULAS[optimizer.name](optimizer)
    number = np.finfo(dtype)
    tolerance, lost = 64.0 * number.eps, 100.0 * number.tiny / getattr(optimizer, "eps", 1.0)
    for X, y in batches(net):
        gradient, sizes = true_gradients(net, X, y)
        assert sizes.max() > -3.0
        assert sizes.min() < (-60.0 if layers == 120 else -30.0)
        before = flat(parameters(net))
        added = increment(gradient, before)
        trainer.step(X, y)
        wanted, got = before + added, flat(parameters(net))
        norms, of_tensor = norms_by_layer(added, net)
        assert np.all(np.abs(got - wanted) <= np.spacing(np.abs(wanted).astype(dtype)) + tolerance * of_tensor + lost)
        np.testing.assert_allclose(trainer.stats.update_norm, norms, rtol=tolerance, atol=lost)
