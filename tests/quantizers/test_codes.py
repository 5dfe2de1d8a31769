"""Each method gives the codes that it gave, and error feedback says that none was near a tie."""

import pytest

from lowbit.quantizers import METHODS
from tests.quantizers import codes

NEAREST_TIE = 1e-7
"""Sums of 384 products in another order move a weight by less, over the distance of two levels."""
WITH_FEEDBACK = [
    *(("gptq", variant) for variant in METHODS["gptq"].variants),
    *(("decoupleq", variant) for variant in METHODS["decoupleq"].variants),
    *(("spqr", variant) for variant in METHODS["spqr"].variants),
    ("aptq", "heads"),
    ("compressed_tensors", "w4a16_int"),
    ("afpq", "gptq"),
    ("quarot", "gptq"),
]


def test_the_table_is_of_every_variant():
    stored = {(name, variant) for name, rows in codes.table().items() for variant in rows}
    assert stored == set(codes.every()), "`python -m tests.quantizers.codes` writes the table anew"
    assert codes.FILE.stat().st_size < 30_000


@pytest.mark.parametrize(("name", "variant"), codes.every())
def test_codes_are_those_of_the_table(name, variant):
    assert codes.digests(METHODS[name], variant) == codes.table()[name][variant]


@pytest.mark.parametrize(("name", "variant"), WITH_FEEDBACK)
def test_no_code_of_error_feedback_is_near_a_tie(name, variant):
    weights, activations = codes.layer()
    margin = METHODS[name].quantize(weights, activations, variant=variant).report["tie_margin"]
    assert NEAREST_TIE < margin < 0.01
    backwards = (weights, activations[::-1])
    assert codes.digests(METHODS[name], variant, backwards) == codes.table()[name][variant]
