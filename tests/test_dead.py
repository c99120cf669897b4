"""The share of dead units against NumPy: those with f' = 0 for every sample of the last `window` steps.

`window` is 100 in a Trainer and an epoch's steps in fit. Which units are alive is computed in float64, far enough from
the kink that rounding decides nothing, which is checked.
"""

from itertools import pairwise

import numpy as np
import pytest
from support import DTYPES, ISAS

import fastgrad as fg
from fastgrad import _core, reference
from fastgrad._inside import inside
from fastgrad.telemetry import RECORD
from fastgrad.train import WINDOW

MARGIN = 1e-3  # of the preactivation that decides whether a unit is alive


def alive_units(weights, biases, X, activations):
    """Return for each ReLU layer which units have a sample with z > 0."""
    highest = [z.max(axis=0) for z in reference.forward(weights, biases, X, activations)[0][:-1]]
    assert all(np.all(np.abs(z) > MARGIN) for z in highest)
    return [z > 0.0 for z in highest]


def dead_shares(alive, window):
    """Return the (steps, layers) shares of units that none of the last `window` steps has seen alive."""
    shares = []
    for step in range(len(alive)):
        seen = zip(*alive[max(0, step + 1 - window) : step + 1], strict=True)
        shares.append([1.0 - np.mean(np.any(of_layer, axis=0)) for of_layer in seen])
    return np.array([[*share, 0.0] for share in shares])  # of the output layer, which is linear, none is dead


