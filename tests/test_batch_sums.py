"""Sums over the batch: as exact at a million rows as at five hundred, and the same however the work is shared.

A batch of up to 512 rows is one chain, a longer one is chains of 256, counted from its first row. What one chain gives
is emulated here in NumPy and in fractions, multiply-add by multiply-add; what the chains add up to is math.fsum's.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from support import DTYPES, ISAS, parameters, same_bits

import fastgrad as fg
from fastgrad import ops

SINGLE_CHAIN, CHAIN = 512, 256
LENGTHS = (511, 512, 513, 1023, 1024, 1025, 5000, 65536, 262144 + 3)
ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}


def draw(rows, columns, dtype, kind, seed=0):
    """Return rows of mixed sign, of one sign, or all the same."""
    values = np.random.default_rng([seed, rows]).standard_normal((rows, columns)).astype(dtype)
    if kind == "one sign":
        return np.abs(values)
    return np.ascontiguousarray(np.broadcast_to(values[0], values.shape)) if kind == "equal" else values


def multiply_add(a, b, c):
    """Return a b + c of float32 arrays, rounded once: in float64 to the odd neighbour of what is between two."""
    product = a.astype(np.float64) * b
    total = product + c
    back = total - product
    lost = (product - (total - back)) + (c - back)
    bits = total.view(np.int64)
    to_odd = np.where((lost > 0) == (total > 0), 1, -1) * ((lost != 0) & (bits % 2 == 0))
    return (bits + to_odd).view(np.float64).astype(np.float32)


fractions = np.vectorize(Fraction, otypes=[object])


def one_chain(x, delta, isa):
    """Return x.T @ delta as one chain of multiply-adds in x's dtype; the scalar kernels round the product too."""
    total = np.zeros((x.shape[1], delta.shape[1]), x.dtype)
    for a, b in zip(x[:, :, None], delta[:, None, :], strict=True):
        if isa == "scalar":
            total = a * b + total
        elif x.dtype == np.float32:
            total = multiply_add(a, b, total)
        else:
            total = (fractions(a) * fractions(b) + fractions(total)).astype(np.float64)
    return total


def with_ones(x):
    """Return x with the input that a bias meets as a further column."""
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


def engine(x, delta, isa):
    """Return what the kernels give for with_ones(x).T @ delta."""
    with fg.force_isa(isa):
        got = ops.backward_weights(x, delta)
    return np.vstack([got.weights, got.bias])


def allowed(rows, kind, dtype):
    """Return 1e-6 in float32, of equal rows 1e-5; of a single chain what it may lose."""
    roundings = 160 if kind == "equal" else 16 if rows > SINGLE_CHAIN else 32
    return roundings * ROUNDING[dtype]


def error(got, x, delta):
    """Return the largest error relative to the sum of magnitudes."""
    x, delta = with_ones(x).astype(np.longdouble), delta.astype(np.longdouble)
    return np.max(np.abs(got - x.T @ delta) / (np.abs(x).T @ np.abs(delta)))


def compensated(parts):
    """Return the exact sums of arrays, rounded to float64."""
    return np.array([math.fsum(column) for column in np.reshape(parts, (len(parts), -1)).T]).reshape(parts[0].shape)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["mixed", "one sign", "equal"])
def test_a_sum_is_as_exact_for_any_number_of_rows(kind, dtype, isa):
    for rows in LENGTHS:
        x, delta = draw(rows, 5, dtype, kind), draw(rows, 7, dtype, kind, seed=1)
        assert error(engine(x, delta, isa), x, delta) < allowed(rows, kind, dtype), rows


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_million_equal_rows_move_a_bias_by_their_mean(dtype, isa):
    with fg.force_isa(isa):
        net = fg.MLP([1, 1], init="zeros", dtype=dtype)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1.0))
    trainer.step(np.zeros((2**20, 1), dtype), np.full((2**20, 1), -0.05, dtype))
    assert net.biases[0][0] == pytest.approx(-0.1, rel=1e-5 if dtype == "float32" else 2e-14)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 127, 129, 511, 512])
