"""Against PyTorch: the published formulas as the public codes write them, on rounded codes.

The codes compute x / S in binary32 and never round it back, so their "integers" are not: here they are integers, and
all else is the formulas. In binary64 the arithmetic is exact, so every result must agree; in binary32, as published,
products beyond 2^24 are rounded. Constants are derived by PyTorch itself in binary32.
"""

from __future__ import annotations

import numpy as np
import pytest

import lowbit
from lowbit.nonlinear import ibert, ivit
from lowbit.oracle.nonlinear.ivit import norm_biases

torch = pytest.importorskip("torch", reason="torch is not installed")

SCALES = np.unique(np.random.default_rng(0).uniform(0.002, 0.3, 40).astype(np.float32)).tolist()
MANY = np.exp(np.random.default_rng(1).uniform(np.log(2e-4), np.log(0.6), 20_000)).astype(np.float32)


def rows(count=60, length=197, seed=2):
    return np.random.default_rng(seed).normal(0, 40, (count, length)).round().clip(-128, 127).astype(np.int8)


def one(scale):
    return torch.tensor([scale], dtype=torch.float32)


def shift_exp(x, unit, n):
    x = x + torch.floor(x / 2) - torch.floor(x / 2**4)
    x = torch.max(x, n * unit)
    q = torch.floor(x / unit)
    r = x - unit * q
    return torch.clamp(torch.floor((r / 2 - unit) * 2 ** (n - q)), min=0)


def shiftmax(x, unit, bits):
    e = shift_exp(x - x.max(-1, keepdim=True).values, unit, 15)
    factor = torch.floor((2**31 - 1) / e.sum(-1, keepdim=True).clamp_max(2**31 - 1))
    return torch.floor(e * factor / 2 ** (31 - bits + 1))


def shiftgelu(x, unit):
    top = x.max(-1, keepdim=True).values
    e, of_top = shift_exp(x - top, unit, 23), shift_exp(-top, unit, 23)
    factor = torch.floor((2**31 - 1) / (e + of_top).clamp_max(2**31 - 1))
    return x * torch.floor(e * factor / 2 ** (31 - 8 + 1))


def newton_layernorm(x):
    y = x - torch.round(x.mean(-1, keepdim=True))
    squares = (y**2).sum(-1, keepdim=True)
    k = torch.full_like(squares, 2**16)
    for _ in range(10):
        k = torch.floor((k + torch.floor(squares / k)) / 2)
    return torch.floor(y * torch.floor((2**31 - 1) / k) / 2)


@pytest.mark.parametrize("scale", SCALES)
def test_ivit_in_exact_arithmetic(scale):
    codes = rows()
    x = torch.from_numpy(codes.astype(np.float64))
    unit = torch.floor(-1.0 / one(scale)).double()
    for bits in (8, 16):
        assert np.array_equal(lowbit.softmax(codes, scale=scale, bits=bits), shiftmax(x, unit, bits).numpy())
    unit = torch.floor(-1.0 / (one(scale) * 1.702)).double()
    assert np.array_equal(lowbit.gelu(codes, scale=scale), shiftgelu(x, unit).numpy())


