"""Each kernel by itself: NumPy float64 on ragged shapes, and losses where their textbook forms fail."""

import mpmath as mp
import numpy as np
import pytest
from support import DTYPES, ISAS, LOSS_CASES, draw_targets, relative, single

import fastgrad as fg
from fastgrad import ops, reference

ROUNDING = {"float32": 1e-6, "float64": 1e-14}
SHAPES = [(1, 1, 1), (3, 2, 5), (16, 16, 16), (7, 31, 33), (70, 129, 65), (33, 1, 130), (257, 48, 17)]
on_every_isa = pytest.mark.parametrize("isa", ISAS)
in_both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
of_ragged_shapes = pytest.mark.parametrize(("n", "fan_in", "fan_out"), SHAPES)


def draw(dtype, *shapes, seed=0):
    """Return arrays of `dtype` and the same numbers in float64."""
    rng = np.random.default_rng(seed)
    exact = [single(rng.standard_normal(shape)) for shape in shapes]
    return [array.astype(dtype) for array in exact], exact


@on_every_isa
@in_both_dtypes
@of_ragged_shapes
@pytest.mark.parametrize("activation", sorted(reference.ACTIVATIONS))
def test_forward(activation, n, fan_in, fan_out, dtype, isa):
    (x, w, b), (X, W, B) = draw(dtype, (n, fan_in), (fan_in, fan_out), (fan_out,))
    with fg.force_isa(isa):
        got = ops.forward(x, w, b, activation)
    z = X @ W + B
    value, slope = reference.ACTIVATIONS[activation]
    assert got.output.dtype == got.slope.dtype == dtype
    scale = np.abs(X) @ np.abs(W) + np.abs(B)  # a dot product is as exact as the sum of its terms' sizes
    tolerance = 4.0 * ROUNDING[dtype] * (1.0 + scale)
    assert np.all(np.abs(got.output - value(z)) <= tolerance)
    smooth = np.abs(z) > tolerance
    assert np.all(np.abs(got.slope - slope(z))[smooth] <= tolerance[smooth])
    output = got.output.astype(np.float64)
    assert got.act_mean == pytest.approx(output.mean(), rel=1e-6, abs=1e-6 * np.abs(output).mean())
    assert got.act_rms == pytest.approx(np.sqrt(np.mean(output**2)), rel=1e-6)
    assert got.deriv_mean == pytest.approx(np.mean(np.abs(got.slope.astype(np.float64))), rel=1e-6)


@in_both_dtypes
def test_forward_without_a_bias_adds_nothing(dtype):
    (x, w), (X, W) = draw(dtype, (9, 20), (20, 7))
    assert relative(ops.forward(x, w).output, X @ W) < ROUNDING[dtype]
    np.testing.assert_array_equal(ops.forward(x, w).slope, 1.0)


@on_every_isa
@in_both_dtypes
@of_ragged_shapes
def test_backward_data(n, fan_in, fan_out, dtype, isa):
    (delta, w, slope), (D, W, S) = draw(dtype, (n, fan_out), (fan_in, fan_out), (n, fan_in))
    with fg.force_isa(isa):
        got, norm = ops.backward_data(delta, w, slope)
    assert got.dtype == dtype
    assert relative(got, (D @ W.T) * S) < ROUNDING[dtype]
    assert norm == pytest.approx(np.linalg.norm(got.astype(np.float64)), rel=1e-6)


