"""Every recorded statistic against NumPy's float64 value of the array it describes, to 1e-6, in all magnitudes.

The arrays are those the engine exposes; what it never stores (the increment before it is rounded into the weights) is
computed again in float64 from its gradients.
"""

import numpy as np
import pytest
from support import DTYPES, ISAS, draw_case, parameters, same_bits, single

import fastgrad as fg
from fastgrad import _core, reference
from fastgrad._inside import inside
from fastgrad._ring import RING
from fastgrad.telemetry import STATISTICS

TOLERANCE = 1e-6
OPTIMIZERS = [
    fg.SGD(lr=0.05),
    fg.SGD(lr=0.05, weight_decay=0.01),
    fg.SGD(lr=0.05, momentum=0.9),
    fg.SGD(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01),
    fg.SGD(lr=0.05, momentum=0.9, nesterov=True),
    fg.Adam(),
    fg.Adam(lr=0.01, betas=(0.7, 0.95), eps=1e-4, weight_decay=0.02),
    fg.AdamW(lr=0.01, weight_decay=0.3),
    fg.RMSprop(),
    fg.RMSprop(lr=0.01, alpha=0.9, momentum=0.8, weight_decay=0.02),
    fg.RMSprop(lr=0.01, alpha=0.9, centered=True),
    fg.RMSprop(lr=0.01, alpha=0.9, centered=True, momentum=0.5),
]
SHAPES = [
    ([1, 1], 1),
    ([5, 3], 7),
    ([17, 33, 2], 16),
    ([64, 65, 129, 31, 10], 70),
    ([3, 128, 1, 47, 9], 33),
]


def wide(array):
    return np.asarray(array, np.float64)


def norms(arrays):
    return [np.linalg.norm(wide(array)) for array in arrays]


def expected_statistics(net, case):
    """Return what the exposed arrays give, and the gradients of the weights.

    deriv_mean is that of float64 slopes; dead tells of each unit whether it is dead for this batch.
    """
    plan = _core.Plan(inside(net).network, len(case.X), "gradients")
    X, y = case.X.astype(net.dtype), case.y if case.y.dtype == np.int64 else case.y.astype(net.dtype)
    plan.gradients(X, y, case.loss)
    table = {name: [] for name in STATISTICS}
    a, deltas = wide(X), []
    for layer, width in enumerate(net.sizes[1:]):
        activation, delta = np.empty((len(X), width), net.dtype), np.empty((len(X), width), net.dtype)
        plan.activation(layer, activation)
        plan.delta(layer, delta)
        z = a @ wide(net.weights[layer]) + (wide(net.biases[layer]) if net.biases else 0.0)
        a = wide(activation)
        table["act_mean"].append(np.mean(a))
        table["act_rms"].append(np.sqrt(np.mean(a**2)))
        slope = reference.ACTIVATIONS[net.activations[layer]].slope(z)
        table["preact_rms"].append(np.sqrt(np.mean(z**2)))
        table["deriv_mean"].append(np.mean(np.abs(slope)))
        table["saturated"].append(reference.saturated(net.activations[layer], slope))
        table["dead"].append(np.all(slope == 0.0, axis=0))
        table["delta_norm"].append(np.linalg.norm(wide(delta)))
        deltas.append(wide(delta))
    upstream = reference.LOSSES[case.loss](a, wide(y) if y.dtype != np.int64 else y)[1]
    table["act_grad_norm"] = norms(
        [*(d @ wide(w).T for d, w in zip(deltas[1:], net.weights[1:], strict=True)), upstream]
    )
    gradients = net.gradients(case.X, case.y, loss=case.loss)[1]
    table["grad_norm"] = norms(gradients.weights)
    table["grad_max"] = [np.max(np.abs(gradient)) for gradient in gradients.weights]
    table["bias_grad_norm"] = norms(gradients.biases) if net.biases else [np.nan] * len(net.weights)
    table["weight_norm"] = norms(net.weights)
    table["clip_factor"] = [1.0] * len(net.weights)
    return table, [wide(gradient) for gradient in gradients.weights]


