"""Derive the constants of ``vmath.inc.h`` and print them as C: ``python coefficients.py > coefficients.inc.h``.

Every table interpolates its function at Chebyshev nodes in 60-digit arithmetic, which comes within a small factor of
the minimax fit. The comment beside each table gives the largest relative error, on a dense grid, of the result it
serves, before the coefficients are rounded. Needs mpmath; the build does not run it, its output is committed. It
refuses to print a table whose error exceeds the budget of its number format.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import pack, unpack

import mpmath as mp
from mpmath import mpf

Function = Callable[[mpf], mpf]

GRID = 400
ALMOST_ZERO = mpf("1e-25")  # stands for 0 where a formula divides by its argument
SPREAD = mpf("2.5")  # in 1 / (1 + m / SPREAD), normal_tail(m) is nearly a straight line


@dataclass(frozen=True)
class Format:
    """A binary floating-point format, and the error its tables may have as a power of two."""

    bits: int
    precision: int
    exponent_bits: int
    error_budget: int

    def literal(self, value: mpf) -> str:
        """Return the shortest C literal that reads back as ``value`` rounded to this format."""
        if self.bits == 64:
            return repr(float(value))
        single = unpack("f", pack("f", float(value)))[0]
        texts = (f"{single:.{digits}g}" for digits in range(1, 10))
        text = next(text for text in texts if unpack("f", pack("f", float(text)))[0] == single)
        return text + ("f" if "." in text or "e" in text else ".0f")

    def leading(self, value: mpf, bits: int) -> mpf:
        """Return ``value`` truncated to its ``bits`` leading bits."""
        unit = mpf(2) ** (int(mp.floor(mp.log(abs(value), 2))) + 1 - bits)
        return mp.floor(value / unit) * unit


SINGLE, DOUBLE = Format(32, 24, 8, -27), Format(64, 53, 11, -56)


def expm1_tail(r: mpf) -> mpf:
    """(e^r - 1 - r) / r^2, without its cancellation."""
    return mp.hyp1f1(1, 3, r) / 2


def log1p_tail(square: mpf) -> mpf:
    """(2 atanh(s) - 2 s) / s^3 as a function of s^2; with s = f / (2 + f), log(1 + f) = 2 atanh(s)."""
    s = mp.sqrt(square)
    return 2 * (mp.atanh(s) / s - 1) / square


def erf_tail(square: mpf) -> mpf:
    """erf(x) / x - 1 as a function of x^2."""
    x = mp.sqrt(square)
    return mp.erf(x) / x - 1


def normal_tail(m: mpf) -> mpf:
    """e^(m^2/2) Phi(-m), Phi being the normal distribution function."""
    return mp.exp(m * m / 2) * mp.erfc(m / mp.sqrt(2)) / 2


def normal_tail_excess(m: mpf) -> mpf:
    """Excess of the reciprocal of the normal tail over its asymptote: 2 at 0, falling to 0."""
    return 1 / normal_tail(m) - mp.sqrt(2 * mp.pi) * m


def chebyshev_nodes(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Return the Chebyshev nodes of the first kind on [low, high]."""
    middle, radius = (low + high) / 2, (high - low) / 2
    return [middle + radius * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]


def grid(low: mpf, high: mpf) -> list[mpf]:
    """Return equidistant points from low to high, both included."""
    return [low + (high - low) * k / GRID for k in range(GRID + 1)]


def horner(coefficients: list[mpf], x: mpf) -> mpf:
    """Evaluate a polynomial given by its coefficients in ascending order."""
    return mp.polyval(coefficients[::-1], x)


