"""Adam, AdamW and RMSprop on gradients of any size that the dtype holds, against their formulas in extended precision.

The oracle keeps v, and where RMSprop is centred its variance about the last mean, in NumPy's long double: its
range is beyond float64's, and nothing in it cancels. Increments are compared one by one, beside the step's largest.
"""

import numpy as np
import pytest
from support import DTYPES, ISAS

import fastgrad as fg
from fastgrad import ops

L = np.longdouble
COLUMNS = 13
SIZES = {"float32": (-120, -60, 0, 60, 120), "float64": (-1000, -120, 0, 500, 1000)}  # powers of two
EPS = 1e-36
OPTIMIZERS = (
    fg.Adam(lr=0.01, eps=EPS),
    fg.Adam(lr=0.01, betas=(0.99, 0.9999), eps=EPS),
    fg.Adam(lr=0.01, betas=(0.0, 0.5), eps=EPS),
    fg.AdamW(lr=0.01, eps=EPS),
    fg.RMSprop(eps=EPS),
    fg.RMSprop(alpha=0.0, eps=EPS),
    fg.RMSprop(momentum=0.9, eps=EPS),
    fg.RMSprop(centered=True, eps=1e-15),
    fg.RMSprop(centered=True, alpha=0.95),
    fg.RMSprop(centered=True, momentum=0.9, eps=1e-15),
)
OF_SHORT_MEMORY = fg.RMSprop(centered=True, alpha=0.5, eps=1e-15)  # of a constant g 2^-100 g is left, and then eps


def increments(optimizer, gradients):
    """Return what PyTorch's formulas add to a weight of zero, step by step."""
    m = v = c = buffer = np.zeros(len(gradients[0]), L)
    added = []
    for t, gradient in enumerate(gradients, 1):
        g = gradient.astype(L)
        if isinstance(optimizer, fg.Adam):
            beta1, beta2 = map(L, optimizer.betas)
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            direction = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + L(optimizer.eps))
        else:
            alpha = L(optimizer.alpha)
            if optimizer.centered:
                v, c = alpha * (v + (1 - alpha) * (g - c) ** 2), c + (1 - alpha) * (g - c)
            else:
                v = alpha * v + (1 - alpha) * g * g
            direction = buffer = L(optimizer.momentum) * buffer + g / (np.sqrt(v) + L(optimizer.eps))
        added.append(-L(optimizer.lr) * direction)
    return np.array(added)


def draw(rng, size):
    return size * rng.uniform(1.0, 2.0, COLUMNS) * rng.choice([-1.0, 1.0], COLUMNS)


def sequence(kind, power, steps, dtype):
    """Return a gradient for each step, of size 2^power but for a drop to 2^-100 or a spike of 2^100 half-way."""
    rng = np.random.default_rng(abs(power))
    size, constant = 2.0**power, draw(rng, 2.0**power)
    half = steps // 2
    each = {
        "random": lambda t: draw(rng, size),
        "constant": lambda t: constant,
        "alternating": lambda t: constant * (-1.0) ** t,
        "drop": lambda t: draw(rng, 2.0 ** (power if t < half else min(power, -100))),
        "spike": lambda t: draw(rng, 2.0 ** (power if t != half else 100)),
    }[kind]
    return [each(t).astype(dtype) for t in range(steps)]


def of_any_size(kind, powers, steps, dtype):
    """Return gradients of all those sizes side by side."""
    return [np.concatenate(each) for each in zip(*(sequence(kind, p, steps, dtype) for p in powers), strict=True)]


def updates(optimizer, gradients, dtype, isa):
    """Return what `ops.update` adds to weights of zero, step by step, carrying the states."""
    zero, states, added = np.zeros((1, len(gradients[0])), dtype), None, []
    with fg.force_isa(isa):
        for step, gradient in enumerate(gradients):
            done = ops.update(optimizer, zero, gradient[np.newaxis], states, steps=step)
            states = done.states
            added.append(done.weights[0].astype(L))
    return np.array(added)


