"""Formats of one's own in Python: floats from a few parameters, tables and vectors from their values."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from types import MappingProxyType

from lowbit.errors import FormatError, UnknownFormatError
from lowbit.exact import NOT_A_NUMBER, Exact, finite, from_float, from_fraction, nearest_binary32
from lowbit.format.common import Format, check_id
from lowbit.format.registry import get_format
from lowbit.format.scalar import MAX_BITS, FloatFormat, TableFormat
from lowbit.format.table import check_list
from lowbit.format.vector import VectorFormat
from lowbit.policy.cast import CAST_PRESETS

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
    _check_policy(default_policy)
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
    check_id(id)


def _check_policy(default_policy: object) -> None:
    if default_policy is not None and str(default_policy) not in CAST_PRESETS:
        raise FormatError(
            f"default_policy = {default_policy!r} is not a preset", hint=f"one of {', '.join(CAST_PRESETS)}"
        )


def _usual_bias(exponent_bits: int, mantissa_bits: int, specials: str) -> int:
    if exponent_bits == 0:
        return 1 - mantissa_bits
    half = 1 << (exponent_bits - 1)
    return half if specials == "fnuz" else half - 1


def _name(exponent_bits: int, mantissa_bits: int, bias: str, specials: str, signed: bool) -> str:
    """As ml_dtypes spells names: f finite, n NaN, u unsigned or, with z, no negative zero."""
    letters = {"ieee": "", "fn": "fn", "fnuz": "fnuz", "none": "f"}[specials]
    return f"custom_e{exponent_bits}m{mantissa_bits}{bias}{letters}{'' if signed else 'u'}"


def _refuse_taken_id(fmt: Format) -> None:
    if fmt.id.startswith("custom_"):
        return
    try:
        known = get_format(fmt.id)
    except UnknownFormatError:
        return
    if known != fmt:
        raise FormatError(f"the id {fmt.id!r} belongs to another format: {known.summary}", hint="choose another id")


def _exact(value: float | Exact) -> Exact:
    """A number as it is: no integer is rounded to binary64."""
    if isinstance(value, Exact):
        return value
    return finite(value) if isinstance(value, int) else from_float(value)


def table_format(
    values: Iterable[float | Exact], *, id: str | None = None, ordered: bool = True, default_policy: str = "ocp_sat"
) -> TableFormat:
    """A format from the list of its values: a codebook.

    Every ``fmt`` argument of lowbit takes the result; it has no name in the registry (``load_format`` gives one).

    Parameters
    ----------
    values : array of float, or iterable of float and Exact
        What code 0, 1, 2, ... is worth, ``2**bits`` of them for 1 to 16 bits. NaN stands for a code without a value.
    id : str, optional
        A name for messages and files; by default ``"custom_table4"`` of 4 bits.
    ordered : bool
        Whether the values rise with the code, as they must unless this is False.
    default_policy : str
        The preset that ``encode`` follows unasked.

    Raises
    ------
    FormatError
        The number of values is not a power of two, one of them is not a number or stands there twice, they do not
        rise, or the id belongs to another format.

    Examples
    --------
    >>> import lowbit
    >>> fmt = table_format([-1, -0.25, 0, 1])
    >>> lowbit.encode([-0.2, 0.6], fmt).tolist()
    [1, 3]
    """
    check_id(id)
    _check_policy(default_policy)
    numbers: object = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(numbers, Iterable):
        raise FormatError(f"values = {numbers!r} is not a list of numbers", hint="[-1, -0.25, 0, 1], say")
    numbers = list(numbers)
    for code, value in enumerate(numbers):
        if not isinstance(value, int | float | Exact) or isinstance(value, bool):
            raise FormatError(f"values: {value!r}, of code {code}, is not a number")
    exact = tuple(_exact(value) for value in numbers)
    bits = max((len(exact) - 1).bit_length(), 1)
    if len(exact) != 1 << bits:
        raise FormatError(
            f"{len(exact)} values are not one for each of 2^{bits} codes", hint="nan stands for a code without a value"
        )
    check_list(exact, ordered=ordered)
    fmt = TableFormat(
        id=f"custom_table{bits}" if id is None else id,
        bits=bits,
        values=exact,
        summary=f"user-defined: a table of {len(exact)} values",
        default_policy=default_policy,
    )
    _refuse_taken_id(fmt)
    return fmt


def vector_format(
    values: Iterable[Iterable[float | Exact]], *, id: str | None = None, default_policy: str = "ocp_sat"
) -> VectorFormat:
    """A format from the list of its vectors, for elements of block formats: a codebook, or points of a lattice.

    ``lowbit.block_format`` takes the result as an element: each code then stands for several neighbouring values.

    Parameters
    ----------
    values : array of float, shape (count, dimension), or iterables of float and Exact
        The vectors of code 0, 1, 2, ...: at most 65,536, of 2 to 256 finite numbers each.
    id : str, optional
        A name for messages and files; by default ``"custom_vector8x4"`` of codes of 8 bits and 4 numbers.
    default_policy : str
        The preset that says what becomes of NaN and infinity.

    Raises
    ------
    FormatError
        Vectors differ in length, something is not a finite number, there are too many, or the id belongs to another
        format.

    Examples
    --------
    >>> import lowbit
    >>> pairs = lowbit.block_format(vector_format([[0, 0], [1, 1], [1, -1], [0, 2]]), block=4)
    >>> lowbit.quantize([2.0, 2.1, 0.3, -0.2], pairs).codes.tolist()
    [1, 0]
    """
    check_id(id)
    _check_policy(default_policy)
    rows: object = values.tolist() if hasattr(values, "tolist") else values
    try:
        vectors = [tuple(row) for row in rows]  # type: ignore[attr-defined]  # whatever it is
    except TypeError as error:
        raise FormatError(f"values = {rows!r} is not a list of vectors", hint="[[0, 0], [1, -1]], say") from error
    for code, vector in enumerate(vectors):
        for number in vector:
            if not isinstance(number, int | float | Exact) or isinstance(number, bool):
                raise FormatError(f"values: {number!r}, in the vector of code {code}, is not a number")
    bits, size = max((len(vectors) - 1).bit_length(), 1), len(vectors[0]) if vectors else 0
    fmt = VectorFormat(
        id=f"custom_vector{bits}x{size}" if id is None else id,
        bits=bits,
        values=tuple(tuple(map(_exact, vector)) for vector in vectors),
        summary=f"user-defined: {len(vectors)} vectors of {size} numbers",
        default_policy=default_policy,
    )
    _refuse_taken_id(fmt)
    return fmt


POWER_DIGITS = 40
"""Decimal digits of a power before it is rounded to binary32, which has 9: no power is as near to a tie."""

MAX_POWER_BITS, MAX_POWER = 12, 16


def power_format(bits: int, exponent: float | Fraction, *, id: str | None = None) -> TableFormat:
    """A power grid: even steps on an axis of values that were raised to a power, with their sign kept.

    With m = ``2**(bits - 1) - 1``, the two's complement code q of -m to m is worth ``sign(q) * (abs(q) / m) **
    (1 / exponent)``, rounded to binary32; code -m - 1 is NaN. ``encode`` takes the code whose value is nearest, not the
    one that ``sign(x) * abs(x) ** exponent * m`` rounds to.

    Parameters
    ----------
    bits : int
        2 to 12.
    exponent : float or Fraction
        The power that values are raised to before even steps, above 0 and at most 16; 1 gives a grid of even steps.
    id : str, optional
        A name for messages and files; by default ``"custom_power4_0.5"`` of 4 bits and the exponent 1/2.

    Raises
    ------
    FormatError
        The parameters are out of range, two codes would have one value, or the id belongs to another format.

    Notes
    -----
    Source: E. Yvinec et al., PowerQuant: Automorphism Search for Non-Uniform Quantization, ICLR 2023,
    arXiv:2301.09858; NUPES: Non-Uniform Post-Training Quantization via Power Exponent Search, arXiv:2308.05600.

    Examples
    --------
    >>> import lowbit
    >>> lowbit.decode([0, 1, 3, 5], power_format(3, 0.5)).tolist()
    [0.0, 0.1111111119389534, 1.0, -1.0]
    """
    _check_power(bits, exponent)
    top, ratio = (1 << bits - 1) - 1, Fraction(exponent)
    with localcontext(prec=POWER_DIGITS):
        inverse = Decimal(ratio.denominator) / ratio.numerator
        powers = [(Decimal(code) / top) ** inverse for code in range(1, top + 1)]
    above = [from_fraction(nearest_binary32(Fraction(power))) for power in powers]
    if len({finite(0), *above}) <= top:
        raise FormatError(
            f"exponent = {exponent!r}: two of the {top + 1} magnitudes of {bits} bits are one number in binary32",
            hint="an exponent nearer to 1, or fewer bits",
        )
    below = [finite(-value.significand, value.exponent) for value in reversed(above)]
    name = f"custom_power{bits}_{float(exponent):.6g}".replace("-", "m")
    return table_format([0, *above, NOT_A_NUMBER, *below], id=name if id is None else id, ordered=False)


def _check_power(bits: object, exponent: object) -> None:
    if type(bits) is not int or not 2 <= bits <= MAX_POWER_BITS:
        raise FormatError(f"bits = {bits!r} is not an integer from 2 to {MAX_POWER_BITS}")
    if isinstance(exponent, bool) or not isinstance(exponent, int | float | Fraction) or not 0 < exponent <= MAX_POWER:
        raise FormatError(f"exponent = {exponent!r} is not a number above 0 and at most {MAX_POWER}")
