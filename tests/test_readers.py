"""Beside a thread that trains without a pause, whatever is read of a network is of one step.

In `decaying` no gradient flows and every parameter shrinks by one part in a million a step, from 1 or -1: all of a
state have the same magnitude. In `learning` all rows are alike, so that all outputs of a state are.
"""

import copy
import pickle
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import fastgrad as fg

TIMES = 10
SECONDS = 60.0


@pytest.fixture(autouse=True)
def _threads_that_switch_all_the_time():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@contextmanager
def trained_meanwhile(trainer, X, y):
    stop, errors = threading.Event(), []

    def train():
        try:
            while not stop.is_set():
                trainer.step(X, y)
                trainer.run(X, y, steps=3, batch_size=len(X))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()
        assert not errors


def decaying(layers=120, width=12):
    sizes = [width] * (layers + 1)
    net = fg.MLP(sizes, init=fg.init.Constant(1.0), activation="relu", output_activation="relu", dtype="float64")
    for layer in range(layers):
        net.biases[layer] = np.full(width, -1.0)
    zeros = np.zeros((2, width))
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3, weight_decay=1e-3), telemetry=False)
    trainer.step(zeros, zeros)
    return net, trainer, zeros


def both(net):
    return [*net.weights, *net.biases]


READERS = {
    "copy": lambda net: both(copy.copy(net)),
    "deepcopy": lambda net: both(copy.deepcopy(net)),
    "pickle": lambda net: both(pickle.loads(pickle.dumps(net))),
    "weights": lambda net: list(net.weights),
    "biases": lambda net: list(net.biases),
    "a slice": lambda net: net.weights[::-1],
    "reversed": lambda net: list(reversed(net.biases)),
    "unpacking": lambda net: [*net.weights],
}


@pytest.mark.parametrize("reader", READERS)
def test_parameters_are_of_one_step(reader):
    net, trainer, zeros = decaying()
    seen = []
    with trained_meanwhile(trainer, zeros, zeros):
        for _ in range(TIMES):
            before = trainer.steps
            while trainer.steps == before:
                time.sleep(0.0)
            arrays = READERS[reader](net)
            sizes = np.unique(np.abs(np.concatenate([array.ravel() for array in arrays])))
            assert len(sizes) == 1
            seen.append(sizes[0])
    assert len(set(seen)) > 1
    steps = np.log(seen) / np.log1p(-1e-6)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def learning():
    net = fg.MLP([8, 64, 64, 1], activation="tanh", dtype="float64", seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-7), telemetry=False)
    X, y = np.ones((30_000, 8)), np.full((30_000, 1), 3.0)
    trainer.step(X[:20], y[:20])
    return net, trainer, X, y


@pytest.mark.parametrize("method", ["forward", "predict"])
def test_outputs_are_of_one_step(method):
    net, trainer, X, y = learning()
    with trained_meanwhile(trainer, X[:20], y[:20]):
        outputs = [np.unique(getattr(net, method)(X)) for _ in range(TIMES)]
    assert [len(values) for values in outputs] == [1] * TIMES
    assert len(np.unique(outputs)) > 1


def test_losses_and_gradients_are_of_one_step():
    """(a - y)^2 is the loss and 2 (a - y) the gradient of the last bias; all losses are those of steps."""
    net, trainer, X, y = learning()
    history, losses = fg.History(3), []
    start = net.evaluate(X[:1], y[:1], loss="mse")
    X, y = X[:20_000], y[:20_000]
    with trained_meanwhile(trainer, X[:20], y[:20]):
        for _ in range(TIMES):
            losses.append(trainer.evaluate(X, y))
            loss, gradients = net.gradients(X[:300], y[:300], loss="mse")
            np.testing.assert_allclose(gradients.biases[-1] ** 2, 4.0 * loss, rtol=1e-10)
            losses.append(loss)
    steps = trainer.steps
    again, trainer, X, y = learning()
    assert again.evaluate(X[:1], y[:1], loss="mse") == start
    trainer.run(X[:20], y[:20], steps=steps - 1, batch_size=20, history=history)
    known = np.append(history.loss, trainer.evaluate(X[:20], y[:20]))
    nearest = np.abs(known[:, np.newaxis] - losses).min(axis=0)
    assert (nearest < 1e-12 * start).all()
    assert np.abs(np.diff(known)).min() > 1e-10 * start


def test_validation_beside_steps_of_another_trainer_does_not_deadlock():
    """Trainer.evaluate and the validation of fit read beside steps of another Trainer of the same network."""
    net, trainer, X, y = learning()
    with trained_meanwhile(trainer, X[:20], y[:20]):
        history = net.fit(X[:200], y[:200], loss="mse", epochs=3, validation_data=(X[:5000], y[:5000]))
    assert [np.isfinite(epoch.validation_loss) for epoch in history.epochs] == [True] * 3


class Looking:
    """A Trainer's plan that copies the network as soon as there was a step."""

    def __init__(self, trainer):
        self.plan, self.net, self.copies = trainer._task._plan, trainer.net, []

    def __getattr__(self, name):
        def call(*arguments, **options):
            found = getattr(self.plan, name)(*arguments, **options)
            self.copies.append(copy.copy(self.net))
            return found

        return call


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("method", ["step", "run"])
def test_a_copy_that_has_a_step_predicts_as_the_network_does_after_it(method, flat, monkeypatch):
    net = fg.MLP([2, 1], seed=1)
    X, y = np.ones((4, 2), np.float32), np.ones(4 if flat else (4, 1), np.float32)
    trainer = fg.Trainer(net, "mse", "sgd")
    looking = Looking(trainer)
    monkeypatch.setattr(trainer._task, "_plan", looking)
    trainer.run(X, y, steps=1) if method == "run" else trainer.step(X, y)
    np.testing.assert_array_equal(looking.copies[-1].predict(X), net.predict(X))
    assert net.predict(X).shape == y.shape
