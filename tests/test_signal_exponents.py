"""Forward signals far outside the range of their dtype: every norm of every layer, forward and backward.

The oracle is a forward and a backward pass in float64 whose levels carry an exact power of two each; mpmath checks it.
"""

import mpmath
import numpy as np
import pytest
from support import DTYPES, ISAS, LOSS_CASES, draw_targets, single

import fastgrad as fg
from fastgrad import reference

TOLERANCE = {"float32": 1e-6, "float64": 1e-9}
LOG10_2 = np.log10(2.0)
HOMOGENEOUS = ("identity", "relu", "leaky_relu")
THROUGH_ZERO = ("tanh", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish")


def split(x, exponent=0):
    """Return x * 2**exponent as (m, e), x * 2**exponent = m * 2**e, with the largest |m| in [0.5, 1)."""
    largest = np.max(np.abs(x))
    shift = int(np.frexp(largest)[1]) if largest > 0 else 0
    return np.ldexp(x, -shift), exponent + shift


def log10_of(value, exponent):
    with np.errstate(divide="ignore"):
        return np.log10(value) + exponent * LOG10_2


def log10_rms(m, exponent):
    return log10_of(np.sqrt(np.mean(m**2)), exponent)


def activated(name, z, exponent):
    """Return f(z * 2**exponent) as (m, e), and f' there."""
    function = reference.ACTIVATIONS[name]
    if name in HOMOGENEOUS:
        return *split(function.value(z), exponent), function.slope(z)
    with np.errstate(under="ignore"):
        true = np.ldexp(z, exponent)
    if name in THROUGH_ZERO and exponent < -200:
        near = np.copysign(1e-30, z) * (z != 0)
        return *split(z * function.slope(near), exponent), function.slope(near)
    return *split(function.value(true)), function.slope(true)


def oracle(net, X, y):
    """Return log10 of the mean squared error and of act_rms, preact_rms, delta_norm and grad_norm of each layer."""
    weights = [np.asarray(w, np.float64) for w in net.weights]
    biases = [np.asarray(b, np.float64) for b in net.biases] or [np.zeros(w.shape[1]) for w in weights]
    levels, slopes = [split(np.asarray(X, np.float64))], []
    found = {name: [] for name in ("act_rms", "preact_rms", "delta_norm", "grad_norm")}
    for w, b, name in zip(weights, biases, net.activations, strict=True):
        m, e = levels[-1]
        up = max(e, int(np.frexp(np.max(np.abs(b)))[1])) if b.any() else e
        z = np.ldexp(m @ w, e - up) + np.ldexp(b, -up)
        found["preact_rms"].append(log10_rms(z, up))
        a, e, slope = activated(name, z, up)
        found["act_rms"].append(log10_rms(a, e))
        levels.append((a, e))
        slopes.append(slope)
    m, e = levels[-1]
    up = max(e, int(np.frexp(np.max(np.abs(y)))[1])) if np.any(y) else e
    error, e = split(np.ldexp(m, e - up) - np.ldexp(y, -up), up)
    found["loss"] = log10_of(np.mean(error**2), 2 * e)
    delta, e = split(2.0 * error / y.size * slopes[-1], e)
    for layer in reversed(range(len(weights))):
        below, shift = levels[layer]
        found["delta_norm"].append(log10_of(np.linalg.norm(delta), e))
        found["grad_norm"].append(log10_of(np.linalg.norm(below.T @ delta), e + shift))
        if layer:
            slope, less = split(slopes[layer - 1])
            delta, e = split((delta @ weights[layer].T) * slope, e + less)
    found["delta_norm"].reverse()
    found["grad_norm"].reverse()
    return {name: np.array(values) for name, values in found.items()}


def off(log10_got, log10_wanted):
    """Return the largest relative difference of the values behind the logarithms; equal infinities do not differ."""
    got, wanted = np.asarray(log10_got), np.asarray(log10_wanted)
    difference = np.where(got == wanted, 0.0, got - np.where(np.isinf(wanted), np.nan, wanted))
    return np.max(np.abs(np.expm1(difference * np.log(10.0))))


def network(activation, layers, gain, dtype, isa, seed, bias=0.0, width=(3, 24), rows=None):
    """Return a network of orthogonal weights times `gain`, and a batch; the square ones of its products keep norms."""
    rng = np.random.default_rng(seed)
    widths = [int(w) for w in np.sort(rng.integers(*width, size=layers + 1))]
    with fg.force_isa(isa):
        net = fg.MLP(
            widths, activation=activation, output_activation=activation, init="orthogonal", dtype=dtype, seed=seed
        )
    for layer in range(layers):
        net.weights[layer] = np.asarray(gain * net.weights[layer], dtype)
        net.biases[layer] = (bias * rng.standard_normal(widths[layer + 1])).astype(dtype)
    n = int(rng.integers(1, 70)) if rows is None else rows
    X, y = rng.standard_normal((n, widths[0])), rng.standard_normal((n, widths[-1]))
    return net, X.astype(dtype), y.astype(dtype)


def check(net, X, y, *, step=True):
    depth, dtype = len(net.weights), net.dtype
    wanted = oracle(net, X, y.astype(np.float64))
    tolerance = TOLERANCE[dtype] * (depth if dtype == "float32" else 1)
    grads = net.gradients(X, y, loss="mse")[1]
    assert off(grads.log10_norm, wanted["grad_norm"]) < tolerance
    assert off(grads.log10_loss, wanted["loss"]) < 2 * tolerance
    np.testing.assert_array_equal(np.isfinite(grads.log10_norm), np.isfinite(wanted["grad_norm"]))
    if not step:
        return wanted
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(X, y)
    for name in ("act_rms", "preact_rms", "delta_norm", "grad_norm"):
        assert off(trainer.stats.log10(name), wanted[name]) < tolerance, name
    return wanted


KINDS = [(isa, dtype, layers) for isa in ISAS for dtype in DTYPES for layers in (20, 120)]
KINDS += [(ISAS[-1], dtype, layers) for dtype in DTYPES for layers in (300, 1000)]
VANISHING = {20: 0.01, 120: 0.1, 300: 0.1, 1000: 0.3}  # gain of the weights of so many layers
EXPLODING = {20: 60.0, 120: 10.0, 300: 5.0, 1000: 4.0}


@pytest.mark.parametrize(("isa", "dtype", "layers"), KINDS)
@pytest.mark.parametrize("activation", HOMOGENEOUS)
def test_homogeneous_networks_that_vanish(activation, layers, dtype, isa):
    check(*network(activation, layers, VANISHING[layers], dtype, isa, seed=layers))


@pytest.mark.parametrize(("isa", "dtype", "layers"), KINDS)
@pytest.mark.parametrize("activation", HOMOGENEOUS)
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_homogeneous_networks_that_explode(bias, activation, layers, dtype, isa):
    net, X, y = network(activation, layers, EXPLODING[layers], dtype, isa, seed=layers, bias=bias)
    check(net, X, y, step=False)


@pytest.mark.parametrize(("isa", "dtype", "layers"), KINDS)
@pytest.mark.parametrize("activation", THROUGH_ZERO)
def test_networks_through_zero_that_vanish(activation, layers, dtype, isa):
    check(*network(activation, layers, VANISHING[layers], dtype, isa, seed=layers))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tanh_network_of_gain_one_half_and_150_layers_has_every_norm(dtype):
    wanted = check(*network("tanh", 150, 0.5, dtype, ISAS[-1], seed=6))
    assert wanted["act_rms"][-1] < -44


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*HOMOGENEOUS, "tanh", "gelu", "sigmoid", "softplus"])
@pytest.mark.parametrize("bias", [1e-30, 1e-8, 0.3])
def test_biases_bring_a_vanishing_signal_back(bias, activation, dtype, isa):
    """Some layers have biases, most have none: the signal vanishes far below a bias, and starts again from it."""
    net, X, y = network(activation, 120, 0.05, dtype, isa, seed=4)
    for layer in (30, 31, 70, 119):
        net.biases[layer] = np.full(net.sizes[layer + 1], bias, dtype)
    check(net, X, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("first", "gain"), [(2e15, 1.0), (3e30, 1.0), (1e-25, 1.0), (1e-35, 1.5)])
