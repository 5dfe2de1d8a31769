"""quantize against the same rule in NumPy and ml_dtypes, vectorised: 4096 x 4096 values of binary32, one thread."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import lowbit
from bench.measure import Table

SHAPE = (4096, 4096)
SIZE = SHAPE[0] * SHAPE[1]
WANTED = 20.0
STEPS_WANTED = 10.0
"""For presets whose steps are rounded to binary32, as NumPy's are."""
INT4_WANTED = 4.0
"""20 are wanted: NumPy divides, rounds and clips at the speed of memory, and two passes over it are left here."""
HIFLOAT4_WANTED = 2.0
"""Each four values have boundaries of their own."""
MX = {
    "mxfp8_e4m3": "float8_e4m3fn",
    "mxfp8_e5m2": "float8_e5m2",
    "mxfp6_e2m3": "float6_e2m3fn",
    "mxfp4": "float4_e2m1fn",
}
E2M1_MAX, E4M3_MAX = 6.0, 448.0
FILL_WANTED = 0.5
Values = npt.NDArray[np.float32]
Result = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@pytest.fixture(scope="module")
def values() -> Values:
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


def mx(values: Values, dtype: np.dtype) -> Result:
    """OCP MX v1.0 6.3: the exponent of the largest, a product, a cast."""
    blocks = values.reshape(-1, 32)
    largest = float(ml_dtypes.finfo(dtype).max)
    exponents = np.frexp(np.abs(blocks).max(axis=1))[1] - 1 - int(np.log2(largest))
    scaled = blocks * np.ldexp(np.float32(1), -exponents)[:, None]
    codes = np.clip(scaled, -largest, largest).astype(dtype).view(np.uint8)
    return codes.reshape(values.shape), (exponents + 127).astype(np.uint8)


def nvfp4(values: Values, length: int = 16) -> Result:
    """Two levels, quotients in binary64: in binary32 the codes would be others."""
    blocks = values.reshape(-1, length)
    tensor = np.float32(np.abs(values).max() / np.float64(E2M1_MAX * E4M3_MAX))
    amax = np.abs(blocks).max(axis=1).astype(np.float64)
    scales = np.minimum(amax / (E2M1_MAX * float(tensor)), E4M3_MAX).astype(ml_dtypes.float8_e4m3fn)
    quotients = blocks / (scales.astype(np.float64) * float(tensor))[:, None]
    codes = np.clip(quotients, -E2M1_MAX, E2M1_MAX).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return codes.reshape(values.shape), scales.view(np.uint8)


def by_sign(values: Values, length: int = 128) -> Result:
    """AFPQ: a scale for the positive values and one for the others."""
    blocks = values.reshape(-1, length)
    ends = (np.maximum(blocks, 0).max(axis=1), np.maximum(-blocks, 0).max(axis=1))
    positive, negative = ((end.astype(np.float64) / E2M1_MAX).astype(np.float16).astype(np.float64) for end in ends)
    quotients = blocks / np.where(blocks < 0, negative[:, None], positive[:, None])
    codes = np.clip(quotients, -E2M1_MAX, E2M1_MAX).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return codes.reshape(values.shape), positive.astype(np.float16).view(np.uint8)


def nvfp4_in_binary32(values: Values, length: int = 16) -> Result:
    """torchao: every step in binary32, scales of at least 2^-6."""
    blocks = values.reshape(-1, length)
    amax = np.abs(blocks).max(axis=1)
    tensor = amax.max() / np.float32(E2M1_MAX * E4M3_MAX)
    scales = np.clip(amax / np.float32(E2M1_MAX) / tensor, np.float32(2**-6), E4M3_MAX).astype(ml_dtypes.float8_e4m3fn)
    quotients = blocks * ((np.float32(1) / tensor) / scales.astype(np.float32))[:, None]
    codes = np.clip(quotients, -E2M1_MAX, E2M1_MAX).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return codes.reshape(values.shape), scales.view(np.uint8)


def four_over_six(values: Values, length: int = 16) -> Result:
    """Transformer Engine: two scales of each block and the squared errors of both, every step in binary32."""
    blocks = values.reshape(-1, length)
    amax = np.abs(blocks).max(axis=1)
    whole, top = amax.max(), np.float32(E2M1_MAX * 256)
    tensor = np.float32(1) / (top / whole)
    found = []
    for factor in (1, 1.5):
        scale = np.minimum(amax / np.float32(E2M1_MAX) * (top / whole) * np.float32(factor), np.float32(E4M3_MAX))
        scale = scale.astype(ml_dtypes.float8_e4m3fn)
        wide = scale.astype(np.float32)
        quotients = blocks * (np.float32(1) / (wide * tensor))[:, None]
        codes = np.clip(quotients, -E2M1_MAX, E2M1_MAX).astype(ml_dtypes.float4_e2m1fn)
        errors = codes.astype(np.float32) * wide[:, None] * whole / top - blocks
        errors *= errors
        total = np.zeros(len(blocks), np.float32)
        for place in range(length):
            total += errors[:, place]
        found.append((total, codes.view(np.uint8), scale.view(np.uint8)))
    better = found[1][0] < found[0][0]
    codes = np.where(better[:, None], found[1][1], found[0][1])
    return codes.reshape(values.shape), np.where(better, found[1][2], found[0][2])


