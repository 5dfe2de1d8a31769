"""``lowbit check gemm`` without a device: the matrix products that are installed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lowbit.check.cast.installed import Skipped
from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.result import CheckResult
from lowbit.check.run import check_kernel
from lowbit.dut.library_products import PRODUCTS
from lowbit.format.registry import get_format
from lowbit.policy.accumulator import get_accumulator
from lowbit.vectors.gemm.values import Operands


def check_installed_gemm(
    products: Iterable[str] | None = None, a: str | None = None, b: str | None = None, *, max_errors: int = 1
) -> Iterator[CheckResult | Skipped]:
    """Check every matrix product of every product on the directed cases, under a 32-bit wrapping accumulator.

    Parameters
    ----------
    products : iterable of str, optional
        Only these.
    a, b : str, optional
        Only products of these formats.
    """
    for name in products or PRODUCTS:
        if name not in PRODUCTS:
            yield Skipped(name, "offers no integer matrix product")
            continue
        try:
            offers = list(PRODUCTS[name]())
        except ImportError:
            yield Skipped(name, "not installed")
            continue
        chosen = [item for item in offers if a in (None, item.a) and b in (None, item.b)]
        if not chosen:
            yield Skipped(name, f"offers no product of {a or 'any format'} and {b or 'any format'}")
        for item in chosen:
            operands = Operands(get_format(item.a), get_format(item.b), item.zero_points)  # type: ignore[arg-type]
            operation = GemmOperation(operands, get_accumulator("int32"))
            cases = operation.cases("directed", 0, 0)
            yield check_kernel(item, operation, cases, version=item.version, option=item.option, max_errors=max_errors)
