"""The oracle and the kernels of a scheme, called alike: what tests of the integer-only nonlinearities share."""

from __future__ import annotations

import numpy as np
import pytest

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.scheme import NONLINEARITIES, OPERATIONS, Scheme, schemes
from lowbit.oracle.nonlinear.steps import Steps

OVERFLOWS = ("wrap", "saturate", "trap")
CALLS = [
    (record, variant)
    for operation in NONLINEARITIES
    for record in schemes(operation).values()
    for variant in record.variants
]


def over(calls):
    """Parametrise a test over records and variants."""

    def name_of(value):
        return f"{value.operation}-{value.id}" if isinstance(value, Scheme) else str(value)

    return pytest.mark.parametrize(("record", "variant"), calls, ids=name_of)


def operands_of(record, length):
    """Weights and biases of normal size."""
    drawn = np.random.default_rng(length)
    spread = {"int16": 3000, "int32": 1_000_000}
    return {
        name: drawn.integers(-spread[dtype], spread[dtype], length).astype(dtype)
        for name, dtype in record.operands.items()
    }


def refused_or(call):
    """The answer, or what kind of refusal it was, with the first overflow's place."""
    try:
        return call()
    except IntermediateOverflowError as error:
        return ("trap", error.row, error.element, error.name, error.value, error.bits)
    except InputError:
        return "refused"


def by_oracle(record, variant, codes, overflow="wrap", bits=None, **stated):
    """The results of a row, or of rows."""
    scale = stated.pop("scale", None)
    call = record.with_parameters(variant, scale, bits, **stated)
    steps = Steps(call.widths, overflow)
    if codes.ndim == 1:
        return call.oracle(codes.tolist(), steps)
    results = []
    for steps.row, row in enumerate(codes.tolist()):
        steps.element = -1
        results.append(call.oracle(row, steps))
    return results


def by_kernels(record, variant, codes, overflow="wrap", bits=None, **stated):
    """The results by the public function."""
    stated |= {"variant": variant} if variant else {}
    stated |= {"bits": bits} if bits else {}
    return OPERATIONS[record.operation].call(codes, scheme=record.id, overflow=overflow, **stated)


def require_equal(record, variant, listed, stated, overflow="wrap", bits=None):
    """Rows, or blocks of rows, have the same results, or the same refusals."""
    for codes in listed:
        both = {**operands_of(record, codes.shape[-1]), **stated}
        expected = refused_or(lambda codes=codes, both=both: by_oracle(record, variant, codes, overflow, bits, **both))
        got = refused_or(
            lambda codes=codes, both=both: by_kernels(record, variant, codes, overflow, bits, **both).tolist()
        )
        assert got == expected, f"{record.title} {variant} {stated} {overflow} {codes[:8]}... of {codes.shape}"


def taken(record, rows):
    """The rows, as far as the operation takes their codes."""
    highest = OPERATIONS[record.operation].highest
    return rows if highest is None else [np.minimum(row, highest) for row in rows]