def afpq_in_binary32(values: Values, length: int = 128) -> Result:
    """AFPQ's own steps: a scale for each sign, x / s, the nearest element, of two alike the lower one."""
    blocks = values.reshape(-1, length)
    ends = (np.maximum(blocks, 0).max(axis=1), np.maximum(-blocks, 0).max(axis=1))
    positive, negative = (end / np.float32(E2M1_MAX) for end in ends)
    quotients = blocks / np.where(blocks < 0, negative[:, None], positive[:, None])
    table = np.unique(lowbit.decode(np.arange(16), "float4_e2m1fn"))
    places = np.searchsorted((table[1:] + table[:-1]) / 2, quotients)
    codes = np.uint8([7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7])[places] | (np.signbit(quotients) << np.uint8(3))
    return codes.reshape(values.shape), positive.view(np.uint8)


def hifloat4(values: Values) -> Result:
    """A scale of E6M2 for 64 values, one bit for each 8 and each 4 of them, elements to nearest with ties away."""
    blocks = values.reshape(-1, 16, 4).astype(np.float64)
    sizes = np.abs(blocks).max(axis=2)
    table = lowbit.decode(np.arange(255), "float8_e6m2fnu").astype(np.float64)
    scale = np.searchsorted((table[1:] + table[:-1]) / 2, sizes.max(axis=1) / 7)
    quotients = sizes / table[scale][:, None]
    eights = quotients.reshape(-1, 8, 2).max(axis=2) >= 4
    fours = quotients / (1 + np.repeat(eights, 2, axis=1)) >= 2
    factors = table[scale][:, None] * (1 + np.repeat(eights, 2, axis=1)) * (1 + fours)
    counts = np.minimum(np.floor(np.abs(blocks) / factors[:, :, None] * 4 + 0.5), 7).astype(np.uint8)
    codes = counts | (np.signbit(blocks).astype(np.uint8) << 3)
    return codes.reshape(values.shape), scale.astype(np.uint8)


def mx_rounded_up(values: Values) -> Result:
    """MXFP8 E4M3 of Transformer Engine: amax times 1/448 in binary32, rounded up to a power of two."""
    blocks = values.reshape(-1, 32)
    ratios = np.abs(blocks).max(axis=1) * np.float32(1 / E4M3_MAX)
    fractions, exponents = np.frexp(ratios)
    exponents -= fractions == 0.5
    scaled = blocks * np.ldexp(np.float32(1), -exponents)[:, None]
    codes = np.clip(scaled, -E4M3_MAX, E4M3_MAX).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    return codes.reshape(values.shape), (exponents + 127).astype(np.uint8)


def fp8(values: Values, length: int = 128) -> Result:
    """DeepSeek-V3: amax / 448 and x / s in binary32."""
    blocks = values.reshape(-1, length)
    scales = np.abs(blocks).max(axis=1) / np.float32(E4M3_MAX)
    codes = np.clip(blocks / scales[:, None], -E4M3_MAX, E4M3_MAX).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    return codes.reshape(values.shape), scales.view(np.uint8)


def nf4(values: Values, length: int = 64) -> Result:
    """Quotients in binary64, sorted into the middles between the values."""
    blocks = values.reshape(-1, length)
    table = lowbit.decode(np.arange(16), "nf4").astype(np.float64)
    scales = np.abs(blocks).max(axis=1).astype(np.float16)
    codes = np.searchsorted((table[1:] + table[:-1]) / 2, blocks / scales.astype(np.float64)[:, None])
    return codes.astype(np.uint8).reshape(values.shape), scales.view(np.uint8)


def nf4_in_binary32(values: Values, length: int = 64) -> Result:
    """bitsandbytes: x * (1 / amax) and the middles between the values in binary32."""
    blocks = values.reshape(-1, length)
    table = lowbit.decode(np.arange(16), "nf4").astype(np.float32)
    scales = np.abs(blocks).max(axis=1)
    codes = np.searchsorted((table[1:] + table[:-1]) / 2, blocks * (1 / scales)[:, None])
    return codes.astype(np.uint8).reshape(values.shape), scales.view(np.uint8)


