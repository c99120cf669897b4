"""A step that leaves the range names the tensor that did so first, hands over the steps before it, changes nothing."""

import pickle

import numpy as np
import pytest
from support import DTYPES, ISAS, LOSS_CASES, draw_targets, parameters, same_bits

import fastgrad as fg
from fastgrad._inside import inside

LAYERS = 5
HUGE = {"float32": 3e38, "float64": 1.7e308}


def network(dtype="float32", isa=ISAS[-1], seed=0, activation="tanh"):
    with fg.force_isa(isa):
        return fg.MLP([7, 40, 9, 33, 70, 3], activation=activation, dtype=dtype, seed=seed)


def batch(dtype="float32", rows=21):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 7)).astype(dtype), rng.standard_normal((rows, 3)).astype(dtype)


def planted(array, value=np.nan, at=None):
    """Return a copy with `value` in the middle, or at all the places given."""
    changed = np.array(array)
    changed.flat[[changed.size // 2] if at is None else at] = value
    return changed


def repeat(times, function):
    for _ in range(times):
        function()


def assert_accused(net, X, y, layer, tensor, count=1, sample=None, optimizer="adam"):
    """Take a step whose numbers were not checked; expect it to be refused and the network to stay as it is."""
    before = parameters(net)
    trainer = fg.Trainer(net, "mse", optimizer, check_finite=False)
    assert trainer.nonfinite is None
    with pytest.raises(fg.DivergenceError, match=f"the {tensor} of layer {layer}") as caught:
        trainer.step(X, y)
    error = caught.value
    assert trainer.nonfinite == (0, layer, tensor, count, sample)
    assert (error.step, error.layer, error.tensor, error.count, error.sample) == trainer.nonfinite
    assert trainer.steps == 0
    assert same_bits(parameters(net), before)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_planted_parameters_are_named(layer, value, dtype, isa):
    X, y = batch(dtype)
    net = network(dtype, isa)
    inside(net).network.set_weights(layer, planted(net.weights[layer], value, at=[0, 5, -1]))
    assert_accused(net, X, y, layer, "weights", count=3)
    net = network(dtype, isa)
    inside(net).network.set_bias(layer, planted(net.biases[layer], value))
    assert_accused(net, X, y, layer, "bias")


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_planted_data_are_named_with_their_row(dtype, isa, value, activation):
    X, y = batch(dtype)
    net = network(dtype, isa, activation=activation)
    assert_accused(net, planted(X, value, at=[7 * 17 + 3, 7 * 17 + 4, 7 * 20]), y, 0, "input", count=3, sample=17)
    assert_accused(net, X, planted(y, value, at=[3 * 19, 3 * 18 + 2]), LAYERS - 1, "target", count=2, sample=18)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "kind"), [case for case in LOSS_CASES if case[1] != "labels"])
def test_no_loss_lets_a_target_pass_that_is_not_finite(loss, kind, dtype, isa, value):
    net = network(dtype, isa, activation="relu")
    X, _ = batch(dtype)
    y = planted(draw_targets(np.random.default_rng(2), kind, len(X), 3).astype(dtype), value, at=[3 * 11 + 1])
    trainer = fg.Trainer(net, loss, check_finite=False)
    with pytest.raises(fg.DivergenceError, match=r"the target of layer 4 \(1 entry, first in row 11 of y\)"):
        trainer.step(X, y)
    assert trainer.nonfinite == (0, LAYERS - 1, "target", 1, 11)


