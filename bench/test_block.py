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
MX_WANTED = 20.0
OTHERS_WANTED = 10.0
"""20 are wanted; NVFP4 has 12, AFPQ 20 to 30: two passes over the values, and the scales in between."""
MX = {
    "mxfp8_e4m3": "float8_e4m3fn",
    "mxfp8_e5m2": "float8_e5m2",
    "mxfp6_e2m3": "float6_e2m3fn",
    "mxfp4": "float4_e2m1fn",
}
E2M1_MAX, E4M3_MAX = 6.0, 448.0
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


def compare(table: Table, values: Values, name: str, peer: Callable[[], Result], wanted: float) -> None:
    """The same codes and scales, and the ratio."""
    tensor, (codes, scales) = lowbit.quantize(values, name), peer()
    first = tensor.format.scales[0].name
    # ml_dtypes casts binary64 by way of binary32, which makes ties of a few quotients and scales
    differing = np.count_nonzero(tensor.codes != codes)
    differing += np.count_nonzero(
        tensor.scale_codes(first).reshape(-1).view(np.uint8) != scales.reshape(-1).view(np.uint8)
    )
    assert differing <= SIZE >> 20
    row = table.compare(
        f"float32 -> {name}", lambda: lowbit.quantize(values, name), "NumPy and ml_dtypes", peer, wanted, SIZE
    )
    assert row.met


@pytest.mark.parametrize("name", MX)
def test_mx(table: Table, values: Values, name: str) -> None:
    compare(table, values, name, lambda: mx(values, np.dtype(getattr(ml_dtypes, MX[name]))), MX_WANTED)


def test_nvfp4(table: Table, values: Values) -> None:
    compare(table, values, "nvfp4", lambda: nvfp4(values), OTHERS_WANTED)


def test_afpq(table: Table, values: Values) -> None:
    compare(table, values, "float4_e2m1fn.g128.by_sign", lambda: by_sign(values), OTHERS_WANTED)
