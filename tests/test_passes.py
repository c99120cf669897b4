"""A run goes on where the last one stopped: in a loop it does, to the bit, what one call would do.

Which rows were met, and in which order, the losses of a network tell that says 0 and learns nothing: they are the
targets of batches of one row.
"""

import numpy as np
import pytest
from support import parameters, same_bits

import fastgrad as fg
from fastgrad._passes import Passes

SPLITS = ([25, 15], [1] * 40, [7, 1, 19, 13], [39, 1])


def regression(rows):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 5)), rng.standard_normal((rows, 2))


def outcome(splits, rows, batch_size, shuffle, record=True):
    X, y = regression(rows)
    net = fg.MLP([5, 9, 2], activation="tanh", seed=3)
    trainer = fg.Trainer(net, "mse", "adam", telemetry=record)
    history = fg.History(2)
    for steps in splits:
        trainer.run(X, y, steps=steps, batch_size=batch_size, shuffle=shuffle, history=history)
    return [history.loss, *(history.telemetry[name] for name in history.telemetry), *parameters(net)]


def test_what_is_refused_draws_no_order():
    X, y = regression(40)
    nets = [fg.MLP([5, 9, 2], seed=3) for _ in range(2)]
    for bad in (
        {"X": X[:, 1:]},
        {"y": y[1:]},
        {"batch_size": 0},
        {"shuffle": None},
        {"optimizer": "x"},
        {"telemetry": 3},
        {"validation_data": (X, y[1:])},
    ):
        with pytest.raises((TypeError, ValueError)):
            nets[0].fit(**({"X": X, "y": y, "loss": "mse"} | bad))
    for net in nets:
        net.fit(X, y, loss="mse", batch_size=4)
    assert same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("rows", "batch_size"), [(1000, 10), (103, 10), (61, 7), (5, 2), (30, 30), (4, 9)])
def test_runs_in_a_row_are_one_run(rows, batch_size, shuffle):
    for record in (True, False):
        whole = outcome([40], rows, batch_size, shuffle, record)
        for splits in SPLITS:
            assert same_bits(outcome(splits, rows, batch_size, shuffle, record), whole), splits


class Rows:
    """A Trainer that changes nothing, over rows that its losses tell."""

    def __init__(self, rows=50, **options):
        self.X, self.y = np.zeros((rows, 1)), np.arange(rows, dtype=float)[:, np.newaxis]
        self.net = fg.MLP([1, 1], init="zeros", seed=7)
        self.trainer = fg.Trainer(self.net, "mae", fg.SGD(lr=0.0), **options)

    def met(self, rows=None, batch_size=1, **options):
        X, y = self.X[:rows], self.y[:rows]
        return self.trainer.run(X, y, batch_size=batch_size, **options).loss.astype(int).tolist()


def test_a_loop_of_single_steps_meets_every_row_once_a_pass():
    data = Rows(31)
    passes = [[row for _ in range(31) for row in data.met(steps=1)] for _ in range(3)]
    assert all(sorted(order) == list(range(31)) for order in passes)
    assert passes[0] != passes[1] != passes[2]
    assert Rows(31).met(steps=93) == [row for order in passes for row in order]


def test_single_steps_do_not_move_the_place():
    data, undisturbed = Rows(), Rows().met(steps=50)
    found = []
    for steps in (3, 20, 27):
        found += data.met(steps=steps)
        data.trainer.step(data.X[:4], data.y[:4])
    assert found == undisturbed


@pytest.mark.parametrize("other", [{"rows": 40}, {"batch_size": 2}, {"shuffle": False}, {"epochs": 1}])
def test_what_begins_a_new_pass(other):
    data, fresh = Rows(), Rows()
    first = data.met(steps=20)
    data.met(**({"steps": 3} | other if "epochs" not in other else other))
    second = data.met(steps=50)
    assert sorted(second) == list(range(50))
    fresh.met(steps=50)
    drawn = 0 if other == {"shuffle": False} else 1
    for _ in range(drawn):  # the order of the pass in between
        fresh.met(steps=other.get("rows", 50), **{name: other[name] for name in ("rows",) if name in other})
    assert second == fresh.met(steps=50)
    assert first == Rows().met(steps=20)


