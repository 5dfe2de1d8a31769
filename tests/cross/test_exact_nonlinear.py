"""Scheme ``exact`` beside other people's guaranteed arithmetic: FLINT's balls, and crnumerics' crfix."""

import numpy as np
import pytest

import lowbit

ROWS = np.random.default_rng(0).normal(0, 40, (30, 64)).round().clip(-128, 127).astype(np.int8)
SCALES = (0.05, 0.3)


def nearest(ball, fraction):
    """The nearest integer of a ball times a power of two; the ball must decide it."""
    from flint import arb

    doubled = (ball * (arb(2) ** fraction) + arb("0.5")).floor()
    assert doubled.is_integer(), "the ball is too wide"
    return int(doubled.unique_fmpz())


@pytest.fixture
def flint():
    module = pytest.importorskip("flint", reason="python-flint is not installed")
    before, module.ctx.prec = module.ctx.prec, 200
    yield module
    module.ctx.prec = before


@pytest.mark.parametrize("scale", SCALES)
def test_softmax_by_balls(flint, scale):
    unit = flint.arb(float(np.float32(scale)))
    for bits in (8, 16, 24):
        got = lowbit.softmax(ROWS, scheme="exact", scale=scale, bits=bits)
        for row, results in zip(ROWS.tolist(), got.tolist(), strict=True):
            powers = [(unit * code).exp() for code in row]
            total = sum(powers, flint.arb(0))
            assert results == [min(nearest(power / total, bits - 1), (1 << bits - 1) - 1) for power in powers]


@pytest.mark.parametrize("operation", ["layernorm", "rmsnorm"])
def test_norms_by_balls(flint, operation):
    gamma, beta = np.random.default_rng(1).normal(1, 0.5, (2, ROWS.shape[1])).astype(np.float32)
    got = getattr(lowbit, operation)(ROWS, scheme="exact", gamma=gamma, beta=beta)
    affine = [(flint.arb(float(factor)), flint.arb(float(addend))) for factor, addend in zip(gamma, beta, strict=True)]
    for row, results in zip(ROWS.tolist(), got.tolist(), strict=True):
        mean = flint.arb(sum(row)) / len(row) if operation == "layernorm" else flint.arb(0)
        centred = [code - mean for code in row]
        deviation = (sum((value * value for value in centred), flint.arb(0)) / len(row)).sqrt()
        expected = [
            nearest(value / deviation * factor + addend, 20)
            for value, (factor, addend) in zip(centred, affine, strict=True)
        ]
        assert results == expected


@pytest.fixture
def crfix():
    return pytest.importorskip("crfix", reason="crfix is not installed")


MODES = {"nearest": "nearest_even", "up": "toward_positive", "down": "toward_negative", "zero": "toward_zero"}


@pytest.mark.parametrize("mode", MODES)
def test_softmax_by_crfix(crfix, mode):
    rows = np.vstack([ROWS, np.zeros_like(ROWS[:1]), np.where(np.arange(64) < 4, 9, -120)[None]]).astype(np.int8)
    for scale in (*SCALES, 1e-6):
        for bits in (8, 16):
            out = crfix.Affine(2.0 ** (1 - bits), 0, bits)
            expected = crfix.softmax(rows, float(np.float32(scale)), out=out, mode=mode)
            got = lowbit.softmax(rows, scheme="exact", scale=scale, bits=bits, rounding=MODES[mode])
            assert got.tolist() == expected.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_layernorm_by_crfix(crfix, mode):
    rng = np.random.default_rng(2)
    rows = np.vstack([ROWS, np.zeros_like(ROWS[:1]), np.where(np.arange(64) % 2, 9, -9)[None]])
    gamma, beta = rng.integers(-(1 << 12), 1 << 12, (2, ROWS.shape[1]))
    for bits, fraction in ((8, 4), (16, 10), (32, 20)):
        given = {"gamma": gamma, "fg": 10, "beta": beta, "fb": 11}
        expected = crfix.layernorm(rows, 0, fraction, bits=bits, mode=mode, **given)
        stated = {"gamma": gamma / 2.0**10, "beta": beta / 2.0**11, "rounding": MODES[mode]}
        assert lowbit.layernorm(rows, scheme="exact", bits=bits, **stated).tolist() == expected.tolist()