def fit_polynomial(function: Function, low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Interpolate by a polynomial; ascending coefficients."""
    nodes = chebyshev_nodes(low, high, degree + 1)
    rows = mp.matrix([[x**j for j in range(degree + 1)] for x in nodes])
    return list(mp.lu_solve(rows, mp.matrix([function(x) for x in nodes])))


def fit_rational(function: Function, nodes: list[mpf], degree: int) -> tuple[list[mpf], list[mpf]]:
    """Interpolate by a numerator of ``degree`` over a denominator of ``degree + 1`` with constant term 1."""
    rows = mp.matrix(
        [[x**j / function(x) for j in range(degree + 1)] + [-(x**j) for j in range(1, degree + 2)] for x in nodes]
    )
    solution = list(mp.lu_solve(rows, mp.matrix([1] * len(nodes))))
    return solution[: degree + 1], [mpf(1), *solution[degree + 1 :]]


def largest(fmt: Format, errors: Iterable[mpf]) -> str:
    """Return the largest error as a power of two; raise if it exceeds the budget."""
    exponent = mp.log(max(abs(error) for error in errors), 2)
    if exponent > fmt.error_budget:
        raise ArithmeticError(f"error 2^{mp.nstr(exponent, 4)} exceeds 2^{fmt.error_budget} in {fmt.bits} bits")
    return f"2^{mp.nstr(exponent, 3)}"


def table(fmt: Format, name: str, coefficients: list[mpf]) -> str:
    """Write one C array, ascending powers."""
    rows = "".join(f"    {fmt.literal(c)},\n" for c in coefficients)
    return f"static const real {name}[] = {{\n{rows}}};\n"


def expm1_table(fmt: Format, degree: int) -> str:
    """Table of expm1_tail on the reduced range."""
    radius = mp.log(2) / 2 * mpf("1.0001")
    fitted = fit_polynomial(expm1_tail, -radius, radius, degree)
    points = [r for r in grid(-radius, radius) if r != 0]
    error = largest(fmt, ((horner(fitted, r) - expm1_tail(r)) * r**2 / mp.expm1(r) for r in points))
    note = f"/* (e^r - 1 - r) / r^2, |r| <= ln(2)/2: degree {degree}; e^r - 1 within {error}. */\n"
    return note + table(fmt, "EXPM1_REDUCED", fitted)


def log1p_table(fmt: Format, degree: int) -> str:
    """Table of log1p_tail for arguments up to 1."""
    high = mpf(1) / 9
    fitted = fit_polynomial(log1p_tail, ALMOST_ZERO, high, degree)
    points = grid(ALMOST_ZERO, high)
    error = largest(fmt, ((horner(fitted, z) - log1p_tail(z)) * z / (2 + z * log1p_tail(z)) for z in points))
    note = f"/* (2 atanh(s) - 2 s) / s^3 in s^2, |s| <= 1/3: degree {degree}; 2 atanh(s) within {error}. */\n"
    return note + table(fmt, "LOG1P_REDUCED", fitted)


def erf_table(fmt: Format, degree: int, bound: mpf) -> str:
    """Table of erf_tail up to the bound, from which on erfc serves."""
    fitted = fit_polynomial(erf_tail, ALMOST_ZERO, bound**2, degree)
    error = largest(fmt, ((horner(fitted, z) - erf_tail(z)) / (1 + erf_tail(z)) for z in grid(ALMOST_ZERO, bound**2)))
    note = f"/* erf(x) / x - 1 in x^2, |x| <= ERF_SMALL: degree {degree}; erf(x) within {error}. */\n"
    return note + f"#define ERF_SMALL ((real){mp.nstr(bound, 3)})\n" + table(fmt, "ERF_REDUCED", fitted)


def normal_tail_tables(fmt: Format, degree: int, bound: mpf) -> str:
    """Tables of A' and B with normal_tail_excess(m) = (2 + m A') / B."""
    low = 1 / (1 + bound / SPREAD)
    nodes = [SPREAD * (1 / w - 1) for w in chebyshev_nodes(low, mpf(1), 2 * degree + 2)]
    a, b = fit_rational(normal_tail_excess, nodes, degree)
    a[0] = mpf(2)
    points = [SPREAD * (1 / w - 1) for w in grid(low, mpf(1))]
    fitted = (1 / (mp.sqrt(2 * mp.pi) * m + horner(a, m) / horner(b, m)) for m in points)
    error = largest(fmt, (value / normal_tail(m) - 1 for value, m in zip(fitted, points, strict=True)))
    note = (
        "/* (2 + m A') / B = 1 / tail(m) - sqrt(2 pi) m, tail(m) = e^(m^2/2) Phi(-m), 0 <= m <= NORMAL_TAIL_BOUND:\n"
        f" * degree {degree} over {degree + 1}, all terms positive; tail(m) within {error}. */\n"
    )
    define = f"#define NORMAL_TAIL_BOUND ((real){mp.nstr(bound, 4)})\n"
    return note + define + table(fmt, "NORMAL_TAIL_A", a[1:]) + table(fmt, "NORMAL_TAIL_B", b)


def two_parts(fmt: Format, name: str, value: mpf, bits: int) -> str:
    """Write a constant as a leading part of so many bits and the rest."""
    high = fmt.leading(value, bits)
    return f"#define {name}_HIGH {fmt.literal(high)}\n#define {name}_LOW {fmt.literal(value - high)}\n"


def constants(fmt: Format) -> str:
    """Write the scalars. The leading part of ln 2 times any exponent is exact; gelu_tanh is sigma of a cubic."""
    linear = mp.sqrt(8 / mp.pi)
    plain = {
        "LOG2_E": 1 / mp.log(2),
        "SQRT_HALF": mp.sqrt(mpf(1) / 2),
        "SQRT_2": mp.sqrt(2),
        "SQRT_2PI": mp.sqrt(2 * mp.pi),
        "INV_SQRT_2PI": 1 / mp.sqrt(2 * mp.pi),
    }
    return (
        "".join(f"#define {name} {fmt.literal(value)}\n" for name, value in plain.items())
        + two_parts(fmt, "LN2", mp.log(2), fmt.precision - fmt.exponent_bits)
        + two_parts(fmt, "GELU_LINEAR", linear, fmt.precision)
        + two_parts(fmt, "GELU_CUBIC", linear * mpf("0.044715"), fmt.precision)
    )


def single_tables() -> list[str]:
    """Everything for float32."""
    return [
        constants(SINGLE),
        expm1_table(SINGLE, degree=5),
        log1p_table(SINGLE, degree=4),
        erf_table(SINGLE, degree=5, bound=mpf("0.75")),
        normal_tail_tables(SINGLE, degree=4, bound=mpf("13.45")),
    ]


def double_tables() -> list[str]:
    """Everything for float64."""
    return [
        constants(DOUBLE),
        expm1_table(DOUBLE, degree=10),
        log1p_table(DOUBLE, degree=9),
        erf_table(DOUBLE, degree=10, bound=mpf("0.75")),
        normal_tail_tables(DOUBLE, degree=10, bound=mpf("37.8")),
    ]


def main() -> None:
    """Print the header."""
    mp.mp.dps = 60
    print("/* Constants and tables of vmath.inc.h, ascending powers. Written by coefficients.py: edit that. */")
    print("/* clang-format off */")
    print("#if FG_REAL_BITS == 32")
    print("\n".join(single_tables()), end="#else\n")
    print("\n".join(double_tables()), end="#endif\n")


if __name__ == "__main__":
    main()