def test_unshuffled_rows_go_on_too():
    data = Rows(10)
    assert [row for _ in range(5) for row in data.met(steps=4, shuffle=False)] == [*range(10), *range(10)]


def test_a_refused_step_is_met_again():
    data = Rows(50, check_finite=False)
    order = Rows(50).met(steps=50)
    bad = order[17]
    data.y[bad] = np.nan
    with pytest.raises(fg.DivergenceError) as caught:
        data.met(steps=40)
    assert caught.value.history.loss.astype(int).tolist() == order[:17]
    with pytest.raises(fg.DivergenceError) as again:
        data.met(steps=40)
    assert (len(again.value.history), again.value.sample) == (0, caught.value.sample)
    data.y[bad] = bad
    assert data.met(steps=33) == order[17:]


def test_a_pass_counted_in_epochs_is_what_fit_does():
    X, y = regression(103)
    nets = [fg.MLP([5, 9, 2], activation="tanh", seed=3) for _ in range(2)]
    fitted = nets[0].fit(X, y, loss="mse", optimizer="adam", epochs=3, batch_size=10)
    trainer = fg.Trainer(nets[1], "mse", "adam")
    history = trainer.run(X, y, epochs=2, batch_size=10)
    assert trainer.run(X, y, epochs=1, batch_size=10, history=history) is history
    assert same_bits(parameters(nets[1]), parameters(nets[0]))
    assert same_bits([history.loss], [fitted.loss])
    numbers, losses = ([getattr(epoch, name) for epoch in history.epochs] for name in ("epoch", "loss"))
    assert numbers == [0, 1, 2]
    assert losses == [epoch.loss for epoch in fitted.epochs]
    assert losses[1] == pytest.approx(np.average(history.loss[11:22], weights=[10] * 10 + [3]), rel=1e-12)
    assert all(epoch.validation_loss is None and epoch.seconds > 0 for epoch in history.epochs)


@pytest.mark.parametrize("given", [{}, {"steps": 3, "epochs": 1}])
def test_one_of_steps_and_epochs(given):
    data = Rows()
    with pytest.raises(TypeError, match=r"steps, epochs: got (neither|both), wants one of the two"):
        data.met(**given)
    with pytest.raises(ValueError, match="epochs: got 0, wants"):
        data.met(epochs=0)
    assert data.trainer.steps == 0


KEY = np.array([5, 6], np.uint64)


def orders(rows):
    rng = np.random.Generator(np.random.Philox(key=KEY))
    while True:
        yield rng.permutation(rows)


def test_an_interrupted_shuffle_is_drawn_again(monkeypatch):
    passes, expected = Passes(KEY), orders(9)
    np.testing.assert_array_equal(passes.coming(9, 2, True, 5), next(expected))
    passes.move_to(5)

    class Interrupted(np.random.Generator):
        def permutation(self, rows):
            super().permutation(rows)
            raise KeyboardInterrupt

    with monkeypatch.context() as other:
        other.setattr(np.random, "Generator", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            passes.coming(9, 2, True, 5)
    np.testing.assert_array_equal(passes.coming(9, 2, True, 5), next(expected))


def test_an_order_is_drawn_once_a_pass_and_not_copied():
    passes, expected = Passes(KEY), orders(1000)
    for order in (next(expected), next(expected)):
        whole = passes.coming(1000, 7, True, 1000)
        for done in range(0, 143, 9):
            passes.move_to(done)
            coming = passes.coming(1000, 7, True, 3)
            assert np.shares_memory(coming, whole)
            np.testing.assert_array_equal(coming, order[7 * done : 7 * done + 21])
        passes.move_to(143)
