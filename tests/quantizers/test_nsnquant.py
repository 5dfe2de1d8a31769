"""NSNQuant: what each step is, what the shift gains on biased keys, and how good its tables are."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.quantizers import nsnquant
from lowbit.testing import activations

TABLES = {"table8.vector8": 1, "table8.vector8.signs": 2}


def biased_keys(tokens=512, channels=128, strength=16):
    """Keys, and what is left of them without their bias."""
    keys = activations("biased_keys", tokens, channels, strength=strength).astype(np.float64)
    normal = activations("gaussian", tokens, channels).astype(np.float64)
    plain = np.abs(keys).mean(axis=0) < strength / 2
    factor = np.median(keys[:, plain] / normal[:, plain], axis=1, keepdims=True)
    return keys, factor * normal


def relative(keys, rest, **options):
    error = nsnquant(keys, **options).dequantize(dtype=np.float64) - keys
    return float(np.sqrt((error**2).sum() / (rest**2).sum()))


@pytest.mark.parametrize(
    ("to", "most", "without"), [("table8.vector8", 0.60, 1.7), ("table8.vector8.signs", 0.33, 0.9)]
)
def test_the_shift_carries_the_gain_on_biased_keys(to, most, without):
    keys, rest = biased_keys()
    assert relative(keys, rest, to=to) < most
    assert relative(keys, rest, to=to, variant="unshifted") > without
    assert np.sqrt(((keys - keys.mean(axis=0) - rest) ** 2).sum() / (rest**2).sum()) > 0.5, "a mean alone does not do"


@pytest.mark.parametrize(("to", "bits"), TABLES.items())
def test_the_error_of_normal_numbers_is_near_what_their_rate_allows(to, bits):
    """Rate-distortion allows 1/2 and 1/4 of the deviation at one and two bits, Lloyd's scalar ones 0.60 and 0.34."""
    normal = activations("gaussian", 1024, 128, seed=2).astype(np.float64)
    error = relative(normal, normal, to=to)
    assert 2.0**-bits < error < (0.60 if bits == 1 else 0.33)


def test_values_are_what_the_steps_make():
    keys, _ = biased_keys(tokens=150, channels=64)
    for to, bits in TABLES.items():
        result = nsnquant(keys, to=to, block=64)
        coded = result.tensor
        first = np.sqrt((keys**2).mean(axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
        scaled = keys / first
        means = np.stack([scaled[start : start + 64].mean(axis=0) for start in (0, 64, 128)]).astype(np.float16)
        np.testing.assert_array_equal(coded.means, means)
        centred = scaled - means.astype(np.float64)[np.arange(150) // 64]
        second = np.sqrt((centred**2).mean(axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
        np.testing.assert_array_equal(coded.lengths, np.concatenate((first, second), axis=1))
        matrix = np.array([[(-1) ** (i & j).bit_count() for j in range(64)] for i in range(64)]) / 8
        turned = (centred / second @ matrix).reshape(150, 8, 8)
        table = coded.table.astype(np.float64)
        negative = np.unpackbits(coded.signs[..., None], axis=2, bitorder="little") if bits == 2 else None
        if negative is not None:
            np.testing.assert_array_equal(negative, turned < 0)
            turned = np.abs(turned)
        distances = ((turned[:, :, None] - table) ** 2).sum(axis=3)
        np.testing.assert_array_equal(distances.argmin(axis=2), coded.codes)
        vectors = table[coded.codes] * (1 if negative is None else np.where(negative, -1, 1))
        tokens = vectors.reshape(150, 64)
        tokens *= 8 / np.sqrt((tokens**2).sum(axis=1, keepdims=True))
        expected = first * (second * (tokens @ matrix) + means.astype(np.float64)[np.arange(150) // 64])
        np.testing.assert_allclose(result.dequantize(dtype=np.float64), expected, rtol=1e-9, atol=1e-12)
        assert result.bits_per_weight == bits + Fraction(2 * 16, 64) + Fraction(3 * 16, 150)


def test_the_tables_are_those_of_the_lattices():
    """E8 has 240 shortest vectors, 112 of integers and 128 of halves (Conway and Sloane, chapter 4, section 8.1)."""
    table = nsnquant(np.ones((1, 8)), to="table8.vector8").tensor.table.astype(np.float64)
    roots = table[(np.abs(2 * table - np.rint(2 * table)) < 1e-6).all(axis=1)]
    assert len(roots) == 240
    assert len(np.unique(table, axis=0)) == 256
    np.testing.assert_allclose((table**2).sum(axis=1), 2, rtol=1e-6)
    assert set(np.rint((roots @ roots.T) * 4).astype(int).reshape(-1)) == {-8, -4, 0, 4, 8}
    magnitudes = nsnquant(np.ones((1, 8))).tensor.table.astype(np.float64) / (61 / 64)
    lengths = np.rint((magnitudes**2).sum(axis=1)).astype(int)
    assert np.bincount(lengths)[[2, 4, 6, 8, 10, 12]].tolist() == [1, 8, 28, 64, 126, 29]  # 227 to 10 in QuIP#
    short = [v for v in itertools.product((0.5, 1.5, 2.5), repeat=8) if sum(number**2 for number in v) <= 10]
    assert {tuple(vector) for vector in short} == {tuple(vector) for vector in magnitudes[:227].tolist()}


def test_another_table_may_be_given():
    keys = activations("gaussian", 32, 16)
    table = np.random.default_rng(0).normal(size=(256, 8))
    result = nsnquant(keys, to="table8.vector8", table=table)
    np.testing.assert_array_equal(result.tensor.table, table.astype(np.float32))
    with pytest.raises(InputError, match="none of them zero"):
        nsnquant(keys, table=np.zeros((256, 8)))
    with pytest.raises(InputError, match=r"\(8, 256\)"):
        nsnquant(keys, table=table.T)


def test_tokens_of_zeros_and_blocks_of_one_token_are_kept():
    keys = activations("gaussian", 5, 32).astype(np.float64)
    keys[2] = 0
    for to in TABLES:
        result = nsnquant(keys, to=to, block=1)
        np.testing.assert_allclose(result.dequantize(), keys, rtol=2e-3, atol=1e-3)  # the mean is the token
        assert not nsnquant(keys, to=to, block=5).dequantize()[2].any()


def test_a_broken_request_for_a_cache_is_refused():
    for options, words in (
        ({"to": "table8.vector4"}, "and 'table8.vector4' is not one of them"),
        ({"block": 0}, "block = 0"),
        ({"block": 2.5}, "block = 2.5"),
    ):
        with pytest.raises(InputError, match=words):
            nsnquant(np.ones((4, 8)), **options)
    with pytest.raises(InputError, match="do not divide the 12 channels"):
        nsnquant(np.ones((4, 12)))
    with pytest.raises(InputError, match="longer than binary16"):
        nsnquant(np.full((4, 8), 1e6))
