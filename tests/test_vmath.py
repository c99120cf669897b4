"""The kernels' vector functions and activations against mpmath (float64) and SciPy in float64 (float32).

`BOUNDS` is the accuracy they have: the largest error in units in the last place, over all instruction sets, of a much
denser search than the one repeated here.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from fastgrad import cpu_info, force_isa, ops

ISAS = cpu_info()["isas"]
DTYPES = ["float32", "float64"]
ODD = ["expm1", "log1p", "tanh", "erf"]

# name: ULPs in float32, in float64; for activations (value, slope). Near a zero of the slope its terms' ULP counts.
# A product and a sum rounded one by one make "scalar" the worst: it alone takes values of erfc, gelu and mish above 4.
BOUNDS: dict[str, dict[str, tuple[Any, Any]]] = {
    "unary": {
        "exp": (1.0, 1.0),
        "expm1": (1.5, 2.0),
        "log1p": (1.5, 1.6),
        "tanh": (3.1, 3.1),
        "erf": (1.6, 1.7),
        "erfc": (4.1, 4.8),
    },
    "activation": {
        "identity": ((0, 0), (0, 0)),
        "relu": ((0, 0), (0, 0)),
        "leaky_relu": ((1, 0.5), (1, 0.5)),
        "elu": ((1.0, 1.0), (1.2, 1.0)),
        "selu": ((1.8, 1.3), (1.8, 1.3)),
        "gelu": ((4.4, 3.7), (4.0, 3.1)),
        "gelu_tanh": ((3.0, 6.1), (2.8, 6.0)),
        "silu": ((3.2, 3.8), (2.8, 3.7)),
        "softplus": ((2.2, 3.7), (2.0, 3.5)),
        "sigmoid": ((2.9, 4.8), (2.7, 4.2)),
        "tanh": ((3.1, 4.8), (3.1, 4.8)),
        "mish": ((4.4, 5.3), (3.9, 5.0)),
    },
}
CASES = [(kind, name) for kind, names in BOUNDS.items() for name in names]

# Where a formula, a reduction or a result changes its range.
EDGES = [
    *(np.log(2) * k / 2 for k in (1, 2, 3, 5, 7)),
    *(0.75, 2**0.5 - 1, 1 - 0.5**0.5, 1.0, 2.0),
    *(1.278464542761, 0.751791524694, 1.192412309975),  # zeros of the slopes of silu, gelu, mish
    *(9.1945, 9.5106, 10.45, 13.2, 13.45, 43.668, 87.33655, 88.0, 88.722839, 89.0, 99.0),
    *(21.25, 26.543, 26.728, 37.52, 37.8, 354.198, 708.3964185, 709.0, 709.782712893384, 710.0, 720.0),
]

DOUBLE = SimpleNamespace(
    exp=np.exp,
    expm1=np.expm1,
    log1p=np.log1p,
    tanh=np.tanh,
    cosh=np.cosh,
    erf=special.erf,
    erfc=special.erfc,
    expit=special.expit,
    sqrt=np.sqrt,
    pi=np.pi,
    number=float,
)
EXACT = SimpleNamespace(
    **{
        name: np.frompyfunc(getattr(mp, name), 1, 1)
        for name in ("exp", "expm1", "log1p", "tanh", "cosh", "erf", "erfc")
    },
    expit=np.frompyfunc(lambda z: 1 / (1 + mp.exp(-z)), 1, 1),
    sqrt=mp.sqrt,
    pi=mp.pi,
    number=mp.mpf,
)


def activation_terms(m, name, z):
    """Return f(z) and the terms f'(z) is the sum of, from the definitions, with the functions of `m`."""
    left = np.where(z > 0, 0 * z, z)
    match name:
        case "identity":
            return z, 1 + 0 * z
        case "relu":
            return np.where(z > 0, z, 0 * z), np.where(z > 0, 1 + 0 * z, 0 * z)
        case "leaky_relu":
            below = m.number("0.01")
            return np.where(z > 0, z, below * z), np.where(z > 0, 1, below + 0 * z)
        case "elu":
            return np.where(z > 0, z, m.expm1(left)), m.exp(left)
        case "selu":
            scale, alpha = m.number("1.0507009873554804934193349852946"), m.number("1.6732632423543772848170429916717")
            return scale * np.where(z > 0, z, alpha * m.expm1(left)), scale * np.where(z > 0, 1, alpha * m.exp(left))
        case "sigmoid":
            return m.expit(z), m.expit(z) * m.expit(-z)
        case "tanh":
            return m.tanh(z), m.cosh(z) ** -2
        case "softplus":
            return m.log1p(m.exp(z)), m.expit(z)
        case "silu":
            return z * m.expit(z), m.expit(z), z * m.expit(z) * m.expit(-z)
        case "gelu":
            phi, density = m.erfc(-z / m.sqrt(2)) / 2, m.exp(-z * z / 2) / m.sqrt(2 * m.pi)
            return z * phi, phi, z * density
        case "gelu_tanh":
            root, cubic = m.sqrt(8 / m.pi), m.number("0.044715")
            gate = root * (z + cubic * z**3)
            return z * m.expit(gate), m.expit(gate), z * m.expit(gate) * m.expit(-gate) * root * (1 + 3 * cubic * z * z)
        case "mish":
            soft = m.log1p(m.exp(z))
            return z * m.tanh(soft), m.tanh(soft), z * m.expit(z) * m.cosh(soft) ** -2
    raise AssertionError(name)


