"""What can be audited: an operation under a scheme, with its parameters fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lowbit.errors import InputError, LowbitError
from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.scheme import NONLINEARITIES, Parameters, resolve, schemes
from lowbit.nonlinear.widths import Widths
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.span import Span, of_bits

Spans = Mapping[str, Span]
MOST_CODES = 1 << 17
"""Input ranges up to this size are gone through code by code."""

AUDITS: Mapping[tuple[str, str], str] = {
    (operation, record.id): record.home
    for operation in NONLINEARITIES
    for record in schemes(operation).values()
    if record.audited
}
"""(operation, scheme) -> where its bounds are, in ``lowbit.proof.nonlinear``: a function of a :class:`Request`."""


@dataclass(frozen=True, eq=False)
class Subject:
    """An operation whose parameters are fixed: what it declares, how to run it, and what is known of its ranges."""

    call: Parameters
    inputs: Span  # codes that a row may hold
    # Takes the row length; gives for each intermediate a range that no row leaves as long as nothing before it
    # overflowed. An intermediate without an entry cannot be proved, only searched.
    spans: Callable[[int], Spans]
    # Code -> what it adds to the row's sum when the row's maximum is the largest code; empty where sums are not sums of
    # exponentials. The search aims at sums next to powers of two with them.
    contributions: Mapping[int, int] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)  # for the report
    unused: frozenset[str] = frozenset()  # declared intermediates that this variant, or these parameters, never compute

    @property
    def widths(self) -> Widths:
        """The declared intermediates."""
        return self.call.widths

    def run(self, row: list[int], steps: Steps) -> list[int]:
        """The results of a row by the oracle."""
        return self.call.oracle(row, steps)


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be audited, as it was asked for."""

    call: Parameters
    inputs: Span | None = None  # None for the scheme's own input type

    def only_options(self, *known: str) -> None:
        """Options that an audit does not have are errors."""
        for name in self.call.options:
            if name not in known:
                listed = f"it takes {', '.join(known)}" if known else "it takes none"
                raise InputError(f"{self.call.scheme.title} has no option {name!r}", hint=listed)

    def codes(self, bits: int = 0, *, fixed: bool = False) -> Span:
        """The input codes: those that are given, or all of the signed type of ``bits`` or of the scheme's own.

        Parameters
        ----------
        bits : int
        fixed : bool
            Whether the scheme takes this type only.
        """
        scheme = self.call.scheme
        own = of_bits(bits or int(scheme.codes.removeprefix("int")))
        if self.inputs is None:
            return own
        if fixed and not own.holds(self.inputs):
            raise InputError(f"{scheme.id} takes {scheme.codes} codes, not {self.inputs}")
        if self.inputs.size > MOST_CODES:
            raise InputError(
                f"inputs from {self.inputs} are more than {MOST_CODES:,} codes, which are gone through one by one"
            )
        return self.inputs

    def codes_below_zero(self) -> Span:
        """Codes that must not be positive: those that are given, or from -255, int8's widest difference."""
        inputs = self.inputs or Span(-255, 0)
        if inputs.high > 0:
            raise InputError(f"inputs from {inputs}: {self.call.scheme.operation} takes codes that are not positive")
        return replace(self, inputs=inputs).codes()

    def whole(self, name: str, low: int, high: int, default: int = 0) -> int:
        """An integer option within limits."""
        value = self.call.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"{name} = {value!r} is not a whole number from {low} to {high}")
        return value

    def every_code(self, inputs: Span) -> Recorder:
        """What the intermediates are on the row of all codes, in ascending order.

        The row may be one that the scheme refuses; what depends on single codes has been noted by then.

        Raises InputError: the scheme refuses the parameters.
        """
        recorder = Recorder(self.call.widths)
        try:
            self.call.oracle(list(inputs.codes), recorder)
        except (LowbitError, IndexError, ValueError):
            if not any(recorder.values.values()):
                raise
        return recorder

    def exponentials(self, inputs: Span, *names: str) -> tuple[Spans, list[int], dict[int, int]]:
        """Of a softmax: the ranges of the intermediates of one code, and its last one in order and by code."""
        recorder = self.every_code(inputs)
        values = recorder.values[names[-1]]
        return recorder.spans(*names), values, dict(zip(inputs.codes, values, strict=True))

    def elementwise(self, inputs: Span, **parameters: Any) -> Subject:
        """The subject of an operation whose codes do not meet: the ranges are those of all codes."""
        spans = self.every_code(inputs).spans()
        never = frozenset(step.name for step in self.call.widths.steps) - set(spans)
        return Subject(self.call, inputs, lambda _: spans, {}, parameters, never)


def make_subject(request: Request) -> Subject:
    """The subject of a request that names a known operation and scheme.

    Raises InputError: a parameter is missing or out of range.
    """
    call, scheme = request.call, request.call.scheme
    scheme.checked_bits(call.bits)
    if scheme.needs_scale(call.options):
        if call.scale is None:
            raise InputError(f"{scheme.title} depends on the scale", hint="scale=0.05, say")
        call = replace(call, scale=scale32(call.scale))
    subject: Subject = resolve("proof", scheme.home)(replace(request, call=call))
    return subject
