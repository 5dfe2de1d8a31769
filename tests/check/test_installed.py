"""``lowbit check`` without a device: what it finds in the kernels that are installed here, without being told."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lowbit.check import installed
from lowbit.check.cast import input_classes, rules
from lowbit.check.installed import Skipped, check_installed, check_offer
from lowbit.check.known import find_entry, known_differences
from lowbit.check.report.json import result_document
from lowbit.check.report.sentence import sentence
from lowbit.dut.library import library_offers, library_version


def cast_of(product, source, target, option=""):
    offers = library_offers(product, "convert")
    return next(offer for offer in offers if (offer.source, offer.target, offer.option) == (source, target, option))


def check_product(product):
    return list(check_installed("convert", [product]))


@pytest.fixture
def nothing_published(monkeypatch):
    monkeypatch.setattr(installed, "known_differences", lambda: ())


def test_numpy_float16_is_right_but_for_published_nans():
    results = check_product("numpy")
    assert {"float16", "float32", "float64"} == {result.operation.target for result in results}
    assert {result.verdict for result in results} <= {"pass", "known"}
    assert all(result.verdict == "pass" for result in results if result.operation.source.startswith(("int", "uint")))


def test_ml_dtypes_differs_only_as_published():
    results = check_product("ml_dtypes")
    assert len(results) > 400
    assert not [result for result in results if result.verdict == "MISMATCH"]
    known = {name for result in results for name in result.known}
    if library_version("ml_dtypes").startswith("0.6.0"):
        assert {"double_rounding_via_float32", "e8m0_lowest_binade"} <= known


def test_double_rounding_of_ml_dtypes_is_found_unaided(nothing_published):
    result = check_offer(cast_of("ml_dtypes", "float64", "float8_e4m3fn"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes no longer rounds twice")
    assert result.verdict == "MISMATCH"
    assert "rounds twice, through float32 first" in sentence(result)
    assert "otherwise exact" in sentence(result)
    assert "DoubleRounding" in {group.name for group in result.groups}


def test_lowest_binade_of_ml_dtypes_is_found_unaided(nothing_published):
    result = check_offer(cast_of("ml_dtypes", "float32", "float8_e8m0fnu"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes rounds the lowest binade right")
    assert result.verdict == "MISMATCH"
    assert "LowestBinade" in {group.name for group in result.groups}
    assert "e8m0_lowest_binade" in sentence(result)


def test_a_lowest_binade_bug_that_no_list_knows_is_still_shown(nothing_published, monkeypatch):
    for module in (input_classes, rules):
        monkeypatch.setattr(module, "interval_defects", lambda source, target: ())
    result = check_offer(cast_of("ml_dtypes", "bfloat16", "float8_e8m0fnu"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes rounds the lowest binade right")
    assert re.search(r"turns all inputs from 5\.9\d*e-39 to 8\.7\d*e-39 into 2\^-126", sentence(result))


def test_onnxruntime_differs_only_as_published():
    pytest.importorskip("onnxruntime")
    results = check_product("onnxruntime")
    if not library_version("onnxruntime").startswith("1.32."):
        pytest.skip("the published list speaks of 1.32")
    assert not [result for result in results if result.verdict == "MISMATCH"]
    assert {"saturate=1", "saturate=0"} <= {result.option for result in results}


def test_a_wrong_row_beside_published_ones_is_a_mismatch():
    cast = cast_of("ml_dtypes", "float64", "float8_e4m3fn")

    def answer(case):
        results = cast.run(case).copy()
        results[case.arrays["codes"] == 0x3FF0000000000000] = 0x39
        return results

    result = check_offer(replace(cast, answer=answer))
    assert result.verdict == "MISMATCH"
    assert "0x3ff0000000000000@float64" in result.command


def test_a_policy_of_another_product_is_a_mismatch():
    cast = cast_of("ml_dtypes", "float32", "float8_e4m3fn")
    result = check_offer(replace(cast, rule="ocp_sat"))
    assert result.verdict == "MISMATCH"
    assert "overflowing to NaN" in sentence(result)


def test_missing_product_is_skipped(monkeypatch):
    def missing(product):
        raise ImportError(product)

    monkeypatch.setattr(installed, "library_version", missing)
    assert check_product("onnxruntime") == [Skipped("onnxruntime", "not installed")]


def test_products_in_processes_of_their_own_answer_alike(monkeypatch):
    monkeypatch.setattr(installed, "SLOW_TO_IMPORT", ("numpy",))
    apart = check_product("numpy")
    monkeypatch.setattr(installed, "SLOW_TO_IMPORT", ())
    assert [result_document(result) for result in apart] == [
        result_document(result) for result in check_product("numpy")
    ]


def test_small_sources_are_listed_in_the_order_of_their_boundary_sets():
    for name in ("float8_e4m3fn", "float8_e5m2fnuz", "int4", "float6_e2m3fn"):
        small, boundary = installed._all_inputs(name), installed._boundary(name, "float32")
        assert np.array_equal(small[0].arrays["codes"], boundary[0].arrays["codes"])


def test_published_list_is_consistent():
    entries = known_differences()
    assert len({(entry.product, entry.id) for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.version[0].isdigit()
        assert entry.why
        assert entry.change or entry.rule
        assert find_entry(entry.product, entry.id) == entry

    def ids(*where):
        return [entry.id for entry in entries if entry.applies(*where)]

    assert ids("ml_dtypes", "float64", "float8_e5m2", "") == ["double_rounding_via_float32"]
    assert ids("ml_dtypes", "float32", "float8_e5m2", "") == []
