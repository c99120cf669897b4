"""Threads and processes: the results are the same, and callers do not disturb each other.

The shapes take both ways through the engine: `sliced` gives each thread its rows, `wide` has a layer of more than 1 MiB
of weights, whose columns the threads share.
"""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from support import DTYPES, ISAS, parameters, relative, same_bits

import fastgrad as fg
from fastgrad.telemetry import STATISTICS

SHAPES = {"sliced": ([50, 131, 64, 77, 10], 700), "wide": ([61, 900, 301, 10], 200)}
SECONDS = 60.0
MEASURED_EVERYWHERE = tuple(set(STATISTICS) - {"saturated"})  # which a piecewise linear activation is not


def data(sizes, rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, sizes[0])), rng.integers(0, sizes[-1], rows)


def outcome(shape, threads=None, dtype="float32", optimizer="adam"):
    """Train for seven steps, one of them on a short batch; return losses, statistics, weights and biases."""
    sizes, rows = SHAPES[shape]
    if threads:
        fg.set_num_threads(threads)
    net = fg.MLP(sizes, activation="gelu", dtype=dtype, seed=3)
    X, y = data(sizes, rows)
    history = fg.Trainer(net, "cross_entropy", optimizer).run(X, y, steps=7, batch_size=rows // 4 - 1)
    return [history.loss, *(history.telemetry[name] for name in history.telemetry), *parameters(net)]


def digest(shape, threads=None):
    return hashlib.sha256(b"".join(array.tobytes() for array in outcome(shape, threads))).hexdigest()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_number_of_threads_does_not_change_a_bit(shape, isa, dtype):
    with fg.force_isa(isa):
        alone = outcome(shape, 1, dtype)
        for threads in (2, 3, 4, 8):
            assert same_bits(outcome(shape, threads, dtype), alone), f"{threads} threads"


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_and_predictions_do_not_depend_on_the_number_of_threads(shape):
    sizes, rows = SHAPES[shape]
    net = fg.MLP(sizes, activation="mish", seed=1)
    X, y = data(sizes, rows)
    results = []
    for threads in (1, 2, 5):
        fg.set_num_threads(threads)
        loss, gradients = net.gradients(X, y, loss="cross_entropy")
        loss_alone = net.evaluate(X, y, loss="cross_entropy")
        results.append(
            [np.array([loss, loss_alone]), gradients.input, *gradients.weights, *gradients.biases, net.forward(X)]
        )
    assert same_bits(results[0], results[1])
    assert same_bits(results[0], results[2])


def test_the_number_of_threads_may_change_between_steps():
    sizes, rows = SHAPES["wide"]
    X, y = data(sizes, rows)
    nets = [fg.MLP(sizes, activation="tanh", seed=1) for _ in range(2)]
    steady, changing = (fg.Trainer(net, "cross_entropy", "rmsprop") for net in nets)
    for threads in (1, 4, 2, 8, 3):
        fg.set_num_threads(2)
        steady.step(X, y)
        fg.set_num_threads(threads)
        changing.step(X, y)
    assert same_bits(parameters(nets[0]), parameters(nets[1]))


def test_eight_threads_finish_in_reasonable_time():
    start = time.perf_counter()
    for _ in range(5):
        outcome("sliced", 8)
    assert time.perf_counter() - start < SECONDS


def in_another_process(statement, **environment):
    """Run a statement in which `t` is this module; return the words it prints."""
    run = subprocess.run(
        [sys.executable, "-c", f"import test_threads as t; {statement}"],
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__)} | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, f"exit status {run.returncode}: {run.stderr[-500:]}"
    return run.stdout.split()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_another_process_finds_the_same_bits(threads):
    found = in_another_process("print(*(t.digest(shape) for shape in t.SHAPES))", FASTGRAD_NUM_THREADS=threads)
    assert found == [digest(shape, 2) for shape in SHAPES]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestFork:
    """The workers of the parent do not exist in the child, which must start its own."""

    @pytest.fixture(autouse=True)
    def _fork_with_threads(self):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            yield

    def digest_of_a_child(self):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, digest("sliced", 2).encode())
            finally:
                os._exit(0)
        os.close(write)
        deadline = time.monotonic() + SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.01)
        with os.fdopen(read) as pipe:
            return pipe.read()

    def test_a_child_trains_after_its_parent_did(self):
        expected = digest("sliced", 2)
        assert self.digest_of_a_child() == expected
        assert digest("sliced", 2) == expected

    def test_a_fork_while_another_thread_trains(self):
        expected = digest("sliced", 2)
        stop = threading.Event()

        def train():
            while not stop.is_set():
                outcome("sliced", 2)

        trainer = threading.Thread(target=train)
        trainer.start()
        try:
            assert [self.digest_of_a_child() for _ in range(5)] == [expected] * 5
        finally:
            stop.set()
            trainer.join(SECONDS)
        assert not trainer.is_alive()

    def test_a_pool_of_forked_processes(self):
        expected = digest("wide", 2)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(digest, ["wide"] * 4).get(SECONDS) == [expected] * 4


def in_threads(work, count=4):
    """Run work(i) in `count` threads at once; raise what any of them raised."""
    errors = []
    gate = threading.Barrier(count)

    def guarded(i):
        try:
            gate.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("shape", [[7, 20, 3], SHAPES["sliced"][0]])
def test_a_trainer_shared_by_threads_counts_every_step(shape):
    X, y = data(shape, 96)
    net = fg.MLP(shape, seed=0)
    trainer = fg.Trainer(net, "cross_entropy", fg.SGD(lr=1e-3))
    in_threads(lambda i: [trainer.step(X, y) for _ in range(50)])
    assert trainer.steps == 200
    assert all(np.all(np.isfinite(array)) for array in parameters(net))


