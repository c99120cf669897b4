"""Clipping beyond the range of the dtype: what explodes takes a finite step, what vanishes is left alone.

The oracle is the float64 reference on the same weights, which reaches from 1e-150 to 1e150. A change is compared as one
vector over all weights and biases, since a step of size 1 is rounded where it meets weights of size 10.
"""

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from clipping import clips, oracle_step
from support import DTYPES, ISAS, Case, parameters, relative, same_bits, single

import fastgrad as fg

BOUNDS = {"value": 0.25, "norm": 2.0, "layer": 0.5, "adaptive": 0.125}
by_clip = clips(**BOUNDS, output=True)
by_isa = pytest.mark.parametrize("isa", ISAS)
by_dtype = pytest.mark.parametrize("dtype", DTYPES)
SLOPES = {"identity": 1.0, "leaky_relu": 0.71, "tanh": 1.0}


def chain(activation, gains, *, bias=False, rows=21, target=1.0, inputs=1.0, seed=0):
    """Return a network of ragged layers, each of which multiplies the signal's size by its gain."""
    rng = np.random.default_rng(seed)
    sizes = [int(width) for width in rng.integers(5, 40, len(gains) + 1)]
    draws = [rng.standard_normal(fans) for fans in pairwise(sizes)]
    scales = [gain / (SLOPES[activation] * math.sqrt(fan_in)) for gain, fan_in in zip(gains, sizes, strict=False)]
    return Case(
        weights=[single(scale * W) for scale, W in zip(scales, draws, strict=True)],
        biases=[single(0.1 * rng.standard_normal(width)) for width in sizes[1:]] if bias else [],
        activations=(*[activation] * (len(gains) - 1), "identity"),
        loss="mse",
        X=single(inputs * rng.standard_normal((rows, sizes[0]))),
        y=single(target * rng.standard_normal((rows, sizes[-1]))),
    )


@cache
def exploding(activation, decades, bias=False):
    """Return a network whose gradients have a norm of about 10**decades, each forward signal of 10**(decades / 2)."""
    return chain(activation, [8.0] * round(0.5 * decades / math.log10(8.0)), bias=bias)


def step_of(case, clip, isa, dtype, optimizer, **options):
    """Do a step; return the trainer and by how much all parameters have changed."""
    net = case.build(isa, dtype)
    before = parameters(net)
    trainer = fg.Trainer(net, case.loss, optimizer, clip=clip, **options)
    trainer.step(case.X, case.y)
    return trainer, [now.astype(np.float64) - then for now, then in zip(parameters(net), before, strict=True)]


