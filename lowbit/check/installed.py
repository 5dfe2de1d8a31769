"""``lowbit check`` without a device: the real kernels installed here, on the directed cases of what they offer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Self

import numpy as np

from lowbit.check.block.linear import LinearOperation
from lowbit.check.block.linear_back import DequantizeLinearOperation, DynamicQuantizeOperation
from lowbit.check.cast.codes import all_codes
from lowbit.check.cast.operation import CastOperation
from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.known import known_differences
from lowbit.check.operation import Operation
from lowbit.check.result import CheckResult
from lowbit.check.run import check
from lowbit.dut.library import LIBRARIES, Offer, library_offers, library_version
from lowbit.errors import DeviceError, UnknownFormatError
from lowbit.format.registry import scalar_format
from lowbit.policy.accumulator import get_accumulator
from lowbit.vectors.block.sets import parse_block_policy
from lowbit.vectors.case import Array, Case, rows_case
from lowbit.vectors.cast.boundary import WHOLE_SOURCE_BITS
from lowbit.vectors.cast.sets import parse_policy
from lowbit.vectors.flags.cast import REMAINING
from lowbit.vectors.gemm.sets import parse_operands

SLOW_TO_IMPORT = ("torch",)
"""Asked in a process of their own beside the others: importing them takes longer than checking them."""
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Skipped:
    """A product that was not checked, and why."""

    kernel: str
    reason: str


def _conversion(offer: Offer) -> Operation:
    source, target = scalar_format(offer.source), scalar_format(offer.target)
    return CastOperation(source, target, parse_policy(offer.rule, target).without_defects())


def _product(offer: Offer) -> Operation:
    operands = replace(parse_operands(offer.source), zero_points=offer.zero_points)
    return GemmOperation(operands, get_accumulator(offer.rule))


def _affine(offer: Offer) -> Operation:
    if offer.option.startswith("Dynamic"):
        return DynamicQuantizeOperation(scalar_format(offer.target))
    if offer.target == "float32":
        return DequantizeLinearOperation(scalar_format(offer.source))
    return LinearOperation(scalar_format(offer.target), parse_block_policy(offer.rule))


OPERATIONS: Mapping[str, Callable[[Offer], Operation]] = {
    "convert": _conversion,
    "gemm": _product,
    "quantize_linear": _affine,
}
"""Operation that libraries may offer -> what an offer of it is compared with."""


def operation_of(offer: Offer) -> Operation | None:
    """What an offer is compared with; None where lowbit lacks a format, as libraries may have types of their own."""
    try:
        return OPERATIONS[offer.operation](offer)
    except UnknownFormatError:
        return None


def check_installed(
    operation: str,
    products: Iterable[str] = tuple(LIBRARIES),
    *,
    source: str = "*",
    target: str = "*",
    max_errors: int = 1,
) -> Iterator[CheckResult | Skipped]:
    """Check all that each installed product offers of an operation, under each of its options.

    ``operation``: "convert", "gemm" or "quantize_linear". ``source`` and ``target``: ids of the formats, with
    wildcards; ``uint8_*`` for the two of a matrix product. ``max_errors``: examples of each group.
    """
    with ExitStack() as stack:
        children = {}
        for product in products:
            if product in SLOW_TO_IMPORT and find_spec(product):
                file = stack.enter_context(TemporaryFile())  # a pipe would stop the child when it is full
                children[product] = stack.enter_context(_Child(file, product, operation, source, target))
        here = [_offers(product, operation, source, target) for product in products if product not in children]
        for offer in chain(*here, *(child.offers() for child in children.values())):
            if isinstance(offer, Skipped):
                yield offer
            elif (result := check_offer(offer, max_errors=max_errors)) is not None:
                yield result


def _offers(product: str, operation: str, source: str, target: str) -> Iterator[Offer | Skipped]:
    """What a product offers, in this process."""
    try:
        library_version(product)
    except ImportError:
        yield Skipped(product, "not installed")
        return
    for offer in library_offers(product, operation):
        if fnmatchcase(offer.source, source) and fnmatchcase(offer.target, target):
            yield offer


def check_offer(offer: Offer, *, max_errors: int = 1) -> CheckResult | None:
    """Check one offer; None where lowbit does not know a format of it."""
    operation = operation_of(offer)
    if operation is None:
        return None
    where = (offer.product, operation.source, operation.target, offer.option, offer.operation)
    known = [entry for entry in known_differences() if entry.applies(*where)]
    settings: Any = {"version": offer.version, "option": offer.option, "known": known, "max_errors": max_errors}
    return check(offer, operation, cases_of(operation), **settings)


def cases_of(operation: Operation) -> Sequence[Case]:
    """The directed cases; a small source of a conversion is listed whole, whatever the target."""
    if not isinstance(operation, CastOperation):
        return operation.cases("directed", 0, 0)
    source = operation.formats[0]
    if source.bits <= WHOLE_SOURCE_BITS:
        return _all_inputs(source.id)
    return _boundary(operation.source, operation.target)


@cache
def _all_inputs(source: str) -> list[Case]:
    return [rows_case(all_codes(scalar_format(source)), REMAINING)]


@cache
def _boundary(source: str, target: str) -> list[Case]:
    formats = scalar_format(source), scalar_format(target)
    return CastOperation(*formats, parse_policy(formats[1].default_policy, formats[1])).cases("directed", 0, 0)


class _Child:
    """A process that asks a product; it does not load the reference, so both processes work at the same time."""

    def __init__(self, file: BinaryIO, product: str, *words: str) -> None:
        self.product, self._file = product, file
        package = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "lowbit.check.installed", product, *words]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file.fileno(), env={**os.environ, "PYTHONPATH": paths}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def offers(self) -> Iterator[Offer | Skipped]:
        """What the product offers, with the answers that it gave."""
        try:
            self._process.wait(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            message = f"{self.product} did not finish within {TIMEOUT_SECONDS:g} s"
            raise DeviceError(message, code="LB602") from None
        if self._process.returncode:
            message = f"the process that checks {self.product} ended with exit code {self._process.returncode}"
            raise DeviceError(message, code="LB601")
        self._file.seek(0)
        while line := self._file.readline():
            facts = json.loads(line)
            if "reason" in facts:
                yield Skipped(**facts)
                return
            answers = [
                np.frombuffer(self._file.read(size), dtype).reshape(shape)
                for size, dtype, shape in facts.pop("answers")
            ]
            yield Offer(**facts, answer=_recorded(answers))


def _recorded(answers: list[Array]) -> Callable[[Case], Array]:
    """The answers one after the other, as they were given."""
    following = iter(answers)

    def answer(case: Case) -> Array:
        del case
        return next(following)

    return answer


def answer(stream: BinaryIO, *words: str) -> None:
    """Write what a product answers to the directed cases: for each offer a JSON line and the bytes of the answers."""
    names = [field.name for field in fields(Offer) if field.name != "answer"]
    for offer in _offers(*words):
        if isinstance(offer, Skipped):
            stream.write(json.dumps({"kernel": offer.kernel, "reason": offer.reason}).encode() + b"\n")
            continue
        compared = operation_of(offer)
        answers = [np.ascontiguousarray(offer.run(case)) for case in cases_of(compared)] if compared else []
        line: dict[str, Any] = {name: getattr(offer, name) for name in names}
        line["answers"] = [(array.nbytes, array.dtype.name, array.shape) for array in answers]
        stream.write(json.dumps(line).encode() + b"\n" + b"".join(array.tobytes() for array in answers))
    stream.flush()


if __name__ == "__main__":
    answer(sys.stdout.buffer, *sys.argv[1:])
