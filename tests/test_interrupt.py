"""Control-C: long calls hear it within a second, and leave a network and a Trainer that agree on what was done.

Every call here would take several seconds on one thread of any machine, most of them hours.
"""

import contextlib
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from support import parameters

import fastgrad as fg

DELAYS = (0.2, 0.3, 0.41)
PATIENCE = 1.0  # seconds of the processor, which no other process shortens


@pytest.fixture(autouse=True)
def _one_thread_that_hears():
    """Whatever started the tests may have had SIGINT ignored, as shells do for what runs in the background."""
    fg.set_num_threads(1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def interrupt(delay, begun=lambda: True):
    """Send SIGINT to the main thread `delay` seconds after what is to `begun`; wants KeyboardInterrupt soon then."""
    sent, ended = [], threading.Event()

    def send():
        while not (begun() or ended.is_set()):
            time.sleep(0.002)
        if ended.wait(delay):
            return
        sent.append(time.process_time())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            yield caught
    finally:
        ended.set()
        thread.join()
    assert time.process_time() - sent[0] < PATIENCE


def regression(rows):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, 16)).astype(np.float32)
    return X, X[:, :1] ** 2


def network():
    return fg.MLP([16, 64, 64, 1], activation="tanh", seed=0)


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize(
    ("rows", "batch_size"), [(500_000, 1), (64, 32), (50_000, 25_000)], ids=["one pass", "short passes", "slow steps"]
)
def test_run_records_every_step_done_before_an_interrupt(rows, batch_size, delay, tmp_path):
    X, y = regression(rows)
    net = network()
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3), telemetry=fg.Telemetry(keep=10**6, file=tmp_path / "run.npz"))
    history = fg.History(3)
    with interrupt(delay, lambda: trainer.steps):
        trainer.run(X, y, steps=10**9, batch_size=batch_size, history=history)
    assert trainer.steps == len(history) == len(history.telemetry) > 0
    assert np.isfinite(history.loss).all()
    np.testing.assert_array_equal(trainer.stats.values, history.telemetry.at(-1).values)
    assert all(np.isfinite(array).all() for array in parameters(net))
    written = fg.telemetry.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(written.steps, np.arange(len(history)))
    np.testing.assert_array_equal(written["grad_norm"], history.telemetry["grad_norm"])


