"""What an element of a block format is worth: the one expression of its fields, exactly."""

from __future__ import annotations

from collections.abc import Mapping

from lowbit.exact import NAN, Exact, finite
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.protocol import Element
from lowbit.oracle.arithmetic.exact import add, divide, is_negative, multiply, negated
from lowbit.oracle.cast.decode import decode


def element_value(code: int, scales: Mapping[str, int], fmt: BlockFormat, place: int = 0) -> Exact:
    """The exact value of one element.

    ``code``: of the element format. ``scales``: the code of each scale of its block, by the name of the field.
    ``place``: which number of a vector.

    Returns ``(element - zero point) * scales + offset``, less what is subtracted; a NaN has no sign. A product of zero
    has the sign of the product.
    """
    fields = [field for field in fmt.scales if field not in fmt.sums]
    values = {field.name: field_value(scales[field.name], field) for field in fields}
    for field in fields:
        for other in fmt.on_scales(field.name):
            combine = multiply if other.role == "super" else add
            values[field.name] = combine(values[field.name], values[other.name])
    result = element_number(code, fmt.element, place)
    negative = is_negative(result)
    for field in fmt.of_role("zero_point"):
        result = add(result, negated(values[field.name]))
    for field in fmt.of_role("multiply", "exponent"):
        result = multiply(result, values[field.name])
    for field in fmt.of_role("divide"):
        result = divide(result, values[field.name])
    if fmt.by_sign:
        result = multiply(result, values["negative" if negative else "positive"])
    for field in fmt.of_role("offset"):
        result = add(result, values[field.name])
    for field in fmt.of_role("subtract"):
        result = add(result, negated(values[field.name]))
    return Exact(NAN) if result.kind == NAN else result


def element_number(code: int, element: Element, place: int) -> Exact:
    """What a code is worth without scales, at a place of a vector."""
    return decode(code, element.component) if element.dimension == 1 else element.vector(code)[place]


def field_value(code: int, field: ScaleField) -> Exact:
    """What one scale is worth: its value, or two to the power of it."""
    value = decode(code, field.format)
    return finite(1, int(value.fraction())) if field.role == "exponent" else value
