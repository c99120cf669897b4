"""Gradients far outside the range of their dtype, against a float64 backward pass rescaled by exact powers of two.

The oracle takes the engine's own activations where the engine computes in float32, so that it judges backward alone.
"""

import mpmath
import numpy as np
import pytest
from support import DTYPES, ISAS

import fastgrad as fg
from fastgrad import _core, reference

TOLERANCE = {"float32": 1e-6, "float64": 1e-9}


def split(x):
    """Return x as (m, e), x = m * 2**e, with the largest |m| in [0.5, 1)."""
    largest = np.max(np.abs(x))
    exponent = int(np.frexp(largest)[1]) if largest > 0 else 0
    return np.ldexp(x, -exponent), exponent


def log10_norm(m, exponent):
    return np.log10(np.linalg.norm(m)) + exponent * np.log10(2.0)


def oracle(net, X, y):
    """Return log10 of the norms of dL/dz and dL/dW of each layer for the mean squared error, and the exact pairs."""
    weights = [np.asarray(w, np.float64) for w in net.weights]
    biases = [np.asarray(b, np.float64) for b in net.biases] or [0.0] * len(weights)
    levels, slopes = [np.asarray(X, np.float64)], []
    for w, b, name in zip(weights, biases, net.activations, strict=True):
        z = levels[-1] @ w + b
        slopes.append(reference.ACTIVATIONS[name].slope(z))
        levels.append(reference.ACTIVATIONS[name].value(z))
    delta, exponent = split(2.0 * (levels[-1] - y) / y.size * slopes[-1])
    deltas, gradients, exact = [], [], []
    for layer in reversed(range(len(weights))):
        below, shift = split(levels[layer])
        gradient, more = split(below.T @ delta)
        deltas.append(log10_norm(delta, exponent))
        gradients.append(log10_norm(gradient, exponent + shift + more))
        exact.append((gradient, exponent + shift + more))
        if layer:
            slope, less = split(slopes[layer - 1])
            delta, more = split((delta @ weights[layer].T) * slope)
            exponent += more + less
    return np.array(deltas[::-1]), np.array(gradients[::-1]), exact[::-1]


def off(log10_got, log10_wanted):
    """Return the largest relative difference of the values behind the logarithms."""
    return np.max(np.abs(np.expm1((log10_got - log10_wanted) * np.log(10.0))))


def vanishing(activation, layers, dtype, isa, seed, bias=True, gain=1.0):
    rng = np.random.default_rng(seed)
    widths = [int(w) for w in rng.integers(3, 40, size=layers + 1)]
    with fg.force_isa(isa):
        net = fg.MLP(widths, activation=activation, init="glorot_normal", bias=bias, dtype=dtype, seed=seed)
    for layer in range(layers):
        net.weights[layer] = gain * net.weights[layer]
        if bias:
            net.biases[layer] = (0.1 * rng.standard_normal(widths[layer + 1])).astype(dtype)
    rows = int(rng.integers(1, 70))
    return net, rng.standard_normal((rows, widths[0])).astype(dtype), rng.standard_normal((rows, widths[-1]))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layers", "seed"), [(20, 0), (100, 1), (300, 2), (1000, 3)])
