"""What can be audited: an operation under a scheme, with its parameters fixed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lowbit.nonlinear.widths import Widths
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.span import Span

Spans = Mapping[str, Span]


@dataclass(frozen=True)
class Subject:
    """An operation whose parameters are fixed: what it declares, how to run it, and what is known of its ranges.

    Attributes
    ----------
    widths : Widths
    inputs : Span
        Codes that a row may hold.
    run : callable
        Takes (row, steps): the oracle.
    spans : callable
        Takes the row length; gives for each intermediate a range that no row leaves as long as nothing before it
        overflowed. An intermediate without an entry cannot be proved, only searched.
    contributions : mapping of int to int
        Code -> what it adds to the row's sum when the row's maximum is the largest code; empty where sums are no
        sums of exponentials. The search aims at sums next to powers of two with them.
    parameters : mapping
        For the report.
    unused : frozenset of str
        Declared intermediates that this variant, or these parameters, never compute.
    """

    widths: Widths
    inputs: Span
    run: Callable[[list[int], Steps], Any]
    spans: Callable[[int], Spans]
    contributions: Mapping[int, int] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()


AUDITS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("exp", "ivit"): "lowbit.proof.nonlinear.ivit:exp",
        ("exp", "ibert"): "lowbit.proof.nonlinear.ibert:exp",
        ("softmax", "ivit"): "lowbit.proof.nonlinear.ivit:softmax",
        ("softmax", "ibert"): "lowbit.proof.nonlinear.ibert:softmax",
        ("gelu", "ibert"): "lowbit.proof.nonlinear.ibert:gelu",
        ("layernorm", "ibert"): "lowbit.proof.nonlinear.ibert:layernorm",
        ("softmax", "fqvit"): "lowbit.proof.nonlinear.fqvit:softmax",
        ("softmax", "lowbit"): "lowbit.proof.nonlinear.lowbit_scheme:softmax",
        ("gelu", "lowbit"): "lowbit.proof.nonlinear.lowbit_scheme:gelu",
        ("layernorm", "lowbit"): "lowbit.proof.nonlinear.lowbit_scheme:layernorm",
        ("softmax", "litert_int16"): "lowbit.proof.nonlinear.tflite:softmax_int16",
        ("l2norm", "tflite_int8"): "lowbit.proof.nonlinear.tflite:l2norm",
        ("gelu", "ivit"): "lowbit.proof.nonlinear.ivit:gelu",
        ("layernorm", "ivit"): "lowbit.proof.nonlinear.ivit:layernorm",
        ("softmax", "tflite_int8"): "lowbit.proof.nonlinear.tflite:softmax_int8",
        ("softmax", "tflite_int16"): "lowbit.proof.nonlinear.tflite:softmax_int16",
        ("softmax", "cmsis_int16"): "lowbit.proof.nonlinear.tflite:softmax_int16",
        ("logistic", "tflite_int8"): "lowbit.proof.nonlinear.tflite:sigmoid_int8",
        ("tanh", "tflite_int8"): "lowbit.proof.nonlinear.tflite:sigmoid_int8",
        ("logistic", "tflite_int16"): "lowbit.proof.nonlinear.tflite:sigmoid_int16",
        ("tanh", "tflite_int16"): "lowbit.proof.nonlinear.tflite:sigmoid_int16",
    }
)
"""(operation, scheme) -> where its subject is made: a function of a :class:`Request`."""


@dataclass(frozen=True)
class Request:
    """What is to be audited, as it was asked for.

    Attributes
    ----------
    operation, scheme : str
    variant : str
        Empty for the scheme's default.
    inputs : Span or None
        None for the scheme's own input type.
    scale : Any
        None if not given.
    bits : int or None
        Width of the result.
    options : mapping
        The scheme's further parameters (beta, ...).
    """

    operation: str
    scheme: str
    variant: str = ""
    inputs: Span | None = None
    scale: Any = None
    bits: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def make_subject(request: Request) -> Subject:
    """The subject of a request that names a known operation and scheme."""
    module, _, function = AUDITS[request.operation, request.scheme].partition(":")
    subject: Subject = getattr(importlib.import_module(module), function)(request)
    return subject
