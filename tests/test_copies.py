"""Copies of networks and errors are whole and independent; a network remembers how it was trained, copied or not."""

import copy
import pickle

import numpy as np
import pytest
from support import DTYPES, parameters, same_bits

import fastgrad as fg


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


COPIES = pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])


def data(n=60):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 5))
    return X, X[:, 0] + 0.1 * rng.standard_normal(n)


def fitted(dtype="float32", *, bias=True, loss="mse", epochs=2):
    X, y = data()
    net = fg.MLP([5, 8, 7, 1], activation=["tanh", "gelu"], bias=bias, dtype=dtype, seed=11)
    net.fit(X, y > 0 if loss == "binary_cross_entropy" else y, loss=loss, epochs=epochs, batch_size=7)
    return net


@COPIES
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_is_the_same_network(duplicate, dtype, bias):
    X, _ = data()
    net = fitted(dtype, bias=bias)
    twin = duplicate(net)
    assert (twin.sizes, twin.activations, twin.dtype, twin.seed) == (net.sizes, net.activations, net.dtype, net.seed)
    assert len(twin.biases) == len(net.biases)
    assert same_bits(parameters(twin), parameters(net))
    assert same_bits([twin.forward(X), twin.predict(X)], [net.forward(X), net.predict(X)])
    assert twin.predict(X).shape == (60,)
    assert net.history is not None
    assert twin.history is None


@COPIES
def test_a_copy_and_its_original_do_not_touch_each_other(duplicate):
    X, y = data()
    net = fitted()
    twin = duplicate(net)
    before = parameters(net)
    twin.fit(X, y, loss="mse")
    assert not same_bits(parameters(twin), before)
    assert same_bits(parameters(net), before)
    after = parameters(twin)
    net.weights[0] = np.zeros((5, 8))
    net.biases[2] = np.ones(1)
    assert same_bits(parameters(twin), after)


@COPIES
def test_a_copy_draws_the_orders_that_its_original_would_draw(duplicate):
    X, y = data()
    net = fitted()
    twin = duplicate(net)
    for one in (net, twin):
        one.fit(X, y, loss="mse", epochs=2, batch_size=7)
    assert same_bits(parameters(net), parameters(twin))


@COPIES
def test_a_copy_of_an_untrained_network_is_untrained(duplicate):
    twin = duplicate(fg.MLP([5, 3], seed=2))
    assert same_bits(parameters(twin), parameters(fg.MLP([5, 3], seed=2)))
    with pytest.raises(fg.NotFittedError):
        twin.predict(data()[0])


@COPIES
@pytest.mark.parametrize("of_loss", [True, False], ids=["the loss", "the update"])
def test_a_copy_of_a_divergence_tells_the_same(duplicate, of_loss):
    net = fg.MLP([1, 1], dtype="float64" if of_loss else "float32", seed=0)
    X, y = np.ones((4, 1)), np.zeros((4, 1))
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3) if of_loss else "adam")
    trainer.step(X, y)
    if of_loss:
        net.weights[0] = np.full((1, 1), 1e200)
    with pytest.raises(fg.DivergenceError) as caught:
        trainer.run(X, y if of_loss else y + 3e38, steps=3)
    error = caught.value
    twin = duplicate(error)
    assert type(twin) is fg.DivergenceError
    assert str(twin) == str(error)
    assert (twin.step, twin.history.loss.tolist()) == (error.step, error.history.loss.tolist()) == (1, [])
    assert repr(twin.loss) == repr(error.loss)
    assert np.isfinite(twin.loss) == (not of_loss)


def order_of_fit(net, n=50):
    """Return the targets of the batches of one epoch, in order: the loss of a network of zeros tells them."""
    zero = np.zeros((n, 1))
    loss = net.fit(zero, np.arange(n, dtype=float), loss="mae", optimizer=fg.SGD(lr=0.0), batch_size=1).loss
    return loss.astype(int).tolist()


def test_each_fit_draws_another_order_and_the_same_for_the_same_seed():
    def orders(seed):
        net = fg.MLP([1, 1], init="zeros", seed=seed)
        return [order_of_fit(net) for _ in range(3)]

    first, second, third = orders(4)
    assert sorted(first) == sorted(second) == sorted(third) == list(range(50))
    assert first != second != third != first
    assert orders(4) == [first, second, third]
    assert orders(5)[0] != first


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "l2_norm", "binary_cross_entropy"])
def test_predictions_are_flat_where_the_targets_were(loss):
    X, y = data()
    targets = (y > 0).astype(float) if loss == "binary_cross_entropy" else y
    net = fg.MLP([5, 4, 1], seed=0)
    for given, shape in ((targets, (60,)), (targets[:, None], (60, 1)), (targets.tolist(), (60,))):
        net.fit(X, given, loss=loss)
        assert net.predict(X).shape == shape
        if loss == "binary_cross_entropy":
            chances = net.predict_proba(X)
            assert chances.shape == shape
            np.testing.assert_array_equal(net.predict(X), chances > 0.5)


@COPIES
def test_probabilities_stay_flat_in_a_copy(duplicate):
    X, _ = data()
    net = fitted(loss="binary_cross_entropy")
    twin = duplicate(net)
    assert twin.predict_proba(X).shape == (60,)
    assert same_bits([twin.predict_proba(X)], [net.predict_proba(X)])