def test_steps_after_an_interrupt_are_those_of_an_undisturbed_trainer():
    X, y = regression(1000)
    nets = [network(), network()]
    stopped, steady = (fg.Trainer(net, "mse", "adam") for net in nets)
    with interrupt(0.1, lambda: stopped.steps):
        stopped.run(X, y, steps=10**9, batch_size=32, shuffle=False)
    steady.run(X, y, steps=stopped.steps, batch_size=32, shuffle=False)
    assert stopped.step(X, y) == steady.step(X, y)
    assert stopped.steps == steady.steps
    np.testing.assert_array_equal(stopped.stats.values, steady.stats.values)
    for one, other in zip(parameters(nets[0]), parameters(nets[1]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_goes_on_after_an_interrupt_with_the_next_row_of_its_pass():
    """The network says 0 and learns nothing, so that the losses tell the rows."""
    rows = 5000
    trainer = fg.Trainer(fg.MLP([1, 1], init="zeros", seed=0), "mae", fg.SGD(lr=0.0), telemetry=False)
    X, y = np.zeros((rows, 1), np.float32), np.arange(rows, dtype=np.float32)[:, np.newaxis]
    met = fg.History(1)
    for delay in (0.05, 0.11, 0.02):
        before = trainer.steps
        with interrupt(delay, lambda before=before: trainer.steps > before):
            trainer.run(X, y, steps=10**9, batch_size=1, history=met)
    assert len(met) == trainer.steps > 0
    trainer.run(X, y, steps=2 * rows - len(met) % rows, batch_size=1, history=met)
    passes = np.sort(met.loss.reshape(-1, rows))
    np.testing.assert_array_equal(passes, np.broadcast_to(np.arange(rows), passes.shape))


def test_fit_can_be_interrupted_and_started_again():
    X, y = regression(4000)
    net = network()
    before = net.evaluate(X, y, loss="mse")
    with interrupt(0.3, lambda: net.history):
        net.fit(X, y, loss="mse", epochs=10**9)
    assert net.evaluate(X, y, loss="mse") < before
    history = net.fit(X, y, loss="mse", epochs=2, batch_size=400)
    assert len(history) == 20
    assert net.history is history


@pytest.mark.parametrize("delay", DELAYS)
def test_the_history_of_an_interrupted_fit_is_kept_and_told(delay):
    X, y = regression(4000)
    net = network()
    assert net.history is None
    with interrupt(delay, lambda: net.history) as caught:
        net.fit(X, y, loss="mse", optimizer=fg.SGD(lr=1e-3), epochs=10**9)
    history: Any = net.history
    steps, epochs = len(history), len(history.epochs)
    assert epochs in (steps // 125, steps // 125 - 1)  # an epoch of which no more than its entry was missing
    assert f"steps {steps}, epochs {epochs}. It is kept, by fit as net.history" in caught.value.__notes__[0]
    twin = network()
    again = fg.Trainer(twin, "mse", fg.SGD(lr=1e-3)).run(X, y, steps=steps)
    np.testing.assert_array_equal(again.loss, history.loss)
    np.testing.assert_array_equal(again.telemetry["grad_norm"], history.telemetry["grad_norm"])
    for one, other in zip(parameters(net), parameters(twin), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("given", [True, False])
def test_the_history_of_an_interrupted_run_is_kept_and_told(given):
    X, y = regression(4000)
    trainer = fg.Trainer(network(), "mse", "adam")
    assert trainer.history is None
    history = fg.History(3) if given else None
    with interrupt(0.2, lambda: trainer.steps) as caught:
        trainer.run(X, y, steps=10**9, history=history)
    assert trainer.history is history or history is None
    assert len(trainer.history) == trainer.steps
    assert f"steps {trainer.steps}, epochs 0. It is kept" in caught.value.__notes__[0]


def test_a_forward_pass_of_many_rows_can_be_interrupted():
    X = np.ones((1_000_000, 16), np.float32)
    net = fg.MLP([16, *[600] * 6, 1], seed=0)
    few = net.forward(X[:3])
    with interrupt(0.5):
        net.forward(X)
    np.testing.assert_array_equal(net.forward(X[:3]), few)


@pytest.mark.parametrize("call", ["step", "run"])
def test_a_handler_that_trains_does_not_get_into_the_record_of_the_run_it_interrupts(call, monkeypatch):
    """It comes right after the engine's steps, where signals are heard; elsewhere it may."""
    X, y = np.zeros((30_000, 1), np.float32), np.arange(30_000, dtype=np.float32)[:, np.newaxis]
    trainer = fg.Trainer(fg.MLP([1, 1], init="zeros"), "mae", fg.SGD(lr=0.0))
    told, engine = [], trainer._task._plan

    class Interrupted:
        def __getattr__(self, name):
            return getattr(engine, name)

        def __setattr__(self, name, value):
            setattr(engine, name, value)

        def steps(self, *arguments):
            done = engine.steps(*arguments)
            try:
                trainer.step(X[:1], y[:1]) if call == "step" else trainer.run(X, y, steps=3)
            except RuntimeError as error:
                told.append(str(error))
            return done

    monkeypatch.setattr(trainer._task, "_plan", Interrupted())
    history = trainer.run(X, y, steps=30_000, batch_size=1, shuffle=False)
    np.testing.assert_array_equal(history.loss, y[:, 0])
    assert told[0].startswith("trainer: got a call in the midst of its own run")
    monkeypatch.undo()
    assert trainer.step(X[:2], y[:2]) == 0.5
