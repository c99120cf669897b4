"""telemetry=False: nothing is recorded, and nothing else changes, to the bit."""

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