def assert_steps_are_described(net, case, optimizer, steps=3):
    trainer = fg.Trainer(net, case.loss, optimizer)
    states = [reference.State() for _ in net.weights]
    dead = [True] * len(net.weights)
    for _ in range(steps):
        table, gradients = expected_statistics(net, case)
        dead = [before & now for before, now in zip(dead, table["dead"], strict=True)]
        table["dead"] = [np.mean(units) for units in dead]
        for layer, gradient in enumerate(gradients):
            change, states[layer] = reference.increment(optimizer, wide(net.weights[layer]), gradient, states[layer])
            table["update_norm"].append(np.linalg.norm(change))
        table["update_ratio"] = np.divide(table["update_norm"], table["weight_norm"])
        trainer.step(case.X, case.y)
        for name in STATISTICS:
            # a mean of both signs may cancel: it is judged on the scale of what it averages
            slack = TOLERANCE * np.array(table["act_rms"]) if name == "act_mean" else 0.0
            if name == "saturated":  # an entry at the threshold may be on either side
                slack = 1.5 / (len(case.X) * np.array(net.sizes[1:]))
            error = np.abs(trainer.stats[name] - table[name])
            good = (error <= TOLERANCE * np.abs(table[name]) + slack) | np.isnan(table[name])
            assert np.all(good), f"{name}: {trainer.stats[name]}, wants {table[name]}"
            np.testing.assert_array_equal(np.isnan(trainer.stats[name]), np.isnan(table[name]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(optimizer, dtype, isa):
    names = ["tanh", "silu", "identity"]
    case = draw_case(np.random.default_rng(1), [19, 65, 34, 7], names, "cross_entropy", "labels", n=45)
    assert_steps_are_described(case.build(isa, dtype), case, optimizer)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", sorted(reference.ACTIVATIONS))
@pytest.mark.parametrize(("sizes", "rows"), SHAPES, ids=[str(shape) for shape in SHAPES])
def test_every_activation_and_ragged_shape(sizes, rows, activation, dtype, isa):
    rng = np.random.default_rng([rows, *activation.encode()])
    names = [activation] * (len(sizes) - 1)
    case = draw_case(rng, sizes, names, "mse", "real", n=rows, bias=rows != 33)
    assert_steps_are_described(case.build(isa, dtype), case, fg.Adam(lr=0.01))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e-19, 1e19, 1e25, 1e30])
def test_squares_that_leave_the_range_of_float32_cost_no_accuracy(scale, dtype, isa):
    case = draw_case(np.random.default_rng(2), [23, 38], ["identity"], "mse", "real", n=30, bias=False)
    W, y = single(case.weights[0] * scale), single(case.y * scale)
    case = type(case)([W], [], case.activations, case.loss, case.X, y)
    assert_steps_are_described(case.build(isa, dtype), case, fg.SGD(lr=1e-3))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", [1e-140, 1e-100, 1e100, 1e140])