def relu_case(seed, sizes, n):
    """Return a ReLU network's weights, zero biases and activations, and samples whose size changes from row to row."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(fan) * np.sqrt(2.0 / fan[0]) for fan in pairwise(sizes)]
    activations = ["relu"] * (len(sizes) - 2) + ["identity"]
    return weights, [np.zeros(width) for width in sizes[1:]], activations, rng.standard_normal((n, sizes[0]))


def networks_of_alternating_life(sizes, rows, *, isa=None, dtype="float32"):
    """Return a network and two batches: a third of its first layer lives in the first one only, the rest in the other.

    Deeper layers have units that live in both, in either and in none.
    """
    weights, biases, activations, X = relu_case(3, sizes, rows)
    weights[0] = np.abs(weights[0]) * np.where(np.arange(sizes[1]) % 3, 1.0, -1.0)
    with fg.force_isa(isa or fg.cpu_info()["isa"]):
        net = fg.MLP(sizes, activation="relu", init=weights, dtype=dtype)
    batches = [np.abs(X), -np.abs(X)]
    return net, batches, [alive_units(weights, biases, batch, activations) for batch in batches]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps_of_an_epoch", [1, 3])
def test_fit_counts_over_an_epoch(steps_of_an_epoch, dtype, isa):
    sizes, n, epochs, options = [6, 37, 70, 17, 2], 105, 8, fg.SGD(lr=0.1)
    weights, biases, activations, X = relu_case(9, sizes, n)
    y = np.random.default_rng(1).standard_normal((n, 2))
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation="relu", init=weights, dtype=dtype)
    rows = n // steps_of_an_epoch
    history = net.fit(X, y, loss="mse", optimizer=options, epochs=epochs, batch_size=rows, shuffle=False)
    alive = []
    for start in [*range(0, n, rows)] * epochs:
        batch = X[start : start + rows], y[start : start + rows]
        alive.append(alive_units(weights, biases, batch[0], activations))
        after = reference.train_step(weights, biases, *batch, activations, "mse", options)
        weights, biases = after.weights, after.biases
    expected = dead_shares(alive, steps_of_an_epoch)
    np.testing.assert_allclose(history.telemetry["dead"], expected, rtol=1e-12)
    for window in {1, 2, 3, 4} - {steps_of_an_epoch}:
        assert np.any(dead_shares(alive, window) != expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_trainer_counts_over_a_hundred_steps(dtype, isa):
    net, batches, alive = networks_of_alternating_life([3, 21, 5, 2], 19, isa=isa, dtype=dtype)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    order = [0] * 4 + [1] * (WINDOW + 3) + [0] * 2 + [1] * (WINDOW - 1)
    dead = []
    for which in order:
        trainer.step(batches[which], np.zeros((19, 2)))
        dead.append(trainer.stats.dead.copy())
    expected = dead_shares([alive[which] for which in order], 100)
    np.testing.assert_allclose(dead, expected, rtol=1e-12)
    assert len(np.unique(expected[:, 0])) == 2 + 1  # in the one batch, in the other, in both


def test_a_run_counts_as_single_steps_do():
    net, batches, alive = networks_of_alternating_life([3, 21, 5, 2], 7)
    X = np.concatenate([batches[0], np.tile(batches[1], (WINDOW + 20, 1)), batches[0]])
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    history = trainer.run(X, np.zeros((len(X), 2)), steps=WINDOW + 22, batch_size=7, shuffle=False)
    order = [0] + [1] * (WINDOW + 20) + [0]
    np.testing.assert_allclose(history.telemetry["dead"], dead_shares([alive[w] for w in order], WINDOW), rtol=1e-12)


@pytest.mark.parametrize("sizes", [[9, 131, 64, 77, 3], [9, 900, 301, 3]], ids=["rows shared", "columns shared"])
def test_neither_threads_nor_schedule_change_the_count(sizes):
    net, batches, alive = networks_of_alternating_life(sizes, 200)
    expected = dead_shares(alive, WINDOW)
    assert np.all(expected[0, :-1] > 0.0)
    for threads in range(1, 9):
        fg.set_num_threads(threads)
        trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
        for batch, dead in zip(batches, expected, strict=True):
            trainer.step(batch, np.zeros((200, 3)))
            np.testing.assert_allclose(trainer.stats.dead, dead, rtol=1e-12)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("dtype", "enough"), [("float32", 45.0), ("float64", 356.0)])
def test_a_unit_is_dead_where_its_slope_is_nothing_the_dtype_can_hold(dtype, enough, isa):
    """The slope of tanh is 4 exp(-2 |z|), which leaves the normal numbers at |z| = 44.4 and 354.9."""
    sizes = [1, 38, 1]
    scale = np.where(np.arange(38) % 4, 1.0, 0.95)  # every fourth unit stays within the range
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation="tanh", init=[scale[np.newaxis], np.ones((38, 1))], bias=False, dtype=dtype)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(enough * np.where(np.arange(40) % 2, 1.0, -1.0)[:, np.newaxis], np.zeros((40, 1)))
    np.testing.assert_array_equal(trainer.stats.dead, [np.mean(scale == 1.0), 0.0])


def test_a_refused_step_revives_nobody():
    net, batches, alive = networks_of_alternating_life([3, 21, 5, 2], 7)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(batches[1], np.zeros((7, 2)))
    with pytest.raises(fg.DivergenceError):
        trainer.step(batches[0], np.full((7, 2), 3e38))
    trainer.step(batches[1], np.zeros((7, 2)))
    np.testing.assert_allclose(trainer.stats.dead, dead_shares([alive[1]], 1)[0], rtol=1e-12)


def test_gradients_count_the_units_that_are_dead_in_their_batch():
    net, batches, alive = networks_of_alternating_life([3, 21, 5, 2], 40)
    plan = _core.Plan(inside(net).network, 40, "gradients")
    record = np.empty((len(RECORD), 3))
    for batch, expected in zip(batches, dead_shares(alive, 1), strict=True):
        plan.gradients(np.ascontiguousarray(batch, np.float32), np.zeros((40, 2), np.float32), "mse")
        for _ in range(2):  # reading it does not count
            plan.statistics(record)
            np.testing.assert_allclose(record[RECORD.index("dead")], expected, rtol=1e-12)


def test_a_liveness_is_of_one_network_and_of_some_steps():
    net, batches, _ = networks_of_alternating_life([3, 21, 5, 2], 7)
    with pytest.raises(ValueError, match="window: got 0, wants at least 1"):
        fg.Trainer(net, "mse")._task._training.watch(0)
    other = fg.Trainer(fg.MLP([3, 21, 5, 2]), "mse")
    trainer = fg.Trainer(net, "mse")
    trainer._task._training = other._task._training
    with pytest.raises(ValueError, match="training: belongs to another network"):
        trainer.step(batches[0], np.zeros((7, 2)))
    assert trainer.steps == 0
