"""Networks and Trainers in the child of a process whose other threads were training them at the fork.

In `decaying` no gradient flows and every parameter shrinks alike, so that those of one step have one magnitude; the
losses of `Counting` are the rows that were met. A child that hangs is killed, and its test has failed.
"""

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings

import numpy as np
import pytest
from test_readers import both, decaying, trained_meanwhile

import fastgrad as fg
from fastgrad import _fork
from fastgrad._inside import inside

SECONDS = 60.0
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def _fork_with_threads():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def finished(child, read):
    """Return what a child wrote; raise what it raised, and where it hangs."""
    deadline = time.monotonic() + SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.005)
    with os.fdopen(read, "rb") as pipe:
        found, error = pickle.loads(pipe.read())
    assert error is None, error
    return found


def begun(work):
    """Fork a child that does some work; return its number and where it writes what came of that."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    try:
        os.write(write, pickle.dumps((work(), None)))
    except BaseException:
        os.write(write, pickle.dumps((None, traceback.format_exc())))
    finally:
        os._exit(0)


def in_child(work):
    return finished(*begun(work))


def magnitude(net):
    """Return the size of all parameters, which is one."""
    sizes = np.unique(np.abs(np.concatenate([array.ravel() for array in both(net)])))
    assert len(sizes) == 1, "a state of more than one step"
    return sizes[0]


def use(net, trainer=None):
    """Do with a network, and one of its Trainers, all that changes it; return how small it was found."""
    zeros = np.zeros((2, net.sizes[0]))
    found = magnitude(net)
    assert not net.predict(zeros).any()
    assert net.evaluate(zeros, zeros, loss="mse") == 0.0
    assert magnitude(copy.deepcopy(net)) == found
    options = {"loss": "mse", "optimizer": fg.SGD(lr=1e-3, weight_decay=1e-3)}
    trainer = trainer or fg.Trainer(net, **options)
    steps = trainer.steps
    trainer.step(zeros, zeros)
    history = trainer.run(zeros, zeros, steps=3, batch_size=2)
    assert (trainer.steps, len(history)) == (steps + 4, 3)
    net.fit(zeros, zeros, epochs=2, **options)
    assert magnitude(net) == pytest.approx(found * (1.0 - 1e-6) ** 6, rel=1e-12)
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_of_a_process_that_trains(threads):
    fg.set_num_threads(threads)
    net, trainer, zeros = decaying(layers=40, width=30)
    with trained_meanwhile(trainer, zeros, zeros):
        found = [in_child(lambda: use(net, trainer)) for _ in range(10)]
    assert len(set(found)) > 1
    steps = np.log(found) / np.log1p(-1e-6)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_a_child_goes_on_with_the_next_row():
    rows = 1000
    X, y = np.zeros((rows, 1), np.float32), np.arange(rows, dtype=np.float32)[:, np.newaxis]
    trainer = fg.Trainer(fg.MLP([1, 1], init="zeros"), "mae", fg.SGD(lr=0.0))
    stop, history = threading.Event(), fg.History(1)

    def train():
        while not stop.is_set():
            trainer.run(X, y, steps=777, batch_size=1, shuffle=False, history=history)

    def next_rows():
        done = trainer.steps
        assert trainer.stats.step == done - 1
        found = trainer.run(X, y, steps=1500, batch_size=1, shuffle=False, history=history).loss[-1500:]
        np.testing.assert_array_equal(found, np.arange(done, done + 1500) % rows)
        return done

    thread = threading.Thread(target=train)
    thread.start()
    try:
        while not trainer.steps:
            time.sleep(0.001)
        assert len({in_child(next_rows) for _ in range(10)}) > 1
    finally:
        stop.set()
        thread.join(SECONDS)


def test_a_fork_within_an_operation():
    """As the handler of a signal may do it."""
    net, trainer, _ = decaying(layers=3, width=5)
    with inside(net).network, trainer._task.lock:
        in_child(lambda: use(net, trainer))
    in_another_thread(lambda: use(net, trainer))


def in_another_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_handler_of_a_signal_forks_in_the_midst_of_a_run():
    net, trainer, zeros = decaying(layers=10, width=20)
    found, before = [], signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, lambda *_: found.append(in_child(lambda: magnitude(copy.deepcopy(net)))))
    timer = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1))
    timer.start()
    try:
        while not found:
            trainer.run(zeros, zeros, steps=20_000, batch_size=2)
    finally:
        timer.join(SECONDS)
        signal.signal(signal.SIGUSR1, before)
    assert found[0] < 1.0
    in_another_thread(lambda: use(net, trainer))


def test_a_signal_that_comes_during_a_fork_leaves_no_network_entered():
    """What its handler raises is lost at a fork, and with it what remained to be done there."""
    program = """
import concurrent.futures.thread, ctypes, functools, logging, multiprocessing, os, random, signal, threading, time
import numpy as np, scipy.special
signal.signal(signal.SIGINT, signal.default_int_handler)
os.register_at_fork(after_in_parent=functools.partial(ctypes.PyDLL(None)["raise"], signal.SIGINT))
import fastgrad as fg
from fastgrad._inside import inside
nets = [fg.MLP([2, 2]) for _ in range(3)]
try:
    child = os.fork()
    if not child:
        os._exit(0)
    time.sleep(0)
except KeyboardInterrupt:
    pass
os.waitpid(-1, 0)
thread = threading.Thread(target=lambda: print(sum(inside(net).network.lock.acquire(0.0) for net in nets)))
thread.start()
thread.join()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("3\n", 0), ended.stderr