@cache
def arguments(dtype):
    """Return points of either sign from 2^-40 to beyond all tails, edges and their neighbours, the least normals."""
    edges = np.array([edge for edge in EDGES if edge < 200 or dtype == "float64"], dtype)
    if dtype == "float32":
        first, last = (int(np.float32(x).view(np.int32)) for x in (2.0**-40, 200.0))
        points = np.arange(first, last, 3571, dtype=np.int32).view(np.float32)
    else:
        rng = np.random.default_rng(0)
        points = np.concatenate(
            [2.0 ** rng.uniform(-60, 9.7, 500), *(rng.uniform(0, top, 350) for top in (2, 8, 40, 800))]
        )
    around = [np.nextafter(edges, np.array(to, dtype)) for to in (0, np.inf)]
    positive = np.concatenate([points, edges, *around, [np.finfo(dtype).tiny]]).astype(dtype)
    return np.concatenate([positive, -positive])


@cache
def expected(kind, name, dtype):
    """Return for each array that `computed` gives: the true values, and the magnitudes whose ULP counts."""
    x = arguments(dtype)
    x = x[x > -1] if name == "log1p" else x
    with mp.workprec(160), np.errstate(over="ignore", under="ignore"):
        if dtype == "float32":
            m, z = DOUBLE, x.astype(np.float64)
        else:
            m, z = EXACT, np.array([mp.mpf(float(v)) for v in x], object)
        if kind == "unary":
            true = getattr(m, name)(z)
            return x, [(true, abs(true))]
        value, *terms = activation_terms(m, name, z)
        return x, [(value, abs(value)), (sum(terms), sum(abs(term) for term in terms))]


def computed(isa, kind, name, x):
    with force_isa(isa):
        return [ops.unary(name, x)] if kind == "unary" else list(ops.activation(name, x))


def ulps(got, true, magnitude):
    """Return errors in ULPs; a result which must flush to 0 or overflow, and does not, counts as infinitely wrong.

    Within 64 ULP of those two thresholds either outcome is right.
    """
    info = np.finfo(got.dtype)
    number = mp.mpf if true.dtype == object else float
    tiny, huge, slack = float(info.tiny), number(float(info.max)), 64 * float(info.eps)
    size = abs(true)
    vanishes, explodes = size < tiny * (1 - slack), size > huge * (1 + slack)
    ordinary = (size > tiny * (1 + slack)) & (size < huge * (1 - slack))
    exponent = np.frexp(np.where(ordinary, magnitude, 1).astype(np.float64))[1]
    ulp = np.ldexp(1.0, exponent - (info.nmant + 1))
    finite = np.where(np.isfinite(got), got, 0).astype(np.float64)
    error = np.where(ordinary, abs(finite.astype(true.dtype) - np.where(ordinary, true, 0)) / ulp, 0).astype(np.float64)
    wrong = (vanishes & (got != 0)) | (explodes & ~np.isinf(got)) | (ordinary & ~np.isfinite(got))
    return np.where(wrong.astype(bool), np.inf, error)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_error_is_within_its_bound(isa, dtype, kind, name):
    x, truths = expected(kind, name, dtype)
    bounds = np.atleast_1d(BOUNDS[kind][name][DTYPES.index(dtype)])
    for got, (true, magnitude), bound in zip(computed(isa, kind, name, x), truths, bounds, strict=True):
        errors = ulps(got, true, magnitude)
        worst = errors.argmax()
        assert errors[worst] <= bound, f"at {x[worst]!r}: got {got[worst]!r}, true {true[worst]}"


