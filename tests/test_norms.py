"""Norms of float64 numbers whose squares leave its range, against mpmath."""

import mpmath
import numpy as np
import pytest
from support import ISAS, same_bits

import fastgrad as fg
from fastgrad import _core
from fastgrad._core_options import optimizer_options

SCALES = [1e-300, 1e-250, 1e-200, 1e-160, 1e-136, 1e-135, 1.0, 1e135, 1e136, 1e160, 1e200, 1e250, 1e300]
SGD = optimizer_options(fg.SGD(lr=1.0))  # whose increment is the gradient's negative


def norm(values):
    return float(mpmath.sqrt(mpmath.fsum(mpmath.mpf(float(x)) ** 2 for x in np.ravel(values))))


def norms_of_update(isa, weights, gradient):
    """Return what the kernels make of the norms of the weights and of the gradient, as an update of SGD."""
    return _core.op_update(isa, "float64", SGD, 0, weights.copy(), np.ascontiguousarray(gradient), [])


def draw(shape, scale=1.0, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_norm_holds_wherever_it_can_be_represented(scale, isa):
    values = draw((70, 77), scale)
    expected = norm(values)
    assert norms_of_update(isa, values, values) == pytest.approx((expected, expected), rel=1e-14, abs=0.0)
    one, row, gradient, of_bias = np.ones((1, 1)), values[:1].copy(), np.empty((1, 77)), np.empty(77)
    expected = norm(row)
    norms = _core.op_backward_weights(isa, "float64", one, row, gradient, of_bias)
    assert norms == pytest.approx((expected, expected), rel=1e-14, abs=0.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("largest", [-290, -200, -140, -100, 0, 100, 140, 200, 290])
def test_sizes_may_mix(largest, isa):
    """From the smallest to the largest within each block, and from block to block."""
    rng = np.random.default_rng(1)
    mixed = draw((100, 77), 10.0 ** rng.uniform(-300, largest, (100, 77)))
    rows = draw((100, 77), 10.0 ** np.linspace(-300, largest, 100)[:, np.newaxis])
    level = draw((100, 77), 10.0 ** np.linspace(largest - 2, largest, 100)[:, np.newaxis])
    for values in (mixed, rows, level):
        expected = norm(values)
        assert norms_of_update(isa, values, values) == pytest.approx((expected, expected), rel=1e-13, abs=0.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("base", [0.0, 1e-200, 1.0, 1e200])
def test_zeros_infinities_and_nans_stay_what_they_are(base, isa):
    ones = np.ones((50, 33))
    for hidden, expected in ((0.0, norm(base * ones)), (-np.inf, np.inf), (np.nan, np.nan)):
        weights = base * ones
        weights[31, 7] = hidden or base
        assert norms_of_update(isa, weights, ones)[0] == pytest.approx(expected, rel=1e-13, abs=0.0, nan_ok=True)
    both = base * ones
    both[3, 7], both[40, 30] = np.inf, np.nan
    assert np.isnan(norms_of_update(isa, both, ones)[0])


@pytest.mark.parametrize("isa", ISAS)
def test_a_norm_beyond_the_largest_number_is_infinite(isa):
    assert norms_of_update(isa, np.full((4, 4), 1e308), np.ones((4, 4)))[0] == np.inf


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_step_reports_them(scale, isa):
    weights, X = draw((60, 70), scale, seed=2), draw((20, 60), 1.0 / scale, seed=3)
    with fg.force_isa(isa):
        net = fg.MLP([60, 70], init=[weights], bias=False, dtype="float64")
    gradient = net.gradients(X, np.zeros((20, 70)), loss="mse")
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-3))
    trainer.step(X, np.zeros((20, 70)))
    expected = norm(gradient[1].weights[0])
    assert trainer.stats.weight_norm[0] == pytest.approx(norm(weights), rel=1e-13, abs=0.0)
    assert trainer.stats.grad_norm[0] == pytest.approx(expected, rel=1e-13, abs=0.0)
    assert trainer.stats.update_norm[0] == pytest.approx(1e-3 * expected, rel=1e-13, abs=0.0)
    assert 10.0 ** gradient[1].log10_norm[0] == pytest.approx(expected, rel=1e-12, abs=0.0)


def test_threads_do_not_change_them():
    rng = np.random.default_rng(5)
    weights = [rng.standard_normal(fan) * 10.0 ** rng.uniform(-300, -3, fan) for fan in ((40, 300), (300, 200))]
    X, y = rng.standard_normal((64, 40)), rng.standard_normal((64, 200))
    results = []
    for threads in (1, 3, 8):
        fg.set_num_threads(threads)
        trainer = fg.Trainer(fg.MLP([40, 300, 200], init=weights, dtype="float64"), "mse", fg.SGD(lr=1e-200))
        trainer.step(X, y)
        results.append(trainer.stats.values.copy())
    assert same_bits(results[:1], results[1:2])
    assert same_bits(results[:1], results[2:])


def test_weights_may_grow_to_the_end_of_the_range_and_no_further():
    """A learning rate of 3 and a weight decay of 1 make -2 w of w: the step after 2^1023 is refused."""
    net = fg.MLP([2, 40], init=[np.full((2, 40), 2.0**400)], bias=False, dtype="float64")
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=3.0, weight_decay=1.0))
    X, y = np.full((5, 2), 0.0), np.zeros((5, 40))
    with pytest.raises(fg.DivergenceError) as caught:
        trainer.run(X, y, steps=1000, batch_size=5)
    assert caught.value.step == 1023 - 400
    np.testing.assert_array_equal(np.abs(net.weights[0]), 2.0**1023)
