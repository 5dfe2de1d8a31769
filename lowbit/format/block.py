"""Block formats: codes of one element format, and scales that some of them share.

One algebra for all of them. A block format is an element format, a block shape, and a short list of scale fields, each
with a format, a block shape and a role of its own. Its value is one expression of these fields, whatever the product.
How a tensor is brought into such a format is :mod:`lowbit.policy.block`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from lowbit.errors import FormatError, InputError
from lowbit.format.common import Format
from lowbit.format.protocol import Element, Scalar

ROLES: Mapping[str, str] = {
    "multiply": "the elements are multiplied by it",
    "divide": "the elements are divided by it",
    "exponent": "the elements are multiplied by two to the power of it",
    "super": "the scales of another field are multiplied by it",
    "by_sign": "the elements of one sign are multiplied by it: 'positive' or 'negative'",
    "zero_point": "it is subtracted from the elements before they are multiplied",
    "offset": "it is added at the end, or to the scales of another field",
    "subtract": "it is subtracted at the end",
    "sum": "the sum of the codes of its block, times the scale of another field if it names one; it changes nothing",
}
"""What a scale field does to the elements of its blocks."""

ON_SCALES = ("super", "offset")
"""The roles of what may change the scales of another field."""

SIGNS = ("positive", "negative")
"""The names of the two fields of role ``by_sign``."""

WHOLE = 0
"""The length of a block that reaches over the whole axis."""

MAX_LENGTH = (1 << 31) - 1
"""Of a block along an axis."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ScaleField:
    """A number that the elements of a block share.

    Attributes
    ----------
    name : str
        Under which ``BlockTensor.scales`` has it: "block", "tensor", "positive", "negative", "zero_point", ...
    format : Scalar
    block : tuple of int
        Elements that share one, along the last axes, the axis of the blocks last: ``(32,)``, ``(128, 128)``. 0 is the
        whole axis; the empty tuple the whole tensor.
    role : str
        One of ``ROLES``.
    of : str
        For the role "super", the field whose scales it multiplies; for the role "offset", that whose scales, as they
        are then, it is added to, or ""; for the role "sum", that whose scale the sum is multiplied by, or "".
    """

    name: str
    format: Scalar
    block: Shape
    role: str = "multiply"
    of: str = ""

    def extents(self, shape: Shape) -> Shape:
        """How many elements share one number along each axis of a tensor, the axis of the blocks last."""
        return extents(self.block, shape)

    def grid(self, shape: Shape) -> Shape:
        """How many numbers there are along each axis; a last block may be shorter."""
        if not self.block:
            return ()
        return tuple(-(-length // extent) for length, extent in zip(shape, self.extents(shape), strict=True))


def extents(block: Shape, shape: Shape) -> Shape:
    """The lengths of a block along each axis of a tensor, the axis of the blocks last."""
    if not block:
        return tuple(max(length, 1) for length in shape)
    lengths = (1,) * (len(shape) - len(block)) + block
    return tuple(own or max(length, 1) for own, length in zip(lengths, shape, strict=True))


@dataclass(frozen=True, kw_only=True)
class BlockFormat(Format):
    """A format of tensors whose elements share scales.

    Attributes
    ----------
    element : Element
        What the codes are codes of: a scalar format or, for codes that are worth several neighbouring values along the
        axis of the blocks, one of vectors.
    block : tuple of int
        The block shape, as a ``ScaleField`` has it.
    scales : tuple of ScaleField

    Raises
    ------
    FormatError
        Two fields have one name, a role is unknown, or the roles contradict each other.
    """

    element: Element
    block: Shape
    scales: tuple[ScaleField, ...]
    default_policy: str = "nearest"

    def __post_init__(self) -> None:
        require = self._require
        self._require_common()
        require(isinstance(self.element, Element), f"element = {self.element!r} is not a format of elements")
        self._require_block(self.block, "block")
        require(isinstance(self.scales, tuple), f"scales = {self.scales!r} is not a tuple")
        require(bool(self.scales), "a block format has at least one scale")
        names = [field.name for field in self.scales]
        require(len(set(names)) == len(names), f"two of the scales {', '.join(names)} have one name")
        for field in self.scales:
            self._require_field(field, names)
        if self.element.dimension > 1:
            self._require_vectors()
        signs = tuple(field.name for field in self.scales if field.role == "by_sign")
        require(signs in ((), SIGNS), f"by_sign scales {signs} are not 'positive' and 'negative', in this order")
        require(not signs or self.element.signed, f"{self.element.id} has no negative elements to scale by sign")
        single = (*ON_SCALES, "zero_point", "subtract")
        targets = [(field.role, field.of) for field in self.scales if field.role in single]
        for role, _ in (pair for pair in targets if targets.count(pair) > 1):
            require(False, f"two scales have the role {role!r}")
        sizes = [math.prod(field.block) for field in self.lower_exponents]
        nested = 0 not in sizes and sizes == sorted(sizes, reverse=True)
        require(nested, "exponents below a scale are not those of smaller and smaller blocks")

    def __hash__(self) -> int:
        return hash(self.id)

    def _require_field(self, field: ScaleField, names: list[str]) -> None:
        where = f"scale {field.name!r}"
        self._require(field.role in ROLES, f"{where}: role {field.role!r} is unknown", f"one of {', '.join(ROLES)}")
        self._require(isinstance(field.format, Scalar), f"{where}: {field.format!r} is not a scalar format")
        self._require_block(field.block, where)
        others = [name for name in names if name != field.name]
        known = field.of in others and field.role in (*ON_SCALES, "sum") if field.of else field.role != "super"
        self._require(known, f"{where}: of = {field.of!r}", f"role 'super' names one of {', '.join(others)}")
        exponent = field.role == "exponent"
        self._require(
            not exponent or (field.format.wraps and field.format.smallest_exponent == 0),
            f"{where}: {field.format.id} is not an integer format, as an exponent is",
        )

    def _require_vectors(self) -> None:
        """A vector lies in one block of each scale, and vectors are scaled, no more."""
        size = self.element.dimension
        for where, block in (("block", self.block), *((f"scale {field.name!r}", field.block) for field in self.scales)):
            whole = not block or block[-1] % size == 0
            what = f"{where}: rows of {math.prod(block[-1:])} values are not whole vectors of {size}"
            self._require(whole, what, f"a multiple of {size}")
        for field in (*self.of_role("zero_point", "offset", "subtract", "sum"), *self.lower_exponents):
            what = f"scale {field.name!r}: the role {field.role!r} is for elements of one value, and"
            self._require(False, f"{what} {self.element.id} has vectors of {size}", "scales that multiply or divide")

    def _require_block(self, block: object, where: str) -> None:
        fits = isinstance(block, tuple) and all(type(length) is int and 0 <= length <= MAX_LENGTH for length in block)
        self._require(fits, f"{where}: block shape {block!r} is not a tuple of lengths", "(32,), (16, 16), (0,) or ()")

    @property
    def kind(self) -> str:
        return "block"

    def of_role(self, *roles: str) -> tuple[ScaleField, ...]:
        """The fields of some roles, in the order of the format; not those that change scales of other fields."""
        return tuple(field for field in self.scales if field.role in roles and not field.of)

    def on_scales(self, name: str) -> tuple[ScaleField, ...]:
        """The fields that change the scales of another one: a factor, then an offset."""
        fields = (field for field in self.scales if field.of == name and field.role in ON_SCALES)
        return tuple(sorted(fields, key=lambda field: ON_SCALES.index(field.role)))

    @property
    def number(self) -> Scalar:
        """The format of one number of an element: the element itself, unless it is a vector."""
        return self.element.component

    @property
    def scalar_element(self) -> Scalar:
        """The element where it is a scalar format.

        Raises
        ------
        InputError
            Its codes are worth several values each.
        """
        if self.element.dimension > 1:
            raise InputError(
                f"{self.id}: codes of {self.element.id} are worth {self.element.dimension} values each, "
                "and this is for elements of one value",
                hint="a scalar format as the element, int4.g32 say",
            )
        return self.number

    @cached_property
    def of_components(self) -> BlockFormat:
        """The format with a code for each value: the same, unless the elements are vectors."""
        return self if self.element.dimension == 1 else replace(self, element=self.number)

    @cached_property
    def nested(self) -> bool:
        """Whether there are scales of scales."""
        return any(field.of for field in self.scales if field.role in ON_SCALES)

    @cached_property
    def by_sign(self) -> bool:
        """Whether positive and negative elements have scales of their own."""
        return bool(self.of_role("by_sign"))

    @cached_property
    def affine(self) -> bool:
        """Whether zero has a code of the tensor's own: a zero point or an offset."""
        return bool(self.of_role("zero_point", "offset", "subtract"))

    @cached_property
    def sums(self) -> tuple[ScaleField, ...]:
        """The fields that hold sums of codes, which follow from the codes and the scales."""
        return tuple(field for field in self.scales if field.role == "sum")

    @cached_property
    def without_sums(self) -> BlockFormat:
        """The format with the fields alone that say what elements are worth."""
        scales = tuple(field for field in self.scales if field.role != "sum")
        return self if len(scales) == len(self.scales) else replace(self, scales=scales)

    @cached_property
    def lower_exponents(self) -> tuple[ScaleField, ...]:
        """The exponents of smaller blocks below another scale, from the largest blocks to the smallest."""
        return self.of_role("exponent") if self.of_role("multiply", "by_sign", "divide") else ()

    @cached_property
    def headroom(self) -> int:
        """The power of two by which these exponents together reach beyond the elements."""
        return sum(field.format.codes[-1] for field in self.lower_exponents)

    @property
    def dimensions(self) -> int:
        """How many axes a tensor has at least."""
        return max(len(block) for block in (self.block, *(field.block for field in self.scales)))

    def check_shape(self, shape: Shape, *, short: bool) -> None:
        """Refuse a tensor, its block axis last, that the blocks do not divide (``short``: the last one may be shorter).

        Raises
        ------
        InputError
        """
        if len(shape) < self.dimensions:
            raise InputError(
                f"{self.id} has blocks of {self.dimensions} axes, but the array has {len(shape)}",
                hint="give the array the missing axes with reshape",
            )
        if shape[-1] % self.element.dimension:
            raise InputError(
                f"{self.id} has codes of {self.element.dimension} values, which do not divide an axis of {shape[-1]}",
                hint="pad the array",
            )
        # the last block of scales may always be shorter
        for block in dict.fromkeys((self.block, *(field.block for field in self.scales if not field.of))):
            for length, extent in zip(shape, extents(block, shape), strict=True):
                if length % extent and not short:
                    raise InputError(
                        f"{self.id} has blocks of {extent}, which do not divide an axis of {length} elements",
                        hint=f"tail='short' lets the last block have {length % extent} elements; or pad the array",
                    )

    def codes_shape(self, shape: Shape) -> Shape:
        """How many codes there are along each axis of a tensor, the axis of the blocks last: one for each vector."""
        return (*shape[:-1], shape[-1] // self.element.dimension)

    def values_shape(self, codes: Shape) -> Shape:
        """The shape of a tensor with so many codes along each axis, the axis of the blocks last."""
        return (*codes[:-1], codes[-1] * self.element.dimension)

    def bits_of(self, shape: Shape) -> int:
        """The bits of all codes and scales of a tensor, its block axis last, packed densely."""
        return math.prod(self.codes_shape(shape)) * self.element.bits + sum(
            math.prod(field.grid(shape)) * field.format.bits for field in self.scales
        )

    @property
    def bits_per_value(self) -> Fraction:
        """Bits of a code and its share of the scales; what reaches over a whole axis or tensor counts for nothing."""
        shares = (
            Fraction(field.format.bits, math.prod(field.block))
            for field in self.scales
            if field.block and WHOLE not in field.block
        )
        return Fraction(self.element.bits, self.element.dimension) + sum(shares, Fraction(0))

    @property
    def formula(self) -> str:
        """What an element is worth, in terms of the fields."""

        def term(field: ScaleField) -> str:
            text = f"2^{field.name}" if field.role == "exponent" else field.name
            for other in self.on_scales(field.name):
                text = f"{text} * {other.name}" if other.role == "super" else f"({text} + {other.name})"
            return text

        element = "element"
        for field in self.of_role("zero_point"):
            element = f"(element - {term(field)})"
        factors = [term(field) for field in self.of_role("multiply", "exponent")]
        divisors = "".join(f" / {term(field)}" for field in self.of_role("divide"))
        if self.by_sign:
            positive, negative = (term(field) for field in self.of_role("by_sign"))
            factors.append(f"({negative} if element < 0 else {positive})")
        value = " + ".join([" * ".join([element, *factors]) + divisors, *map(term, self.of_role("offset"))])
        return " - ".join([value, *map(term, self.of_role("subtract"))])

    @property
    def figures(self) -> Mapping[str, str]:
        """What ``[facts]`` of a file may state."""
        element = self.number
        return {
            "block_values": str(math.prod(self.block)),
            "block_bits": str(math.prod(self.block) * self.bits_per_value) if WHOLE not in self.block else "none",
            "bits_per_value": str(self.bits_per_value),
            "element_max": str(element.max),
            "element_max_exponent": str(element.max_exponent),
        }


def shape_name(block: Shape) -> str:
    """A block shape as parametric names have it: ``g128``, ``16x16``, ``channel``, ``tensor``."""
    if len(block) == 1:
        return "channel" if block == (WHOLE,) else f"g{block[0]}"
    return "x".join(map(str, block)) or "tensor"


def shape_of(value: object) -> Shape:
    """A block shape from a length, lengths, or "tensor" or "channel".

    Raises
    ------
    FormatError
    """
    if isinstance(value, str) and value in ("tensor", "channel"):
        return () if value == "tensor" else (WHOLE,)
    lengths = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if any(type(length) is not int or not 1 <= length <= MAX_LENGTH for length in lengths):
        raise FormatError(f"block = {value!r} is not a block shape", hint="32, (16, 16), 'channel' or 'tensor'")
    return lengths
