"""The network as an object: its parameters, its first weights, what it says about itself, and its extreme shapes."""

import numpy as np
import pytest
from support import DTYPES, ISAS, parameters, same_bits

import fastgrad as fg
from fastgrad import _core, reference


def test_first_weights_are_those_of_the_rule_and_the_seed():
    net = fg.MLP([7, 5, 4, 2], activation=["tanh", "relu"], seed=3)
    for layer, name in enumerate(["tanh", "relu", "identity"]):
        expected = fg.init.initialise(
            "auto", *net.sizes[layer : layer + 2], activation=name, dtype="float32", rng=fg.init.layer_rng(3, layer)
        )
        np.testing.assert_array_equal(net.weights[layer], expected)
        assert not np.any(net.biases[layer])


def test_a_list_gives_each_layer_its_own_init():
    given = np.arange(6.0).reshape(3, 2)
    net = fg.MLP([4, 3, 2, 2], init=["zeros", given, lambda rng, shape: np.full(shape, 7.0)])
    assert not np.any(net.weights[0])
    np.testing.assert_array_equal(net.weights[1], given)
    np.testing.assert_array_equal(net.weights[2], np.full((2, 2), 7.0))
    given[:] = -1.0
    np.testing.assert_array_equal(net.weights[1], np.arange(6.0).reshape(3, 2))


def test_seeds_decide_the_weights():
    one, same, other = (parameters(fg.MLP([5, 6, 2], seed=seed)) for seed in (1, 1, 2))
    assert same_bits(one, same)
    assert not same_bits(one, other)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (16, 16), (17, 65), (130, 31), (48, 129), (300, 257)])
def test_weights_come_back_as_they_were_set(shape, dtype, isa):
    with fg.force_isa(isa):
        net = fg.MLP([*shape, 3], dtype=dtype)
    rng = np.random.default_rng(0)
    weights, bias = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)
    second = net.weights[1]
    net.weights[0], net.biases[0] = weights, bias
    np.testing.assert_array_equal(net.weights[0], weights)
    np.testing.assert_array_equal(net.biases[0], bias)
    np.testing.assert_array_equal(net.weights[1], second)
    assert net.weights[0].dtype == net.biases[0].dtype == dtype


def test_parameters_are_a_sequence():
    net = fg.MLP([4, 3, 2])
    assert len(net.weights) == len(net.biases) == 2
    assert [array.shape for array in net.weights] == [(4, 3), (3, 2)]
    assert [array.shape for array in net.biases[:]] == [(3,), (2,)]
    np.testing.assert_array_equal(net.weights[-1], net.weights[1])
    assert [array.shape for array in net.weights[::-1]] == [(3, 2), (4, 3)]
    net.weights[-1] = np.ones((3, 2))
    np.testing.assert_array_equal(net.weights[1], 1.0)
    assert "(4, 3), (3, 2)" in repr(net.weights)


def test_reading_gives_a_copy():
    net = fg.MLP([4, 3, 2])
    first = net.weights[0]
    assert not first.flags.writeable
    net.weights[0] = np.zeros((4, 3))
    assert np.any(first)


def test_weights_set_between_steps_are_live_for_a_trainer():
    X, y = np.ones((4, 3)), np.zeros((4, 2))
    net = fg.MLP([3, 5, 2], dtype="float64", seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.1))
    first = trainer.step(X, y)
    net.weights[1] = np.zeros((5, 2))
    net.biases[1] = np.full(2, 3.0)
    assert trainer.step(X, y) == 9.0 != first


def test_a_network_keeps_its_instruction_set():
    with fg.force_isa(ISAS[0]):
        net = fg.MLP([3, 5, 2])
        assert fg.cpu_info()["isa"] == ISAS[0]
    assert net.isa == ISAS[0]
    assert fg.MLP([3, 2]).isa == fg.cpu_info()["isa"] == ISAS[-1]


@pytest.mark.parametrize(("bias", "count"), [(True, 4 * 3 + 3 + 3 * 2 + 2), (False, 4 * 3 + 3 * 2)])
def test_the_summary_counts_parameters(bias, count):
    net = fg.MLP([4, 3, 2], bias=bias, activation="tanh", dtype="float64")
    assert net.n_parameters == count
    lines = net.summary().splitlines()
    assert len(lines) == 4
    assert [lines[1].split()[column] for column in (0, 4)] == ["0", "tanh"]
    assert lines[1].split()[1:4] == ["4", "x", "3"]
    assert lines[2].split()[4] == "identity"
    assert f"{count} parameters" in lines[3]
    assert net.isa in lines[3]


