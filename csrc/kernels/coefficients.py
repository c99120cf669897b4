"""Derive the constants of ``vmath.inc.h`` and print them as C tables: ``python coefficients.py > coefficients.inc.h``.

Every table interpolates its function at Chebyshev nodes in 60-digit arithmetic, which is within a small factor of the
minimax fit, and is checked there on a dense grid: the comment beside each table is the largest relative error of the
result it serves, before the coefficients are rounded. Needs mpmath; the build does not run it, and its output is
committed. It refuses to print a table whose error exceeds the budget of its number format.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import pack, unpack

import mpmath as mp
from mpmath import mpf

Function = Callable[[mpf], mpf]

GRID = 400
TINY = mpf("1e-25")


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: its size in bits and the precision of its significand."""

    bits: int
    precision: int
    error_budget: int

    def literal(self, value: mpf) -> str:
        """Return the shortest C literal which reads back as ``value`` rounded to this format."""
        if self.bits == 64:
            return repr(float(value))
        single: float = unpack("f", pack("f", float(value)))[0]
        digits = next(d for d in range(1, 10) if unpack("f", pack("f", float(f"{single:.{d}g}")))[0] == single)
        text = f"{single:.{digits}g}"
        return text + ("f" if "." in text or "e" in text else ".0f")

    def leading(self, value: mpf, bits: int) -> mpf:
        """Return ``value`` truncated to its ``bits`` leading bits."""
        unit = mpf(2) ** (int(mp.floor(mp.log(abs(value), 2))) + 1 - bits)
        return mp.floor(value / unit) * unit


FORMATS = (Format(32, 24, -26), Format(64, 53, -54))