LIMITS = {  # name: values at -inf and +inf; for activations (value, slope)
    "exp": (0, np.inf),
    "expm1": (-1, np.inf),
    "log1p": (np.nan, np.inf),
    "tanh": (-1, 1),
    "erf": (-1, 1),
    "erfc": (2, 0),
}
ACTIVATION_LIMITS = {
    "identity": ((-np.inf, 1), (np.inf, 1)),
    "relu": ((0, 0), (np.inf, 1)),
    "leaky_relu": ((-np.inf, 0.01), (np.inf, 1)),
    "elu": ((-1, 0), (np.inf, 1)),
    "selu": ((-1.7580993408473768, 0), (np.inf, 1.0507009873554805)),
    "sigmoid": ((0, 0), (1, 0)),
    "tanh": ((-1, 0), (1, 0)),
} | dict.fromkeys(("gelu", "gelu_tanh", "silu", "softplus", "mish"), ((0, 0), (np.inf, 1)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_infinities_and_nan(isa, dtype, kind, name):
    limits = LIMITS[name] if kind == "unary" else ACTIVATION_LIMITS[name]
    got = np.array(computed(isa, kind, name, np.array([-np.inf, np.inf, np.nan], dtype)))
    np.testing.assert_allclose(got[:, :2].T, np.reshape(limits, (2, -1)), rtol=2e-7)
    assert np.isnan(got[0, 2])
    if kind == "activation":
        assert got[1, 2] == 1 if name == "identity" else np.isnan(got[1, 2])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATION_LIMITS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_largest_finite_arguments(isa, dtype, name):
    largest = np.finfo(dtype).max
    value, slope = computed(isa, "activation", name, np.array([-largest, largest]))
    limits = np.array(ACTIVATION_LIMITS[name])
    linear = np.array([-largest, largest]) * limits[:, 1].astype(dtype)  # overflows for selu, whose slope is above 1
    np.testing.assert_allclose(value, np.where(np.isinf(limits[:, 0]), linear, limits[:, 0]), rtol=2e-7)
    np.testing.assert_allclose(slope, limits[:, 1], rtol=2e-7)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_functions_where_they_end(isa, dtype):
    largest = np.finfo(dtype).max
    with force_isa(isa):
        np.testing.assert_array_equal(ops.unary("exp", np.array([-largest, largest])), [0, np.inf])
        np.testing.assert_array_equal(ops.unary("expm1", np.array([-largest, largest])), [-1, np.inf])
        np.testing.assert_array_equal(
            ops.unary("log1p", np.array([-1, -2, -largest], dtype)), [-np.inf, np.nan, np.nan]
        )
        np.testing.assert_allclose(ops.unary("log1p", np.array([largest])), np.log(largest), rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "name"), [*(("unary", name) for name in ODD), ("activation", "tanh")])
def test_odd_functions_keep_the_sign_of_zero(isa, dtype, kind, name):
    got = computed(isa, kind, name, np.array([0.0, -0.0], dtype))[0]
    np.testing.assert_array_equal(got, [0, 0])
    np.testing.assert_array_equal(np.signbit(got), [False, True])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("kind", "name"), [case for case in CASES if case[1] not in ("identity", "relu", "leaky_relu")]
)
def test_subnormal_arguments_count_as_zero(isa, dtype, kind, name):
    subnormal = np.finfo(dtype).smallest_subnormal * 1000
    got = computed(isa, kind, name, np.array([subnormal, -subnormal]))
    np.testing.assert_array_equal(got, computed(isa, kind, name, np.array([0.0, -0.0], dtype)))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_slope_at_zero_is_the_one_on_the_left(dtype, name):
    wanted = {"relu": 0, "leaky_relu": 0.01, "elu": 1, "selu": 1.7580993408473768}[name]
    np.testing.assert_allclose(ops.activation(name, np.zeros(1, dtype))[1], wanted, rtol=2e-7)


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(ISAS), reason="needs AVX2 and AVX-512")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_instruction_sets_with_fma_agree_to_the_last_bit(dtype, kind, name):
    x = arguments(dtype)
    np.testing.assert_array_equal(computed("avx2", kind, name, x), computed("avx512", kind, name, x))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_length_gives_the_same_elements(isa, dtype):
    x = np.linspace(-3, 3, 40, dtype=dtype)
    whole = computed(isa, "activation", "gelu", x)
    for n in range(1, x.size):
        np.testing.assert_array_equal(computed(isa, "activation", "gelu", x[:n]), [part[:n] for part in whole])
