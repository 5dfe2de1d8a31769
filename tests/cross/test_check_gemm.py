"""``lowbit check gemm`` without a device: the matrix products of the libraries that are installed."""

import pytest

from lowbit.check.installed import Skipped
from lowbit.check.operations.installed_gemm import check_installed_gemm
from lowbit.check.report import Report, table_rows
from lowbit.dut.library_products import PRODUCTS


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_are_exact_on_the_directed_cases(product):
    pytest.importorskip(product)
    results = list(check_installed_gemm([product]))
    assert results
    for result in results:
        assert not isinstance(result, Skipped)
        assert (result.verdict, result.differences) == ("pass", 0), f"{result.source} {result.option}: {result.words}"
        assert result.vectors > 100_000
    assert all(row.verdict == "pass" for row in table_rows(Report(results)))


def test_onnxruntime_is_checked_with_every_pair_of_8_bit_types():
    pytest.importorskip("onnxruntime")
    found = {(result.source, result.option) for result in check_installed_gemm(["onnxruntime"])}
    types = ("uint8", "int8")
    assert {f"{a} x {b}" for a in types for b in types} == {source for source, _ in found}
    assert {option for _, option in found} == {"MatMulInteger", "MatMulInteger zero_points"}


def test_products_without_a_matrix_product_are_named():
    (skipped,) = check_installed_gemm(["numpy"])
    assert skipped == Skipped("numpy", "offers no integer matrix product")
