"""What `predict` and `predict_proba` tell where true outputs lie far outside the range of the dtype.

The oracle multiplies in exact fractions, and takes the softmax and the sigmoid in mpmath.
"""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from support import DTYPES, ISAS

import fastgrad as fg

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
REGRESSION = ("mse", "l2_norm", "mae", "huber")


def exact_outputs(net, X):
    """Return the true outputs of identity and ReLU layers as rows of fractions."""
    rows = [[Fraction(float(value)) for value in row] for row in X]
    biases = list(net.biases) or [np.zeros(width) for width in net.sizes[1:]]
    for weights, bias, name in zip(net.weights, biases, net.activations, strict=True):
        columns = [[Fraction(float(value)) for value in column] for column in np.transpose(weights)]
        offsets = [Fraction(float(value)) for value in bias]
        rows = [
            [
                sum((x * w for x, w in zip(row, column, strict=True)), b)
                for column, b in zip(columns, offsets, strict=True)
            ]
            for row in rows
        ]
        if name == "relu":
            rows = [[max(z, Fraction(0)) for z in row] for row in rows]
    return rows


def real(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


def exact_softmax(row):
    with mpmath.workdps(60):
        terms = [mpmath.exp(real(z - max(row))) if z - max(row) > -5000 else mpmath.mpf(0) for z in row]
        return [float(term / mpmath.fsum(terms)) for term in terms]


def exact_sigmoid(z):
    with mpmath.workdps(60):
        return float(z > 0) if abs(z) > 5000 else float(1 / (1 + mpmath.exp(-real(z))))


def trained(net, loss):
    """Return the net after a step that changes nothing, of this loss: it decides what `predict` tells."""
    kept = [np.array(array) for array in (*net.weights, *net.biases)]
    y = np.zeros(1, np.int64) if loss == "cross_entropy" else np.zeros((1, net.sizes[-1]))
    fg.Trainer(net, loss, fg.SGD(lr=0.0)).step(np.zeros((1, net.sizes[0])), y)
    assert all(np.array_equal(one, other) for one, other in zip(kept, (*net.weights, *net.biases), strict=True))
    return net


def linear(weights, loss, dtype="float32", isa=ISAS[-1], activation="identity", bias=False):
    weights = [np.asarray(w, dtype) for w in weights]
    sizes = [len(weights[0]), *(w.shape[1] for w in weights)]
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation=activation, init=weights, dtype=dtype, bias=bias)
    return trained(net, loss)