def test_norms_hold_wherever_squares_fit_float64(scale, isa):
    rng = np.random.default_rng(2)
    W, X = rng.standard_normal((23, 38)), rng.standard_normal((30, 23))
    with fg.force_isa(isa):
        net = fg.MLP([23, 38], init=[W * scale], bias=False, dtype="float64")
    trainer = fg.Trainer(net, "huber", fg.SGD(lr=0.0))  # at both ends the gradient is of the outputs' size, or of 1
    gradient = net.gradients(X, np.zeros((30, 38)), loss="huber")[1].weights[0]
    trainer.step(X, np.zeros((30, 38)))
    assert trainer.stats.weight_norm[0] == pytest.approx(scale * np.linalg.norm(W), rel=1e-12, abs=0.0)
    assert trainer.stats.act_rms[0] == pytest.approx(scale * np.sqrt(np.mean((X @ W) ** 2)), rel=1e-12, abs=0.0)
    assert trainer.stats.grad_norm[0] == pytest.approx(float(reference.norm(gradient)), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_large_entry_does_not_hide_the_small_ones_of_another_layer(dtype, isa):
    case = draw_case(np.random.default_rng(3), [9, 9, 9, 9], ["identity"] * 3, "mse", "real", n=12, bias=False)
    weights = [single(W * scale) for W, scale in zip(case.weights, (1e15, 1e-25, 1e10), strict=True)]
    case = type(case)(weights, [], case.activations, case.loss, case.X, case.y)
    assert_steps_are_described(case.build(isa, dtype), case, fg.SGD(lr=1e-10), steps=1)


def network_and_data(dtype="float32"):
    rng = np.random.default_rng(4)
    net = fg.MLP([8, 21, 13, 3], activation="elu", dtype=dtype, seed=6)
    return net, rng.standard_normal((50, 8)), rng.integers(0, 3, 50)


def test_statistics_of_a_network_without_biases_have_no_bias_gradient():
    net = fg.MLP([4, 5, 2], bias=False)
    trainer = fg.Trainer(net, "mse", "sgd")
    trainer.step(np.ones((3, 4)), np.zeros((3, 2)))
    assert np.all(np.isnan(trainer.stats.bias_grad_norm))
    for name in set(STATISTICS) - {"bias_grad_norm", "saturated"}:  # a ReLU does not saturate
        assert np.all(np.isfinite(trainer.stats[name])), name


def test_statistics_stay_valid_until_their_slot_is_reused():
    net, X, y = network_and_data()
    trainer = fg.Trainer(net, "cross_entropy", "adam")
    views, copies = [], []
    for _ in range(RING):
        trainer.step(X, y)
        views.append(trainer.stats)
        copies.append(trainer.stats.copy())
    assert [view.step for view in views] == list(range(RING))
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_array_equal(view.values, copy.values)
    trainer.step(X, y)
    np.testing.assert_array_equal(views[0].values, trainer.stats.values)  # the 33rd step took the first slot


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [50, 32, 7])
def test_a_run_records_what_single_steps_report(batch_size, dtype):
    net, X, y = network_and_data(dtype)
    history = fg.Trainer(net, "cross_entropy", "adam").run(X, y, steps=40, batch_size=batch_size, shuffle=False)
    twin, _, _ = network_and_data(dtype)
    trainer = fg.Trainer(twin, "cross_entropy", "adam")
    starts = list(range(0, 50, batch_size))
    for step in range(40):
        start = starts[step % len(starts)]
        assert trainer.step(X[start : start + batch_size], y[start : start + batch_size]) == history.loss[step]
        assert same_bits([trainer.stats.values], [history.telemetry.at(step).values])
    assert same_bits(parameters(net), parameters(twin))


def test_stats_after_a_run_are_those_of_its_last_steps():
    net, X, y = network_and_data()
    trainer = fg.Trainer(net, "cross_entropy", "adam")
    history = trainer.run(X, y, steps=45, batch_size=9)
    assert trainer.steps == 45
    assert trainer.stats.step == 44
    np.testing.assert_array_equal(trainer.stats.values, history.telemetry.at(-1).values)


def test_fit_records_what_single_steps_report():
    net, X, y = network_and_data()
    history = net.fit(X, y, loss="cross_entropy", optimizer="rmsprop", epochs=3, batch_size=16, shuffle=False)
    twin, _, _ = network_and_data()
    trainer = fg.Trainer(twin, "cross_entropy", "rmsprop")
    for step in range(12):
        start = 16 * (step % 4)
        assert trainer.step(X[start : start + 16], y[start : start + 16]) == history.loss[step]
        assert same_bits([trainer.stats.values], [history.telemetry.at(step).values])


def test_stats_after_a_divergence_are_those_of_the_last_step_done():
    net = fg.MLP([2, 3, 2], activation="identity", dtype="float64", seed=0)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=50.0))
    with pytest.raises(fg.DivergenceError) as caught:
        trainer.run(np.ones((4, 2)), np.zeros((4, 2)), steps=10_000)
    history = caught.value.history
    assert trainer.steps == caught.value.step == len(history) > 0
    np.testing.assert_array_equal(trainer.stats.values, history.telemetry.at(-1).values)
