"""``lowbit check gemm`` without a device: the matrix products of the libraries that are installed."""

import pytest

from lowbit.check.installed import Skipped, check_installed
from lowbit.check.report.report import Report
from lowbit.check.report.sentence import sentence
from lowbit.dut.library import LIBRARIES

PRODUCTS = [name for name, operations in LIBRARIES.items() if "gemm" in operations]


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_are_exact_on_the_directed_cases(request, product):
    pytest.importorskip(product)
    results = list(check_installed("gemm", [product]))
    assert results
    saturates = product == "onnxruntime" and request.getfixturevalue("onnxruntime_saturates_pairs")
    saturating = "uint8 x int8" if saturates else ""
    for result in results:
        assert not isinstance(result, Skipped)
        assert result.vectors > 100_000
        if result.operation.source == saturating:
            assert (result.verdict, result.known) == ("known", ("pairs_saturate",))
            continue
        told = f"{result.operation.source} {result.option}: {sentence(result)}"
        assert (result.verdict, result.differences) == ("pass", 0), told
    verdicts = {row.verdict for row in Report(results).rows()}
    assert verdicts == ({"pass", "known [1]"} if saturating else {"pass"})


@pytest.mark.slow
def test_onnxruntime_is_checked_with_every_pair_of_8_bit_types():
    pytest.importorskip("onnxruntime")
    found = {(result.operation.source, result.option) for result in check_installed("gemm", ["onnxruntime"])}
    types = ("uint8", "int8")
    assert {f"{a} x {b}" for a in types for b in types} == {source for source, _ in found}
    assert {option for _, option in found} == {"MatMulInteger", "MatMulInteger zero_points"}
