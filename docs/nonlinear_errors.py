"""Measures the integer-only nonlinearities: the papers' claimed maxima beside ours, and plots of the errors.

``python docs/nonlinear_errors.py`` prints the tables; docs/generate.py writes them, with the plots, into a page.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import lowbit

Values = npt.NDArray[np.float64]
Curve = tuple[str, Values, Values]
SQRT_2 = 2.0**0.5
LN_2 = 0.6931471805599453


class Claim(NamedTuple):
    """A function, what its authors claim as the largest error, and what is measured."""

    what: str
    claimed: str
    measured: float


def erf(values: Values) -> Values:
    """The error function."""
    import math

    return np.vectorize(math.erf)(values)


def gelu(values: Values) -> Values:
    """Exact GELU."""
    return values * (1 + erf(values / SQRT_2)) / 2


def softmax(values: Values) -> Values:
    """Exact softmax along the last axis."""
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(values: Values) -> Values:
    """Logistic function."""
    return 1 / (1 + np.exp(-values))


def largest(got: Any, exact: Any) -> float:
    """The largest absolute difference."""
    return float(np.abs(np.asarray(got) - exact).max())


def real_valued() -> list[Claim]:
    """The approximations themselves, before any integer."""
    fraction = np.linspace(-LN_2, 0, 200_001)
    exact = np.exp(fraction)
    code = 0.35815147 * fraction**2 + 0.96963238 * fraction + 1
    paper = 0.3585 * (fraction + 1.353) ** 2 + 0.344
    x = np.linspace(-8, 8, 400_001)
    inner = np.minimum(np.abs(x) / SQRT_2, 1.769)
    polynomial = np.sign(x) * (-0.2888 * (inner - 1.769) ** 2 + 1)
    scaled = np.linspace(-8, 0, 400_001)
    power = 1.4375 * scaled
    whole = np.floor(-power)
    shifted = (1 + (power + whole) / 2) * 2.0**-whole
    hard = x * np.clip(1.702 * x + 3, 0, 6) / 6
    return [
        Claim("i-exp polynomial, constants of the code", "1.9e-3", largest(code, exact)),
        Claim("i-exp polynomial, constants of the paper", "1.9e-3", largest(paper, exact)),
        Claim("i-GELU", "1.8e-2", largest(x * (1 + polynomial) / 2, gelu(x))),
        Claim("x sigmoid(1.702 x)", "2.0e-2", largest(x * sigmoid(1.702 * x), gelu(x))),
        Claim("h-GELU, x relu6(1.702 x + 3) / 6", "6.8e-2", largest(hard, gelu(x))),
        Claim("ShiftExp, exp on [-8, 0]", "none", largest(shifted, np.exp(scaled))),
    ]


def integer_exp(scheme: str, scale: float) -> float:
    """The largest error of an integer exponential over [-8, 0]."""
    codes = np.arange(0, -int(8 / scale) - 1, -1)
    got, unit = lowbit.fixed_point.exp(codes, scheme=scheme, scale=scale, return_scale=True)
    return largest(got * float(unit), np.exp(codes * float(np.float32(scale))))


def integer_gelu(scheme: str, scale: float, codes: Any, variant: str | None = None) -> float:
    """The largest error of an integer GELU over a row of codes."""
    got, unit = lowbit.gelu(codes, scheme=scheme, scale=scale, variant=variant, return_scale=True)
    return largest(got * float(unit), gelu(codes * float(np.float32(scale))))


def integer_softmax(scheme: str, scale: float) -> float:
    """The largest error over 2,000 rows of 197 int8 codes with a deviation of 35 codes."""
    codes = np.random.default_rng(0).normal(0, 35, (2000, 197)).round().clip(-128, 127).astype(np.int8)
    got, unit = lowbit.softmax(codes, scheme=scheme, scale=scale, return_scale=True)
    return largest(got * unit, softmax(codes * float(np.float32(scale))))


def integer_layernorm(scheme: str, deviation: float, **options: int) -> float:
    """The largest error over rows of 768 codes of a deviation."""
    codes = np.random.default_rng(0).normal(0, deviation, (200, 768)).round().astype(np.int16)
    got, unit = lowbit.layernorm(codes, scheme=scheme, return_scale=True, **options)
    exact = (codes - codes.mean(-1, keepdims=True)) / codes.std(-1, keepdims=True)
    return largest(got * unit, exact)


def integer_rmsnorm(scheme: str, deviation: float) -> float:
    """The same of RMSNorm, of codes around one deviation."""
    codes = np.random.default_rng(0).normal(deviation, deviation, (200, 768)).round().astype(np.int16)
    got, unit = lowbit.rmsnorm(codes, scheme=scheme, return_scale=True)
    return largest(got * unit, codes / np.sqrt((codes.astype(np.float64) ** 2).mean(-1, keepdims=True)))


def integers() -> list[Claim]:
    """The integer algorithms."""
    every = np.arange(-128, 128).astype(np.int8)
    wide = np.arange(-8000, 8001, dtype=np.int32)
    rows = [Claim(f"i-exp at scale {scale:g}", "1.9e-3", integer_exp("ibert", scale)) for scale in (0.05, 0.01, 0.001)]
    rows += [Claim(f"ShiftExp at scale {scale:g}", "none", integer_exp("ivit", scale)) for scale in (0.05, 0.01)]
    rows += [
        Claim("i-GELU, code, int32 codes at 0.001", "1.8e-2", integer_gelu("ibert", 0.001, wide)),
        Claim("i-GELU, code, int8 codes at 1/32", "1.8e-2", integer_gelu("ibert", 1 / 32, every)),
        Claim("i-GELU, paper, int8 codes at 1/32", "1.8e-2", integer_gelu("ibert", 1 / 32, every, "paper")),
        Claim("GELU of scheme lowbit, int8 codes at 1/32", "-", integer_gelu("lowbit", 1 / 32, every)),
        Claim("GELU of scheme lowbit, int32 codes at 0.001", "-", integer_gelu("lowbit", 0.001, wide)),
    ]
    for reach in (8, 5, 3, 1):
        row = integer_gelu("ivit", reach / 127, every)
        rows.append(Claim(f"ShiftGELU, int8 row over -{reach} to {reach}", "none", row))
    for scheme in ("exact", "ivit", "ibert", "lowbit"):
        for scale in (0.0123, 0.05, 0.25):
            rows.append(Claim(f"softmax {scheme}, rows of 197 at {scale:g}", "none", integer_softmax(scheme, scale)))
    for scheme in ("exact", "ivit", "ibert", "lowbit"):
        for deviation in (1, 5, 30, 3000):
            name = f"LayerNorm {scheme}, 768 codes of deviation {deviation}"
            rows.append(Claim(name, "none", integer_layernorm(scheme, deviation)))
    for scheme in ("exact", "lowbit"):
        for deviation in (1, 30, 3000):
            name = f"RMSNorm {scheme}, 768 codes around {deviation}"
            rows.append(Claim(name, "none", integer_rmsnorm(scheme, deviation)))
    shifted = integer_layernorm("ibert", 3000, shift=2)
    rows.append(Claim("LayerNorm ibert, 768 codes of deviation 3000, shift 2", "none", shifted))
    return rows


def exp_curves() -> list[Curve]:
    """Error of the exponentials over [-8, 0]."""
    curves = []
    for name, scheme, scale in (("ShiftExp", "ivit", 0.01), ("i-exp", "ibert", 0.01)):
        codes = np.arange(-800, 1)
        got, unit = lowbit.fixed_point.exp(codes, scheme=scheme, scale=scale, return_scale=True)
        x = codes * scale
        curves.append((name, x, got * float(unit) - np.exp(codes * float(np.float32(scale)))))
    return curves


def gelu_curves() -> list[Curve]:
    """Error of the GELUs of a row of all int8 codes at 1/32."""
    codes = np.arange(-128, 128).astype(np.int8)
    x = codes / 32
    curves = []
    for name, scheme, variant in (
        ("ShiftGELU", "ivit", None),
        ("i-GELU", "ibert", "paper"),
        ("lowbit", "lowbit", None),
    ):
        got, unit = lowbit.gelu(codes, scheme=scheme, scale=1 / 32, variant=variant, return_scale=True)
        curves.append((name, x, got * float(unit) - gelu(x)))
    return curves


def layernorm_curves() -> list[Curve]:
    """How many times the exact deviation I-LayerNorm's ten steps give, over the exact one as log2."""
    exponents = np.linspace(0, 15, 151)
    ratios: dict[str, list[float]] = {"I-ViT, code": [], "I-BERT": []}
    for exponent in exponents:
        high = max(round(2.0**exponent / SQRT_2), 1)
        codes = np.array([[high, -high]], dtype=np.int32)
        for name, scheme in (("I-ViT, code", "ivit"), ("I-BERT", "ibert")):
            got, unit = lowbit.layernorm(codes, scheme=scheme, return_scale=True)
            value = got[0, 0] * float(unit[0])
            ratios[name].append(np.log2(1 / value))
    return [(name, exponents, np.array(values)) for name, values in ratios.items()]


