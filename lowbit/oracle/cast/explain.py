"""One encoding as a trace: the value, its neighbours, their midpoint, the rule that decided, the code.

What ``lowbit encode --explain`` prints and the checker shows beside a mismatch. Nothing is computed twice: the code
comes from :func:`lowbit.oracle.encode`, the rest is read off the format.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from lowbit.exact import FINITE, Exact, finite, format_value
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.cast import encode, prepare
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.oracle.cast.projection import Projection, flag_names
from lowbit.policy.cast import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """A rounding to an intermediate format on the way."""

    format: str
    result: Exact
    projection: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Projection):
    """The trace of one encoding: the projection, of ``rounded_from``, with what leads to it and what it is worth."""

    value: Exact  # the input
    steps: tuple[Step, ...]  # intermediate formats that it was rounded to first (``via``, and defects that round twice)
    rounded_from: Exact  # what the last step rounded: ``value``, or the result of the last of ``steps``
    # Halfway between the neighbours. Beyond the largest value, where overflow begins under nearest rounding: halfway to
    # the value that the next code would have. None where the value is exact or special.
    midpoint: Exact | None
    # lower_code, upper_code: the codes of the neighbours
    lower_code: int | None
    upper_code: int | None
    decoded: Exact  # the value of ``code``
    code_bits: str
    """The result's code in binary, the fields of a float set apart: ``0 1111 110``."""

    def lines(self) -> list[str]:
        """The trace in words, a line a fact."""
        lines = [f"value     {format_value(self.value)}"]
        lines += [
            f"through   {step.format}: {format_value(step.result)} ({step.projection.rule})" for step in self.steps
        ]
        for name, neighbour, code in (("lower", self.lower, self.lower_code), ("upper", self.upper, self.upper_code)):
            if neighbour is not None:
                shown = "" if code is None else f"  code {code:#x}"
                lines.append(f"{name:<9} {format_value(neighbour)}{shown}")
        if self.midpoint is not None:
            lines.append(f"midpoint  {format_value(self.midpoint)}  (the value is {self._side()} it)")
        lines.append(f"rule      {self.rule}")
        lines.append(f"result    {format_value(self.decoded)}  code {self.code:#x} = {self.code_bits}")
        raised = flag_names(self.flags)
        return [*lines, f"flags     {raised}"] if raised else lines

    def _side(self) -> str:
        assert self.midpoint is not None
        value, midpoint = self.rounded_from.fraction(), self.midpoint.fraction()
        return "at" if value == midpoint else "above" if value > midpoint else "below"


def explain(value: Exact, fmt: Scalar, policy: Policy, *, source: Scalar | None = None, random: int = 0) -> Explanation:
    """Encode as :func:`lowbit.oracle.encode` does, and say how; same parameters and errors."""
    steps = tuple(Step(via.id, decode(step.code, via), step) for via, step in prepare(value, fmt, policy, source))
    result = encode(value, fmt, policy, source=source, random=random)
    rounded_from = steps[-1].result if steps else value
    return Explanation(
        **{field.name: getattr(result, field.name) for field in fields(result)},
        value=value,
        steps=steps,
        rounded_from=rounded_from,
        midpoint=_midpoint(rounded_from, result, fmt),
        lower_code=_code_of(result.lower, fmt),
        upper_code=_code_of(result.upper, fmt),
        decoded=decode(result.code, fmt),
        code_bits=fmt.split(result.code, " "),
    )


def _midpoint(value: Exact, result: Projection, fmt: Scalar) -> Exact | None:
    if value.kind != FINITE:
        return None
    lower, upper = result.lower, result.upper
    if not fmt.wraps:
        top, last = fmt.max, fmt.ordinal(fmt.largest_code())
        beyond = fmt.value_at((last or 0) + 1)
        if lower is not None and lower.reduced() == top.reduced() and (upper is None or upper.kind != FINITE):
            upper = beyond
        elif upper is not None and upper.significand < 0 and (lower is None or lower.kind != FINITE):
            lower = finite(-beyond.significand, beyond.exponent)
    if lower is None or upper is None or lower.kind != FINITE or upper.kind != FINITE:
        return None
    if lower.fraction() == upper.fraction():
        return None
    unit = min(lower.exponent, upper.exponent)
    total = (lower.significand << (lower.exponent - unit)) + (upper.significand << (upper.exponent - unit))
    return finite(total, unit - 1).reduced()


def _code_of(value: Exact | None, fmt: Scalar) -> int | None:
    """The code of a value that the format has."""
    return None if value is None else project(value, fmt, Policy()).code