def test_inputs_far_from_one(first, gain, dtype):
    net, X, y = network("leaky_relu", 20, gain, dtype, ISAS[-1], seed=9, rows=40)
    check(net, (first * X).astype(dtype), y, step=False)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-28, 1e-19, 1e-12, 1e12, 1e17])
@pytest.mark.parametrize("activation", [*HOMOGENEOUS, *THROUGH_ZERO])
def test_where_nothing_leaves_the_range_the_bits_are_those_of_a_plain_pass(activation, size, dtype, isa):
    """The signal is so far from 1 that blocks move, but a plain pass neither under- nor overflows."""
    net, X, y = network(activation, 4, 1.0, dtype, isa, seed=3, width=(5, 60), rows=50)
    X = (size * X).astype(dtype)
    for layer in range(4):
        net.biases[layer] = (0.1 * size * np.arange(net.sizes[layer + 1])).astype(dtype)
    levels, slopes = [X], []
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    with fg.force_isa(isa):
        for w, b, name in zip(net.weights, net.biases, net.activations, strict=True):
            forward = fg.ops.forward(levels[-1], w, b, activation=name)
            levels.append(forward.output)
            slopes.append(forward.slope)
        np.testing.assert_array_equal(net.forward(X), levels[-1])
        np.testing.assert_array_equal(net.forward(X, training=True), levels[-1])
        grads = net.backward(g)
        delta = g * slopes[-1]
        for layer in reversed(range(4)):
            exact = fg.ops.backward_weights(levels[layer], delta)
            np.testing.assert_array_equal(grads.weights[layer], exact.weights)
            np.testing.assert_array_equal(grads.biases[layer], exact.bias)
            if layer:
                delta = fg.ops.backward_data(delta, net.weights[layer], slopes[layer - 1])[0]