WIDTH, HEIGHT, MARGIN = 640, 260, 48
COLOURS = ("#1f77b4", "#d62728", "#2ca02c")


def plot(title: str, curves: Sequence[Curve]) -> str:
    """An SVG with one line a curve, axes and the extremes as labels."""
    xs, ys = np.concatenate([x for _, x, _ in curves]), np.concatenate([y for _, _, y in curves])
    low, high = min(float(ys.min()), 0.0), max(float(ys.max()), 0.0)
    spread = high - low or 1.0

    def place(x: Values, y: Values) -> str:
        across = MARGIN + (x - xs.min()) / (xs.max() - xs.min()) * (WIDTH - 2 * MARGIN)
        down = HEIGHT - MARGIN - (y - low) / spread * (HEIGHT - 2 * MARGIN)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))

    zero = place(np.array([xs.min(), xs.max()]), np.zeros(2))
    lines = [f'<polyline points="{zero}" fill="none" stroke="#888" stroke-width="0.7"/>']
    for number, (name, x, y) in enumerate(curves):
        colour = COLOURS[number]
        lines.append(f'<polyline points="{place(x, y)}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        lines.append(f'<text x="{MARGIN + 120 * number}" y="34" fill="{colour}" font-size="12">{name}</text>')
    bottom = HEIGHT - MARGIN / 2
    lines += [
        f'<text x="{MARGIN}" y="16" font-size="13" fill="currentColor">{title}</text>',
        f'<text x="{MARGIN}" y="{bottom}" font-size="11" fill="currentColor">{xs.min():g}</text>',
        f'<text x="{WIDTH - MARGIN}" y="{bottom}" font-size="11" fill="currentColor">{xs.max():g}</text>',
        f'<text x="2" y="{MARGIN}" font-size="11" fill="currentColor">{high:.2g}</text>',
        f'<text x="2" y="{HEIGHT - MARGIN}" font-size="11" fill="currentColor">{low:.2g}</text>',
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(lines)}</svg>'


def table(claims: Sequence[Claim]) -> str:
    """A Markdown table."""
    lines = ["| function | claimed | measured |", "| --- | --- | --- |"]
    lines += [f"| {claim.what} | {claim.claimed} | {claim.measured:.2e} |" for claim in claims]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The generated page."""
    plots: list[tuple[str, Callable[[], list[Curve]]]] = [
        ("Error of exp over -8 to 0, scale 0.01", exp_curves),
        ("Error of GELU over -4 to 4, one row of all int8 codes at 1/32", gelu_curves),
        ("I-LayerNorm: log2 of deviation / exact, over log2 of the exact one", layernorm_curves),
    ]
    drawn = "\n\n".join(f"```{{raw}} html\n{plot(title, curves())}\n```" for title, curves in plots)
    return (
        "# Errors of the integer-only nonlinearities\n\nLargest absolute errors; the authors' claims are in the second "
        f"column.\n\n## Real-valued approximations\n\n{table(real_valued())}\n## In integers\n\n{table(integers())}\n"
        f"## Over the input range\n\n{drawn}\n"
    )


if __name__ == "__main__":
    print(f"{table(real_valued())}\n{table(integers())}")
