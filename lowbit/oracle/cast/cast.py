"""A whole conversion: what happens to a value before it is projected, then the projection.

In this order: subnormal inputs flushed, the intermediate formats (the axis ``via`` and the defects that round twice),
the projection, the defects of intervals and midpoints. Flags accumulate over the steps, so a value that only the
intermediate format rounds is still inexact. An input that is flushed counts as zero and raises nothing.
"""

from __future__ import annotations

from dataclasses import replace

from lowbit.errors import PolicyError
from lowbit.exact import FINITE, NAN, NEGATIVE_INFINITY, NEGATIVE_ZERO, ZERO, Exact, from_fraction
from lowbit.format.registry import get_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.neighbours import distances
from lowbit.oracle.cast.project import Projection, project
from lowbit.policy.cast import DEFECTS, Defect, Policy

INTERMEDIATE = Policy(nan_code="payload")
"""How a value reaches an intermediate format: nearest even, overflow to infinity, NaN payload kept."""


def convert(code: int, source: Scalar, target: Scalar, policy: Policy, *, random: int = 0) -> Projection:
    """Convert a code of one format to a code of another.

    Parameters
    ----------
    code : int
    source, target : Format
    policy : Policy
    random : int
        R of the stochastic modes.

    Raises
    ------
    InputError
        The code is not one of the source format, or the policy refuses its value.
    """
    return encode(decode(code, source), target, policy, source=source, random=random)


def encode(value: Exact, fmt: Scalar, policy: Policy, *, source: Scalar | None = None, random: int = 0) -> Projection:
    """Encode an exact value under a full policy.

    Parameters
    ----------
    value : Exact
    fmt : Format
        The target.
    policy : Policy
    source : Format, optional
        Where the value comes from. ``flush_inputs`` needs it; defects that depend on the source, and the rule that
        ``via`` is idle for a value of that very format, are decided by it.
    random : int
        R of the stochastic modes.

    Returns
    -------
    Projection
        ``lower``, ``upper`` and ``rule`` are those of the last step; ``flags`` those of all steps.
    """
    steps = prepare(value, fmt, policy, source)
    if steps:
        via, step = steps[-1]
        value, source = decode(step.code, via), via
    elif _is_flushed(value, policy, source):
        value = NEGATIVE_ZERO if value.significand < 0 else ZERO
    value = _comparable_payload(value, source)
    result = project(value, fmt, policy, random)
    for _, step in steps:
        result = replace(result, flags=result.flags | step.flags)
    defect = _interval_defect(value, fmt, policy, source) or _midpoint_defect(value, result, fmt, policy, source)
    return result if defect is None else replace(result, code=defect[0], rule=defect[1])


def prepare(value: Exact, fmt: Scalar, policy: Policy, source: Scalar | None) -> list[tuple[Scalar, Projection]]:
    """The intermediate steps before the projection: each format, and the projection to it."""
    steps: list[tuple[Scalar, Projection]] = []
    intermediates = _intermediates(fmt, policy, source)
    if intermediates and _is_flushed(value, policy, source):
        value = NEGATIVE_ZERO if value.significand < 0 else ZERO
    for via in intermediates:
        if source is not None and source.id == via.id:
            continue
        step = project(_comparable_payload(value, source), via, INTERMEDIATE)
        value, source = decode(step.code, via), via
        steps.append((via, step))
    return steps


def _intermediates(fmt: Scalar, policy: Policy, source: Scalar | None) -> list[FloatFormat]:
    names = [policy.via] if policy.via else []
    if source is not None:
        defects = [DEFECTS[name] for name in policy.defects]
        names += [defect.via for defect in defects if defect.via and defect.applies(source.id, fmt.id)]
    return [_floating(name) for name in names]


def _floating(name: str) -> FloatFormat:
    fmt = get_format(name)
    if not isinstance(fmt, FloatFormat):
        raise PolicyError(f"via = {name!r} is not a floating-point format", hint="via='float32', for example")
    return fmt


def _is_flushed(value: Exact, policy: Policy, source: Scalar | None) -> bool:
    """Whether a subnormal input counts as zero."""
    if policy.flush_inputs == "never" or value.kind != FINITE or value.significand == 0:
        return False
    if source is None:
        raise PolicyError(
            "flush_inputs = 'always' needs the source format: subnormal is a property of a code, not of a number",
            hint="encode(value, fmt, policy, source=get_format('float32'))",
        )
    if not source.subnormals:
        return False
    smallest_normal = source.value_at(source.min_normal_code)  # may be beyond the largest value
    return _above(smallest_normal, Exact(FINITE, abs(value.significand), value.exponent))


def _above(left: Exact, right: Exact) -> bool:
    """Whether left > right, for non-negative finite values."""
    return distances(left, right, right)[0] > 0


def _comparable_payload(value: Exact, source: Scalar | None) -> Exact:
    """A NaN without its payload, where the source is not a format whose NaNs carry payloads."""
    if value.kind == NAN and source is not None and not source.ieee_like:
        return Exact(NAN, 0, 0, value.negative)
    return value


def _interval_defect(value: Exact, fmt: Scalar, policy: Policy, source: Scalar | None) -> tuple[int, str] | None:
    """The wrong code that a known bug gives to an interval of magnitudes, and its name."""
    for name in policy.defects:
        defect = DEFECTS[name]
        if defect.applies(source.id if source else "", fmt.id) and _inside(value, fmt, policy, defect):
            sign = fmt.sign_bit if _is_negative(value) else 0
            return defect.code + sign, f"defect {name}"
    return None


def _midpoint_defect(
    value: Exact, result: Projection, fmt: Scalar, policy: Policy, source: Scalar | None
) -> tuple[int, str] | None:
    """The code below a value to which the midpoint is rounded up in the source format, and the defect's name."""
    for name in policy.defects:
        defect = DEFECTS[name]
        if not defect.rounded_midpoints or source is None or not defect.applies(source.id, fmt.id):
            continue
        if result.lower is None or result.upper is None or value.kind != FINITE:
            continue
        middle = from_fraction((result.lower.fraction() + result.upper.fraction()) / 2)
        rounded = decode(project(middle, source, INTERMEDIATE).code, source)
        if middle.fraction() < value.fraction() == rounded.fraction():
            return project(result.lower, fmt, INTERMEDIATE).code, f"defect {name}"
    return None


def _is_negative(value: Exact) -> bool:
    """Whether a value is below zero."""
    return value.significand < 0 or value.kind == NEGATIVE_INFINITY


def _inside(value: Exact, fmt: Scalar, policy: Policy, defect: Defect) -> bool:
    finite = value.kind == FINITE
    if defect.above is None or defect.below is None or value.kind == NAN or (finite and value.significand == 0):
        return False
    if _is_negative(value) and (defect.positive or (not fmt.signed and policy.negative != "absolute")):
        return False
    if not finite:
        return defect.infinite
    magnitude = Exact(FINITE, abs(value.significand), value.exponent)
    return _above(magnitude, defect.above) and _above(defect.below, magnitude)
