"""Float formats of one's own, from a few parameters in Python."""

from __future__ import annotations

from types import MappingProxyType

from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format.files.document import ID_RULE, is_identifier
from lowbit.format.registry import get_format
from lowbit.format.scalar import MAX_BITS, FloatFormat
from lowbit.policy.cast import PRESETS

SPECIALS = MappingProxyType(
    {
        "ieee": "the top exponent holds infinity and NaNs, as in IEEE 754",
        "fn": "no infinity; the highest code of each sign is NaN (OFP8 E4M3)",
        "fnuz": "no infinity; the code of -0 is the only NaN",
        "none": "no infinity and no NaN: every code is a number",
    }
)
"""What ``specials`` of :func:`float_format` may be."""


def float_format(
    exponent_bits: int,
    mantissa_bits: int,
    *,
    bias: int | None = None,
    signed: bool = True,
    specials: str = "ieee",
    id: str | None = None,
    default_policy: str | None = None,
) -> FloatFormat:
    """A float format from the widths of its fields and the way it spends its special codes.

    Every ``fmt`` argument of lowbit takes the result; it has no name in the registry (``load_format`` gives one).
    For specials that none of the choices describes, construct :class:`lowbit.FloatFormat` itself.

    Parameters
    ----------
    exponent_bits, mantissa_bits : int
        Widths of the fields. Without an exponent field the values are sign and magnitude.
    bias : int, optional
        By default ``2**(exponent_bits - 1) - 1``, one more for ``"fnuz"``; without an exponent field
        ``1 - mantissa_bits``, which makes the values integers.
    signed : bool
        Whether there is a sign bit.
    specials : {"ieee", "fn", "fnuz", "none"}
        ``lowbit.format.build.SPECIALS`` says what each means.
    id : str, optional
        A name for messages and files, of lower-case letters, digits, ``_`` and ``.``; by default one made of the
        parameters, ``"custom_e4m3b9fn"``.
    default_policy : str, optional
        The preset that ``encode`` follows unasked: ``"ieee"`` for ``specials="ieee"``, else ``"ocp_sat"``.

    Raises
    ------
    FormatError
        The parameters contradict each other, or the id belongs to another format.

    Examples
    --------
    >>> fmt = float_format(3, 4, specials="fn")
    >>> fmt.id, str(fmt.max)
    ('custom_e3m4fn', '30')
    """
    _check_arguments(exponent_bits, mantissa_bits, bias, signed, id)
    if str(specials) not in SPECIALS:
        raise FormatError(f"specials = {specials!r} is unknown", hint=f"one of {', '.join(SPECIALS)}")
    if default_policy is not None and str(default_policy) not in PRESETS:
        raise FormatError(f"default_policy = {default_policy!r} is not a preset", hint=f"one of {', '.join(PRESETS)}")
    if specials == "ieee" and (exponent_bits == 0 or mantissa_bits == 0):
        raise FormatError(
            f"specials = 'ieee' needs an exponent and a mantissa field, not {exponent_bits} and {mantissa_bits} bits",
            hint="with no mantissa bit there is no code for NaN beside infinity: use 'fn', 'fnuz' or 'none'",
        )
    usual_bias = _usual_bias(exponent_bits, mantissa_bits, specials)
    bias = usual_bias if bias is None else bias
    top = (1 << exponent_bits + mantissa_bits) - 1
    infinity = ((1 << exponent_bits) - 1) << mantissa_bits if specials == "ieee" else None
    fmt = FloatFormat(
        id=id or _name(exponent_bits, mantissa_bits, "" if bias == usual_bias else f"b{bias}", specials, signed),
        bits=int(signed) + exponent_bits + mantissa_bits,
        signed=signed,
        summary=f"user-defined: {SPECIALS[specials]}",
        default_policy=default_policy or ("ieee" if specials == "ieee" else "ocp_sat"),
        exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits,
        bias=bias,
        infinity=infinity,
        nan=infinity + 1 if infinity is not None else top if specials == "fn" else None,
        nan_at_negative_zero=specials == "fnuz",
    )
    _refuse_taken_id(fmt)
    return fmt


def _check_arguments(exponent_bits: object, mantissa_bits: object, bias: object, signed: object, id: object) -> None:
    """Before anything is computed from them; the widths together are checked by the format itself."""
    for name, value in (("exponent_bits", exponent_bits), ("mantissa_bits", mantissa_bits)):
        if type(value) is not int:
            raise FormatError(f"{name} = {value!r} is not an integer")
        if not 0 <= value <= MAX_BITS:
            what = "a negative width" if value < 0 else f"more than the {MAX_BITS} bits that a format may have"
            raise FormatError(f"{name} = {value} is {what}")
    if bias is not None and type(bias) is not int:
        raise FormatError(f"bias = {bias!r} is not an integer")
    if not isinstance(signed, bool):
        raise FormatError(f"signed = {signed!r} is neither True nor False")
    if id is not None and (not isinstance(id, str) or not is_identifier(id)):
        raise FormatError(f"{id!r} is not an id", hint=ID_RULE)


def _usual_bias(exponent_bits: int, mantissa_bits: int, specials: str) -> int:
    if exponent_bits == 0:
        return 1 - mantissa_bits
    half = 1 << (exponent_bits - 1)
    return half if specials == "fnuz" else half - 1


def _name(exponent_bits: int, mantissa_bits: int, bias: str, specials: str, signed: bool) -> str:
    """As ml_dtypes spells names: f finite, n NaN, u unsigned or, with z, no negative zero."""
    letters = {"ieee": "", "fn": "fn", "fnuz": "fnuz", "none": "f"}[specials]
    return f"custom_e{exponent_bits}m{mantissa_bits}{bias}{letters}{'' if signed else 'u'}"


def _refuse_taken_id(fmt: FloatFormat) -> None:
    if fmt.id.startswith("custom_"):
        return
    try:
        known = get_format(fmt.id)
    except UnknownFormatError:
        return
    if known != fmt:
        raise FormatError(f"the id {fmt.id!r} belongs to another format: {known.summary}", hint="choose another id")