@on_every_isa
@in_both_dtypes
@of_ragged_shapes
def test_backward_weights(n, fan_in, fan_out, dtype, isa):
    (x, delta), (X, D) = draw(dtype, (n, fan_in), (n, fan_out))
    with fg.force_isa(isa):
        got = ops.backward_weights(x, delta)
    assert relative(got.weights, X.T @ D) < ROUNDING[dtype]
    assert np.all(np.abs(got.bias - D.sum(axis=0)) <= ROUNDING[dtype] * np.abs(D).sum(axis=0))
    assert got.grad_norm == pytest.approx(np.linalg.norm(got.weights.astype(np.float64)), rel=1e-6)
    assert got.bias_grad_norm == pytest.approx(np.linalg.norm(got.bias.astype(np.float64)), rel=1e-6)


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 3), (7, 16), (70, 33), (300, 10)])
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_losses(loss, kind, n, k, dtype, isa):
    rng = np.random.default_rng([n, k])
    outputs, y = single(3.0 * rng.standard_normal((n, k))), draw_targets(rng, kind, n, k)
    with fg.force_isa(isa):
        value, gradient = ops.loss(loss, outputs.astype(dtype), y)
    exact_value, exact_gradient = reference.LOSSES[loss](outputs, y)
    assert gradient.dtype == dtype
    assert value == pytest.approx(exact_value, rel=ROUNDING[dtype], abs=1e-12)
    assert reference.norm(gradient - exact_gradient) <= ROUNDING[dtype] * max(reference.norm(exact_gradient), 1e-6)


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", fg.SGD(lr=0.1, momentum=0.9)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (48, 64), (49, 65), (130, 3)])
def test_update(shape, optimizer, dtype, isa):
    options = fg.optim.resolve(optimizer)
    (w, g), (W, G) = draw(dtype, shape, shape)
    state, states, exact = reference.State(), None, W
    for step in range(3):
        before = np.linalg.norm(w.astype(np.float64))
        with fg.force_isa(isa):
            got = ops.update(optimizer, w, g, states, steps=step)
        change, state = reference.increment(options, exact, G, state)
        exact, w, states = exact + change, got.weights, got.states
        assert relative(w, exact) < ROUNDING[dtype]
        assert got.weight_norm == pytest.approx(before, rel=1e-6)
        assert got.update_norm == pytest.approx(np.linalg.norm(change), rel=1e-6)


def test_ops_leave_their_arguments_alone():
    (w, g), (W, G) = draw("float64", (5, 4), (5, 4))
    states = [np.zeros((5, 4)), np.zeros((5, 4))]
    ops.update("adam", w, g, states)
    ops.activation("tanh", w)
    ops.unary("exp", w)
    np.testing.assert_array_equal(w, W)
    np.testing.assert_array_equal(g, G)
    assert not np.any(states)


EXTREMES = [30.0, 80.0, 1e4, np.finfo(np.float32).max / 4]