@pytest.mark.parametrize("isa", ISAS)
def test_logits_beyond_the_range_tell_the_right_class(isa):
    net = linear([[[1e20, 2e20, 3e20], [0, 0, 0]]], "cross_entropy", isa=isa, bias=True)
    X = np.array([[3e38, 0.0], [-3e38, 0.0]])
    np.testing.assert_array_equal(net.predict(X), [2, 0])
    np.testing.assert_array_equal(net.predict_proba(X), [[0, 0, 1], [1, 0, 0]])
    assert net.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_maxima_beyond_the_range_share(dtype):
    big = 1e30 if dtype == "float32" else 1e300
    net = linear([[[big, big, -big]], np.eye(3) * big], "cross_entropy", dtype=dtype)
    np.testing.assert_array_equal(net.predict_proba([[1.0], [-1.0]]), [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_that_have_vanished_share_and_are_told_apart(dtype):
    tiny = 1e-30 if dtype == "float32" else 1e-300
    net = linear([[[tiny, 3 * tiny, 2 * tiny]], np.eye(3) * tiny], "cross_entropy", dtype=dtype)
    assert not net.forward([[1.0]]).any()
    np.testing.assert_array_equal(net.predict([[1.0], [-1.0]]), [1, 0])
    np.testing.assert_array_equal(net.predict_proba([[1.0]]), np.full((1, 3), 1 / 3, dtype))
    signs = linear([[[tiny, -tiny]], np.eye(2) * tiny], "binary_cross_entropy", dtype=dtype)
    np.testing.assert_array_equal(signs.predict([[1.0], [-1.0]]), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(signs.predict_proba([[1.0]]), [[0.5, 0.5]])


def random_case(seed, dtype, isa, loss, bias):
    """Return a network and rows that span the range, whose layers shrink or raise by up to ten decades each."""
    rng = np.random.default_rng(seed)
    layers, decades = int(rng.integers(1, 5)), 10 if dtype == "float32" else 80
    sizes = [int(size) for size in rng.integers(2, 20, layers + 1)]
    names = [str(name) for name in rng.choice(["identity", "relu"], layers - 1)]
    gains = 10.0 ** rng.uniform(-decades, decades, layers)
    weights = [
        np.asarray(gain * rng.standard_normal((fan_in, fan_out)), dtype)
        for gain, fan_in, fan_out in zip(gains, sizes, sizes[1:], strict=False)
    ]
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation=names, init=weights, dtype=dtype, bias=bias)
    for layer in range(layers if bias else 0):
        net.biases[layer] = 10.0 ** rng.uniform(-10, 10) * rng.standard_normal(sizes[layer + 1])
    rows = int(rng.integers(1, 60))
    top = 37 if dtype == "float32" else 300
    X = rng.standard_normal((rows, sizes[0])) * 10.0 ** rng.uniform(-top, top, (rows, 1))
    return trained(net, loss), np.asarray(X, dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_classes_and_probabilities_of_rows_of_every_size_in_one_batch(seed, bias, dtype, isa):
    net, X = random_case(seed, dtype, isa, "cross_entropy", bias)
    exact = exact_outputs(net, X)
    told, shares = net.predict(X), net.predict_proba(X)
    for row, label, share in zip(exact, told, shares, strict=True):
        close = max(abs(z) for z in row) * Fraction(TOLERANCE[dtype])
        assert row[label] >= max(row) - close
        if max(row) - min(row) == 0 or close < Fraction(1, 1000):
            np.testing.assert_allclose(share, exact_softmax(row), atol=2e-3)
        np.testing.assert_allclose(share.sum(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_labels_of_rows_of_every_size_in_one_batch(seed, bias, dtype, isa):
    net, X = random_case(100 + seed, dtype, isa, "binary_cross_entropy", bias)
    exact = exact_outputs(net, X)
    told, shares = net.predict(X), net.predict_proba(X)
    for row, labels, share in zip(exact, told, shares, strict=True):
        close = max(abs(z) for z in row) * Fraction(TOLERANCE[dtype])
        for z, label, p in zip(row, labels, share, strict=True):
            assert abs(z) <= close or label == (z > 0)
            if abs(z) > close:
                assert p == pytest.approx(exact_sigmoid(z), abs=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_is_told_the_same_alone_and_among_others(dtype):
    net, X = random_case(7, dtype, ISAS[-1], "cross_entropy", True)
    X = np.tile(X, (20, 1))
    np.testing.assert_array_equal(net.predict(X), np.concatenate([net.predict(row[np.newaxis]) for row in X]))


def test_threads_do_not_change_what_is_told():
    net, X = random_case(3, "float32", ISAS[-1], "cross_entropy", True)
    X, before = np.tile(X, (40, 1)), fg.get_num_threads()
    try:
        fg.set_num_threads(1)
        alone = net.predict_proba(X)
        for threads in (2, 5):
            fg.set_num_threads(threads)
            np.testing.assert_array_equal(net.predict_proba(X), alone)
    finally:
        fg.set_num_threads(before)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", *REGRESSION])
def test_a_row_that_tells_nothing_is_named(loss):
    """A large signal leaves the range within a softplus layer; then infinities cancel."""
    net = linear([[[1e30]], [[1.0, -1.0]], [[1.0, 1.0], [1.0, 2.0]]], loss, activation=["softplus", "identity"])
    assert np.isfinite(net.forward([[1.0]])).all()
    with pytest.raises(
        ValueError, match=r"^X: row 20 leaves the range of the network's dtype on its way, wants outputs"
    ):
        net.predict([[1.0]] * 20 + [[1e20]])
    if loss not in REGRESSION:
        with pytest.raises(ValueError, match=r"^X: row 3 leaves"):
            net.predict_proba([[1.0], [2.0], [3.0], [1e20], [4.0]])


def test_one_infinite_logit_tells_its_class_and_two_do_not():
    first = [[1e30, 1.0]]
    net = linear([first, [[1.0, -1.0], [2.0, 1.0]]], "cross_entropy", activation="softplus")
    np.testing.assert_array_equal(net.predict([[1e20]]), [0])
    np.testing.assert_array_equal(net.predict_proba([[1e20], [0.0]])[0], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"^X: row 0 .* one is the largest"):
        linear([first, [[1.0, 2.0], [2.0, 1.0]]], "cross_entropy", activation="softplus").predict([[1e20]])


@pytest.mark.parametrize("loss", REGRESSION)
def test_regression_tells_outputs_as_forward_gives_them(loss):
    net = linear([[[1e30, -1e30, 0.0]], 1e10 * np.eye(3)], loss)
    np.testing.assert_array_equal(net.predict([[1.0], [-1.0]]), [[np.inf, -np.inf, 0], [-np.inf, np.inf, 0]])
    np.testing.assert_array_equal(net.predict([[1.0]]), net.forward([[1.0]]))
    with pytest.raises(ValueError, match="wants a cross-entropy loss"):
        net.predict_proba([[1.0]])


def test_ordinary_rows_pass_once():
    """What `predict` adds to a forward pass of ordinary rows is a look at them: they have the bits of `forward`."""
    rng = np.random.default_rng(0)
    net = trained(fg.MLP([6, 30, 30, 4], seed=1), "cross_entropy")
    X = rng.standard_normal((300, 6))
    np.testing.assert_array_equal(net.predict(X), net.forward(X).argmax(axis=1))
    with mpmath.workdps(30):
        exact = [exact_softmax([Fraction(float(z)) for z in row]) for row in net.forward(X[:20])]
    np.testing.assert_allclose(net.predict_proba(X[:20]), exact, rtol=1e-6)
