"""Every row of published_differences.toml still holds: its example is run through lowbit and through the product."""

import numpy as np
import pytest

from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.installed import operation_of
from lowbit.check.known import known_differences
from lowbit.dut.library import LIBRARIES, library_offers
from lowbit.policy.accumulator import get_accumulator
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, PRESET_OVERRIDES
from lowbit.vectors.block.linear_cases import range_case, value_case
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.cases import gemm_case
from lowbit.vectors.gemm.sets import parse_operands

IDS = [f"{row.product}-{row.id}" for row in known_differences()]
CONVERSIONS = [f"{row.product}-{row.id}" for row in known_differences() if row.operation == "convert"]
PRODUCTS_OF_MATRICES = [f"{row.product}-{row.id}" for row in known_differences() if row.operation == "gemm"]
AFFINE = [name for name in IDS if name not in {*CONVERSIONS, *PRODUCTS_OF_MATRICES}]
OF_LIBRARIES = [name for name in CONVERSIONS if name.partition("-")[0] in LIBRARIES]
MEASURED_ELSEWHERE = {"bitsandbytes", "cuda", "gfloat", "ggml"}
"""Products that tests/cross alone compares, each in a file of its own."""


def test_ids_are_unique():
    assert len(set(IDS)) == len(IDS)


def test_a_row_is_of_a_product_that_is_compared():
    assert {row.product for row in known_differences()} == {*LIBRARIES, *MEASURED_ELSEWHERE}


@pytest.mark.parametrize("name", IDS)
def test_a_row_says_who_is_right_and_why(name, differences):
    row = differences[name]
    assert row.version[0].isdigit()
    assert row.right in {"lowbit", "product", "unspecified"}
    assert row.link.startswith("https://")
    assert len(row.why) > 40
    assert set(row.defects) <= set(DEFECTS)
    assert bool(row.change) != bool(row.rule)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_lowbit_gives_what_the_row_says(name, differences, example_of):
    row = differences[name]
    example = example_of(row)
    assert example.plain == example.ours != example.theirs
    assert example.whole == (example.theirs if row.defects else example.ours)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_row_explains_its_example_and_no_other_answer(name, differences, example_of, explained_by):
    row = differences[name]
    example = example_of(row)
    assert explained_by(row, example.theirs)
    other = next(code for code in (0x55, 0x2A, 0x13) if code not in {example.ours, example.theirs})
    assert not explained_by(row, other)


@pytest.mark.parametrize("name", OF_LIBRARIES)
def test_the_library_gives_what_the_row_says(name, differences, example_of, run_library):
    row = differences[name]
    example = example_of(row)
    theirs = run_library(row)
    assert theirs <= {example.theirs, *([example.ours] if row.varies else [])}, f"{name}: the row is out of date"


def test_every_defect_of_a_preset_has_a_row(differences):
    named = {
        (preset.removesuffix("_nosat"), defect)
        for preset in CAST_PRESETS
        for policy in (CAST_PRESETS[preset], *PRESET_OVERRIDES.get(preset, {}).values())
        for defect in policy.defects
    }
    assert named == {(row.product, name) for row in differences.values() for name in row.defects}


@pytest.mark.parametrize("name", PRODUCTS_OF_MATRICES)
def test_a_row_of_matrix_products_says_what_both_give(name, differences):
    row = differences[name]
    operands = parse_operands(row.example["source"].replace(" x ", "_"))
    operation = GemmOperation(operands, get_accumulator("int32"))
    a, b = (np.frombuffer(bytes.fromhex(row.example[side]), side_format.code_dtype)
            for side, side_format in (("a", operands.a), ("b", operands.b)))  # fmt: skip
    case = gemm_case(RANDOM, a[None, :], b[:, None], operands)
    ours, theirs = (int(row.example[side], 16) for side in ("ours", "theirs"))
    assert operation.expected(case).item() == ours != theirs
    assert operation.changed([row.change]).run(case).item() == theirs
    assert row.applies(row.product, operation.source, operation.target, row.example["option"], "gemm")
    assert not row.applies(row.product, operation.source, operation.target, row.example["option"])
    pytest.importorskip(row.product)
    source = row.example["source"].replace(" x ", "_")
    options = [offer for offer in library_offers(row.product, "gemm") if offer.source == source]
    (offer,) = [offer for offer in options if offer.option == row.example["option"]]
    assert offer.run(case).item() in {theirs, *([ours] if row.varies else [])}


@pytest.mark.parametrize("name", AFFINE)
def test_a_row_of_affine_quantisation_says_what_both_give(name, differences):
    row = differences[name]
    pytest.importorskip(row.product)
    offers = library_offers(row.product, row.operation)
    (offer,) = [
        offer for offer in offers if offer.option == row.example["option"] and offer.target == row.example["target"]
    ]
    assert row.applies(row.product, "float32", offer.target, offer.option, row.operation)
    operation = operation_of(offer)
    values = np.frombuffer(bytes.fromhex(row.example["values"]), "<f4")
    if "scale" in row.example:
        scale = np.frombuffer(bytes.fromhex(row.example["scale"]), ">f4")[0]
        case = value_case(RANDOM, values, float(scale), int(row.example["zero_point"], 16))
    else:
        case = range_case(RANDOM, values)
    ours, theirs = ([int(code, 16) for code in row.example[side].split(",")] for side in ("ours", "theirs"))
    assert operation.expected(case).tolist() == ours != theirs
    assert operation.changed([row.change]).run(case).tolist() == theirs
    assert offer.run(case).tolist() in [theirs, *([ours] if row.varies else [])]
