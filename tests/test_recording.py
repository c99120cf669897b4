"""What is recorded of a run, and that recording changes nothing else, to the bit."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from support import DTYPES, parameters, same_bits

import fastgrad as fg

SIZES, ROWS = [40, 200, 200, 6], 256  # enough work for two threads
OPTIMIZERS = [
    fg.SGD(lr=0.05),
    fg.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    fg.Adam(lr=0.01),
    fg.AdamW(lr=0.01, weight_decay=0.3),
    fg.RMSprop(lr=0.001, momentum=0.5, centered=True),
]


def data():
    rng = np.random.default_rng(3)
    return rng.standard_normal((ROWS, SIZES[0])), rng.integers(0, SIZES[-1], ROWS)


def by_steps(net, optimizer, telemetry):
    X, y = data()
    trainer = fg.Trainer(net, "cross_entropy", optimizer, telemetry=telemetry)
    return np.array([trainer.step(X[start:], y[start:]) for start in (0, 100, 0, 200, 255, 0)])


def by_run(net, optimizer, telemetry):
    X, y = data()
    trainer = fg.Trainer(net, "cross_entropy", optimizer, telemetry=telemetry)
    return trainer.run(X, y, steps=7, batch_size=90).loss


def by_fit(net, optimizer, telemetry):
    X, y = data()
    options = {"loss": "cross_entropy", "optimizer": optimizer, "epochs": 3, "batch_size": 100}
    return net.fit(X, y, **options, telemetry=telemetry).loss


@pytest.mark.parametrize("train", [by_steps, by_run, by_fit])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_recording_does_not_change_a_bit(optimizer, dtype, threads, train):
    fg.set_num_threads(threads)
    results = []
    for telemetry in (True, False):
        net = fg.MLP(SIZES, activation="silu", dtype=dtype, seed=2)
        results.append([train(net, optimizer, telemetry), *parameters(net)])
    assert same_bits(*results)


def test_nothing_is_recorded_but_losses():
    X, y = data()
    net = fg.MLP(SIZES, seed=2)
    history = net.fit(X, y, loss="cross_entropy", epochs=2, batch_size=100, telemetry=False)
    assert len(history) == len(history.loss) == 6
    assert len(history.epochs) == 2
    assert len(history.telemetry) == 0
    assert history.telemetry["grad_norm"].shape == (0, 3)


def test_stats_say_why_there_are_none():
    X, y = data()
    trainer = fg.Trainer(fg.MLP(SIZES), "cross_entropy", telemetry=False)
    for _ in range(2):
        with pytest.raises(ValueError, match="stats: got a Trainer with telemetry=False"):
            _ = trainer.stats
        trainer.step(X, y)
        trainer.run(X, y, steps=3)
    assert trainer.steps == 8


@pytest.mark.parametrize("first", [True, False])
def test_a_history_is_recorded_whole_or_not_at_all(first):
    net, (X, y) = fg.MLP(SIZES, seed=1), data()
    history = fg.Trainer(net, "cross_entropy", telemetry=first).run(X, y, steps=4)
    before = [w.copy() for w in net.weights]
    with pytest.raises(ValueError, match=f"history: got steps {'with' if first else 'without'} telemetry"):
        fg.Trainer(net, "cross_entropy", telemetry=not first).run(X, y, steps=3, history=history)
    for w, kept in zip(net.weights, before, strict=True):
        np.testing.assert_array_equal(w, kept)
    again = fg.Trainer(net, "cross_entropy", telemetry=first).run(X, y, steps=3, history=history)
    assert again is history
    assert len(history) == 7
    assert len(history.telemetry) == (7 if first else 0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every: got 0, wants an integer >= 1"),
        ({"every": 2.0}, TypeError, "every: got 2.0"),
        ({"every": 10**30}, ValueError, "every: got 1000"),
        ({"keep": 1}, ValueError, "keep: got 1, wants an integer >= 2"),
        ({"keep": True}, TypeError, "keep: got True"),
        ({"file": 3}, TypeError, r"file: got 3, wants a path that ends in \.npz, in an existing folder"),
        ({"file": b"run.npz"}, TypeError, r"file: got b'run\.npz', wants a path"),
        ({"file": "run.npy"}, ValueError, r"file: got 'run\.npy', wants a path"),
        ({"file": "none/run.npz"}, ValueError, r"file: got 'none/run\.npz', wants a path"),
        ({"file": ""}, ValueError, r"file: got '\.', wants a path"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        fg.Telemetry(**options)


def test_a_folder_is_no_file_and_options_are_frozen(tmp_path):
    (tmp_path / "run.npz").mkdir()
    with pytest.raises(ValueError, match="file: got "):
        fg.Telemetry(file=tmp_path / "run.npz")
    with pytest.raises(AttributeError, match="every"):
        fg.Telemetry().every = 2
    assert fg.Telemetry(np.int64(3), file=str(tmp_path / "a.npz")) == fg.Telemetry(3, 4096, tmp_path / "a.npz")


@pytest.mark.parametrize("changed", [{"every": 2}, {"keep": 50}])
def test_a_history_is_recorded_in_one_way(changed):
    net, (X, y) = fg.MLP(SIZES, seed=1), data()
    history = fg.Trainer(net, "cross_entropy").run(X, y, steps=4)
    before = parameters(net)
    message = f"history: got steps recorded with every=1 and keep=4096, wants every={changed.get('every', 1)} and keep="
    with pytest.raises(ValueError, match=message):
        fg.Trainer(net, "cross_entropy", telemetry=fg.Telemetry(**changed)).run(X, y, steps=3, history=history)
    assert same_bits(parameters(net), before)
    assert len(history) == len(history.telemetry) == 4


@pytest.mark.parametrize("size", [10, 256])
def test_steps_are_recorded_as_telemetry_says_across_runs(size):
    X, y = data()

    def train(telemetry):
        history, net = fg.History(3), fg.MLP(SIZES, seed=2)
        for steps in (3, 60, 1, 41):
            trainer = fg.Trainer(net, "cross_entropy", "sgd", telemetry=telemetry)
            trainer.step(X, y)
            trainer.run(X, y, steps=steps, batch_size=size, history=history)
        return trainer, history

    (whole, full), (trainer, some) = train(True), train(fg.Telemetry(every=3, keep=8))
    assert len(some) == len(full) == 105
    np.testing.assert_array_equal(some.loss, full.loss)
    assert some.telemetry.steps.tolist() == list(range(0, 105, 24))
    for row, step in enumerate(some.telemetry.steps):
        assert some.telemetry.at(row).step == step
        assert same_bits([some.telemetry.at(row).values], [full.telemetry.at(step).values])
    assert same_bits([trainer.stats.values], [full.telemetry.at(-1).values])
    assert trainer.stats.step == whole.stats.step == 41


def test_a_divergence_hands_over_every_recent_step_whatever_is_recorded():
    net = fg.MLP([2, 6, 6, 2], activation="identity", seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.8), telemetry=fg.Telemetry(every=10, keep=2))
    with pytest.raises(fg.DivergenceError) as caught:
        trainer.run(np.ones((4, 2)), np.zeros((4, 2)), steps=10_000)
    step = caught.value.step
    assert [stats.step for stats in caught.value.recent] == list(range(max(0, step - 32), step))


def test_memory_is_bounded_however_long_the_run():
    net = fg.MLP([2] * 201, activation="tanh", seed=0)  # 22 kB of statistics a step
    trainer = fg.Trainer(net, "mse", "sgd", telemetry=fg.Telemetry(keep=64))
    X = np.ones((4000, 2), np.float32)
    trainer.run(X, X, steps=1, batch_size=1)
    tracemalloc.start()
    try:
        history = trainer.run(X, X, steps=4000, batch_size=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(history) == 4000
    assert len(history.telemetry) == 63
    assert peak < 8e6 < 4000 * history.telemetry.at(0).values.nbytes / 10


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_divergence_is_found_all_the_same(dtype):
    def diverge(telemetry):
        net = fg.MLP([2, 6, 6, 2], activation="identity", dtype=dtype, seed=0)
        trainer = fg.Trainer(net, "mse", fg.SGD(lr=30.0, momentum=0.5), telemetry=telemetry)
        with pytest.raises(fg.DivergenceError) as of_run:
            trainer.run(np.ones((4, 2)), np.zeros((4, 2)), steps=10_000)
        with pytest.raises(fg.DivergenceError) as of_step:
            trainer.step(np.ones((4, 2)), np.zeros((4, 2)))
        return of_run.value, of_step.value, parameters(net)

    (full, _, weights), (run, step, same) = diverge(True), diverge(False)
    assert run.step == step.step == len(run.history) == full.step > 0
    assert str(run) == str(full)
    np.testing.assert_array_equal(run.history.loss, full.history.loss)
    assert len(run.history.telemetry) == 0
    assert same_bits(same, weights)


def test_two_runs_do_not_write_to_one_history_at_once():
    X, y = data()
    trainers = [fg.Trainer(fg.MLP(SIZES, seed=seed), "cross_entropy") for seed in (1, 2)]
    history = fg.History(len(SIZES) - 1)
    refused = pytest.raises(ValueError, match="history: got one that another run is writing to, wants one of its own")
    with trainers[0]._runs.recorder.recording(history), refused:
        trainers[1].run(X, y, steps=3, history=history)
    assert trainers[1].steps == len(history) == 0
    trainers[1].run(X, y, steps=3, history=history)
    assert len(history) == 3


def test_copies_of_a_history_are_apart_and_a_trainer_has_none():
    X, y = data()
    trainer = fg.Trainer(fg.MLP(SIZES, seed=1), "cross_entropy")
    history = trainer.run(X, y, steps=3)
    twin, record = copy.copy(history), copy.copy(history.telemetry)
    trainer.run(X, y, steps=4, history=history)
    assert (len(history), len(twin), len(twin.telemetry), len(record)) == (7, 3, 3, 3)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Trainer: cannot be copied or pickled; copy its net"):
            attempt(trainer)
