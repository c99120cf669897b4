"""The statements about deep networks that fastgrad stands on, each a test named after its number.

Figures are those of the statements; several shapes and seeds each.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from support import relative, single

import fastgrad as fg

SEEDS = range(4)


def regression(seed, n, features, outputs):
    rng = np.random.default_rng(seed)
    return single(rng.standard_normal((n, features))), single(rng.standard_normal((n, outputs)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "silu"])
def test_s1_three_layers_and_the_norm_of_the_error(activation, seed):
    X, y = regression(seed, 16, 5, 3)
    net = fg.MLP([5, 9, 7, 3], activation=activation, dtype="float64", seed=seed)
    loss, gradients = net.gradients(X, y, loss="l2_norm")
    assert loss == pytest.approx(np.linalg.norm(y - net.forward(X), axis=1).sum(), rel=1e-12)
    h = 1e-5
    for layer in range(3):
        weights, differences = net.weights[layer], np.empty_like(gradients.weights[layer])
        for index in np.ndindex(weights.shape):
            values = []
            for sign in (1.0, -1.0):
                moved = weights.copy()
                moved[index] += sign * h
                net.weights[layer] = moved
                values.append(net.evaluate(X, y, loss="l2_norm"))
            differences[index] = (values[0] - values[1]) / (2.0 * h)
        net.weights[layer] = weights
        assert relative(gradients.weights[layer], differences) < 1e-7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", SEEDS)
def test_s1_one_step_moves_the_weights_by_minus_lr_times_the_gradient(seed, dtype):
    X, y = regression(seed, 20, 6, 4)
    net = fg.MLP([6, 17, 11, 4], activation="tanh", dtype=dtype, seed=seed)
    lr = np.dtype(dtype).type(0.125)
    gradients = net.gradients(X, y, loss="l2_norm")[1]
    expected = [w - lr * g for w, g in zip(net.weights, gradients.weights, strict=True)]
    fg.Trainer(net, "l2_norm", fg.SGD(lr=0.125)).step(X, y)
    for got, exact in zip(net.weights, expected, strict=True):
        np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_s1_the_gradient_is_zero_where_the_target_is_met(dtype):
    net = fg.MLP([3, 4, 4, 2], activation="relu", dtype=dtype, seed=1)
    X = np.random.default_rng(0).standard_normal((6, 3))
    loss, gradients = net.gradients(X, net.forward(X), loss="l2_norm")
    assert loss == 0.0
    for array in (*gradients.weights, *gradients.biases, gradients.input):
        assert not np.any(array)  # neither NaN nor anything but 0


@pytest.mark.parametrize("seed", SEEDS)
def test_s2_relu_passes_the_share_of_active_units(seed):
    X, y = regression(seed, 33, 20, 5)
    net = fg.MLP([20, 50, 41, 30, 5], activation="relu", dtype="float64", seed=seed)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(X, y)
    a = X
    for layer in range(3):
        a = np.maximum(a @ net.weights[layer] + net.biases[layer], 0.0)
        assert trainer.stats.deriv_mean[layer] == np.mean(a > 0.0)
    assert trainer.stats.deriv_mean[3] == 1.0


@pytest.mark.parametrize("depth", [2, 5, 20])
@pytest.mark.parametrize("seed", SEEDS)
def test_s2_relu_gradients_scale_with_the_input(seed, depth):
    X, _ = regression(seed, 24, 16, 1)
    net = fg.MLP([16, *[32] * depth, 4], activation="relu", bias=False, dtype="float64", seed=seed)
    labels = np.random.default_rng(seed).integers(0, 4, len(X))

    def norms(scale):
        net.forward(scale * X, training=True)
        gradients = net.backward(np.eye(4)[labels])  # the same dL/da whatever the output
        return [np.linalg.norm(g) for g in gradients.weights]

    for scale in (1e-3, 7.0, 1e4):
        np.testing.assert_allclose(norms(scale), scale * np.array(norms(1.0)), rtol=1e-12)


def chain(weight, dtype, layers=10):
    return fg.MLP([1] * (layers + 1), activation="identity", init=fg.init.Constant(weight), bias=False, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("seed", SEEDS)
def test_s4_beyond_twenty_layers_gradients_vanish_and_are_reported(seed, activation, dtype):
    X, y = regression(seed, 32, 12, 5)
    net = fg.MLP([12, *[24] * 24, 5], activation=activation, init="glorot_uniform", dtype=dtype, seed=seed)
    if activation == "tanh":  # whose derivative may be 1: it takes saturated units to vanish so soon
        for layer in range(25):
            net.biases[layer] = np.full(net.sizes[layer + 1], 2.0)
    history = fg.Trainer(net, "mse", "sgd").run(X, y, steps=1, batch_size=32)
    decades = history.telemetry.log10("grad_norm")[0]
    assert np.all(np.isfinite(decades))
    assert decades[0] < decades[-1] - 10.0
    bound = {"sigmoid": 0.25, "tanh": 1.0}[activation]
    assert np.all(history.telemetry["deriv_mean"][:, :-1] <= bound)
    gains = history.telemetry.gains()
    assert np.all(gains.derivative[:, :-1] <= bound * (1.0 + 1e-5))
    factors = np.log10(gains.derivative * gains.weight)[0, 1:]
    climbed = history.telemetry.log10("act_grad_norm")[0]
    np.testing.assert_allclose(np.sum(factors), climbed[0] - climbed[-1], rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("weight", "figure"), [(0.5, 0.00098), (1.5, 57.7)])
def test_s8_ten_layers_multiply_up(weight, figure, dtype):
    net = chain(weight, dtype)
    output = net.forward([[1.0]])
    assert output[0, 0] == weight**10  # 0.5^10 and 1.5^10 are exact in both dtypes
    assert output[0, 0] == pytest.approx(figure, rel=4e-3)
    net.forward([[1.0]], training=True)
    gradients = net.backward([[1.0]])
    assert gradients.input[0, 0] == weight**10  # dL/dX over dL/da_10
    assert [g[0, 0] for g in gradients.weights] == [weight**9] * 10


@pytest.mark.parametrize("weight", [0.5, 1.5])
def test_s8_the_ratio_of_deltas_is_that_of_the_outputs(weight):
    net = chain(weight, "float64")
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step([[1.0]], [[0.0]])
    deltas = trainer.stats.delta_norm
    assert deltas[0] / deltas[-1] == pytest.approx(weight**9, rel=1e-12)
    assert trainer.stats.act_rms[-1] / trainer.stats.act_rms[0] == pytest.approx(weight**9, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [0.5, 1.5])
@pytest.mark.parametrize("layers", [10, 200, 1000])
def test_s8_the_ratio_of_gradients_at_any_depth(layers, weight, dtype):
    net = chain(weight, dtype, layers)
    net.forward([[1.0]], training=True)
    gradients = net.backward([[1.0]])
    wanted = (layers - 1) * math.log10(weight)
    np.testing.assert_allclose(gradients.log10_norm, wanted, rtol=1e-13, atol=4e-6 if dtype == "float32" else 0.0)


def log10_of(fraction):
    """log10 of a positive Fraction, however large or small."""
    return math.log10(fraction.numerator) - math.log10(fraction.denominator)


def two_units(weight, dtype, layers, bias=False):
    net = fg.MLP([2] * (layers + 1), activation="identity", init=np.zeros((2, 2)), bias=bias, dtype=dtype)
    for layer in range(layers):
        net.weights[layer] = weight * np.eye(2)
    return net


S9_X = [[1.0, -2.0], [3.0, 0.25], [-0.5, 5.0]]
S9_TOLERANCE = {(0.5, "float32"): 1e-13, (0.5, "float64"): 1e-13, (1.5, "float32"): 1e-5, (1.5, "float64"): 1e-12}


@pytest.mark.parametrize("layers", [1, 2, 10, 100, 333, 1000])
@pytest.mark.parametrize(("weight", "dtype"), S9_TOLERANCE)
def test_s9_two_linear_units_give_powers_of_their_weight(weight, dtype, layers):
    net = two_units(weight, dtype, layers)
    X = [[Fraction(x) for x in row] for row in S9_X]
    power = Fraction(weight) ** layers
    outputs = [[power * x for x in row] for row in X]
    tolerance = S9_TOLERANCE[weight, dtype]
    largest, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    for got, exact in zip(net.forward(S9_X).ravel(), [a for row in outputs for a in row], strict=True):
        if abs(exact) < tiny:
            assert got == 0.0
        elif abs(exact) > largest:
            assert np.isinf(got)
        else:
            assert got == exact if weight == 0.5 else got == pytest.approx(float(exact), rel=tolerance)

    net.forward(S9_X, training=True)
    gradients = net.backward(np.ones((3, 2)))  # dL/dW_l is weight^(L - 1) x^T 1, of every layer
    columns = [sum(row[unit] for row in X) for unit in range(2)]
    norm = log10_of(2 * sum(c * c for c in columns) * (power / Fraction(weight)) ** 2) / 2
    np.testing.assert_allclose(gradients.log10_norm - norm, 0.0, atol=tolerance)

    loss, gradients = net.gradients(S9_X, np.zeros((3, 2)), loss="mse")
    exact = sum(a * a for row in outputs for a in row) / 6
    assert abs(gradients.log10_loss - log10_of(exact)) < 2 * tolerance
    assert loss == (pytest.approx(float(exact), rel=10 * tolerance) if exact < Fraction(1e308) else np.inf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [False, True])
def test_s9_every_level_is_reported_where_float32_has_nothing_left(bias, dtype):
    layers, weight = 1000, 0.5
    net = two_units(weight, dtype, layers, bias)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(S9_X, np.zeros((3, 2)))
    levels = np.arange(1, layers + 1) * math.log10(weight)
    first = math.log10(np.sqrt(np.mean(np.square(S9_X))))
    np.testing.assert_allclose(trainer.stats.log10("act_rms"), first + levels, rtol=1e-13)
    np.testing.assert_allclose(trainer.stats.log10("preact_rms"), first + levels, rtol=1e-13)
    error = math.log10(2.0 / 6.0 * np.linalg.norm(S9_X)) + levels[-1]
    wanted = error + levels[::-1] - levels[0]  # up to the rounding of 2 / 6 and of squares
    np.testing.assert_allclose(trainer.stats.log10("delta_norm"), wanted, rtol=0, atol=1e-7)


# With unit-variance inputs and 256 units: ReLU keeps the root mean square within a factor of 8 over 100 layers (its
# logarithm walks at random with variance 5 / width a layer); tanh settles where its own curvature balances the weights.
S10_BANDS = {"relu": ("he_normal", 1.0 / 8.0, 8.0), "tanh": ("glorot_normal", 0.03, 0.7)}


@pytest.mark.parametrize("activation", S10_BANDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_s10_variance_scaled_by_fan_in_keeps_activations_steady(activation, seed):
    init, low, high = S10_BANDS[activation]
    X, y = regression(seed, 64, 256, 8)

    def act_rms(rule):
        net = fg.MLP([256] * 101 + [8], activation=activation, init=rule, seed=seed, dtype="float64")
        trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
        trainer.step(X, y)
        return trainer.stats.act_rms[:100]

    steady, unit = act_rms(init), act_rms(fg.init.Normal(1.0))
    assert np.all((low < steady) & (steady < high))
    assert np.all(unit > high)


def wild(depth, gain, dtype, seed):
    """Return a chaotic tanh network, whose activations stay in [-1, 1] while gradients grow with depth."""
    net = fg.MLP([20] * (depth + 1), activation="tanh", bias=False, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in range(depth):
        net.weights[layer] = single(gain / np.sqrt(20) * rng.standard_normal((20, 20)))
    return net


@pytest.mark.parametrize("seed", SEEDS)
def test_s14_vanished_and_exploded_gradients_are_numbers(seed):
    X, y = regression(seed, 16, 20, 20)
    depth = 300
    quiet = fg.MLP([20] * (depth + 1), activation="sigmoid", init="glorot_normal", seed=seed)
    telemetry = fg.Trainer(quiet, "mse", "sgd").run(X, y, steps=1, batch_size=16).telemetry
    decades = telemetry.log10("delta_norm")[0]
    assert np.all(np.isfinite(decades))
    assert decades[0] < -100
    np.testing.assert_array_equal(telemetry.would_underflow[0], decades < -37.93)
    assert telemetry.would_underflow[0, 0]
    assert not telemetry.would_underflow[0, -1]
    assert not telemetry.would_overflow.any()

    loud = wild(500, 4.0, "float64", seed)
    telemetry = fg.Trainer(loud, "mse", fg.SGD(lr=1e-250)).run(X, y, steps=1, batch_size=16).telemetry
    decades = telemetry.log10("delta_norm")[0]
    assert np.all(np.isfinite(decades))
    assert decades[0] > 45
    np.testing.assert_array_equal(telemetry.would_overflow[0], decades > 38.53)
    assert not telemetry.would_overflow[0, -1]

    faint = two_units(0.5, "float64", 300, bias=True)  # activations vanish on their way, gradients on theirs
    telemetry = fg.Trainer(faint, "mse", fg.SGD(lr=0.0)).run(S9_X, np.ones((3, 2)), steps=1).telemetry
    deltas, levels = telemetry.log10("delta_norm")[0], telemetry.log10("act_rms")[0]
    np.testing.assert_array_equal(telemetry.would_underflow[0], (deltas < -37.93) | (levels < -37.93))
    assert telemetry.would_underflow.all()
    assert deltas[-1] > -37.93 > levels[-1]
    assert levels[0] > -37.93 > deltas[0]

    single_precision = wild(500, 4.0, "float32", seed)
    norms = single_precision.gradients(X, y, loss="mse")[1].log10_norm
    assert np.all(np.isfinite(norms))
    assert norms[0] > 38.53
    before = [np.array(w) for w in single_precision.weights]
    with pytest.raises(fg.DivergenceError, match="the update of layer") as caught:
        fg.Trainer(single_precision, "mse", fg.SGD(lr=1.0)).step(X, y)
    assert np.isfinite(caught.value.loss)
    for w, kept in zip(single_precision.weights, before, strict=True):
        np.testing.assert_array_equal(w, kept)