def int4(values: Values, length: int = 128) -> Result:
    """Quotients in binary32, which are as good as exact ones by a scale of 11 bits."""
    blocks = values.reshape(-1, length)
    scales = (np.abs(blocks).max(axis=1) / np.float32(7)).astype(np.float16)
    quotients = np.rint(blocks / scales.astype(np.float32)[:, None])
    codes = np.clip(quotients, -8, 7).astype(ml_dtypes.int4).view(np.int8)
    return codes.reshape(values.shape), scales.view(np.uint8)


def int4_asymmetric(values: Values, length: int = 128) -> Result:
    """Lowest and highest value, and a zero point."""
    blocks = values.reshape(-1, length)
    low, high = np.minimum(blocks.min(axis=1), 0), np.maximum(blocks.max(axis=1), 0)
    scales = ((high.astype(np.float64) - low) / 15).astype(np.float16)
    zeros = np.clip(np.rint(-8 - low / scales.astype(np.float64)), -8, 7).astype(np.float32)
    quotients = np.rint(blocks / scales.astype(np.float32)[:, None]) + zeros[:, None]
    codes = np.clip(quotients, -8, 7).astype(ml_dtypes.int4).view(np.int8)
    return codes.reshape(values.shape), scales.view(np.uint8)


def compare(
    table: Table, values: Values, name: str, peer: Callable[[], Result], wanted: float, policy: str | None = None
) -> None:
    """The same codes and scales, and the ratio."""
    tensor, (codes, scales) = lowbit.quantize(values, name, policy=policy), peer()
    first = tensor.format.scales[0].name
    # ml_dtypes casts binary64 by way of binary32, which makes ties of a few quotients and scales
    bits = (1 << tensor.format.element.bits) - 1  # of an int4, ml_dtypes leaves the others open
    differing = np.count_nonzero((tensor.codes.view(np.uint8) ^ codes.view(np.uint8)) & bits)
    differing += np.count_nonzero(
        tensor.scale_codes(first).reshape(-1).view(np.uint8) != scales.reshape(-1).view(np.uint8)
    )
    assert differing <= SIZE >> 20
    row = table.compare(
        f"float32 -> {name}" + (f", {policy}" if policy else ""),
        lambda: lowbit.quantize(values, name, policy=policy),
        "NumPy and ml_dtypes",
        peer,
        wanted,
        SIZE,
    )
    assert row.met


@pytest.mark.parametrize("name", MX)
def test_mx(table: Table, values: Values, name: str) -> None:
    compare(table, values, name, lambda: mx(values, np.dtype(getattr(ml_dtypes, MX[name]))), WANTED)


def test_nvfp4(table: Table, values: Values) -> None:
    compare(table, values, "nvfp4", lambda: nvfp4(values), WANTED)


def test_afpq(table: Table, values: Values) -> None:
    compare(table, values, "float4_e2m1fn.g128.by_sign", lambda: by_sign(values), WANTED)


@pytest.mark.parametrize(
    ("name", "policy", "peer"),
    [
        ("nvfp4", "torchao_nvfp4", nvfp4_in_binary32),
        ("mxfp8_e4m3", "transformer_engine_mx", mx_rounded_up),
        ("fp8_1x128", "deepseek_v3", fp8),
        ("nf4.g64.float32", "bitsandbytes", nf4_in_binary32),
        ("nvfp4", "four_over_six", four_over_six),
        ("float4_e2m1fn.g128.by_sign.float32", "afpq", afpq_in_binary32),
    ],
)
def test_steps_in_binary32(
    table: Table, values: Values, name: str, policy: str, peer: Callable[[Values], Result]
) -> None:
    compare(table, values, name, lambda: peer(values), STEPS_WANTED, policy)


def test_nf4(table: Table, values: Values) -> None:
    compare(table, values, "nf4.g64", lambda: nf4(values), WANTED)


def test_hifloat4(table: Table, values: Values) -> None:
    compare(table, values, "hifloat4", lambda: hifloat4(values), HIFLOAT4_WANTED)


@pytest.mark.parametrize(("name", "peer"), [("int4.g128", int4), ("int4.g128.asymmetric", int4_asymmetric)])
def test_int4(table: Table, values: Values, name: str, peer: Callable[[Values], Result]) -> None:
    compare(table, values, name, lambda: peer(values), INT4_WANTED)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp8_e4m3", "nvfp4", "nf4.g64", "int4.g128", "int8.g128", "fp8_128x128"])
def test_dequantize(table: Table, values: Values, name: str) -> None:
    tensor = lowbit.quantize(values, name)
    row = table.compare(
        f"{name} -> float32",
        lambda: lowbit.dequantize(tensor),
        "filling the output",
        lambda: np.full(SHAPE, 1, np.float32),
        FILL_WANTED,
        SIZE,
    )
    assert row.met
