"""``lowbit check gemm`` without a device: the matrix products of the libraries that are installed."""

import pytest

from lowbit.check.cast.installed import Skipped
from lowbit.check.gemm.installed import check_installed_gemm
from lowbit.check.report.text import Report, table_rows
from lowbit.dut.library_products import PRODUCTS


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_are_exact_on_the_directed_cases(request, product):
    pytest.importorskip(product)
    results = list(check_installed_gemm([product]))
    assert results
    saturates = product == "onnxruntime" and request.getfixturevalue("onnxruntime_saturates_pairs")
    saturating = "uint8 x int8" if saturates else ""
    for result in results:
        assert not isinstance(result, Skipped)
        assert result.vectors > 100_000
        if result.source == saturating:
            assert (result.verdict, result.complete) == ("MISMATCH", True)
            assert "saturates each pair of products to 16 bits" in result.words
            assert "(as x86_vpmaddubsw)" in result.words
            continue
        assert (result.verdict, result.differences) == ("pass", 0), f"{result.source} {result.option}: {result.words}"
    rows = table_rows(Report(results))
    assert {row.verdict for row in rows} == ({"pass", "MISMATCH"} if saturating else {"pass"})


def test_onnxruntime_is_checked_with_every_pair_of_8_bit_types():
    pytest.importorskip("onnxruntime")
    found = {(result.source, result.option) for result in check_installed_gemm(["onnxruntime"])}
    types = ("uint8", "int8")
    assert {f"{a} x {b}" for a in types for b in types} == {source for source, _ in found}
    assert {option for _, option in found} == {"MatMulInteger", "MatMulInteger zero_points"}


def test_products_without_a_matrix_product_are_named():
    (skipped,) = check_installed_gemm(["numpy"])
    assert skipped == Skipped("numpy", "offers no integer matrix product")
