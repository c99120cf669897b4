"""Initialisers: moments, orthogonality, the same weights from the same seed, and what they refuse."""

import numpy as np
import pytest

from fastgrad import init, reference

FAN_IN, FAN_OUT = 400, 300
VARIANCES = {
    "he_normal": 2.0 / FAN_IN,
    "he_uniform": 2.0 / FAN_IN,
    "glorot_normal": 2.0 / (FAN_IN + FAN_OUT),
    "glorot_uniform": 2.0 / (FAN_IN + FAN_OUT),
    "lecun_normal": 1.0 / FAN_IN,
    "lecun_uniform": 1.0 / FAN_IN,
}

KNOWN = {  # seed 42, layer 1, in front of relu
    "he_normal": [
        [0.707814733640558, 0.7638844850865613],
        [-0.1310915543507307, -0.11438262517004466],
        [0.1714763833482362, 1.2289335754010793],
    ],
    "glorot_uniform": [
        [-0.12324432043760501, 0.6931803500126226],
        [0.019775383176088443, -0.24621521704197658],
        [-1.0407000504780466, -0.3339288774108759],
    ],
    "orthogonal": [
        [0.956514394441647, -0.2230031547366786],
        [-0.17715223033189836, 0.06794326450741645],
        [0.23172677988174545, 0.9724470709429713],
    ],
}


def draw(rule, fan_in=FAN_IN, fan_out=FAN_OUT, seed=7, layer=0, **options):
    return init.initialise(rule, fan_in, fan_out, rng=init.layer_rng(seed, layer), layer=layer, **options)


@pytest.mark.parametrize(("name", "variance"), VARIANCES.items())
def test_variance_and_distribution_are_those_of_the_formula(name, variance):
    weights = draw(name)
    deviations = weights / np.sqrt(variance)
    assert weights.shape == (FAN_IN, FAN_OUT)
    assert abs(deviations.mean()) < 5.0 / np.sqrt(weights.size)
    assert np.mean(deviations**2) == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / weights.size))
    kurtosis = np.mean(deviations**4)
    assert kurtosis == pytest.approx(3.0 if name.endswith("normal") else 1.8, abs=0.1)
    if name.endswith("uniform"):
        assert 0.999 * np.sqrt(3.0) < np.abs(deviations).max() <= np.sqrt(3.0)


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_he_takes_the_slope_of_leaky_relu_into_account(name):
    ratio = draw(name, activation="leaky_relu") / draw(name, activation="relu")
    np.testing.assert_allclose(ratio, np.sqrt(1.0 / (1.0 + reference.LEAKY_SLOPE**2)), rtol=1e-14)


def test_other_families_ignore_the_activation():
    np.testing.assert_array_equal(draw("glorot_normal", activation="leaky_relu"), draw("glorot_normal"))


def test_auto_knows_every_activation():
    assert set(init.AUTO) == set(reference.ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("he_normal", ["relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "mish", "softplus"]),
        ("lecun_normal", ["selu"]),
        ("glorot_uniform", ["sigmoid", "tanh", "identity"]),
    ],
)
def test_auto_is_what_the_literature_advises(name, activations):
    for activation in activations:
        np.testing.assert_array_equal(draw("auto", activation=activation), draw(name, activation=activation))


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 2.5, -0.5])
def test_orthogonal_has_orthonormal_rows_or_columns(shape, gain):
    weights = draw(init.Orthogonal(gain), *shape)
    gram = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(min(shape)), atol=1e-14 * gain**2 * max(shape))


def test_orthogonal_is_uniform_not_biased_in_sign():
    corners = [draw("orthogonal", 3, 3, seed=seed)[0, 0] for seed in range(400)]
    assert abs(np.mean(corners)) < 5.0 / np.sqrt(3 * len(corners))
    assert np.mean(np.square(corners)) == pytest.approx(1 / 3, abs=0.08)