def test_the_repr_is_short():
    assert repr(fg.MLP([4, 3, 2])) == f"MLP(4-3-2, relu, float32, {4 * 3 + 3 + 3 * 2 + 2} parameters)"
    assert "50 layers" in repr(fg.MLP([2] * 51))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("sizes", "rows"), [([1, 1], 1), ([1, 1, 1, 1], 1), ([1, 5, 1], 3), ([200, 1], 1), ([1, 200], 2)]
)
def test_the_smallest_networks(sizes, rows, dtype):
    net = fg.MLP(sizes, activation="tanh", dtype=dtype, seed=1)
    X = np.random.default_rng(0).standard_normal((rows, sizes[0]))
    exact = reference.forward(
        [np.asarray(W, float) for W in net.weights], [np.asarray(b, float) for b in net.biases], X, net.activations
    )[1][-1]
    np.testing.assert_allclose(net.forward(X), exact, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)
    y = np.zeros((rows, sizes[-1]))
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3))
    losses = [trainer.step(X, y) for _ in range(20)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_thousand_layers(dtype):
    net = fg.MLP([4] * 1001, activation="tanh", init="orthogonal", dtype=dtype, seed=2)
    X = np.random.default_rng(0).standard_normal((6, 4))
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-4))
    losses = [trainer.step(X, np.zeros((6, 4))) for _ in range(3)]
    assert np.all(np.isfinite(losses))
    assert trainer.stats.grad_norm.shape == (1000,)
    assert np.all(trainer.stats.grad_norm > 0.0)
    a = X.astype(dtype)
    for W, b, name in zip(net.weights, net.biases, net.activations, strict=True):
        a = a @ W + b
        a = np.tanh(a) if name == "tanh" else a
    np.testing.assert_allclose(net.forward(X), a, rtol=1e-3 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 1000])
def test_inference_gives_what_training_sees(rows):
    net = fg.MLP([9, 70, 5, 130, 3], activation="gelu", seed=4)
    X = np.random.default_rng(0).standard_normal((rows, 9))
    np.testing.assert_array_equal(net.forward(X), net.forward(X, training=True))


def test_inference_of_wide_and_narrow_layers_by_several_threads():
    net = fg.MLP([16, 200, 8, 512, 100, 30, 4], activation="tanh", seed=4)
    X = np.random.default_rng(0).standard_normal((2000, 16))
    fg.set_num_threads(1)
    alone = net.forward(X)
    for threads in (2, 4):
        fg.set_num_threads(threads)
        for _ in range(5):
            np.testing.assert_array_equal(net.forward(X), alone)


def test_evaluate_is_the_loss_of_one_batch():
    rng = np.random.default_rng(1)
    net = fg.MLP([6, 20, 4], dtype="float64", seed=0)
    X, y = rng.standard_normal((700, 6)), rng.standard_normal((700, 4))
    for loss in ("mse", "l2_norm", "mae", "huber"):
        assert net.evaluate(X, y, loss=loss) == pytest.approx(net.gradients(X, y, loss=loss)[0], rel=1e-12)
        assert fg.Trainer(net, loss).evaluate(X, y) == net.evaluate(X, y, loss=loss)


def test_gradients_do_not_depend_on_earlier_batches():
    rng = np.random.default_rng(2)
    net = fg.MLP([6, 20, 4], activation="tanh", seed=0)
    for rows in (3, 300, 7):
        X, y = rng.standard_normal((rows, 6)), rng.standard_normal((rows, 4))
        value, found = net.gradients(X, y, loss="mse")
        fresh_value, fresh = fg.MLP([6, 20, 4], activation="tanh", seed=0).gradients(X, y, loss="mse")
        assert value == fresh_value
        assert same_bits([*found.weights, *found.biases, found.input], [*fresh.weights, *fresh.biases, fresh.input])


def test_a_forward_pass_waits_for_its_backward():
    """Whatever else is asked of the network in between, and with however many threads."""
    rng = np.random.default_rng(3)
    net = fg.MLP([6, 20, 4], activation="tanh", seed=0)
    X, g = rng.standard_normal((9, 6)), rng.standard_normal((9, 4))
    net.forward(X, training=True)
    at_once = net.backward(g)
    net.forward(X, training=True)
    fg.set_num_threads(1 + fg.get_num_threads())
    net.evaluate(np.ones((50, 6)), np.ones((50, 4)), loss="mse")
    net.forward(np.ones((700, 6)))
    later = net.backward(g)
    assert same_bits([*at_once.weights, *at_once.biases, at_once.input], [*later.weights, *later.biases, later.input])
    with pytest.raises(ValueError, match="backward: got no forward pass"):
        net.backward(g)


def test_forward_beyond_the_dtype_gives_inf():
    net = fg.MLP([2, 2, 1], activation="relu", init=fg.init.Constant(1e30))
    assert np.isinf(net.forward([[1e8, 1e8]])).all()


@pytest.mark.parametrize("isa", ISAS)
def test_a_hundred_steps_allocate_nothing_in_the_engine(isa):
    with fg.force_isa(isa):
        net = fg.MLP([20, 64, 64, 5], activation="gelu")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((96, 20)), rng.integers(0, 5, 96)
    trainer = fg.Trainer(net, "cross_entropy", "adam")
    trainer.step(X, y)
    before = _core.allocations()
    for rows in range(96, 0, -2):
        trainer.step(X[:rows], y[:rows])
    trainer.run(X, y, steps=52, batch_size=50)
    assert trainer.steps == 101
    assert _core.allocations() == before
    fg.MLP([2, 2])
    assert _core.allocations() > before