def assert_follows(got, wanted, tolerance):
    """Each weight's way, and its place at any time beside the farthest of its way."""
    ways, places = np.cumsum(np.abs(wanted), axis=0), np.cumsum(got - wanted, axis=0)
    assert np.all(np.isfinite(got))
    assert np.all(np.abs(places) <= tolerance * ways + np.finfo(np.float32).tiny * 64)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "constant", "alternating", "drop", "spike"])
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, OF_SHORT_MEMORY], ids=str)
def test_two_hundred_steps_on_gradients_of_any_size(optimizer, kind, dtype, isa):
    gradients = of_any_size(kind, SIZES[dtype], 200, dtype)
    wanted = increments(optimizer, gradients)
    assert_follows(updates(optimizer, gradients, dtype, isa), wanted, 1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("kind", ["random", "constant"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_thousand_steps(optimizer, kind):
    gradients = of_any_size(kind, SIZES["float32"], 1000, "float32")
    assert_follows(updates(optimizer, gradients, "float32", ISAS[-1]), increments(optimizer, gradients), 1e-4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_gradient_leaves_no_variance(dtype, isa):
    """The variance about the mean of a constant 0.7 is 0.7^2 alpha^t (1 - alpha^t)."""
    optimizer = fg.RMSprop(lr=1.0, centered=True)
    gradient, zero, states = np.full((1, 3), 0.7, dtype), np.zeros((1, 3), dtype), None
    with fg.force_isa(isa):
        for step in range(5000):
            done = ops.update(optimizer, zero, gradient, states, steps=step)
            states = done.states
            if step + 1 in (1000, 5000):
                g, kept = L(gradient[0, 0]), L(optimizer.alpha) ** (step + 1)
                wanted = -g / (g * np.sqrt(kept * (1 - kept)) + L(optimizer.eps))
                np.testing.assert_allclose(done.weights.astype(np.float64), float(wanted), rtol=1e-4)


@pytest.mark.parametrize("beta2", [0.999, 0.9999])
def test_roots_of_a_constant_gradient_do_not_stick(beta2):
    optimizer = fg.Adam(lr=1.0, betas=(0.9, beta2))
    gradient = np.random.default_rng(3).uniform(1.0, 16.0, (1, 4000)).astype(np.float32)
    zero, states = np.zeros_like(gradient), None
    for step in range(1000):
        done = ops.update(optimizer, zero, gradient, states, steps=step)
        states = done.states
    np.testing.assert_allclose(done.weights, -1.0, rtol=3e-5)


@pytest.mark.parametrize("optimizer", [fg.Adam(lr=1.0, eps=1e-20), fg.RMSprop(lr=1.0, eps=1e-20)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e25])
def test_a_trainer_moves_as_far(size, isa, dtype, optimizer):
    """The gradient of the weight under mae is the input, which gives it any size; 1e25 is a step that was refused."""
    with fg.force_isa(isa):
        net = fg.MLP([1, 1], activation=[], init="zeros", bias=False, dtype=dtype)
    trainer = fg.Trainer(net, "mae", optimizer)
    X, y = np.full((1, 1), size, dtype), np.full((1, 1), -1e38, dtype)
    gradient = net.gradients(X, y, loss="mae")[1].weights[0][0].astype(dtype)
    np.testing.assert_allclose(gradient, size, rtol=1e-6)
    wanted = increments(optimizer, [np.full(COLUMNS, gradient[0])] * 3).sum(axis=0)[0]
    for _ in range(3):
        trainer.step(X, y)
    np.testing.assert_allclose(float(net.weights[0][0, 0]), float(wanted), rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("isa", ISAS)
def test_a_gradient_that_is_no_number_shows(isa, optimizer):
    for value in (np.nan, np.inf):
        gradient = np.ones((1, COLUMNS), np.float32)
        gradient[0, 5] = value
        with fg.force_isa(isa):
            done = ops.update(optimizer, np.zeros_like(gradient), gradient)
        assert np.array_equal(np.isfinite(done.weights[0]), np.arange(COLUMNS) != 5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_weights_without_a_gradient_stay(optimizer):
    zero, states = np.zeros((3, COLUMNS), np.float32), None
    for step in range(3):
        done = ops.update(optimizer, zero, zero, states, steps=step)
        states = done.states
        assert not done.weights.any()
        assert not any(state.any() for state in states)