def test_ivit_layernorm_in_exact_arithmetic():
    for codes in (rows(), (rows().astype(np.int16) * 100), rows(length=768) // 30):
        assert np.array_equal(lowbit.layernorm(codes), newton_layernorm(torch.from_numpy(codes.astype(np.float64))))


def test_ivit_as_published_in_binary32_but_for_the_rounding():
    # One round() after x / S, the rest in binary32: sums and products lose bits beyond 2^24; Shiftmax differs by 1.
    codes = rows(count=200)
    for scale in SCALES[::5]:
        x = torch.round(torch.from_numpy(codes * np.float32(scale)) / one(scale))
        assert np.array_equal(x.numpy(), codes)
        unit = torch.floor(-1.0 / one(scale))
        difference = np.abs(lowbit.softmax(codes, scale=scale, bits=8) - shiftmax(x, unit, 8).numpy())
        assert difference.max() <= 1
        assert (difference != 0).mean() < 0.001


def int_exp(x, scale, constants):
    unit, b, c = constants
    x = torch.max(x, 30 * unit)
    q = torch.floor(x / unit)
    r = x - unit * q
    return torch.clamp(torch.floor((r * (r + b) + c) * 2 ** (30 - q)), min=0)


def ibert_constants(scale):
    """By PyTorch in binary32, as IntSoftmax derives them."""
    s = one(scale)
    return [
        torch.floor(-0.6931 / s),
        torch.floor((0.96963238 / 0.35815147) / s),
        torch.floor((1.0 / 0.35815147) / s**2),
    ]


@pytest.mark.parametrize("scale", SCALES)
def test_ibert_in_exact_arithmetic(scale):
    codes = rows()
    x = torch.from_numpy(codes.astype(np.float64))
    constants = [number.double() for number in ibert_constants(scale)]
    e = int_exp(x - x.max(-1, keepdim=True).values, scale, constants)
    multiplier, right = ibert.exp_multiplier(scale)
    e = torch.round(e * multiplier / 2.0**right)
    assert e.max() == 32767
    factor = torch.floor(2**32 / e.sum(-1, keepdim=True))
    expected = torch.floor(e * factor / 2**24)
    got = lowbit.softmax(codes, scheme="ibert", scale=scale)
    assert np.array_equal(got, expected.numpy())


@pytest.mark.parametrize("scale", [1e-4, 3e-4, 0.001, 0.0123, 0.05])
def test_ibert_gelu(scale):
    codes = np.random.default_rng(3).integers(-(1 << 15), 1 << 15, (20, 500)).astype(np.int32)
    x = torch.from_numpy(codes.astype(np.float64))
    s = one(scale) / 1.4142
    b, c = torch.floor(-1.769 / s).double(), torch.floor((1 / -0.2888) / s**2).double()
    y = torch.sign(x) * ((torch.min(x.abs(), -b) + b) ** 2 + c)
    y = torch.floor(y / 2**14)
    unit = s**2 * -0.2888 * 2**14
    expected = x * (y + torch.floor(1.0 / unit).double())
    got, back = lowbit.gelu(codes, scheme="ibert", scale=scale, return_scale=True)
    assert back == (one(scale) * unit / 2).item()
    # At 1e-4 results pass 2^31: the simulation has no width, here they are an int32 accumulator, which wraps.
    assert np.array_equal(got, expected.numpy().astype(np.int64).astype(np.int32))


def test_ibert_layernorm():
    for codes in (rows(), rows(length=768) // 30):
        x = torch.from_numpy(codes.astype(np.float64))
        y = x - torch.round(x.mean(-1, keepdim=True))
        deviation = torch.floor(torch.sqrt((y**2).sum(-1, keepdim=True)))
        expected = torch.floor(y * torch.floor(2**31 / deviation) / 2)
        assert np.array_equal(lowbit.layernorm(codes, scheme="ibert"), expected.numpy())


def test_constants_are_those_that_pytorch_derives():
    s = torch.from_numpy(MANY)
    scales = MANY.tolist()
    assert [ivit.unit_code(scale, "torch") for scale in scales] == torch.floor(-1.0 / s).int().tolist()
    of_gelu = torch.floor(-1.0 / (s * 1.702)).int().tolist()
    assert [ivit.unit_code(scale, "torch", 1.702) for scale in scales] == of_gelu
    made = [ibert.exp_constants(scale, "code") for scale in scales]
    expected = [torch.floor(-0.6931 / s), torch.floor(0.96963238 / 0.35815147 / s), torch.floor(1 / 0.35815147 / s**2)]
    for place, values in enumerate(expected):
        assert [constants[place] for constants in made] == values.long().tolist()


def test_bias_is_the_one_that_pytorch_derives():
    rng = np.random.default_rng(4)
    gamma, beta = rng.normal(1, 0.5, 768).astype(np.float32), rng.normal(0, 1, 768).astype(np.float32)
    unit = torch.sqrt(torch.tensor(768, dtype=torch.float)) / 2**30
    expected = torch.floor(torch.from_numpy(beta) / torch.from_numpy(gamma) / unit)
    assert ivit.norm_scale(768) == unit.item()
    assert norm_biases({"gamma": gamma, "beta": beta}, 768) == expected.tolist()


def test_log_int_softmax_of_fqvit():
    codes = rows()
    x = torch.from_numpy(codes.astype(np.float64))
    for scale in SCALES[10::6]:
        constants = [number.double() for number in ibert_constants(scale)]
        e = int_exp(x - x.max(-1, keepdim=True).values, scale, constants)
        ratio = torch.round(e.sum(-1, keepdim=True) / e)
        floor = ratio.log2().floor()
        floor[(ratio - 2**floor) >= 2 ** (floor - 1)] += 1
        expected = torch.where(floor >= 16, torch.full_like(floor, 16), floor)
        got = lowbit.softmax(codes, scheme="fqvit", scale=scale)
        assert np.array_equal(got, expected.numpy())