def test_blocks_of_very_different_signals_share_a_batch():
    """One block of samples is 1e-60 of another, so they carry different exponents; the norms are those of all rows."""
    net, X, y = network("identity", 30, 0.5, "float32", ISAS[-1], seed=12, rows=64)
    X[16:32] *= np.float32(1e-30)
    X[32:48] = 0.0
    check(net, X, y)
    y[:16] = 0.0
    check(net, X, y)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [1e-60, 1e-30, 1e-8, 1e8, 1e30, 1e60])
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_losses_of_outputs_far_from_one(loss, kind, size, isa):
    """float32 outputs of any size, against the reference in float64, which reaches further."""
    rng = np.random.default_rng(7)
    gain = np.float32(size ** (1 / 4))
    with fg.force_isa(isa):
        net = fg.MLP([5, 24, 24, 24, 7], activation="identity", init="orthogonal", bias=False, seed=1)
    for layer in range(4):
        net.weights[layer] = gain * net.weights[layer]
    X, y = single(rng.standard_normal((40, 5))), draw_targets(rng, kind, 40, 7)
    y[:16] = 0  # a block of which nothing is left but the outputs
    weights = [np.asarray(w, np.float64) for w in net.weights]
    exact = reference.gradients(weights, [np.zeros(w.shape[1]) for w in weights], X, y, net.activations, loss)
    got, grads = net.gradients(X, y, loss=loss)
    assert got == pytest.approx(exact.loss, rel=1e-5)
    assert grads.log10_loss == pytest.approx(np.log10(exact.loss), rel=1e-6, abs=1e-6)
    for layer, gradient in enumerate(exact.weights):
        array, exponent = grads.scaled(layer)
        true = np.ldexp(np.asarray(array, np.float64), exponent)
        np.testing.assert_allclose(true, gradient, rtol=0, atol=2e-5 * np.max(np.abs(gradient)))


