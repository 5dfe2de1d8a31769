"""The golden nonlinearities are what the fast path computes, and tell schemes and variants apart."""

import numpy as np
import pytest

from lowbit.check.nonlinear.operation import NonlinearOperation
from lowbit.check.nonlinear.rules import NonlinearRule
from lowbit.check.operation import UNDEFINED
from lowbit.nonlinear.scheme import NONLINEARITIES, get_scheme, schemes
from lowbit.vectors.elements import elements_of
from lowbit.vectors.golden import verify_regeneration
from lowbit.vectors.manifest import golden_directory, read_manifest, read_set
from lowbit.vectors.nonlinear.sets import nonlinearity_of, read_nonlinearities

SETS = [entry for entry in read_manifest().values() if entry.recipe.op in NONLINEARITIES]
LARGEST = 2_000_000


def operation(entry):
    return NonlinearOperation(*nonlinearity_of(entry.recipe))


def rows_of(entry):
    """The cases of a set and their expected results."""
    file, checked = read_set(entry), operation(entry)
    path = str(golden_directory() / entry.recipe.file)
    cases = read_nonlinearities(path, checked.made, checked.formats[0])
    expected = elements_of(file, "expected", checked.formats[1])
    return cases, [row[: case.outputs] for case, row in zip(cases, expected, strict=True)]


@pytest.mark.parametrize("entry", SETS, ids=lambda entry: entry.id)
def test_results_are_those_of_the_kernels(entry):
    checked = operation(entry)
    for case, expected in zip(*rows_of(entry), strict=True):
        assert checked.expected(case).reshape(-1).tolist() == expected.tolist()


def test_every_scheme_and_variant_has_a_set():
    covered = {(entry.recipe.op, entry.recipe.policy) for entry in SETS}
    wanted = {
        (name, f"{scheme}+variant={variant}" if variant else scheme)
        for name in NONLINEARITIES
        for scheme, record in schemes(name).items()
        for variant in record.variants
    }
    assert covered == wanted


@pytest.mark.parametrize("op", NONLINEARITIES)
def test_a_set_catches_the_other_variants(op):
    for entry in (entry for entry in SETS if entry.recipe.op == op and "variant" in entry.recipe.policy):
        checked = operation(entry)
        if "rounding" in entry.recipe.policy and op != "layernorm":
            continue  # TFLite's two builds differ on few rows, none of them short
        cases, _ = rows_of(entry)
        for variant in get_scheme(op, checked.made.scheme).variants:
            made = checked.made.__class__(**{**checked.made.__dict__, "variant": variant})
            answers = [NonlinearRule(made, checked.formats[1]).run(case) for case in cases]
            pairs = zip(answers, map(checked.expected, cases), strict=True)
            differ = any(bool(((got != want) & (got != UNDEFINED)).any()) for got, want in pairs)
            assert differ == (variant != checked.made.variant), (entry.id, variant)


def test_size():
    assert sum((golden_directory() / entry.recipe.file).stat().st_size for entry in SETS) < LARGEST
    assert all(set(entry.flags) for entry in SETS)


@pytest.mark.parametrize("op", NONLINEARITIES)
def test_regeneration_is_byte_for_byte(op):
    entries = [entry for entry in SETS if entry.recipe.op == op]
    assert [verify_regeneration(entry.recipe) for entry in entries[::2]] == [None] * len(entries[::2])


def test_rows_shorter_than_the_set_end_in_zeros():
    entry = next(entry for entry in SETS if entry.recipe.op == "softmax")
    file, checked = read_set(entry), operation(entry)
    codes = elements_of(file, "codes", checked.formats[0])
    lengths = file.column("length").astype(np.int64)
    assert lengths.min() == 1
    assert all(not row[length:].any() for row, length in zip(codes, lengths, strict=True))
