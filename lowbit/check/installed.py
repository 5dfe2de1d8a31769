"""``lowbit check`` without a device: the boundary sets of every format against the real kernels installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.child import start_child
from lowbit.check.compare import compare
from lowbit.check.exhaustive import all_codes
from lowbit.check.known import entries_for, explain_known
from lowbit.check.reference import reference
from lowbit.check.result import CheckResult, Example, GroupResult, conclude
from lowbit.dut.libraries import LIBRARIES, LibraryCast, library_casts, library_version
from lowbit.errors import DeviceError, UnknownFormatError
from lowbit.registry import get_format
from lowbit.vectors.boundary import WHOLE_SOURCE_BITS, boundary

SLOW_TO_IMPORT = ("torch",)
"""Checked in a process of their own beside the others: importing them takes longer than checking them."""
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Skipped:
    """A product that was not checked, and why."""

    kernel: str
    reason: str


def check_installed(
    products: Iterable[str] = tuple(LIBRARIES), *, max_errors: int = 1
) -> Iterator[CheckResult | Skipped]:
    """Check every conversion that each installed product offers, under each of its options."""
    products = list(products)
    children = [(name, start_child("lowbit.check.installed", name, str(max_errors))) for name in products if name in SLOW_TO_IMPORT]
    try:
        for name in products:
            if name not in SLOW_TO_IMPORT:
                yield from check_product(name, max_errors=max_errors)
        for name, child in children:
            yield from _collect_child(name, child)
    finally:
        for _, child in children:
            if child.poll() is None:
                child.kill()
                child.wait()


def check_product(product: str, *, max_errors: int = 1) -> Iterator[CheckResult | Skipped]:
    """Check one product in this process."""
    try:
        library_version(product)
    except ImportError:
        yield Skipped(product, "not installed")
        return
    for cast in library_casts(product):
        result = check_cast(cast, max_errors=max_errors)
        if result is not None:
            yield result


def check_cast(cast: LibraryCast, *, max_errors: int = 1) -> CheckResult | None:
    """Check one conversion of a product on its boundary set; None where lowbit does not know a format of it."""
    try:
        source, target = get_format(cast.source), get_format(cast.target)
    except UnknownFormatError:
        return None
    # A small source is listed whole, whatever the target: what each code is there for matters only if one differs.
    whole = source.bits <= WHOLE_SOURCE_BITS
    codes, flags = (_all_codes(cast.source), None) if whole else _boundary(cast.source, cast.target)
    expected = reference(codes, source, target, cast.policy)
    comparison = compare(source, target, cast.policy, codes, expected, cast.run(codes), flags=flags)
    known = entries_for(cast.product, cast.source, cast.target, cast.option)
    if whole and comparison.differences and len(explain_known(comparison, known)[1]):
        codes, flags = _boundary(cast.source, cast.target)
        expected = reference(codes, source, target, cast.policy)
        comparison = compare(source, target, cast.policy, codes, expected, cast.run(codes), flags=flags)
    return conclude(
        comparison, cast.product, version=cast.version, option=cast.option, known=known, max_errors=max_errors
    )


@lru_cache(maxsize=None)
def _all_codes(source: str) -> NDArray[Any]:
    return all_codes(get_format(source))


@lru_cache(maxsize=None)
def _boundary(source: str, target: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    fmt = get_format(source)
    vectors = boundary(fmt, get_format(target))
    return np.ascontiguousarray(vectors.codes.astype(fmt.code_dtype)), vectors.flags


def _collect_child(product: str, child: subprocess.Popen[bytes]) -> Iterator[CheckResult | Skipped]:
    try:
        output, _ = child.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{product} did not finish within {TIMEOUT_SECONDS:g} s", code="LB602") from None
    if child.returncode:
        raise DeviceError(f"the process that checks {product} ended with exit code {child.returncode}", code="LB601")
    for line in output.splitlines():
        yield from_json(json.loads(line))


def from_json(document: dict[str, Any]) -> CheckResult | Skipped:
    """A result from ``dataclasses.asdict`` of it."""
    if "reason" in document:
        return Skipped(**document)
    groups = [
        GroupResult(**{**group, "examples": [Example(**example) for example in group["examples"]]})
        for group in document["groups"]
    ]
    return CheckResult(**{**document, "groups": groups})


def main() -> None:
    """Arguments: product, largest number of examples a group. One JSON document a line."""
    product, max_errors = sys.argv[1], int(sys.argv[2])
    for result in check_product(product, max_errors=max_errors):
        sys.stdout.write(json.dumps(asdict(result)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