@pytest.mark.parametrize("telemetry", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("tensor", ["input", "target"])
@pytest.mark.parametrize("row", [0, 50, 99])
def test_a_run_names_the_row_of_the_whole_data(row, tensor, shuffle, telemetry):
    X, y = batch(rows=100)
    options = {"steps": 20, "batch_size": 16, "shuffle": shuffle}
    bad, named = ((planted(X, at=7 * row), y), "X") if tensor == "input" else ((X, planted(y, at=3 * row)), "y")
    net, twin = network(), network()
    trainer = fg.Trainer(net, "mse", "adam", check_finite=False, telemetry=telemetry)
    with pytest.raises(fg.DivergenceError, match=f"first in row {row} of {named}") as caught:
        trainer.run(*bad, **options)
    error = caught.value
    assert trainer.nonfinite == (error.step, 0 if tensor == "input" else LAYERS - 1, tensor, 1, row)
    assert trainer.steps == error.step == len(error.history) <= 6
    steady = fg.Trainer(twin, "mse", "adam", telemetry=telemetry)
    if error.step:
        steady.run(X, y, **options | {"steps": error.step})
    assert same_bits(parameters(net), parameters(twin))
    assert trainer.step(X, y) == steady.step(X, y)
    assert same_bits(parameters(net), parameters(twin))  # so the optimizer's state had not changed either


def test_fit_names_the_row_and_leaves_the_network():
    X, y = batch(rows=100)
    net = network()
    before = parameters(net)
    with pytest.raises(fg.DivergenceError, match="row 42 of X") as caught:
        net.fit(planted(X, at=7 * 42), y, loss="mse", batch_size=100, check_finite=False)
    assert (caught.value.step, caught.value.sample, caught.value.count) == (0, 42, 1)
    assert same_bits(parameters(net), before)
    with pytest.raises(ValueError, match="X: row 42, column 0 is nan"):
        net.fit(planted(X, at=7 * 42), y, loss="mse", batch_size=100)


@pytest.mark.parametrize("check_finite", [True, False])
@pytest.mark.parametrize(
    ("loss", "X", "y", "message"),
    [
        ("mse", np.ones((4, 6)), np.ones((4, 3)), "X: got shape"),
        ("mse", np.ones((0, 7)), np.ones((0, 3)), "X: got shape"),
        ("mse", np.ones((4, 7)), np.ones((4, 2)), "y: got shape"),
        ("cross_entropy", np.ones((4, 7)), np.array([0, 1, 2, 3]), "y: row 3 is 3"),
        ("cross_entropy", np.ones((4, 7)), np.array([0, -1, 2, 0]), "y: row 1 is -1"),
        ("cross_entropy", np.ones((4, 7)), planted(np.ones((4, 3)), -0.5), "y: row 2, column 0 is -0.5"),
        ("binary_cross_entropy", np.ones((4, 7)), planted(np.ones((4, 3)), 1.5), "y: row 2, column 0 is 1.5"),
    ],
)
def test_all_else_is_checked_all_the_same(loss, X, y, message, check_finite):
    net = network()
    trainer = fg.Trainer(net, loss, check_finite=check_finite)
    for call in (trainer.step, lambda X, y: trainer.run(X, y, steps=1)):
        with pytest.raises(ValueError, match=message):
            call(X, y)
    assert trainer.steps == 0


def test_numbers_beyond_the_dtype_are_met_inside():
    X, y = batch("float64")
    assert_accused(network("float32"), planted(X, 1e300), y, 0, "input", sample=len(X) // 2)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_output_that_overflows_is_named(dtype, threads):
    fg.set_num_threads(threads)
    X, y = batch(dtype, rows=200)
    net = network(dtype, activation=["relu", "relu", "silu", "relu"])  # through which an exponent does not pass
    X[:4] = 0.0  # with biases of 0 nothing comes of it
    net.weights[2] = np.full((9, 33), HUGE[dtype])
    hidden = np.maximum(np.maximum(X @ net.weights[0], 0.0) @ net.weights[1], 0.0)
    infinite = hidden.sum(axis=1) > np.finfo(dtype).max / HUGE[dtype]
    assert not infinite[:4].any()
    assert_accused(net, X, y, 2, "output", 33 * np.count_nonzero(infinite), int(np.argmax(infinite)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_delta_beyond_the_range_is_carried_and_the_update_is_named(dtype):
    net = fg.MLP([1, 2, 2], activation="identity", bias=False, dtype=dtype)
    net.weights[0] = np.full((1, 2), 20.0 / HUGE[dtype])
    net.weights[1] = np.full((2, 2), HUGE[dtype])
    assert_accused(net, np.ones((4, 1), dtype), np.zeros((4, 2), dtype), 0, "update", count=None)


def test_a_loss_that_overflows_is_named():
    net = fg.MLP([1, 1], activation=[], init=[[[1.0]]], dtype="float64")
    assert_accused(net, np.full((3, 1), 1e200), np.zeros((3, 1)), 0, "loss", count=None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_that_overflows_is_named(dtype):
    net = fg.MLP([3, 4, 2], dtype=dtype, seed=0)
    X = np.full((5, 3), 1e3, dtype)
    X[:, 1] = 0.0
    assert_accused(net, X, np.ones((5, 2), dtype), 1, "update", count=None, optimizer=fg.SGD(lr=HUGE[dtype]))


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
    names = ("step", "loss", "layer", "tensor", "count", "sample")
    np.testing.assert_equal([getattr(twin, name) for name in names], [getattr(error, name) for name in names])
    assert str(twin) == str(error)
    assert trainer.nonfinite == (error.step, error.layer, error.tensor, error.count, error.sample)
    np.testing.assert_array_equal(twin.recent[-1].values, error.recent[-1].values)


def test_an_error_without_telemetry_has_no_recent_steps():
    net = fg.MLP([2, 6, 2], activation="identity", seed=0)
    with pytest.raises(fg.DivergenceError) as caught:
        fg.Trainer(net, "mse", fg.SGD(lr=1e3), telemetry=False).run(np.ones((4, 2)), np.zeros((4, 2)), steps=1000)
    assert caught.value.recent == ()


def test_the_history_of_a_fit_that_diverged_is_kept_and_told():
    X, y = np.ones((40, 1)), np.ones((40, 1))
    y[:, 0] = np.linspace(0.0, 1.0, 40)
    net = fg.MLP([1, 1], dtype="float64", seed=0)
    with pytest.raises(fg.DivergenceError) as caught:
        net.fit(X, y, loss="mse", optimizer=fg.SGD(lr=1e3), epochs=10**4, batch_size=10)
    assert net.history is caught.value.history
    steps, epochs = len(net.history), len(net.history.epochs)
    assert steps == caught.value.step
    assert epochs == steps // 4
    assert f"steps {steps}, epochs {epochs}. It is kept" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="epochs: got 0") as refused:
        net.fit(X, y, loss="mse", epochs=0)
    assert net.history is caught.value.history
    assert not hasattr(refused.value, "__notes__")


def test_what_ends_a_fit_between_epochs_has_the_note_too(monkeypatch):
    X, y = np.ones((40, 1)), np.ones((40, 1))
    net = fg.MLP([1, 1], seed=0)
    monkeypatch.setattr("builtins.print", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        net.fit(X, y, loss="mse", epochs=3, batch_size=10, progress=True)
    assert (len(net.history), len(net.history.epochs)) == (4, 1)
    assert "steps 4, epochs 1. It is kept" in caught.value.__notes__[0]