def joined(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


@cache
def exploded(activation, decades, bias, clip):
    """Return the oracle's step there, with SGD at 0.5."""
    case = exploding(activation, decades, bias)
    return oracle_step(case, fg.SGD(lr=0.5), clip, case.X, case.y)


def assert_step_is_the_oracles(case, clip, isa, dtype, exact):
    """Do a step with SGD at 0.5, of which `exact` is what the oracle says."""
    trainer, changes = step_of(case, clip, isa, dtype, fg.SGD(lr=0.5))
    tolerance = 3e-4 if dtype == "float32" else 1e-10
    assert relative(joined(changes), joined(exact.changes)) < tolerance
    np.testing.assert_allclose(trainer.stats.clip_factor, exact.statistics["clip_factor"], rtol=tolerance)
    np.testing.assert_allclose(trainer.stats.update_norm, exact.statistics["update_norm"], rtol=tolerance, atol=1e-37)
    np.testing.assert_allclose(trainer.stats.grad_norm, exact.statistics["grad_norm"], rtol=tolerance)
    if clip == fg.ClipNorm(clip.c):
        assert trainer.clip_norm == pytest.approx(exact.norm, rel=tolerance)
    return trainer


@by_clip
@by_dtype
@by_isa
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("decades", [36, 60, 120])
@pytest.mark.parametrize("activation", ["identity", "leaky_relu"])
def test_an_exploding_gradient_takes_a_finite_step(activation, decades, bias, isa, dtype, clip):
    case, exact = exploding(activation, decades, bias), exploded(activation, decades, bias, clip)
    trainer = assert_step_is_the_oracles(case, clip, isa, dtype, exact)
    assert abs(math.log10(exact.norm) - decades) < 4
    assert all(np.isfinite(array).all() for array in parameters(trainer.net))


@by_dtype
@by_isa
@pytest.mark.parametrize("decades", [60, 120])
@pytest.mark.parametrize("activation", ["identity", "leaky_relu"])
def test_its_size_is_that_of_the_bound(activation, decades, isa, dtype):
    case, optimizer, lr = exploding(activation, decades), fg.SGD(lr=0.5), 0.5
    norms = {
        clip: step_of(case, clip, isa, dtype, optimizer)[0].stats.update_norm
        for clip in (
            fg.ClipValue(BOUNDS["value"]),
            fg.ClipNorm(BOUNDS["norm"]),
            fg.ClipNorm(BOUNDS["layer"], per="layer"),
            fg.ClipAdaptive(BOUNDS["adaptive"]),
        )
    }
    by_value, by_norm, by_layer, adaptive = norms.values()
    entries = np.array([W.size for W in case.weights])
    lengths = np.array([np.linalg.norm(W) for W in case.weights])
    assert np.linalg.norm(by_norm) == pytest.approx(lr * BOUNDS["norm"], rel=1e-5)
    np.testing.assert_allclose(by_layer, lr * BOUNDS["layer"], rtol=1e-5)
    np.testing.assert_allclose(by_value, lr * BOUNDS["value"] * np.sqrt(entries), rtol=1e-5)
    np.testing.assert_allclose(adaptive, lr * BOUNDS["adaptive"] * lengths, rtol=1e-5)


@by_clip
@by_isa
@pytest.mark.parametrize(
    "optimizer", [fg.SGD(lr=0.1, momentum=0.9, weight_decay=0.1), fg.Adam(lr=1e-3), fg.AdamW(), fg.RMSprop(lr=1e-3)],
    ids=lambda optimizer: type(optimizer).__name__,
)  # fmt: skip
def test_no_optimizer_leaves_the_range_in_five_steps(optimizer, isa, clip):
    case = exploding("identity", 60, bias=True)
    trainer = fg.Trainer(case.build(isa, "float32"), case.loss, optimizer, clip=clip)
    for _ in range(5):
        trainer.step(case.X, case.y)
        assert trainer.stats.log10("grad_norm").max() > 50
        assert np.isfinite(trainer.stats.update_norm).all()
    assert all(np.isfinite(array).all() for array in parameters(trainer.net))


@by_isa
@pytest.mark.parametrize(
    "clip",
    [None, fg.ClipNorm(math.inf), fg.ClipNorm(math.inf, per="layer"), fg.ClipAdaptive(output=False)],
    ids=repr,
)
def test_where_an_exploding_gradient_is_not_clipped_the_step_is_refused(isa, clip):
    case = exploding("identity", 60)
    assert_refused(case.build(isa, "float32"), case, case.X, clip, fg.SGD(lr=0.5))


@by_clip
@by_dtype
@by_isa
def test_the_decades_between_blocks_of_rows_do_not_matter(isa, dtype, clip):
    case = exploding("leaky_relu", 60)
    rng = np.random.default_rng(3)
    X = rng.standard_normal((70, case.sizes[0]))
    X[:16] *= 1e12
    X[32:48] *= 1e-12
    case = Case(case.weights, case.biases, case.activations, case.loss, single(X), np.zeros((70, case.sizes[-1])))
    exact = oracle_step(case, fg.SGD(lr=0.5), clip, case.X, case.y)
    assert_step_is_the_oracles(case, clip, isa, dtype, exact)


@by_clip
@by_dtype
@by_isa
@pytest.mark.parametrize("gain", [1e20, 1e30])
def test_a_gradient_that_is_huge_in_one_layer_only(gain, isa, dtype, clip):
    """The layer between a gain and its inverse sees large inputs; no other gradient is large."""
    case = chain("identity", [1.0, gain, 1.0 / gain, 1.0], bias=True)
    exact = oracle_step(case, fg.SGD(lr=0.5), clip, case.X, case.y)
    assert_step_is_the_oracles(case, clip, isa, dtype, exact)
    grad_norms = exact.statistics["grad_norm"]
    assert (grad_norms > 1e-3 * gain).tolist() == [False, False, True, False]
    if clip == fg.ClipNorm(clip.c):
        np.testing.assert_allclose(exact.statistics["clip_factor"], clip.c / grad_norms[2], rtol=1e-6)


@by_clip
@by_dtype
@by_isa
def test_biases_alone_may_explode(isa, dtype, clip):
    """No signal reaches the weights, whose gradients are 0, while the deltas grow on their way back."""
    case = chain("identity", [8.0] * 66, bias=True)
    zeros = [np.zeros_like(b) for b in case.biases]
    case = Case(case.weights, zeros, case.activations, case.loss, np.zeros_like(case.X), case.y)
    optimizer = fg.SGD(lr=0.5)
    exact = oracle_step(case, optimizer, clip, case.X, case.y)
    trainer, changes = step_of(case, clip, isa, dtype, optimizer)
    assert exact.norm > 1e55
    assert relative(joined(changes), joined(exact.changes)) < (3e-4 if dtype == "float32" else 1e-10)
    np.testing.assert_array_equal(trainer.stats.grad_norm, 0.0)
    np.testing.assert_array_equal(trainer.stats.clip_factor, 1.0)
    if clip == fg.ClipNorm(clip.c):
        assert trainer.clip_norm == pytest.approx(exact.norm, rel=3e-4)


@cache
def vanished(activation):
    """Return the norm of the gradient of a chain whose every layer shrinks the signal to a fiftieth."""
    case = chain(activation, [0.02] * 60)
    return oracle_step(case, fg.SGD(), None, case.X, case.y).norm


@by_clip
@by_dtype
@by_isa
@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_a_vanishing_gradient_is_left_as_it_is(activation, isa, dtype, clip):
    case, optimizer = chain(activation, [0.02] * 60), fg.SGD(lr=0.5, momentum=0.9)
    norm = vanished(activation)
    assert -106 < math.log10(norm) < -94
    plain, unclipped = step_of(case, None, isa, dtype, optimizer)
    trainer, changes = step_of(case, clip, isa, dtype, optimizer)
    assert same_bits(changes, unclipped)
    np.testing.assert_array_equal(trainer.stats.clip_factor, 1.0)
    np.testing.assert_array_equal(trainer.stats.log10("grad_norm"), plain.stats.log10("grad_norm"))
    if clip == fg.ClipNorm(clip.c):
        assert trainer.clip_norm == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize(
    "clip", [fg.ClipNorm(1e-103), fg.ClipNorm(1e-103, per="layer"), fg.ClipValue(1e-103)], ids=repr
)
@by_isa
def test_a_tiny_bound_still_counts(isa, clip):
    case = chain("identity", [0.02] * 60)
    exact = oracle_step(case, fg.SGD(), clip, case.X, case.y)
    trainer, _ = step_of(case, clip, isa, "float64", fg.SGD())
    np.testing.assert_allclose(trainer.stats.clip_factor, exact.statistics["clip_factor"], rtol=1e-9)
    np.testing.assert_allclose(trainer.stats.update_norm, exact.statistics["update_norm"], rtol=1e-9)


@by_dtype
@by_isa
@pytest.mark.parametrize(
    "clip", [fg.ClipValue(5e-324), fg.ClipNorm(5e-324), fg.ClipNorm(5e-324, per="layer"), fg.ClipAdaptive(5e-324)],
    ids=repr,
)  # fmt: skip
def test_a_bound_that_is_subnormal_leaves_nothing(clip, isa, dtype):
    case = chain("tanh", [1.0] * 3, bias=True)
    before = parameters(case.build(isa, dtype))
    trainer, _ = step_of(case, clip, isa, dtype, fg.SGD(lr=0.5))
    assert same_bits(parameters(trainer.net), before)
    assert trainer.stats.clip_factor.max() < 1e-300


@by_isa
@pytest.mark.parametrize("clip", [fg.ClipValue(1e45), fg.ClipNorm(1e45), fg.ClipNorm(1e45, per="layer")], ids=repr)
def test_what_is_still_beyond_the_dtype_after_clipping_is_refused(isa, clip):
    case = exploding("identity", 60)
    trainer, changes = step_of(case, clip, isa, "float64", fg.SGD(lr=1e-45))
    assert joined(changes).any()
    assert trainer.stats.clip_factor.max() < 1.0
    assert_refused(case.build(isa, "float32"), case, case.X, clip)


def assert_refused(net, case, X, clip, optimizer="adam"):
    before = parameters(net)
    trainer = fg.Trainer(net, case.loss, optimizer, clip=clip, check_finite=False)
    with pytest.raises(fg.DivergenceError):
        trainer.step(X, case.y)
    assert trainer.steps == 0
    assert trainer.nonfinite.step == 0
    assert math.isnan(trainer.clip_norm)
    assert same_bits(parameters(net), before)


@by_clip
@by_dtype
@by_isa
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(value, isa, dtype, clip):
    case = chain("tanh", [1.0] * 4, bias=True)
    X = case.X.copy()
    X[13, 2] = value
    y = case.y.copy()
    y[7, 1] = value
    assert_refused(case.build(isa, dtype), case, X, clip)
    broken = Case(case.weights, case.biases, case.activations, case.loss, case.X, y)
    assert_refused(case.build(isa, dtype), broken, case.X, clip)


@by_clip
@by_dtype
@by_isa
def test_a_refused_step_leaves_optimizer_and_norm_as_they_were(isa, dtype, clip):
    case = chain("tanh", [1.0] * 4, bias=True)
    refused, plain = (
        fg.Trainer(case.build(isa, dtype), case.loss, fg.Adam(), clip=clip, check_finite=False) for _ in range(2)
    )
    for trainer in (refused, plain):
        trainer.step(case.X, case.y)
    norm = refused.clip_norm
    with pytest.raises(fg.DivergenceError):
        refused.step(np.full_like(case.X, math.nan), case.y)
    np.testing.assert_equal(refused.clip_norm, norm)
    for trainer in (refused, plain):
        trainer.step(case.X, case.y)
    assert same_bits(parameters(refused.net), parameters(plain.net))
