"""Strategies for formats and policies; both shrink to the most ordinary one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lowbit.format import registry
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.format.types import FormatLike
from lowbit.policy.cast import Policy, get_policy

STOCHASTIC = ("stochastic_a", "stochastic_b", "stochastic_c")


def formats(*, kind: str | None = None, max_bits: int = 16, families: bool = True) -> SearchStrategy[Scalar]:
    """Scalar formats; shrinks to few bits.

    Parameters
    ----------
    kind : {"float", "integer", "fixed", "table"}, optional
        Only this kind.
    max_bits : int
        The widest.
    families : bool
        Whether members of P3109, fixed-point formats and float formats of no standard, with infinity and NaNs anywhere,
        come too, not only the named formats.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(formats(kind="integer"), lambda fmt: fmt.bits > 4).bits
    5
    """
    named = [scalar_format(name) for name in registry.formats(kind=kind or registry.SCALAR)]
    named = sorted((fmt for fmt in named if fmt.bits <= max_bits), key=lambda fmt: (fmt.bits, fmt.wraps, fmt.id))
    choices: list[SearchStrategy[Scalar]] = [st.sampled_from(named)] if named else []
    if families and kind in {None, "float"} and max_bits >= 3:
        choices += [_p3109(min(max_bits, 16)), own_floats(min(max_bits, 16))]
    if families and kind in {None, "fixed"} and max_bits >= 2:
        choices.append(_fixed_point(min(max_bits, 32)))
    return st.one_of(choices)


@st.composite
def _p3109(draw: Any, max_bits: int) -> Scalar:
    bits = draw(st.integers(3, max_bits))
    signedness = draw(st.sampled_from("su"))
    precision = draw(st.integers(1, bits - 1 if signedness == "s" else bits))
    return scalar_format(f"binary{bits}p{precision}{signedness}{draw(st.sampled_from('fe'))}")


@st.composite
def own_floats(draw: Any, max_bits: int = 16) -> FloatFormat:
    """Float formats of no standard: any fields and bias, infinity and NaNs anywhere, any of the NaNs canonical.

    Half of those that can have IEEE 754's places for infinity and NaNs do, since only there payloads are kept.
    """
    signed = draw(st.booleans())
    exponent_bits = draw(st.integers(0, min(7, max_bits - 2 - int(signed))))
    mantissa_bits = draw(st.integers(max(2 - exponent_bits, 0), min(10, max_bits - int(signed) - exponent_bits)))
    magnitudes = 1 << (exponent_bits + mantissa_bits)
    fields = {"exponent_bits": exponent_bits, "mantissa_bits": mantissa_bits, "signed": signed}
    half = 1 << max(exponent_bits - 1, 0)
    bias = half - 1 + draw(st.integers(-4, 4))
    specials: dict[str, Any] = {}
    top = magnitudes - (1 << mantissa_bits)
    if exponent_bits and mantissa_bits and draw(st.booleans()):
        specials = {"infinity": top, "nan": top + 1}
    elif draw(st.booleans()):
        specials = {"nan": draw(st.integers(max(magnitudes - 40, 2), magnitudes - 1))}
        if draw(st.booleans()):
            specials["infinity"] = specials["nan"] - 1
    elif signed and draw(st.booleans()):
        specials = {"nan_at_negative_zero": True}
    if "nan" in specials:
        specials["canonical_nan"] = draw(st.integers(specials["nan"], magnitudes - 1))
    if specials.get("infinity", 2) < 2:  # a zero and a value must be left
        specials.pop("infinity")
    name = "_".join(str(int(value)) for value in (*fields.values(), bias, *specials.values()))
    kinds = "".join(key[0] for key in specials)
    bits = int(signed) + exponent_bits + mantissa_bits
    policy = "ieee" if "infinity" in specials else "ocp_sat"
    return FloatFormat(id=f"own_{name}{kinds}", bits=bits, bias=bias, default_policy=policy, **fields, **specials)


@st.composite
def _fixed_point(draw: Any, max_bits: int) -> Scalar:
    bits = draw(st.integers(2, max_bits))
    fraction = draw(st.integers(1, bits - 1))
    return scalar_format(f"{draw(st.sampled_from(['q', 'uq']))}{bits - fraction}.{fraction}")


def policies(fmt: FormatLike, *, stochastic: bool = False, errors: bool = False) -> SearchStrategy[Policy]:
    """Policies with a choice on each axis that matters for a format; shrinks to the format's default.

    Parameters
    ----------
    fmt : Format, str or dtype
    stochastic : bool
        Whether stochastic roundings come too; ``encode`` then needs random bits.
    errors : bool
        Whether choices that raise on some inputs come too.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(policies("int8"), lambda policy: policy.overflow == "wrap").overflow
    'wrap'
    """
    target = scalar_format(fmt)
    default = get_policy(target.default_policy, target)
    return _policies(target, default, stochastic, errors)


@st.composite
def _policies(draw: Any, target: Scalar, default: Policy, stochastic: bool, errors: bool) -> Policy:
    chosen: dict[str, Any] = {}
    for axis in target.live_axes:
        if axis == "via":  # any format: no list of choices to draw from
            continue
        own = getattr(default, axis)
        values = [own, *(value for value in Policy.choices(axis) if value != own)]
        values = [value for value in values if value == own or _is_allowed(target, axis, value, stochastic, errors)]
        chosen[axis] = draw(st.sampled_from(values))
    if chosen["rounding"] in STOCHASTIC:
        chosen["random_bits"] = draw(st.integers(1, 10))
    return default.choose(**chosen)


def _is_allowed(fmt: Scalar, axis: str, value: str, stochastic: bool, errors: bool) -> bool:
    if value in STOCHASTIC:
        return stochastic
    if axis == "overflow" and value == "wrap":
        return fmt.wraps
    return errors or value != "error"