def test_several_threads_fork_at_once():
    nets = [decaying(layers=10, width=20) for _ in range(2)]
    children, errors = [], []

    def fork():
        try:
            children.extend(begun(lambda: [use(net, trainer) for net, trainer, _ in nets]) for _ in range(4))
        except BaseException as error:
            errors.append(error)

    with trained_meanwhile(*(nets[0][i] for i in (1, 2, 2))), trained_meanwhile(*(nets[1][i] for i in (1, 2, 2))):
        threads = [threading.Thread(target=fork) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        for child in children:
            finished(*child)
    assert len(children) == 12
    assert not errors


class Slow:
    """A network with which a thread does a call that takes a while, and forks that do not wait for it."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(_fork.FORKS, "longest_wait", 0.0)
        fg.set_num_threads(1)
        self.net = fg.MLP([200, *[400] * 8, 1], activation="tanh", seed=0)
        self.trainer = fg.Trainer(self.net, "mse", "adam")
        self.X, self.y = np.ones((1500, 200), np.float32), np.zeros((1500, 1), np.float32)
        self.trainer.step(self.X[:9], self.y[:9])

    def child_during(self, call, work):
        """Return what came of `work` in a child forked during `call`: the first result that is not None."""
        for delay in np.linspace(0.02, 0.2, 20):
            thread = threading.Thread(target=call)
            thread.start()
            time.sleep(delay)
            found = in_child(work)
            thread.join(SECONDS)
            if found is not None:
                return found
        return None


def test_a_network_torn_by_a_fork_is_refused_until_it_is_set(monkeypatch):
    slow = Slow(monkeypatch)
    net, X, y = slow.net, slow.X, slow.y

    def work():
        try:
            net.weights[0]
            return None
        except RuntimeError:
            pass
        whole = fg.MLP(net.sizes, activation="tanh", seed=1)
        uses = {
            "forward": lambda: net.forward(X[:3]),
            "predict": lambda: net.predict(X[:3]),
            "evaluate": lambda: net.evaluate(X[:3], y[:3], loss="mse"),
            "gradients": lambda: net.gradients(X[:3], y[:3], loss="mse"),
            "copy": lambda: copy.copy(net),
            "pickle": lambda: pickle.dumps(net),
            "weights": lambda: list(net.weights),
            "fit": lambda: net.fit(X[:3], y[:3], loss="mse"),
            "step": lambda: slow.trainer.step(X[:3], y[:3]),
            "run": lambda: slow.trainer.run(X, y, steps=1),
        }
        for refused in uses.values():
            with pytest.raises(RuntimeError, match="another thread was training when this process was forked"):
                refused()
        for layer, weights in enumerate(whole.weights):
            net.weights[layer] = weights
        for layer, bias in enumerate(whole.biases[:-1]):
            net.biases[layer] = bias
        with pytest.raises(RuntimeError, match=rf"still to be set are biases\[{len(net.biases) - 1}\]$"):
            net.forward(X[:3])
        net.biases[-1] = whole.biases[-1]
        np.testing.assert_array_equal(net.forward(X), whole.forward(X))
        for name in ("step", "run"):
            with pytest.raises(RuntimeError, match="wants a new Trainer"):
                uses.pop(name)()
        for use in uses.values():
            use()
        assert fg.Trainer(net, "mse").step(X[:3], y[:3]) >= 0.0
        return "told"

    assert slow.child_during(lambda: slow.trainer.step(X, y), work) == "told"
    steps = slow.trainer.steps
    slow.trainer.step(X, y)
    assert slow.trainer.steps == steps + 1


def test_a_network_that_was_only_read_is_whole_in_the_child(monkeypatch):
    slow = Slow(monkeypatch)
    expected, loss = slow.net.forward(slow.X), slow.net.evaluate(slow.X[:5], slow.y[:5], loss="mse")

    def work():
        np.testing.assert_array_equal(slow.net.forward(slow.X), expected)
        assert slow.trainer.step(slow.X[:5], slow.y[:5]) == loss
        return "whole"

    for call in (lambda: slow.net.forward(slow.X), lambda: slow.net.gradients(slow.X, slow.y, loss="mse")):
        assert slow.child_during(call, work) == "whole"


def test_a_backward_pass_whose_forward_pass_a_fork_cut_off_is_refused(monkeypatch):
    slow = Slow(monkeypatch)
    net, X, y = slow.net, slow.X[:5], slow.y[:5]

    def work():
        try:
            net.backward(y)
            return None
        except ValueError as error:
            told = str(error)
        net.forward(X, training=True)
        assert len(net.backward(y).weights) == len(net.weights)
        return told

    def call():
        net.forward(X, training=True)
        net.evaluate(slow.X, slow.y, loss="mse")

    assert "got a forward pass that a fork cut off" in slow.child_during(call, work)


def of_a_child(net):
    return use(net)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pool_of_processes_beside_training(method):
    net, trainer, zeros = decaying(layers=20, width=20)
    with trained_meanwhile(trainer, zeros, zeros), multiprocessing.get_context(method).Pool(2) as pool:
        found = [pool.apply_async(of_a_child, (net,)) for _ in range(6)]
        assert all(result.get(SECONDS) < 1.0 for result in found)


def test_loky_beside_training():
    loky = pytest.importorskip("joblib.externals.loky", reason="needs joblib")
    net, trainer, zeros = decaying(layers=20, width=20)
    with trained_meanwhile(trainer, zeros, zeros), loky.ProcessPoolExecutor(2) as pool:
        found = [pool.submit(of_a_child, net) for _ in range(6)]
        assert all(result.result(SECONDS) < 1.0 for result in found)