def test_sigmoid_networks_of_any_depth(layers, seed, dtype, isa):
    net, X, y = vanishing("sigmoid", layers, dtype, isa, seed)
    deltas, gradients, _ = oracle(net, X, y)
    assert layers < 1000 or gradients[0] < -600
    grads = net.gradients(X, y, loss="mse")[1]
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3))
    trainer.step(X, y)
    stats = trainer.stats
    tolerance = TOLERANCE[dtype] * layers if dtype == "float32" else TOLERANCE[dtype]
    assert off(stats.log10("delta_norm"), deltas) < tolerance
    assert off(stats.log10("grad_norm"), gradients) < tolerance
    np.testing.assert_array_equal(grads.log10_norm, stats.log10("grad_norm"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_gradients_lose_nothing(dtype):
    net, X, y = vanishing("sigmoid", 120, dtype, ISAS[-1], 5)
    grads = net.gradients(X, y, loss="mse")[1]
    for layer, (wanted, exponent) in enumerate(oracle(net, X, y)[2]):
        array, power = grads.scaled(layer)
        assert array.dtype == np.dtype(dtype)
        got = np.ldexp(np.asarray(array, np.float64), power - exponent)
        tolerance = 2e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)
        with np.errstate(under="ignore"):
            np.testing.assert_array_equal(grads.weights[layer], np.ldexp(array, power))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
def test_an_ordinary_gradient_is_that_of_a_plain_backward_to_the_bit(activation, dtype):
    net, X, y = vanishing(activation, 6, dtype, ISAS[-1], 7)
    levels, slopes = [X], []
    with fg.force_isa(net.isa):
        for w, b, name in zip(net.weights, net.biases, net.activations, strict=True):
            forward = fg.ops.forward(levels[-1], w, b, activation=name)
            levels.append(forward.output)
            slopes.append(forward.slope)
        delta = fg.ops.loss("mse", levels[-1], y.astype(dtype))[1] * slopes[-1]
        grads = net.gradients(X, y, loss="mse")[1]
        for layer in reversed(range(6)):
            np.testing.assert_array_equal(fg.ops.backward_weights(levels[layer], delta).weights, grads.weights[layer])
            if layer:
                delta = fg.ops.backward_data(delta, net.weights[layer], slopes[layer - 1])[0]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_same_bits_for_any_number_of_threads(threads):
    found = []
    for count in (1, threads):
        before = fg.get_num_threads()
        fg.set_num_threads(count)
        try:
            net = fg.MLP([64] * 120, activation="sigmoid", seed=3)
            X = np.random.default_rng(0).standard_normal((200, 64))
            trainer = fg.Trainer(net, "mse", fg.Adam(lr=1e-3))
            history = trainer.run(X, X, steps=3, batch_size=200)
            found.append((history.telemetry.log10("grad_norm").tobytes(), np.asarray(net.weights[0]).tobytes()))
        finally:
            fg.set_num_threads(before)
    assert found[0] == found[1]


def test_the_updates_of_tiny_gradients_are_those_of_their_true_values():
    net, X, y = vanishing("sigmoid", 90, "float32", ISAS[-1], 11)
    grads = net.gradients(X, y, loss="mse")[1]
    before = [np.asarray(w, np.float64) for w in net.weights]
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1.0))
    trainer.step(X, y)
    norms = trainer.stats.update_norm
    tiny = np.finfo(np.float32).tiny
    for layer, w in enumerate(before):
        true = np.ldexp(np.asarray(grads.scaled(layer)[0], np.float64), grads.scaled(layer)[1])
        flushed = np.where(np.abs(true) < tiny, 0.0, true)
        np.testing.assert_allclose(norms[layer], np.linalg.norm(flushed), rtol=1e-5)
        np.testing.assert_array_equal(net.weights[layer], (w - flushed).astype(np.float32))
    assert norms[0] == 0.0
    assert -100 < grads.log10_norm[0] < -45
    assert 0.0 < norms[60] < 1e-12


def test_blocks_of_rows_that_differ_by_many_decades():
    net = fg.MLP([4, 16, 16, 16, 3], activation="sigmoid", dtype="float64", seed=1)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((64, 4))
    X[16:32] *= 400.0  # a saturated block: its f' is far below the others'
    y = rng.standard_normal((64, 3))
    deltas, gradients, _ = oracle(net, X, y)
    stats = fg.Trainer(net, "mse", "sgd")
    stats.step(X, y)
    assert off(stats.stats.log10("grad_norm"), gradients) < 1e-10
    assert off(stats.stats.log10("delta_norm"), deltas) < 1e-10


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("dtype", "loud", "faint"), [("float32", 1e20, 1e-20), ("float64", 1e60, 1e-60)])
def test_blocks_of_different_exponents_keep_what_fits_the_dtype(dtype, loud, faint, isa):
    """Rows of both sizes, each feeding weights of its own, in a batch whose blocks carry different exponents."""
    with fg.force_isa(isa):
        net = fg.MLP([4, 8, 8, 3], activation="identity", dtype=dtype, seed=2)
    rng = np.random.default_rng(4)
    X, g = rng.standard_normal((48, 4)), rng.standard_normal((48, 3))
    X[:16, 3] = X[16:, 0] = 0.0
    g[:16] *= loud
    g[16:32] = 0.0
    g[32:] *= faint
    X, g = X.astype(dtype), g.astype(dtype)
    net.forward(X, training=True)
    got = net.backward(g)
    weights = [np.asarray(w, np.float64) for w in net.weights]
    delta = g.astype(np.float64) @ weights[2].T @ weights[1].T
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for rows in (slice(0, 16), slice(16, 32), slice(32, 48)):
        wanted = (delta @ weights[0].T)[rows]
        np.testing.assert_allclose(got.input[rows], wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)))
    for feature in (0, 3):
        wanted = X[:, feature].astype(np.float64) @ delta
        np.testing.assert_allclose(got.weights[0][feature], wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)))