@pytest.mark.parametrize(("name", "expected"), KNOWN.items())
def test_a_seed_means_these_weights_on_every_machine(name, expected):
    got = draw(name, 3, 2, activation="relu", seed=42, layer=1)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_layers_have_streams_of_their_own():
    first = draw("he_normal", seed=1, layer=0)
    np.testing.assert_array_equal(first, draw("he_normal", seed=1, layer=0))
    for other in (draw("he_normal", seed=1, layer=1), draw("he_normal", seed=2, layer=0)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 5.0 / np.sqrt(first.size)


def test_float32_weights_are_the_float64_ones_rounded():
    np.testing.assert_array_equal(draw("he_normal", dtype="float32"), draw("he_normal").astype(np.float32))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("zeros", np.zeros((3, 2))),
        (init.Constant(0.25), np.full((3, 2), 0.25)),
        (init.ScaledIdentity(2.0), [[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]),
        (init.Normal(0.0), np.zeros((3, 2))),
        (lambda rng, shape: np.arange(6).reshape(shape), [[0, 1], [2, 3], [4, 5]]),
        ([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_exact_rules_callables_and_arrays(rule, expected):
    for dtype in (np.float32, np.float64):
        got = draw(rule, 3, 2, dtype=dtype)
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("rule", "variance"),
    [
        (init.Normal(0.3), 0.09),
        (init.Uniform(0.3), 0.03),
        (init.VarianceScaling(1.5, "fan_out", "normal"), 1.5 / FAN_OUT),
        (init.VarianceScaling(1.5, "fan_avg", "uniform"), 3.0 / (FAN_IN + FAN_OUT)),
    ],
)
def test_rules_with_parameters_have_the_variance_asked_for(rule, variance):
    assert draw(rule).var() == pytest.approx(variance, rel=0.02)


def test_the_result_is_the_callers_own():
    given = np.ones((3, 2))
    got = draw(given, 3, 2)
    got[0, 0] = 5.0
    assert given[0, 0] == 1.0


@pytest.mark.parametrize(
    ("rule", "options", "error", "message"),
    [
        ("he", {}, ValueError, "init: got 'he', wants one of auto, he_normal"),
        ("auto", {"activation": "swish"}, ValueError, "activation: got 'swish', wants one of relu"),
        (init.Orthogonal, {}, TypeError, r"init: got the class Orthogonal, wants an instance"),
        (None, {}, TypeError, "init of layer 4: got NoneType of dtype object"),
        (np.ones((2, 3)), {}, ValueError, r"init of layer 4: got shape \(2, 3\), wants \(fan_in, fan_out\) = \(3, 2\)"),
        (np.ones((3, 2), complex), {}, TypeError, "init of layer 4: .*complex128, wants a real numeric array"),
        (lambda rng, shape: np.ones(3), {}, ValueError, r"init of layer 4: got shape \(3,\)"),
        ([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]], {}, ValueError, "layer 4: row 1, column 1 is nan"),
        (init.Constant(1e300), {"dtype": "float32"}, ValueError, r"row 0, column 0 is 1e\+300, wants .* float32"),
        ("zeros", {"dtype": "float16"}, ValueError, "dtype: got 'float16', wants float32 or float64"),
        ("zeros", {"dtype": None}, ValueError, "dtype: got None"),
        ("zeros", {"dtype": "no dtype"}, ValueError, "dtype: got 'no dtype'"),
        ([[1.0], [2.0, 3.0]], {}, ValueError, "init of layer 4: got rows of different lengths"),
    ],
)
def test_bad_initialisers_are_refused_by_name(rule, options, error, message):
    with pytest.raises(error, match=message):
        draw(rule, 3, 2, layer=4, **options)


@pytest.mark.parametrize(("fan_in", "fan_out", "name"), [(0, 2, "fan_in"), (3, -1, "fan_out")])
def test_empty_layers_are_refused(fan_in, fan_out, name):
    with pytest.raises(ValueError, match=f"{name}: got .*, wants an integer >= 1"):
        draw("zeros", fan_in, fan_out)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.Constant(np.inf), ValueError, "value: got inf, wants a finite number"),
        (lambda: init.Orthogonal("1"), TypeError, r"gain: got '1' \(str\)"),
        (lambda: init.ScaledIdentity(np.nan), ValueError, "scale: got nan"),
        (lambda: init.Normal(-1.0), ValueError, "std: got -1.0, wants a finite number >= 0"),
        (lambda: init.Uniform(True), TypeError, r"limit: got True \(bool\)"),
        (lambda: init.VarianceScaling(-2.0), ValueError, "scale: got -2.0"),
        (lambda: init.VarianceScaling(1.0, "fan"), ValueError, "fan: got 'fan', wants one of fan_in, fan_out, fan_avg"),
        (lambda: init.VarianceScaling(1.0, "fan_in", "cauchy"), ValueError, "distribution: got 'cauchy'"),
        (lambda: init.layer_rng(-1, 0), ValueError, "seed: got -1, wants an integer >= 0"),
        (lambda: init.layer_rng(2**64, 0), ValueError, "seed: got 18446744073709551616"),
        (lambda: init.layer_rng(1.0, 0), TypeError, r"seed: got 1.0 \(float\)"),
        (lambda: init.layer_rng(0, -1), ValueError, "layer: got -1"),
    ],
)
def test_bad_parameters_are_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_layer_rng_takes_the_whole_range_of_seeds():
    largest = init.layer_rng(2**64 - 1, 3).random(4)
    assert not np.array_equal(largest, init.layer_rng(2**64 - 2, 3).random(4))
    np.testing.assert_array_equal(init.layer_rng(np.int64(5), np.uint8(2)).random(4), init.layer_rng(5, 2).random(4))