def test_threads_with_networks_of_their_own_do_not_disturb_each_other():
    expected = outcome("sliced", 2)
    found = [None] * 4

    def train(i):
        found[i] = outcome("sliced")

    in_threads(train)
    assert all(same_bits(arrays, expected) for arrays in found)


def share_a_network():
    """Take gradients of batches of different heights, of one deep network, in four threads that switch all the time."""
    sys.setswitchinterval(1e-6)
    net = fg.MLP([11, *[40] * 60, 4], activation="tanh", seed=0)
    batches = [data([11, 4], 40 + 7 * i, seed=i) for i in range(4)]
    expected = [net.gradients(X, y, loss="cross_entropy") for X, y in batches]

    def compare(i):
        for _ in range(60):
            loss, gradients = net.gradients(*batches[i], loss="cross_entropy")
            assert loss == expected[i][0]
            assert same_bits([*gradients.weights, gradients.input], [*expected[i][1].weights, expected[i][1].input])

    in_threads(compare)


def test_gradients_of_one_network_in_several_threads():
    assert in_another_process("t.share_a_network()") == []  # where a crash is a failure and no more


def test_predictions_of_one_network_in_several_threads():
    net = fg.MLP([11, 60, 60, 4], activation="tanh", seed=0)
    batches = [data([11, 4], 300 + 7 * i, seed=i)[0] for i in range(4)]
    expected = [net.forward(X) for X in batches]

    def compare(i):
        for _ in range(100):
            np.testing.assert_array_equal(net.forward(batches[i]), expected[i])

    in_threads(compare)


def test_weights_may_be_replaced_while_another_thread_trains():
    net = fg.MLP([11, 60, 60, 4], activation="tanh", seed=0)
    X, y = data([11, 4], 64)
    trainer = fg.Trainer(net, "cross_entropy", "adam")
    first = net.weights[1]

    def work(i):
        for _ in range(100):
            if i:
                net.weights[1] = first
                assert net.weights[1].shape == (60, 60)
            else:
                trainer.run(X, y, steps=3, batch_size=20)

    in_threads(work, count=3)
    assert trainer.steps == 300
    assert all(np.all(np.isfinite(array)) for array in parameters(net))


def test_an_instruction_set_is_forced_for_the_current_thread_alone():
    seen = []
    with fg.force_isa(ISAS[0]):
        in_threads(lambda i: seen.append(fg.MLP([2, 2]).isa), count=1)
        assert fg.MLP([2, 2]).isa == ISAS[0]
    assert seen == [ISAS[-1]]


@pytest.mark.skipif("avx512" not in ISAS, reason="needs AVX-512")
@pytest.mark.parametrize("loss", sorted(fg.losses.LOSSES))
@pytest.mark.parametrize("activation", sorted(fg.reference.ACTIVATIONS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_avx2_and_avx512_give_the_same_losses_and_weights(dtype, activation, loss):
    rng = np.random.default_rng(0)
    X, y = 3.0 * rng.standard_normal((300, 37)), rng.random((300, 21))
    if loss == "cross_entropy":
        y /= y.sum(axis=1, keepdims=True)
    losses, nets = {}, {}
    for isa in ("avx2", "avx512"):
        with fg.force_isa(isa):
            nets[isa] = fg.MLP([37, 200, 64, 21], activation=activation, dtype=dtype, seed=4)
        trainer = fg.Trainer(nets[isa], loss, "adam")
        losses[isa] = [
            *trainer.run(X, y, steps=4, batch_size=32).loss,
            *trainer.run(X, y, steps=2, batch_size=257).loss,
        ]
    assert losses["avx2"] == losses["avx512"]
    assert same_bits(parameters(nets["avx2"]), parameters(nets["avx512"]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_instruction_sets_agree_to_rounding(dtype):
    found = []
    for isa in ISAS:
        with fg.force_isa(isa):
            found.append(outcome("sliced", 1, dtype, fg.SGD(lr=0.05, momentum=0.9)))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(np.isnan(two), np.isnan(one))
            exact = np.nan_to_num(one.astype(np.float64))
            assert relative(np.nan_to_num(two), exact) < (1e-5 if dtype == "float32" else 1e-13)


def test_two_threads_on_one_trainer_make_the_steps_of_a_serial_order():
    """Each thread brings one batch again and again; which came when shows in the losses, and a replay agrees."""
    steps = 300
    net = fg.MLP([7, 20, 3], activation="tanh", seed=0)
    batches = [data([7, 3], 64 + 9 * i, seed=i) for i in range(2)]
    trainer = fg.Trainer(net, "cross_entropy", fg.SGD(lr=0.05))
    losses, seen = [[], []], []

    def work(i):
        for _ in range(steps):
            losses[i].append(trainer.step(*batches[i]))
            seen.append([trainer.stats[name].copy() for name in MEASURED_EVERYWHERE])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads(work, count=2)
    finally:
        sys.setswitchinterval(interval)
    assert trainer.steps == 2 * steps
    assert not np.isnan(seen).any()

    replayed = fg.MLP([7, 20, 3], activation="tanh", seed=0)
    again, done = fg.Trainer(replayed, "cross_entropy", fg.SGD(lr=0.05)), [0, 0]
    while sum(done) < 2 * steps:
        now = [replayed.evaluate(*batch, loss="cross_entropy") for batch in batches]
        came = [i for i in range(2) if done[i] < steps and np.isclose(losses[i][done[i]], now[i], rtol=1e-12)]
        assert came, f"after {done} steps no batch has the loss that its thread was told"
        assert again.step(*batches[came[0]]) == losses[came[0]][done[came[0]]]
        done[came[0]] += 1
    assert same_bits(parameters(net), parameters(replayed))
