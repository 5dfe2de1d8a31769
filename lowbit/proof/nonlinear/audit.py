"""The audit: bounds first, and a search for a witness where they do not prove the width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters, get_scheme
from lowbit.nonlinear.widths import Intermediate
from lowbit.ops.types import RangeLike, ScaleLike
from lowbit.proof.nonlinear.result import OPEN, PROVED, REFUTED, AuditReport, Finding
from lowbit.proof.nonlinear.search import witnesses
from lowbit.proof.nonlinear.subject import AUDITS, Request, Subject, make_subject
from lowbit.proof.ranges import code_range
from lowbit.proof.span import Span

LONGEST = 1 << 24
"""Rows of more codes are not looked at."""


def audit(
    operation: str,
    *,
    scheme: str,
    length: int,
    variant: str | None = None,
    inputs: RangeLike | None = None,
    scale: ScaleLike | None = None,
    bits: int | None = None,
    **options: npt.ArrayLike,
) -> AuditReport:
    """Prove or refute that no intermediate of an operation leaves its declared width.

    For each intermediate a range is computed that no row of the given codes leaves as long as nothing before it
    overflowed: exhaustively where it depends on one code or two, by interval arithmetic where it depends on the whole
    row. Where that range does not fit the declared width, directed rows are run through the oracle until one leaves it.

    Parameters
    ----------
    operation : str
        ``softmax``, ``gelu``, ``layernorm``, ``logistic``, ``tanh``, ``exp`` or ``l2norm``.
    scheme : str
        A scheme of that operation, see :data:`lowbit.proof.AUDITS`.
    length : int
        Codes in a row.
    variant : str, optional
        A variant of the scheme; its default if not given.
    inputs : str, Format, dtype or (int, int), optional
        The codes that there may be: a format, or the lowest and the highest; the scheme's own type if not given.
    scale : float, optional
        What one unit of a code is worth, for the schemes that depend on it.
    bits : int, optional
        Width of the result, where the scheme leaves it open.
    **options
        Further parameters of the scheme, such as ``beta``.

    Returns
    -------
    AuditReport

    Raises
    ------
    InputError
        The operation or scheme is unknown, or a parameter is out of range.

    Examples
    --------
    >>> audit("softmax", scheme="tflite_int8", length=512, scale=0.05).verdict
    'refuted'
    """
    subject = _subject(operation, scheme, variant, inputs, scale, bits, options)
    return audit_subject(subject, _length(length))


def longest_row(
    operation: str,
    *,
    scheme: str,
    variant: str | None = None,
    inputs: RangeLike | None = None,
    scale: ScaleLike | None = None,
    bits: int | None = None,
    **options: npt.ArrayLike,
) -> int:
    """The longest row for which every intermediate is proved, up to 2^24; 0 if that is not even one code.

    Parameters and errors are those of :func:`audit`.

    Examples
    --------
    >>> longest_row("softmax", scheme="tflite_int8", scale=0.05)
    511
    """
    subject = _subject(operation, scheme, variant, inputs, scale, bits, options)
    low, high = 0, LONGEST
    while low < high:
        middle = (low + high + 1) // 2
        if _all_proved(subject, middle):
            low = middle
        else:
            high = middle - 1
    return low


def audit_subject(subject: Subject, length: int) -> AuditReport:
    """Audit a subject for rows of a length."""
    spans = subject.spans(length)
    computed = [step for step in subject.widths.steps if step.name not in subject.unused]
    unproved = {step.name for step in computed if not _proved(step, spans)}
    found, tried = witnesses(subject, length, unproved) if unproved else ({}, 0)
    findings = []
    for step in computed:
        verdict = PROVED if step.name not in unproved else REFUTED if step.name in found else OPEN
        value, witness = found.get(step.name, (None, None))
        findings.append(Finding(step, spans.get(step.name), verdict, value, witness))
    widths = subject.widths
    return AuditReport(
        widths.operation,
        widths.scheme,
        widths.variant,
        subject.inputs,
        length,
        dict(subject.parameters),
        tuple(findings),
        tried,
    )


def _proved(step: Intermediate, spans: Mapping[str, Span]) -> bool:
    span = spans.get(step.name)
    return span is not None and Span(step.low, step.high).holds(span)


def _all_proved(subject: Subject, length: int) -> bool:
    spans = subject.spans(length)
    return all(_proved(step, spans) for step in subject.widths.steps if step.name not in subject.unused)


def _length(length: Any) -> int:
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= LONGEST:
        raise InputError(f"length = {length!r} is not a whole number from 1 to {LONGEST:,}")
    return length


def _subject(
    operation: str,
    scheme: str,
    variant: str | None,
    inputs: RangeLike | None,
    scale: Any,
    bits: int | None,
    options: Mapping[str, Any],
) -> Subject:
    known = sorted(name for audited, name in AUDITS if audited == operation)
    if not known:
        operations = ", ".join(sorted({name for name, _ in AUDITS}))
        raise InputError(f"there is no audit of {operation!r}", hint=f"one of: {operations}")
    if scheme not in known:
        raise InputError(f"there is no audit of {operation} under {scheme!r}", hint=f"one of: {', '.join(known)}")
    span = None if inputs is None else code_range(inputs, "inputs")
    record = get_scheme(operation, scheme)
    call = Parameters(record, record.variant_named(variant), scale, bits, options)
    return make_subject(Request(call, span))