def mp_cross_entropy(logits, label):
    """Return the loss of one row and its gradient, in 60 digits."""
    with mp.workdps(60):
        z = [mp.mpf(float(logit)) - mp.mpf(float(max(logits))) for logit in logits]
        total = mp.fsum(mp.exp(value) for value in z)
        others = [mp.exp(value) / total for value in z]
        others[label] = -mp.fsum(p for j, p in enumerate(others) if j != label)
        rest = mp.fsum(mp.exp(value) for j, value in enumerate(z) if j != label)
        return mp.log1p(rest * mp.exp(-z[label])), others


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("label", [0, 1, 4])
def test_cross_entropy_of_extreme_logits(label, size, dtype, isa):
    logits = single([[size, -size, 0.5 * size, -0.25, size * (1.0 - 1e-3)]])
    with fg.force_isa(isa):
        value, gradient = ops.loss("cross_entropy", logits.astype(dtype), np.array([label]))
    exact, slopes = mp_cross_entropy(logits[0], label)
    tiny = float(np.finfo(dtype).tiny)
    assert value == pytest.approx(float(exact), rel=3e-6 if dtype == "float32" else 1e-13, abs=tiny)
    for got, wanted in zip(gradient[0], slopes, strict=True):
        assert got == pytest.approx(float(wanted), rel=1e-5 if dtype == "float32" else 1e-11, abs=tiny)


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("gap", [2.0, 20.0, 40.0, 69.0, 80.0])
def test_cross_entropy_of_a_sure_answer_is_minus_the_other_probabilities(gap, dtype, isa):
    logits = single([[gap, 0.0, -1.0, 0.25, -3.0, -0.5, 0.125]])  # at a gap of 69 the others sum to about 3e-30
    with fg.force_isa(isa):
        value, gradient = ops.loss("cross_entropy", logits.astype(dtype), np.array([0]))
    exact, slopes = mp_cross_entropy(logits[0], 0)
    assert gradient[0, 0] == pytest.approx(float(slopes[0]), rel=1e-6)
    assert -gradient[0, 0] == pytest.approx(gradient[0, 1:].astype(np.float64).sum(), rel=1e-6)
    assert value == pytest.approx(float(exact), rel=1e-6)


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("logit", [sign * size for size in (0.0, 1e-3, 9.0, *EXTREMES) for sign in (1, -1)])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_of_extreme_logits(logit, y, dtype, isa):
    a = single([[logit]])
    with fg.force_isa(isa):
        value, gradient = ops.loss("binary_cross_entropy", a.astype(dtype), [[y]])
    with mp.workdps(60):
        z, t = mp.mpf(float(a[0, 0])), mp.mpf(y)
        tail = mp.log1p(mp.exp(-abs(z)))
        exact = (max(z, 0) - z * t) + tail
        slope = (1 - t) / (1 + mp.exp(-z)) - t / (1 + mp.exp(z)) if abs(z) < 1e5 else (mp.mpf(z > 0)) - t
    tiny = float(np.finfo(dtype).tiny)
    bound = 2e-6 if dtype == "float32" else 1e-14
    assert value == pytest.approx(float(exact), rel=bound, abs=tiny)
    assert gradient[0, 0] == pytest.approx(float(slope), rel=bound, abs=tiny)


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("size", [1e-30, 1e-25, 1e15, 1e25, 1e37])
@pytest.mark.parametrize("loss", ["mse", "l2_norm", "mae", "huber"])
def test_regression_losses_of_any_magnitude(loss, size, dtype, isa):
    rng = np.random.default_rng(5)
    outputs, y = single(size * rng.standard_normal((6, 19))), single(size * rng.standard_normal((6, 19)))
    with fg.force_isa(isa):
        value, gradient = ops.loss(loss, outputs.astype(dtype), y)
    exact, slope = reference.LOSSES[loss](outputs, y)
    assert value == pytest.approx(exact, rel=3e-7 if dtype == "float32" else 1e-13)
    assert relative(gradient, slope) < ROUNDING[dtype]


@on_every_isa
@in_both_dtypes
def test_gradients_at_the_kinks(dtype, isa):
    y = np.zeros((1, 5), dtype)
    a = np.array([[0.0, -0.0, 1.0, -1.0, 2.0]], dtype)
    with fg.force_isa(isa):
        mae, huber = ops.loss("mae", a, y), ops.loss("huber", a, y)
        met = ops.loss("l2_norm", np.stack([a[0], a[0]]), np.stack([a[0], y[0]]))
    np.testing.assert_array_equal(mae[1], (np.array([[0, 0, 1, -1, 1]]) * np.dtype(dtype).type(0.2)))
    np.testing.assert_array_equal(huber[1], (np.array([[0, 0, 1, -1, 1]]) * np.dtype(dtype).type(0.2)))
    assert mae[0] == pytest.approx(0.8, rel=1e-7)
    assert huber[0] == pytest.approx(0.5, rel=1e-7)
    assert met[0] == pytest.approx(np.sqrt(6.0), rel=1e-7)
    np.testing.assert_array_equal(met[1][0], 0.0)
    assert relative(met[1][1], a[0].astype(np.float64) / np.sqrt(6.0)) < ROUNDING[dtype]


