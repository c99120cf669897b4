"""A step that leaves the range names the tensor that did so first, hands over the steps before it, changes nothing."""

import pickle

import numpy as np
import pytest
from support import DTYPES, ISAS, parameters, same_bits

import fastgrad as fg
from fastgrad import _core

LAYERS = 5
HUGE = {"float32": 3e38, "float64": 1.7e308}


def network(dtype="float32", isa=ISAS[-1], seed=0, activation="tanh"):
    with fg.force_isa(isa):
        return fg.MLP([7, 40, 9, 33, 70, 3], activation=activation, dtype=dtype, seed=seed)


def batch(dtype="float32", rows=21):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 7)).astype(dtype), rng.standard_normal((rows, 3)).astype(dtype)


def planted(array, value=np.nan):
    changed = np.array(array)
    changed.flat[changed.size // 2] = value
    return changed


def repeat(times, function):
    for _ in range(times):
        function()


def assert_accused(net, layer, tensor, X, y, optimizer="adam"):
    """Take a step of which nothing was checked; expect it to be refused and the network to stay as it is."""
    before = parameters(net)
    plan = _core.Plan(net._network, len(X), "training")
    state = fg.Trainer(net, "mse", optimizer)._state
    with pytest.raises(_core.RefusedError):
        plan.step(X, y, "mse", state, None, None, True)
    assert plan.culprit == (layer, tensor)
    assert state.steps == 0
    assert same_bits(parameters(net), before)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_planted_parameters_are_named(layer, value, dtype, isa):
    X, y = batch(dtype)
    net = network(dtype, isa)
    net._network.set_weights(layer, planted(net.weights[layer], value))
    assert_accused(net, layer, "weights", X, y)
    net = network(dtype, isa)
    net._network.set_bias(layer, planted(net.biases[layer], value))
    assert_accused(net, layer, "bias", X, y)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_planted_data_are_named(dtype, isa):
    X, y = batch(dtype)
    assert_accused(network(dtype, isa), 0, "input", planted(X), y)
    assert_accused(network(dtype, isa), LAYERS - 1, "target", X, planted(y))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_output_that_overflows_is_named(dtype, threads):
    fg.set_num_threads(threads)
    X, y = batch(dtype, rows=200)
    net = network(dtype, activation="relu")
    net.weights[2] = np.full((9, 33), HUGE[dtype])
    assert_accused(net, 2, "output", X, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_delta_that_overflows_is_named(dtype):
    net = fg.MLP([1, 2, 2], activation="identity", bias=False, dtype=dtype)
    net.weights[0] = np.full((1, 2), 20.0 / HUGE[dtype])
    net.weights[1] = np.full((2, 2), HUGE[dtype])
    assert_accused(net, 0, "delta", np.ones((4, 1), dtype), np.zeros((4, 2), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_that_overflows_is_named(dtype):
    net = fg.MLP([3, 4, 2], dtype=dtype, seed=0)
    X = np.full((5, 3), 1e3, dtype)
    X[:, 1] = 0.0
    assert_accused(net, 1, "update", X, np.ones((5, 2), dtype), fg.SGD(lr=HUGE[dtype]))


@pytest.mark.parametrize("call", ["step", "run"])
def test_the_error_carries_culprit_and_recent_steps(call):
    X, y = np.ones((4, 2)), np.zeros((4, 2))
    net = fg.MLP([2, 6, 6, 2], activation="identity", seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=30.0, momentum=0.5))
    calls = {"step": lambda: trainer.step(X, y), "run": lambda: trainer.run(X, y, steps=3)}
    with pytest.raises(fg.DivergenceError) as caught:
        repeat(1000, calls[call])
    error = caught.value
    assert f"the {error.tensor} of layer {error.layer}" in str(error)
    assert 0 <= error.layer < 3
    assert [stats.step for stats in error.recent] == list(range(max(0, error.step - 32), error.step))
    np.testing.assert_array_equal(error.recent[-1].values, trainer.stats.values)
    assert not np.shares_memory(error.recent[-1].values, trainer.stats.values)
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.layer, twin.tensor, str(twin)) == (error.layer, error.tensor, str(error))
    np.testing.assert_array_equal(twin.recent[-1].values, error.recent[-1].values)


def test_an_error_without_telemetry_has_no_recent_steps():
    net = fg.MLP([2, 6, 2], activation="identity", seed=0)
    with pytest.raises(fg.DivergenceError) as caught:
        fg.Trainer(net, "mse", fg.SGD(lr=1e3), telemetry=False).run(np.ones((4, 2)), np.zeros((4, 2)), steps=1000)
    assert caught.value.recent == ()
