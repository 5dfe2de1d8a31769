"""Requantise int32 accumulators to int8, 2**24 of them, one thread: values a nanosecond, and against NumPy and torch.

The peers compute the same codes: NumPy the plain int64 formula of one rounding, torch the binary32 formula that its
own quantised kernels use. Both are checked for equality before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import lowbit
from bench.measure import Table
from lowbit.policy.requantize import arithmetic_name

SIZE = 1 << 24
SCALE = 0.0123
SINGLE = ("single_up", "single_away", "single_even", "multiplier24_up", "tosa_single", "tflite_single")
SCHEMES = sorted({arithmetic_name(scheme) for scheme in lowbit.REQUANTIZE_SCHEMES.values()})
SINGLE_RATE, OTHER_RATE = 1.5, 0.7
"""Values a nanosecond that are wanted."""

CHANNELS = 256


@pytest.fixture(scope="module")
def accumulators() -> npt.NDArray[np.int32]:
    return np.random.default_rng(1).integers(-(1 << 14), 1 << 14, SIZE).astype(np.int32)


def numpy_single_up(accumulators: npt.NDArray[np.int32], multiplier: int, right: int) -> npt.NDArray[np.int8]:
    """The formula of one rounding in NumPy, in pieces that stay in cache."""
    out = np.empty(accumulators.shape, dtype=np.int8)
    for start in range(0, accumulators.size, 1 << 14):
        part = accumulators[start : start + (1 << 14)].astype(np.int64)
        part *= multiplier
        part += 1 << (right - 1)
        part >>= right
        np.clip(part, -128, 127, out=part)
        out[start : start + (1 << 14)] = part
    return out


def numpy_float32(accumulators: npt.NDArray[np.int32], scale: np.float32) -> npt.NDArray[np.int8]:
    """The binary32 formula in NumPy, in pieces that stay in cache."""
    out = np.empty(accumulators.shape, dtype=np.int8)
    for start in range(0, accumulators.size, 1 << 14):
        part = accumulators[start : start + (1 << 14)].astype(np.float32)
        part *= scale
        np.clip(part, -128, 127, out=part)
        out[start : start + (1 << 14)] = np.rint(part, out=part)
    return out


def rate(table: Table, what: str, run: Callable[[], object], wanted: float) -> None:
    """Measure values a nanosecond beside a plain copy of the same bytes, which shows how busy the memory is."""
    row = table.compare(what, run, "(rate only)", lambda: None, 0.0, SIZE)
    assert table.limit(f"{what}: ns a value", row.nanoseconds, 1 / wanted)


@pytest.mark.parametrize("name", SCHEMES)
def test_rate(table: Table, accumulators: npt.NDArray[np.int32], name: str) -> None:
    out = np.empty(SIZE, dtype=np.int8)
    pair = lowbit.quantize_multiplier(SCALE, scheme=name)
    scheme = lowbit.get_requantize_scheme(name)
    given = {"scale": SCALE} if scheme.takes_scale else {"multiplier": pair[0], "shift": pair[1]}
    wanted = SINGLE_RATE if name in SINGLE else OTHER_RATE
    rate(table, f"{name}", lambda: lowbit.requantize(accumulators, scheme=scheme, out=out, **given), wanted)


@pytest.mark.parametrize("name", ["single_up", "double_up_away", "float32_even", "product53_even"])
def test_rate_of_channels(table: Table, accumulators: npt.NDArray[np.int32], name: str) -> None:
    rows = accumulators.reshape(-1, CHANNELS)
    out = np.empty(rows.shape, dtype=np.int8)
    scales = np.random.default_rng(2).uniform(0.001, 0.02, CHANNELS)
    wanted = SINGLE_RATE if name in SINGLE else OTHER_RATE
    run = lambda: lowbit.requantize(rows, scheme=name, scale=scales, out=out)  # noqa: E731
    rate(table, f"{name}, {CHANNELS} channels", run, wanted)


def test_single_rounding_against_numpy(table: Table, accumulators: npt.NDArray[np.int32]) -> None:
    multiplier, shift = lowbit.quantize_multiplier(SCALE, scheme="single_up")
    run = lambda: lowbit.requantize(accumulators, scheme="single_up", multiplier=multiplier, shift=shift)  # noqa: E731
    peer = lambda: numpy_single_up(accumulators, multiplier, 31 - shift)  # noqa: E731
    np.testing.assert_array_equal(run(), peer())
    assert table.compare("single_up", run, "NumPy int64", peer, 3.0, SIZE).met


def test_binary32_against_numpy(table: Table, accumulators: npt.NDArray[np.int32]) -> None:
    run = lambda: lowbit.requantize(accumulators, scheme="float32_even", scale=SCALE)  # noqa: E731
    peer = lambda: numpy_float32(accumulators, np.float32(SCALE))  # noqa: E731
    np.testing.assert_array_equal(run(), peer())
    assert table.compare("float32_even", run, "NumPy float32", peer, 1.0, SIZE).met


def test_binary32_against_torch(table: Table, accumulators: npt.NDArray[np.int32]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)
    tensor, scale = torch.from_numpy(accumulators), float(np.float32(SCALE))
    run = lambda: lowbit.requantize(accumulators, scheme="float32_even", scale=SCALE)  # noqa: E731
    peer = lambda: (tensor.float() * scale).round_().clamp_(-128, 127).to(torch.int8)  # noqa: E731
    np.testing.assert_array_equal(run(), peer().numpy())
    assert table.compare("float32_even", run, "torch float32", peer, 1.0, SIZE).met