@on_every_isa
@in_both_dtypes
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 63, 100])
def test_maps_take_any_number_of_elements(size, dtype, isa):
    z = np.linspace(-3.0, 3.0, size).astype(dtype)
    with fg.force_isa(isa):
        a, slope = ops.activation("tanh", z)
        exponentials = ops.unary("exp", z)
    assert relative(a, np.tanh(z.astype(np.float64))) < ROUNDING[dtype]
    assert relative(slope, 1.0 - np.tanh(z.astype(np.float64)) ** 2) < ROUNDING[dtype]
    assert relative(exponentials, np.exp(z.astype(np.float64))) < ROUNDING[dtype]


SINGLE, DOUBLE = np.ones((3, 3), np.float32), np.ones((3, 3))
BAD_OPS = {
    "forward: x": (lambda: ops.forward(SINGLE[0], SINGLE), ValueError, r"x: got shape \(3,\), wants 2 dimensions"),
    "forward: x empty": (lambda: ops.forward(SINGLE[:0], SINGLE), ValueError, r"x: got shape \(0, 3\)"),
    "forward: x float16": (lambda: ops.forward(SINGLE.astype("f2"), SINGLE), TypeError, "x: got dtype float16"),
    "forward: w": (lambda: ops.forward(SINGLE, SINGLE[:2]), ValueError, r"w: got shape \(2, 3\), wants \(3, any\)"),
    "forward: w dtype": (lambda: ops.forward(SINGLE, DOUBLE), TypeError, "w: got dtype float64, wants float32"),
    "forward: b": (lambda: ops.forward(SINGLE, SINGLE, SINGLE[0, :2]), ValueError, r"b: got shape \(2,\)"),
    "forward: activation": (lambda: ops.forward(SINGLE, SINGLE, None, "max"), ValueError, "activation: got 'max'"),
    "backward_data: w": (lambda: ops.backward_data(DOUBLE, DOUBLE[:, :2], DOUBLE), ValueError, "w: got shape"),
    "backward_data: slope": (lambda: ops.backward_data(DOUBLE, DOUBLE, DOUBLE[:2]), ValueError, "slope: got shape"),
    "backward_weights: delta": (lambda: ops.backward_weights(DOUBLE, DOUBLE[:2]), ValueError, "delta: got shape"),
    "loss: name": (lambda: ops.loss("inner_product", DOUBLE, DOUBLE), ValueError, "loss: got 'inner_product'"),
    "loss: outputs": (lambda: ops.loss("mse", None, DOUBLE), TypeError, "outputs: got NoneType"),
    "update: optimizer": (lambda: ops.update("x", DOUBLE, DOUBLE), ValueError, "optimizer: got 'x'"),
    "update: gradient": (lambda: ops.update("sgd", DOUBLE, DOUBLE[:2]), ValueError, "gradient: got shape"),
    "update: states": (
        lambda: ops.update("adam", DOUBLE, DOUBLE, [DOUBLE]),
        ValueError,
        "states: got 1 arrays, wants a list of 2",
    ),
    "update: states 3": (lambda: ops.update("adam", DOUBLE, DOUBLE, 3), TypeError, "states: got"),
    "update: steps": (lambda: ops.update("sgd", DOUBLE, DOUBLE, steps=-1), ValueError, "steps: got -1"),
    "update: huge steps": (lambda: ops.update("sgd", DOUBLE, DOUBLE, steps=10**30), ValueError, "steps: got 1000"),
    "unary: name": (lambda: ops.unary("sin", DOUBLE), ValueError, "name: got 'sin', wants one of exp"),
    "unary: x": (lambda: ops.unary("exp", [1, 2]), TypeError, "x: got dtype int64"),
    "activation: name": (lambda: ops.activation("sin", DOUBLE), ValueError, "name: got 'sin'"),
    "activation: z": (lambda: ops.activation("relu", "z"), TypeError, "z: got str"),
}


@pytest.mark.parametrize("bad", BAD_OPS)
def test_bad_arguments_of_ops(bad):
    call, error, message = BAD_OPS[bad]
    with pytest.raises(error, match=message):
        call()
