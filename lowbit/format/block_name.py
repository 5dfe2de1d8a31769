"""Block formats of one's own: from a few arguments in Python, or by a name that says what they are.

A name is an element format, a block shape, and what differs from one float16 scale a block, with points between them:
``int4.g128``, ``float4_e2m1fn.g32.float8_e8m0fnu``, ``float4_e2m1fn.g128.by_sign``, ``float8_e4m3fn.128x128.float32``,
``int8.channel.bfloat16``, ``int8.tensor``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format.block import SIGNS, WHOLE, BlockFormat, ScaleField, Shape, shape_name, shape_of
from lowbit.format.common import Source, check_id
from lowbit.format.protocol import Element, Scalar
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.types import FormatLike

SCALE = "float16"
FAMILY = "block"
BY_SIGN, ASYMMETRIC, OFFSET, NESTED = WORDS = "by_sign", "asymmetric", "offset", "nested"
PATTERN = "{element}.{g128, 16x16, channel or tensor}[.by_sign, .asymmetric, .offset or .nested][.{scale format}]"
"""How names are made."""

NESTED_CODES, NESTED_BLOCK = "bnb_dynamic8", 256
"""Of double quantisation: what scales are coded in, and how many of them have a scale (QLoRA, arXiv 2305.14314, 3)."""

SOURCE = Source(
    title="lowbit block formats",
    clause="Block formats: the algebra",
    url="https://github.com/lowbit/lowbit/blob/main/docs/explanation/block-formats.md",
)

_LIKE_A_SHAPE = re.compile(r"g-?\d+|-?\d+x-?\d+", re.ASCII)
_SHAPE = re.compile(
    r"g(?P<length>[1-9]\d{0,8})|(?P<rows>[1-9]\d{0,8})x(?P<columns>[1-9]\d{0,8})|channel|tensor", re.ASCII
)


def block_format(  # noqa: PLR0913 (all but one are keyword-only options)
    element: FormatLike,
    *,
    block: int | str | tuple[int, ...] = 32,
    scale: FormatLike = SCALE,
    tensor: FormatLike | None = None,
    by_sign: bool = False,
    asymmetric: bool | FormatLike = False,
    offset: bool = False,
    nested: bool | FormatLike = False,
    id: str | None = None,
    default_policy: str | None = None,
) -> BlockFormat:
    """A block format from its parts.

    Every function that takes a block format takes the result; ``lowbit.BlockFormat`` itself says more than this.

    Parameters
    ----------
    element : str, Format or dtype
        What the codes are codes of.
    block : int, tuple of int, "channel" or "tensor"
        Elements that share a scale, along the last axes, the axis of the blocks last.
    scale : str, Format or dtype
        The format of the scales.
    tensor : str, Format or dtype, optional
        The format of a scale over the whole tensor besides.
    by_sign : bool
        Whether positive and negative elements have scales of their own (AFPQ).
    asymmetric : bool
        Whether blocks of integers have a zero point; True for one in the format of the elements, or its format.
    offset : bool
        Whether blocks of integers have an offset in the format of the scales, which is added at the end.
    nested : bool, str, Format or dtype
        Whether scales are quantised themselves (double quantisation): True for codes of ``bnb_dynamic8``, or their
        format. Each 256 of them along the axis have a scale of the format ``scale``, and all an offset of it.
    id : str, optional
        A name for messages; by default the parts, with points between them.
    default_policy : str, optional
        The block policy that ``quantize`` follows unasked: "nearest", or "bitsandbytes_nested" for nested scales.

    Raises
    ------
    FormatError
        The parts contradict each other.

    Examples
    --------
    >>> block_format("int4", block=128).bits_per_value
    Fraction(33, 8)
    """
    check_id(id)
    for flag, value in ((BY_SIGN, by_sign), (OFFSET, offset)):
        if not isinstance(value, bool):
            raise FormatError(f"{flag} = {value!r} is not True or False", hint="scales have the format of scale=")
    part, shape, of_scale = element_format(element), shape_of(block), scalar_format(scale)
    names, role = (SIGNS, BY_SIGN) if by_sign else (("block",), "multiply")
    scales = [ScaleField(name, of_scale, shape, role) for name in names]
    of_zero = part.component if isinstance(asymmetric, bool) else scalar_format(asymmetric)
    affine = asymmetric is not False
    if affine:
        scales.append(ScaleField("zero_point", of_zero, shape, "zero_point"))
    if offset:
        scales.append(ScaleField(OFFSET, of_scale, shape, OFFSET))
    codes = scalar_format(NESTED_CODES if isinstance(nested, bool) else nested)
    inside = nested is not False
    if inside:
        scales = _nested(scales, codes)
    if tensor is not None:
        scales.append(ScaleField("tensor", scalar_format(tensor), ()))
    words = [
        part.id,
        shape_name(shape),
        *([BY_SIGN] if by_sign else []),
        *([ASYMMETRIC] if affine else []),
        *([OFFSET] if offset else []),
        *([NESTED] if inside else []),
    ]
    words += [] if of_scale.id == SCALE else [of_scale.id]
    words += [] if of_zero is part.component else ["zero_point", of_zero.id]
    words += [] if codes.id == NESTED_CODES else ["codes", codes.id]
    words += [] if tensor is None else ["tensor", scalar_format(tensor).id]
    return BlockFormat(
        id=".".join(words) if id is None else id,
        family=FAMILY,
        summary=_summary(part, shape, of_scale, by_sign=by_sign)
        + (", and a zero point" if affine else ", and an offset" if offset else "")
        + (f", which is quantised itself, to {codes.id}" if inside else ""),
        default_policy=default_policy or ("bitsandbytes_nested" if inside else "nearest"),
        source=SOURCE,
        element=part,
        block=shape,
        scales=tuple(scales),
    )


def element_format(name: object) -> Element:
    """The format of a name, a dtype or itself that elements of blocks may have: a scalar one, or vectors.

    Raises UnknownFormatError: as for ``get_format``; FormatError: it has blocks itself.
    """
    fmt = get_format(name)  # type: ignore[arg-type]  # whatever it is: what does not name a format is refused
    if isinstance(fmt, BlockFormat):
        hint = f"its elements in other blocks: {fmt.element.id}.g16.{fmt.scales[0].format.id}"
        raise FormatError(f"{fmt.id} has blocks already", hint=hint)
    return fmt if isinstance(fmt, Element) else scalar_format(fmt)


def block_member(name: str) -> BlockFormat | None:
    """The block format that a lower-case name describes; None where it is not such a name.

    Raises FormatError: it is, but a part of it is not; UnknownFormatError: a length is none.
    """
    words = name.split(".")
    place = next((index for index, word in enumerate(words) if index and _SHAPE.fullmatch(word)), None)
    if place is None:
        wrong = next((word for word in words[1:] if _LIKE_A_SHAPE.fullmatch(word)), "")
        if wrong:
            what = f"format {name!r} is unknown: {wrong!r} is not a block of 1 to 999,999,999"
            raise UnknownFormatError(what, hint=PATTERN)
        return None
    match = _SHAPE.fullmatch(words[place])
    assert match is not None
    sizes = [int(text) for text in match.group("length", "rows", "columns") if text]
    rest = words[place + 1 :]
    kind = rest[0] if rest and rest[0] in WORDS else ""
    rest = rest[bool(kind) :]
    if len(rest) > 1:
        raise FormatError(f"block format {name!r}: {'.'.join(rest)!r} is not a scale format", hint=PATTERN)
    block = tuple(sizes) if sizes else words[place]
    element, scale = ".".join(words[:place]), rest[0] if rest else SCALE
    choices: dict[str, Any] = {kind: True} if kind else {}
    return block_format(element, block=block, scale=scale, **choices)


def _nested(scales: list[ScaleField], codes: Scalar) -> list[ScaleField]:
    """The scales of a format whose one scale is quantised itself.

    Raises FormatError: it has others, or blocks of two axes or none.
    """
    field = scales[0]
    if len(scales) > 1 or len(field.block) != 1 or field.block[0] == WHOLE:
        raise FormatError("nested scales are one factor for each block along an axis", hint="nf4.g64.nested.float32")
    length = field.block[0] * NESTED_BLOCK
    return [
        replace(field, format=codes),
        ScaleField("super", field.format, (length,), "super", field.name),
        ScaleField("offset", field.format, (), "offset", field.name),
    ]


def _summary(element: Element, shape: Shape, scale: Scalar, *, by_sign: bool) -> str:
    share = {(): "of the whole tensor", (0,): "along the axis"}.get(shape, f"of {' x '.join(map(str, shape))}")
    scales = f"a {scale.id} scale for each sign" if by_sign else f"one {scale.id} scale"
    return f"{element.id} elements {share} share {scales}"