def chebyshev_nodes(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Return the ``count`` Chebyshev nodes of the first kind on [low, high]."""
    middle, radius = (low + high) / 2, (high - low) / 2
    return [middle + radius * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]


def horner(coefficients: list[mpf], x: mpf) -> mpf:
    """Evaluate a polynomial given by its coefficients in ascending order."""
    return mp.polyval(coefficients[::-1], x)


def fit_polynomial(function: Function, low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Interpolate ``function`` by a polynomial of the given degree; ascending coefficients."""
    nodes = chebyshev_nodes(low, high, degree + 1)
    rows = mp.matrix([[x**j for j in range(degree + 1)] for x in nodes])
    return list(mp.lu_solve(rows, mp.matrix([function(x) for x in nodes])))


def fit_rational(function: Function, points: list[mpf], degree: int) -> tuple[list[mpf], list[mpf]]:
    """Interpolate by a numerator of ``degree`` over a denominator of ``degree + 1`` with constant term 1."""
    unknowns = 2 * degree + 2
    assert len(points) == unknowns
    rows = mp.matrix(unknowns, unknowns)
    for i, x in enumerate(points):
        for j in range(degree + 1):
            rows[i, j] = x**j / function(x)
            rows[i, degree + 1 + j] = -(x ** (j + 1))
    solution = list(mp.lu_solve(rows, mp.matrix([1] * unknowns)))
    return solution[: degree + 1], [mpf(1), *solution[degree + 1 :]]


def largest(errors: Iterable[mpf], budget: int, name: str) -> str:
    """Return the largest error as a power of two; raise if it exceeds the budget."""
    exponent = mp.log(max(abs(error) for error in errors), 2)
    if exponent > budget:
        raise ArithmeticError(f"{name}: error 2^{mp.nstr(exponent, 4)} exceeds 2^{budget}")
    return f"2^{mp.nstr(exponent, 3)}"


def grid(low: mpf, high: mpf) -> list[mpf]:
    """Return equidistant points from low to high, both included."""
    return [low + (high - low) * k / GRID for k in range(GRID + 1)]


def table(fmt: Format, name: str, coefficients: list[mpf]) -> str:
    """Write one C array, ascending powers."""
    rows = "".join(f"    {fmt.literal(c)},\n" for c in coefficients)
    return f"static const real {name}[] = {{\n{rows}}};\n"


def expm1_reduced(fmt: Format, degree: int) -> str:
    """Table of (e^r - 1 - r) / r^2 on the reduced range of the exponential."""
    radius = mp.log(2) / 2 * mpf("1.0001")
    tail = lambda r: mp.hyp1f1(1, 3, r) / 2  # noqa: E731
    fitted = fit_polynomial(tail, -radius, radius, degree)
    errors = ((horner(fitted, r) - tail(r)) * r**2 / mp.expm1(r) for r in grid(-radius, radius) if r != 0)
    note = f"/* (e^r - 1 - r) / r^2, |r| <= ln(2)/2: degree {degree}; e^r - 1 within {largest(errors, fmt.error_budget, 'expm1')}. */\n"
    return note + table(fmt, "EXPM1_REDUCED", fitted)


def log1p_reduced(fmt: Format, degree: int) -> str:
    """Table of (2 atanh(s) - 2 s) / s^3 as a function of s^2, for s = f / (2 + f)."""
    high = mpf(1) / 9
    tail = lambda z: 2 * (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z  # noqa: E731
    fitted = fit_polynomial(tail, TINY, high, degree)
    errors = ((horner(fitted, z) - tail(z)) * z / (2 + z * tail(z)) for z in grid(TINY, high))
    note = (
        f"/* (2 atanh(s) - 2 s) / s^3 in s^2, |s| <= 1/3: degree {degree}; "
        f"2 atanh(s) within {largest(errors, fmt.error_budget, 'log1p')}. */\n"
    )
    return note + table(fmt, "LOG1P_REDUCED", fitted)


def erf_small(fmt: Format, degree: int) -> str:
    """Table of erf(x) / x - 1 as a function of x^2, up to ERF_SMALL."""
    bound = mpf("0.75")
    tail = lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1  # noqa: E731
    fitted = fit_polynomial(tail, TINY, bound**2, degree)
    errors = ((horner(fitted, z) - tail(z)) / (1 + tail(z)) for z in grid(TINY, bound**2))
    note = (
        f"/* erf(x) / x - 1 in x^2, |x| <= ERF_SMALL: degree {degree}; "
        f"erf(x) within {largest(errors, fmt.error_budget, 'erf')}. */\n"
    )
    return note + f"#define ERF_SMALL ((real){mp.nstr(bound, 3)})\n" + table(fmt, "ERF_REDUCED", fitted)


def erfcx_rational(fmt: Format, degree: int, bound: mpf) -> str:
    """Tables of the rational form of e^(x^2) erfc(x) from 0 to ERFCX_BOUND.

    The nodes are Chebyshev nodes of 1 / (1 + x / spread), in which the function is nearly a straight line.
    """
    spread = mpf("2.5")
    erfcx = lambda x: mp.exp(x * x) * mp.erfc(x)  # noqa: E731
    unfold = lambda w: spread * (1 / w - 1)  # noqa: E731
    low = 1 / (1 + bound / spread)
    numerator, denominator = fit_rational(erfcx, [unfold(w) for w in chebyshev_nodes(low, mpf(1), 2 * degree + 2)], degree)
    errors = (
        horner(numerator, x) / horner(denominator, x) / erfcx(x) - 1 for x in (unfold(w) for w in grid(low, mpf(1)))
    )
    note = (
        f"/* e^(x^2) erfc(x), 0 <= x <= ERFCX_BOUND: degree {degree} over {degree + 1}, all terms positive; "
        f"within {largest(errors, fmt.error_budget, 'erfcx')}. */\n"
    )
    define = f"#define ERFCX_BOUND ((real){mp.nstr(bound, 4)})\n"
    return note + define + table(fmt, "ERFCX_NUMERATOR", numerator) + table(fmt, "ERFCX_DENOMINATOR", denominator)


def two_parts(fmt: Format, name: str, value: mpf, bits: int) -> str:
    """Write a constant as a leading part of so many bits and the rest."""
    high = fmt.leading(value, bits)
    return f"#define {name}_HIGH {fmt.literal(high)}\n#define {name}_LOW {fmt.literal(value - high)}\n"


def constants(fmt: Format) -> str:
    """Write the scalars: ln 2 with room for a product by an exponent, the cubic of gelu_tanh to twice the precision."""
    exponent_bits = 8 if fmt.bits == 32 else 11
    slope = mp.sqrt(8 / mp.pi)
    return (
        f"#define LOG2_E {fmt.literal(1 / mp.log(2))}\n"
        + two_parts(fmt, "LN2", mp.log(2), fmt.precision - exponent_bits)
        + f"#define SQRT_HALF {fmt.literal(mp.sqrt(mpf(1) / 2))}\n"
        + f"#define INV_SQRT_2PI {fmt.literal(1 / mp.sqrt(2 * mp.pi))}\n"
        + two_parts(fmt, "GELU_LINEAR", slope, fmt.precision)
        + two_parts(fmt, "GELU_CUBIC", slope * mpf("0.044715"), fmt.precision)
    )


def main() -> None:
    """Print the header."""
    mp.mp.dps = 60
    single, double = FORMATS
    print("/* Constants and polynomial tables of vmath.inc.h, ascending powers. Written by coefficients.py: edit that. */")
    for fmt, opening in ((single, "#if FG_REAL_BITS == 32"), (double, "#else")):
        wide = fmt.bits == 64
        print(opening)
        print(constants(fmt))
        print(expm1_reduced(fmt, 10 if wide else 5))
        print(log1p_reduced(fmt, 9 if wide else 4))
        print(erf_small(fmt, 10 if wide else 5))
        print(erfcx_rational(fmt, 10 if wide else 4, mpf("26.75") if wide else mpf("9.5")), end="")
    print("#endif")


if __name__ == "__main__":
    main()