@pytest.mark.parametrize("size", [1e30, 1e14, 1e-14, 1e-30])
def test_a_saturated_unit_under_a_large_gradient_keeps_its_derivative(size):
    net = fg.MLP([4, 8, 3], activation="tanh", seed=5)
    bias = np.zeros(8)
    bias[2] = 35.0
    net.biases[0] = bias
    rng = np.random.default_rng(6)
    X, g = rng.standard_normal((20, 4)).astype(np.float32), (size * rng.standard_normal((20, 3))).astype(np.float32)
    net.forward(X, training=True)
    got, exponent = net.backward(g).scaled(0)
    z = X.astype(np.float64) @ np.asarray(net.weights[0], np.float64) + bias
    delta = (g.astype(np.float64) @ np.asarray(net.weights[1], np.float64).T) * reference.ACTIVATIONS["tanh"].slope(z)
    wanted = X.T.astype(np.float64) @ delta
    found = np.ldexp(np.asarray(got, np.float64), exponent)
    for unit in range(8):
        np.testing.assert_allclose(found[:, unit], wanted[:, unit], rtol=0, atol=2e-5 * np.max(np.abs(wanted[:, unit])))


def test_mpmath_agrees_with_the_oracle():
    net, X, y = vanishing("sigmoid", 60, "float64", ISAS[-1], 13)
    X, y = X[:2], y[:2]
    with mpmath.workdps(60):
        weights = [mpmath.matrix(np.asarray(w).tolist()) for w in net.weights]
        levels = [mpmath.matrix(X.tolist())]
        for w, b in zip(weights[:-1], net.biases[:-1], strict=True):
            z = levels[-1] * w
            for i in range(z.rows):
                for j in range(z.cols):
                    z[i, j] = 1 / (1 + mpmath.exp(-(z[i, j] + mpmath.mpf(float(b[j])))))
            levels.append(z)
        out = levels[-1] * weights[-1]
        delta = mpmath.matrix(2, y.shape[1])
        for i in range(2):
            for j in range(y.shape[1]):
                error = out[i, j] + mpmath.mpf(float(net.biases[-1][j])) - mpmath.mpf(float(y[i, j]))
                delta[i, j] = 2 * error / y.size
        wanted = []
        for layer in reversed(range(len(weights))):
            wanted.append(float(mpmath.log10(mpmath.norm(levels[layer].T * delta, 2))))
            if layer:
                delta = delta * weights[layer].T
                for i in range(2):
                    for j in range(delta.cols):
                        delta[i, j] *= levels[layer][i, j] * (1 - levels[layer][i, j])
    assert off(oracle(net, X, y)[1], np.array(wanted[::-1])) < 1e-11
    assert off(net.gradients(X, y, loss="mse")[1].log10_norm, np.array(wanted[::-1])) < 1e-11


def test_the_record_is_that_of_the_engine():
    assert _core.STATISTICS == fg.telemetry.RECORD


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rows", [1, 16, 40])
def test_a_product_of_levels_that_are_both_stored_large_fits(rows, isa):
    """Beside weights of 2^-126 both the inputs and the deltas of a layer are stored near 2^80."""
    width = 520
    weights = np.zeros((width, width), np.float32)
    weights[0, 0] = 2.0**-126
    X, y = np.zeros((rows, width)), np.zeros((rows, width))
    X[:, 0], y[:, 0] = 1.5 * 2.0**-20, 2.0**-7 * width * np.arange(1, rows + 1)
    with fg.force_isa(isa):
        net = fg.MLP([width, width], init=weights)
    exact = 1.5 * 2.0**-20 * -(2.0**-6) * np.arange(1, rows + 1).sum() / rows
    grads = net.gradients(X, y, loss="mse")[1]
    assert grads.weights[0][0, 0] == pytest.approx(exact, rel=1e-6)
    assert grads.log10_norm[0] == pytest.approx(np.log10(-exact), abs=1e-6)
    fg.Trainer(net, "mse", fg.SGD(lr=1.0)).step(X, y)
    assert net.weights[0][0, 0] == pytest.approx(-exact, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_a_gradient_of_nothing_is_zero_whatever_exponents_it_has(isa, dtype):
    """Where the probability of the right class is 1 deltas are 0, on their way through huge weights too."""
    rng = np.random.default_rng(15)
    size = 1e20 if dtype == "float32" else 1e53
    weights = [rng.standard_normal((6, 6)) for _ in range(8)]
    X = rng.standard_normal((40, 6))
    X[16:32] *= 1e-12  # so that blocks of rows differ
    with fg.force_isa(isa):
        net = fg.MLP([6] * 9, activation="identity", init=[size * W for W in weights], dtype=dtype)
    y = np.linalg.multi_dot([X, *weights]).argmax(axis=1)
    loss, grads = net.gradients(X, y, loss="cross_entropy")
    assert loss == 0.0
    for array in (*grads.weights, *grads.biases):
        np.testing.assert_array_equal(array, 0.0)
    assert fg.Trainer(net, "cross_entropy", fg.SGD(lr=1e30)).step(X, y) == 0.0