def test_up_to_512_rows_are_one_chain(rows, dtype, isa):
    columns = (5, 19) if dtype == "float32" else (1, 2)
    x, delta = draw(rows, columns[0], dtype, "mixed"), draw(rows, columns[1], dtype, "mixed", seed=1)
    np.testing.assert_array_equal(engine(x, delta, isa), one_chain(with_ones(x), delta, isa))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [513, 1024, 1025, 5000])
@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 1), (7, 5), (50, 37)])
def test_longer_batches_are_chains_of_256_rows_from_the_first(fan_in, fan_out, rows, dtype, isa):
    x, delta = draw(rows, fan_in, dtype, "one sign"), draw(rows, fan_out, dtype, "one sign", seed=1)
    parts = [engine(x[i : i + CHAIN], delta[i : i + CHAIN], isa) for i in range(0, rows, CHAIN)]
    np.testing.assert_allclose(engine(x, delta, isa), compensated(parts), rtol=3 * ROUNDING[dtype])


@pytest.mark.parametrize("isa", ISAS)
def test_a_sum_beyond_the_range_is_infinite(isa):
    x, delta = np.full((2000, 1), 1e30, np.float32), np.full((2000, 2), [1e30, -1e30], np.float32)
    np.testing.assert_array_equal(engine(x, delta, isa)[0], [np.inf, -np.inf])


NETWORKS = {"sliced": [33, 70, 41, 9], "wide": [20, 720, 370, 3]}  # the latter has a layer of more than 1 MiB


def gradients_of(net, X, of_output):
    """Return the gradients of all weights and biases, given the output's."""
    net.forward(X, training=True)
    got = net.backward(of_output)
    return [*got.weights, *got.biases]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("shape", "bias"), [("sliced", True), ("sliced", False), ("wide", True)])
def test_a_networks_gradients_are_made_of_the_same_chains_on_any_number_of_threads(shape, bias, isa):
    sizes, rows = NETWORKS[shape], 4 * CHAIN + 61
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation="leaky_relu", bias=bias, seed=4)
    X, of_output = draw(rows, sizes[0], "float32", "mixed"), draw(rows, sizes[-1], "float32", "mixed", seed=1)
    found = []
    for threads in (1, 2, 3, 4):
        fg.set_num_threads(threads)
        found.append(gradients_of(net, X, of_output))
    assert all(same_bits(found[0], other) for other in found[1:])
    parts = [gradients_of(net, X[i : i + CHAIN], of_output[i : i + CHAIN]) for i in range(0, rows, CHAIN)]
    for got, *of_parts in zip(found[0], *parts, strict=True):
        room = 3 * ROUNDING["float32"] * np.sum(np.abs(of_parts), axis=0)
        assert np.all(np.abs(got - compensated(of_parts)) <= room)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("farthest", [60, 100])
@pytest.mark.parametrize("rows", [1100, 5000])
def test_blocks_of_any_size_add_up(rows, farthest, isa):
    powers = np.random.default_rng(rows).integers(-farthest, farthest, -(-rows // 16)).repeat(16)[:rows, None]
    x = np.ldexp(draw(rows, 3, "float32", "one sign"), powers)
    delta = np.ldexp(draw(rows, 2, "float32", "one sign", seed=1), -powers)
    with fg.force_isa(isa):
        net = fg.MLP([3, 2], seed=0)
    assert error(np.vstack(gradients_of(net, x, delta)), x, delta) < 1e-6


@pytest.mark.parametrize("lr", [2.0**-3, 2.0**11])  # a step of the latter is tried before it is applied
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_gets_the_sums_that_are_stored(dtype, lr):
    net = fg.MLP([5, 17, 3], activation="tanh", dtype=dtype, seed=1)
    X, y = draw(1100, 5, dtype, "mixed"), draw(1100, 3, dtype, "mixed", seed=1)
    _, found = net.gradients(X, y, loss="mse")
    gradients = [*found.weights, *found.biases]
    wanted = [old - old.dtype.type(lr) * g for old, g in zip(parameters(net), gradients, strict=True)]
    fg.Trainer(net, "mse", fg.SGD(lr=lr)).step(X, y)
    assert same_bits(parameters(net), wanted)