def plain(weights, biases=None, activation="identity", dtype="float32", output_activation="identity"):
    """Return a network of these matrices."""
    widths = [len(weights[0]), *(np.shape(w)[1] for w in weights)]
    net = fg.MLP(
        widths,
        activation=activation,
        output_activation=output_activation,
        init=[np.asarray(w, dtype) for w in weights],
        bias=biases is not None,
        dtype=dtype,
    )
    for layer, bias in enumerate(biases or []):
        net.biases[layer] = np.asarray(bias, dtype)
    return net


def two_blocks(first, second):
    return np.concatenate([np.tile(np.atleast_2d(first), (16, 1)), np.tile(np.atleast_2d(second), (16, 1))])


@pytest.mark.parametrize("bias", [False, True])
def test_a_block_with_the_largest_signal_and_one_with_the_largest_delta(bias):
    zeros = [[0.0, 0.0]] * 40 if bias else None
    apart = plain([np.diag([1.0, 0.01])] * 40, zeros, "relu")
    check(apart, two_blocks([1.0, 0.0], [0.0, 1.0]), two_blocks([1.0, 0.0], [1.0, 1.0]))
    zeros = [[0.0]] * 60 if bias else None
    check(plain([[[0.001]]] * 60, zeros), two_blocks(1e30, 1e-35), two_blocks(0.0, 1e30))
    check(plain([[[0.001]]] * 60, zeros), two_blocks(1e-35, 1e30), two_blocks(1e30, 0.0))
    check(plain([[[1.0]]], zeros and zeros[:1]), two_blocks(2.0**70, 2.0**-100), two_blocks(2.0**70, 1.0))


def test_bias_gradients_of_blocks_that_cannot_be_added_as_they_are():
    net = plain([[[0.001]]] * 60, [[0.0]] * 60)
    grads = net.gradients(two_blocks(1e30, 1e-35), two_blocks(0.0, 1e30), loss="mse")[1]
    for layer in range(50, 60):
        assert grads.biases[layer][0] == pytest.approx(-(10.0 ** (30 - 3 * (59 - layer))), rel=1e-5)


@pytest.mark.parametrize("x", [1e-12, 9e-13, 1e-30, 0.0])
def test_an_input_far_below_the_bias_meets_large_weights(x):
    net = plain([[[1.0]], [[1e15]]], [[6e4], [0.0]], "relu")
    assert net.forward([[x]])[0, 0] == pytest.approx(6e19, rel=1e-6)
    assert fg.Trainer(net, "mae", fg.SGD(lr=0.0)).step([[x]], [[0.0]]) == pytest.approx(6e19, rel=1e-6)


def test_a_layer_may_raise_by_thirty_decades_what_is_small_enough():
    assert plain([[[2.0**100]]]).forward([[1.9 * 2.0**-65]])[0, 0] == np.float32(1.9) * 2.0**35
    net = plain([[[2.0**100]], [[1.0]]])
    net.forward([[1.0]], training=True)
    assert net.backward([[1.9 * 2.0**-65]]).input[0, 0] == np.float32(1.9) * 2.0**35


