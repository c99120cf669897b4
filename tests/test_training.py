"""Training: trajectories against the reference and PyTorch, order of the batches, and what fit and predict promise."""

import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import DTYPES, ISAS, draw_case, parameters, relative, same_bits

import fastgrad as fg
from fastgrad import reference

OPTIMIZERS = [
    (fg.SGD(lr=0.05), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.9), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.9, dampening=0.3), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.9, nesterov=True), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01), "SGD"),
    (fg.Adam(lr=0.01), "Adam"),
    (fg.Adam(lr=0.01, betas=(0.7, 0.95), eps=1e-4, weight_decay=0.02), "Adam"),
    (fg.AdamW(lr=0.01), "AdamW"),
    (fg.AdamW(lr=0.01, betas=(0.5, 0.9), weight_decay=0.3), "AdamW"),
    (fg.RMSprop(lr=0.001), "RMSprop"),
    (fg.RMSprop(lr=0.001, alpha=0.9, weight_decay=0.02), "RMSprop"),
    (fg.RMSprop(lr=0.001, alpha=0.9, momentum=0.8), "RMSprop"),
    (fg.RMSprop(lr=0.001, alpha=0.9, centered=True), "RMSprop"),
    (fg.RMSprop(lr=0.001, alpha=0.9, momentum=0.5, centered=True), "RMSprop"),
]
STEPS = 50
IDS = [str(options) for options, _ in OPTIMIZERS]


def trajectory_case():
    return draw_case(
        np.random.default_rng(8), [6, 11, 9, 4], ["tanh", "silu", "identity"], "cross_entropy", "labels", n=21
    )


def batch(case, step):
    rows = np.random.default_rng(step).permutation(len(case.X))[: 21 - 5 * (step % 2)]
    return case.X[rows], case.y[rows]


def assert_trajectory(case, optimizer, isa, losses, weights, biases, bound=1e-10):
    net = case.build(isa, "float64")
    trainer = fg.Trainer(net, case.loss, optimizer)
    found = [trainer.step(*batch(case, step)) for step in range(STEPS)]
    np.testing.assert_allclose(found, losses, rtol=bound)
    for got, exact in zip(parameters(net), (*weights, *biases), strict=True):
        assert relative(got, exact) <= bound


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("optimizer", "_torch_name"), OPTIMIZERS, ids=IDS)
def test_fifty_steps_follow_the_reference(optimizer, _torch_name, isa):
    case = trajectory_case()
    weights, biases, states, losses = case.weights, case.biases, None, []
    for step in range(STEPS):
        X, y = batch(case, step)
        done = reference.train_step(weights, biases, X, y, case.activations, case.loss, optimizer, states)
        weights, biases, states = done.weights, done.biases, done.states
        losses.append(done.loss)
    assert_trajectory(case, optimizer, isa, losses, weights, biases)


