"""``lowbit check`` without a device: the boundary sets of every format against the real kernels installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.compare import compare
from lowbit.check.cast.exhaustive import all_codes
from lowbit.check.cast.known import explain_known
from lowbit.check.cast.known_list import entries_for
from lowbit.check.cast.reference import reference
from lowbit.check.child import start_child
from lowbit.check.result import CheckResult, conclude
from lowbit.dut.libraries import LIBRARIES, LibraryCast, library_casts, library_version
from lowbit.errors import DeviceError, UnknownFormatError
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy
from lowbit.vectors.cast.boundary import WHOLE_SOURCE_BITS, boundary

SLOW_TO_IMPORT = ("torch",)
"""Checked in a process of their own beside the others: importing them takes longer than checking them."""
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Skipped:
    """A product that was not checked, and why."""

    kernel: str
    reason: str


def check_installed(
    products: Iterable[str] = tuple(LIBRARIES), *, source: str = "", target: str = "", max_errors: int = 1
) -> Iterator[CheckResult | Skipped]:
    """Check every conversion that each installed product offers, under each of its options.

    Parameters
    ----------
    products : iterable of str
    source, target : str, optional
        Ids of formats: only conversions from the one and to the other; "" for any.
    max_errors : int
        Examples of each group.
    """
    products = list(products)
    with ExitStack() as files:
        children = []
        for name in products:
            if name in SLOW_TO_IMPORT and find_spec(name):
                file = files.enter_context(TemporaryFile())  # a pipe would stop the child when it is full
                children.append((name, _start(name, source, target, file), file))
        here = [name for name in products if not any(name == child for child, _, _ in children)]
        yield from _check_beside(here, children, source, target, max_errors)


def _start(product: str, source: str, target: str, file: BinaryIO) -> subprocess.Popen[bytes]:
    return start_child("lowbit.check.cast.installed", product, source, target, stdout=file.fileno())


def _check_beside(
    products: list[str],
    children: Sequence[tuple[str, subprocess.Popen[bytes], BinaryIO]],
    source: str,
    target: str,
    max_errors: int,
) -> Iterator[CheckResult | Skipped]:
    try:
        for name in products:
            yield from check_product(name, source=source, target=target, max_errors=max_errors)
        for name, child, file in children:
            yield from _collect_child(name, child, file, max_errors)
    finally:
        for _, child, _ in children:
            if child.poll() is None:
                child.kill()
                child.wait()


def check_product(
    product: str, *, source: str = "", target: str = "", max_errors: int = 1
) -> Iterator[CheckResult | Skipped]:
    """Check one product in this process."""
    try:
        library_version(product)
    except ImportError:
        yield Skipped(product, "not installed")
        return
    for cast in _casts(product, source, target):
        result = check_cast(cast, max_errors=max_errors)
        if result is not None:
            yield result


def _casts(product: str, source: str, target: str) -> Iterator[LibraryCast]:
    """The conversions of a product from and to the formats wanted."""
    return (cast for cast in library_casts(product) if source in ("", cast.source) and target in ("", cast.target))


def check_cast(cast: LibraryCast, *, max_errors: int = 1) -> CheckResult | None:
    """Check one conversion of a product on its boundary set; None where lowbit does not know a format of it."""
    if _unknown(cast):
        return None
    source, target = get_format(cast.source), get_format(cast.target)
    # A small source is listed whole, whatever the target: what each code is there for matters only if one differs.
    whole = source.bits <= WHOLE_SOURCE_BITS
    codes = inputs_of(cast)
    flags = None if whole else _boundary(cast.source, cast.target)[1]
    expected = reference(codes, source, target, cast.policy)
    comparison = compare(source, target, cast.policy, codes, expected, cast.run(codes), flags=flags)
    known = entries_for(cast.product, cast.source, cast.target, cast.option)
    if whole and len(explain_known(comparison, known)[1]):
        comparison = replace(comparison, flags=_boundary(cast.source, cast.target)[1])
    return conclude(
        comparison, cast.product, version=cast.version, option=cast.option, known=known, max_errors=max_errors
    )


def _unknown(cast: LibraryCast) -> bool:
    """Whether lowbit lacks one of the formats, as an older or newer library may have types of its own."""
    try:
        get_format(cast.source), get_format(cast.target)
    except UnknownFormatError:
        return True
    return False


def inputs_of(cast: LibraryCast) -> NDArray[Any]:
    """The boundary set of a conversion; both ways to make it list the codes in the order of their bit patterns."""
    if get_format(cast.source).bits <= WHOLE_SOURCE_BITS:
        return _all_codes(cast.source)
    return _boundary(cast.source, cast.target)[0]


@cache
def _all_codes(source: str) -> NDArray[Any]:
    return all_codes(get_format(source))


@cache
def _boundary(source: str, target: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    fmt = get_format(source)
    vectors = boundary(fmt, get_format(target))
    return np.ascontiguousarray(vectors.codes.astype(fmt.code_dtype)), vectors.flags


def _collect_child(
    product: str, child: subprocess.Popen[bytes], stream: BinaryIO, max_errors: int
) -> Iterator[CheckResult | Skipped]:
    """Compare what the child answered; it does not load the reference, so both processes work at the same time."""
    try:
        child.wait(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{product} did not finish within {TIMEOUT_SECONDS:g} s", code="LB602") from None
    if child.returncode:
        raise DeviceError(f"the process that checks {product} ended with exit code {child.returncode}", code="LB601")
    stream.seek(0)
    while line := stream.readline():
        facts = json.loads(line)
        if "reason" in facts:
            yield Skipped(**facts)
            return
        size, dtype = facts.pop("size"), facts.pop("dtype")
        got = np.frombuffer(stream.read(size), dtype)
        policy = Policy(**{**facts.pop("policy"), "defects": ()})
        result = check_cast(LibraryCast(**facts, policy=policy, convert=_recorded(got)), max_errors=max_errors)
        if result is not None:
            yield result


def _recorded(got: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        del codes
        return got

    return convert


def answer(product: str, source: str, target: str, stream: BinaryIO) -> None:
    """Write what a product answers to its boundary sets: for each conversion a JSON line and the bytes of the codes."""
    try:
        library_version(product)
    except ImportError:
        stream.write(json.dumps(asdict(Skipped(product, "not installed"))).encode() + b"\n")
        return
    for cast in _casts(product, source, target):
        if _unknown(cast):
            continue
        got = np.ascontiguousarray(cast.run(inputs_of(cast)))
        facts = {name: getattr(cast, name) for name in ("product", "version", "source", "target", "option")}
        line = {**facts, "policy": asdict(cast.policy), "size": got.nbytes, "dtype": got.dtype.name}
        stream.write(json.dumps(line).encode() + b"\n" + got.tobytes())
    stream.flush()


if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2], sys.argv[3], sys.stdout.buffer)