def test_a_block_without_a_loss_does_not_hide_the_others():
    net = plain([[[0.01]]] * 100)
    log10_loss = net.gradients(two_blocks(0.0, 1.0), np.zeros((32, 1)), loss="mse")[1].log10_loss
    assert log10_loss == pytest.approx(-400.0 - np.log10(2.0), rel=1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_float64_inputs_and_gradients_whose_squares_leave_the_range(size):
    net = plain([[[1e-10]]] * 50, dtype="float64")
    decades = np.log10(size)
    stats = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    stats.step([[size]], [[0.0]])
    np.testing.assert_allclose(stats.stats.log10("act_rms"), decades - 10.0 * np.arange(1, 51), rtol=1e-12, atol=1e-12)
    net.forward([[1.0]], training=True)
    np.testing.assert_allclose(net.backward([[size]]).log10_norm, decades - 490.0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("isa", ISAS)
def test_what_another_pass_has_left_does_not_move_the_inputs(isa):
    """Inference keeps levels of different widths in one place."""
    shapes, gains = ((6, 3), (3, 7), (7, 9), (9, 16)), (1e37, 1e-50, 1e-70, 1e130)
    with fg.force_isa(isa):
        net = plain([np.full(shape, gain) for shape, gain in zip(shapes, gains, strict=True)], dtype="float64")
    for x in (1e30, 1e-296, 1e-200):
        np.testing.assert_allclose(net.forward(np.full((20, 6), x)), np.full((20, 16), 6 * 3 * 7 * 9e47 * x), rtol=1e-9)


@pytest.mark.parametrize("z", [-20.0, -43.0, -60.0, -80.0])
def test_the_slope_of_a_saturated_output_is_not_lost(z):
    net = plain([[[1.0]]], output_activation="sigmoid")
    gradient = 2.0 * np.exp(2.0 * z) / (1.0 + np.exp(z)) ** 3 * abs(z)
    assert net.gradients([[z]], [[0.0]], loss="mse")[1].log10_norm[0] == pytest.approx(np.log10(gradient), abs=1e-6)


def test_losses_of_outputs_that_have_vanished_beside_targets_of_zero():
    net = plain([[[0.001]]] * 20)
    for loss, value, slope in (("mse", 1.0, 2.0), ("huber", 0.5, 1.0)):
        grads = net.gradients([[1.0]], [[0.0]], loss=loss)[1]
        assert grads.log10_loss == pytest.approx(-120.0 + np.log10(value), rel=1e-7)
        np.testing.assert_allclose(grads.log10_norm, -117.0 + np.log10(slope), rtol=1e-7)


def test_the_gradient_of_a_large_error_fits_where_the_mean_does():
    loss, grads = plain([np.eye(4)]).gradients(np.zeros((1, 4)), np.full((1, 4), 3e38), loss="mse")
    assert loss == pytest.approx(9e76, rel=1e-6)
    np.testing.assert_allclose(grads.input, np.full((1, 4), -1.5e38), rtol=1e-6)


def test_a_dead_layer_still_has_a_gradient_of_its_outputs():
    net = plain([np.eye(2)] + [1e-8 * np.eye(2)] * 60, [[-5.0, -5.0]] + [[1.0, 1.0]] * 60, ["relu"] + ["identity"] * 59)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.0))
    trainer.step(np.ones((32, 2)), two_blocks([0.0, 0.0], [1e20, 1e20]))
    gradient = trainer.stats.log10("act_grad_norm")
    assert gradient[0] == pytest.approx(gradient[1] - 8.0, abs=1e-6)
    assert trainer.stats.log10("delta_norm")[0] == -np.inf


def test_mpmath_agrees_with_the_oracle():
    net, X, y = network("tanh", 60, 0.05, "float64", ISAS[-1], seed=2, rows=2)
    with mpmath.workdps(120):
        level, found = mpmath.matrix(X.tolist()), []
        for w in net.weights:
            level = (level * mpmath.matrix(np.asarray(w).tolist())).apply(mpmath.tanh)
            found.append(float(mpmath.log10(mpmath.norm(level, 2) / mpmath.sqrt(level.rows * level.cols))))
        loss = float(mpmath.log10(mpmath.norm(level - mpmath.matrix(y.tolist()), 2) ** 2 / y.size))
    wanted = oracle(net, X, y)
    assert off(wanted["act_rms"], np.array(found)) < 1e-12
    assert off(wanted["loss"], loss) < 1e-12