@pytest.mark.parametrize(("optimizer", "torch_name"), OPTIMIZERS, ids=IDS)
def test_fifty_steps_follow_pytorch(optimizer, torch_name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    case = trajectory_case()
    tensors = [torch.tensor(array, requires_grad=True) for array in (*case.weights, *case.biases)]
    kind = getattr(torch.optim, torch_name)(tensors, **vars(optimizer))
    losses, functions = [], (torch.tanh, torch.nn.functional.silu, lambda z: z)
    for step in range(STEPS):
        a, y = (torch.tensor(array) for array in batch(case, step))
        for W, b, function in zip(tensors[:3], tensors[3:], functions, strict=True):
            a = function(a @ W + b)
        loss = torch.nn.functional.cross_entropy(a, y)
        kind.zero_grad()
        loss.backward()
        kind.step()
        losses.append(loss.item())
    arrays = [tensor.detach().numpy() for tensor in tensors]
    assert_trajectory(case, optimizer, ISAS[-1], losses, arrays[:3], arrays[3:])


@pytest.mark.parametrize(("optimizer", "_torch_name"), OPTIMIZERS, ids=IDS)
def test_float32_stays_close_to_float64(optimizer, _torch_name):
    case = trajectory_case()
    nets = [case.build(ISAS[-1], dtype) for dtype in DTYPES]
    for net in nets:
        trainer = fg.Trainer(net, case.loss, optimizer)
        for step in range(10):
            trainer.step(*batch(case, step))
    for single, double in zip(parameters(nets[0]), parameters(nets[1]), strict=True):
        assert relative(single, double) < 2e-4


def blobs(seed=0, n=300, classes=3):
    """Return points around the corners of a triangle, and which corner each belongs to."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    angle = 2.0 * np.pi * labels / classes
    return 2.0 * np.c_[np.cos(angle), np.sin(angle)] + 0.4 * rng.standard_normal((n, 2)), labels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", fg.SGD(lr=0.1, momentum=0.9)], ids=str)
def test_fit_lowers_the_loss(optimizer, dtype):
    X, y = blobs()
    net = fg.MLP([2, 16, 3], dtype=dtype, seed=1)
    before = net.evaluate(X, y, loss="cross_entropy")
    history = net.fit(X, y, loss="cross_entropy", optimizer=optimizer, epochs=5)
    after = net.evaluate(X, y, loss="cross_entropy")
    assert after < 0.98 * before
    assert history.epochs[-1].loss < history.epochs[0].loss


def test_fit_learns_to_tell_classes_apart():
    X, y = blobs()
    net = fg.MLP([2, 16, 3], seed=1)
    net.fit(X, y, loss="cross_entropy", optimizer=fg.Adam(lr=0.01), epochs=20)
    fresh, labels = blobs(seed=1)
    predicted = net.predict(fresh)
    assert predicted.shape == (300,)
    assert np.mean(predicted == labels) > 0.98
    probabilities = net.predict_proba(fresh)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), predicted)


def test_what_predict_tells_depends_on_the_loss():
    X, y = blobs()
    net = fg.MLP([2, 8, 3], seed=1)
    net.fit(X, np.eye(3)[y], loss="binary_cross_entropy", epochs=10)
    probabilities = net.predict_proba(X)
    np.testing.assert_allclose(probabilities, 1.0 / (1.0 + np.exp(-net.forward(X).astype(float))), rtol=1e-6)
    np.testing.assert_array_equal(net.predict(X), probabilities > 0.5)
    net.fit(X, np.eye(3)[y], loss="mse")
    np.testing.assert_array_equal(net.predict(X), net.forward(X))


@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_have_the_shape_of_the_last_steps_targets(dtype):
    X, y = np.ones((5, 2), dtype), np.ones((5, 1), dtype)
    net = fg.MLP([2, 4, 1], dtype=dtype)
    trainer, other = fg.Trainer(net, "mse"), fg.Trainer(net, "binary_cross_entropy")
    for who, targets in ((trainer, y), (trainer, y[:, 0]), (other, y), (other, y[:, 0]), (trainer, y)):
        who.step(X, targets)
        assert net.predict(X).shape == targets.shape
        who.run(X, targets, steps=2)
        assert net.predict(X).shape == targets.shape


def test_the_last_short_batch_is_kept():
    X, y = blobs(n=100)
    net = fg.MLP([2, 4, 3], seed=0)
    history = net.fit(X, y, loss="cross_entropy", epochs=2, batch_size=32)
    assert len(history) == len(history.telemetry) == 8
    assert [epoch.epoch for epoch in history.epochs] == [0, 1]
    losses = history.loss.reshape(2, 4)
    for epoch, of_batches in zip(history.epochs, losses, strict=True):
        assert epoch.loss == pytest.approx(of_batches @ [32, 32, 32, 4] / 100, rel=1e-12)


def test_the_epoch_loss_of_a_sum_is_a_sum():
    X, y = blobs(n=50)
    net = fg.MLP([2, 4, 3], seed=0)
    history = net.fit(X, np.eye(3)[y], loss="l2_norm", optimizer=fg.SGD(lr=0.0), batch_size=16)
    assert history.epochs[0].loss == pytest.approx(net.evaluate(X, np.eye(3)[y], loss="l2_norm"), rel=1e-6)


def test_a_run_ends_in_the_middle_of_a_pass():
    X, y = blobs(n=100)
    history = fg.Trainer(fg.MLP([2, 4, 3], seed=0), "cross_entropy").run(X, y, steps=9, batch_size=32)
    assert len(history) == len(history.telemetry) == 9
    assert history.epochs == []


def train(seed, shuffle=True, epochs=3):
    X, y = blobs(n=100)
    net = fg.MLP([2, 8, 3], seed=seed)
    history = net.fit(X, y, loss="cross_entropy", epochs=epochs, batch_size=16, shuffle=shuffle)
    return [*parameters(net), history.loss]


def test_a_seed_reproduces_training_to_the_bit():
    assert same_bits(train(seed=5), train(seed=5))
    assert not same_bits(train(seed=5), train(seed=6))


def test_every_epoch_sees_every_sample_once_in_a_new_order():
    X = np.arange(40.0)[:, np.newaxis]  # the mean output of a batch of one tells which sample it was
    net = fg.MLP([1, 1], activation=[], init=[[[1.0]]], dtype="float64", seed=9)
    history = net.fit(X, np.full((40, 1), -1.0), loss="mae", optimizer=fg.SGD(lr=0.0), epochs=3, batch_size=1)
    orders = (history.loss - 1.0).reshape(3, 40)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), X[:, 0])
        assert not np.array_equal(order, X[:, 0])
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_without_shuffling_samples_come_in_order():
    X = np.arange(10.0)[:, np.newaxis]
    net = fg.MLP([1, 1], activation=[], init=[[[1.0]]], dtype="float64")
    history = net.fit(
        X, np.full((10, 1), -1.0), loss="mae", optimizer=fg.SGD(lr=0.0), epochs=2, batch_size=1, shuffle=False
    )
    np.testing.assert_array_equal(history.loss, np.tile(X[:, 0] + 1.0, 2))


def test_validation_loss_is_that_after_the_epoch():
    X, y = blobs(n=700)
    X_held, y_held = blobs(seed=1, n=600)
    net = fg.MLP([2, 8, 3], dtype="float64", seed=0)
    history = net.fit(X, y, loss="cross_entropy", epochs=2, validation_data=(X_held, y_held))
    assert history.epochs[-1].validation_loss == net.evaluate(X_held, y_held, loss="cross_entropy")
    assert history.epochs[0].validation_loss != history.epochs[1].validation_loss
    exact = reference.gradients(net.weights, net.biases, X_held, y_held, net.activations, "cross_entropy").loss
    assert history.epochs[-1].validation_loss == pytest.approx(exact, rel=1e-12)


def test_validation_does_not_change_training():
    X, y = blobs()
    results = []
    for held_out in (None, blobs(seed=1)):
        net = fg.MLP([2, 8, 3], seed=0)
        net.fit(X, y, loss="cross_entropy", epochs=2, validation_data=held_out)
        results.append(parameters(net))
    assert same_bits(*results)


def test_progress_prints_a_line_for_each_epoch(capsys):
    X, y = blobs()
    fg.MLP([2, 4, 3]).fit(X, y, loss="cross_entropy", epochs=3, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_a_divergence_leaves_the_network_of_the_last_finite_step(isa, dtype):
    def make():
        with fg.force_isa(isa):
            net = fg.MLP([2, 6, 6, 2], activation="identity", dtype=dtype, seed=0)
        return net, fg.Trainer(net, "mse", fg.SGD(lr=30.0, momentum=0.5))

    X, y = np.ones((4, 2)), np.zeros((4, 2))
    net, trainer = make()
    with pytest.raises(fg.DivergenceError, match=r"of step \d+ ") as caught:
        trainer.run(X, y, steps=10_000)
    error = caught.value
    assert trainer.steps == error.step == len(error.history) > 0
    assert np.all(np.isfinite(error.history.loss))
    twin, steps = make()
    for loss in error.history.loss:
        assert steps.step(X, y) == loss
    assert same_bits(parameters(net), parameters(twin))
    assert all(np.all(np.isfinite(array)) for array in parameters(net))
    with pytest.raises(fg.DivergenceError):
        steps.step(X, y)
    assert same_bits(parameters(net), parameters(twin))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_that_cannot_be_represented_is_a_divergence(dtype):
    net = fg.MLP([3, 4, 2], dtype=dtype, seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e39 if dtype == "float32" else 1e308))
    before = parameters(net)
    with pytest.raises(fg.DivergenceError):
        trainer.step(np.full((5, 3), 1e3), np.ones((5, 2)))
    assert same_bits(parameters(net), before)


def idx(path):
    with gzip.open(path) as file:
        raw = file.read()
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


FASHION_MNIST = Path(os.environ.get("FASTGRAD_FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="set FASTGRAD_FASHION_MNIST to the directory of its IDX files")
def test_fashion_mnist_is_learned():
    images, labels = (
        {kind: idx(FASHION_MNIST / f"{kind}-{name}-ubyte.gz") for kind in ("train", "t10k")}
        for name in ("images-idx3", "labels-idx1")
    )
    X = {kind: (pixels.reshape(len(pixels), 784) / np.float32(255.0)) for kind, pixels in images.items()}
    net = fg.MLP([784, 256, 256, 10], activation="relu", seed=0)
    net.fit(X["train"], labels["train"], loss="cross_entropy", optimizer=fg.Adam(lr=1e-3), epochs=10, batch_size=128)
    assert np.mean(net.predict(X["t10k"]) == labels["t10k"]) >= 0.88
