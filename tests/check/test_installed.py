"""``lowbit check`` without a device: what it finds in the kernels that are installed here, without being told."""

from dataclasses import replace

import numpy as np
import pytest

from lowbit.check.cast import input_classes, installed
from lowbit.check.cast.installed import Skipped, check_cast, check_installed, check_product
from lowbit.check.cast.known_list import entries_for, find_entry, known_differences
from lowbit.dut.libraries import library_casts, library_version
from lowbit.policy.cast import get_policy


def cast_of(product, source, target, option=""):
    return next(
        cast for cast in library_casts(product) if (cast.source, cast.target, cast.option) == (source, target, option)
    )


@pytest.fixture
def nothing_published(monkeypatch):
    monkeypatch.setattr(installed, "entries_for", lambda *arguments: [])


def test_numpy_float16_is_right_but_for_published_nans():
    results = list(check_product("numpy"))
    assert {"float16", "float32", "float64"} == {result.target for result in results}
    assert {result.verdict for result in results} <= {"pass", "known"}
    assert all(result.verdict == "pass" for result in results if result.source.startswith(("int", "uint")))


def test_ml_dtypes_differs_only_as_published():
    results = list(check_product("ml_dtypes"))
    assert len(results) > 400
    assert not [result for result in results if result.verdict == "MISMATCH"]
    known = {name for result in results for name in result.known}
    if library_version("ml_dtypes").startswith("0.6.0"):
        assert {"double_rounding_via_float32", "e8m0_lowest_binade"} <= known


def test_double_rounding_of_ml_dtypes_is_found_unaided(nothing_published):
    result = check_cast(cast_of("ml_dtypes", "float64", "float8_e4m3fn"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes no longer rounds twice")
    assert result.verdict == "MISMATCH"
    assert "rounds twice, through float32 first" in result.words
    assert "otherwise exact" in result.words
    assert "DoubleRounding" in {group.name for group in result.groups}


def test_lowest_binade_of_ml_dtypes_is_found_unaided(nothing_published):
    result = check_cast(cast_of("ml_dtypes", "float32", "float8_e8m0fnu"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes rounds the lowest binade right")
    assert result.verdict == "MISMATCH"
    assert "LowestBinade" in {group.name for group in result.groups}
    assert "e8m0_lowest_binade" in result.words


def test_a_lowest_binade_bug_that_no_list_knows_is_still_shown(nothing_published, monkeypatch):
    monkeypatch.setattr(input_classes, "interval_defects", lambda source, target: ())
    result = check_cast(cast_of("ml_dtypes", "bfloat16", "float8_e8m0fnu"))
    if result.verdict == "pass":
        pytest.skip("this version of ml_dtypes rounds the lowest binade right")
    assert "which no rule that lowbit knows asks for" in result.words


def test_onnxruntime_differs_only_as_published():
    pytest.importorskip("onnxruntime")
    results = list(check_product("onnxruntime"))
    if not library_version("onnxruntime").startswith("1.31."):
        pytest.skip("the published list speaks of 1.31")
    assert not [result for result in results if result.verdict == "MISMATCH"]
    assert {"saturate=1", "saturate=0"} <= {result.option for result in results}


def test_a_wrong_row_beside_published_ones_is_a_mismatch():
    cast = cast_of("ml_dtypes", "float64", "float8_e4m3fn")

    def convert(codes):
        results = cast.run(codes).copy()
        results[codes == 0x3FF0000000000000] = 0x39
        return results

    result = check_cast(replace(cast, convert=convert))
    assert result.verdict == "MISMATCH"
    assert "0x3ff0000000000000@float64" in result.command


def test_a_policy_of_another_product_is_a_mismatch():
    cast = cast_of("ml_dtypes", "float32", "float8_e4m3fn")
    result = check_cast(replace(cast, policy=get_policy("ocp_sat")))
    assert result.verdict == "MISMATCH"
    assert "overflowing to NaN" in result.words


def test_missing_product_is_skipped(monkeypatch):
    def missing(product):
        raise ImportError(product)

    monkeypatch.setattr(installed, "library_version", missing)
    assert list(check_product("onnxruntime")) == [Skipped("onnxruntime", "not installed")]


def test_products_in_processes_of_their_own_answer_alike(monkeypatch):
    monkeypatch.setattr(installed, "SLOW_TO_IMPORT", ("numpy",))
    assert list(check_installed(["numpy"])) == list(check_product("numpy"))


def test_small_sources_are_listed_in_the_order_of_their_boundary_sets():
    for name in ("float8_e4m3fn", "float8_e5m2fnuz", "int4", "float6_e2m3fn"):
        assert np.array_equal(installed._all_codes(name), installed._boundary(name, "float32")[0])


def test_published_list_is_consistent():
    entries = known_differences()
    assert len({(entry.product, entry.id) for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.version[0].isdigit()
        assert entry.why
        assert entry.change or entry.rule
        assert find_entry(entry.product, entry.id) == entry
    assert [entry.id for entry in entries_for("ml_dtypes", "float64", "float8_e5m2")] == ["double_rounding_via_float32"]
    assert entries_for("ml_dtypes", "float32", "float8_e5m2") == []
