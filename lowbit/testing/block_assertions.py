"""``assert_bits_equal`` of tensors in block formats: which scales and elements differ, and what they are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.exact import format_value, format_vector
from lowbit.format.protocol import Element
from lowbit.ops.arrays import Array, is_nan
from lowbit.ops.block.tensor import BlockTensor, axis_back, axis_last
from lowbit.oracle.block.decode import element_number, element_value, field_value

SHOWN = 3
"""At most that many scales of a field, and elements, are explained; the rest is counted."""


def assert_tensors_equal(actual: BlockTensor, expected: BlockTensor, inputs: Any, nan: str) -> None:
    """Compare formats, shapes, scales and codes; the message has the first differences of each."""
    __tracebackhide__ = True
    for what in ("format", "shape", "axis"):
        left, right = (getattr(tensor, what) for tensor in (actual, expected))
        if left != right:
            left, right = (getattr(item, "id", item) for item in (left, right))
            raise AssertionError(f"actual has the {what} {left}, expected has {right}")
    values = None if inputs is None else np.asarray(inputs)
    if values is not None and values.shape != expected.shape:
        raise InputError(f"inputs have shape {values.shape}, the tensors {expected.shape}")
    parts = [_scales(actual, expected, field.name, nan) for field in expected.format.scales]
    parts.append(_elements(actual, expected, values, nan))
    if any(parts):
        raise AssertionError("\n\n".join(filter(None, parts)))


def _differing(left: NDArray[Any], right: NDArray[Any], fmt: Element, nan: str) -> list[tuple[int, ...]]:
    """The places of different codes."""
    different = np.asarray(left != right)
    if nan == "any" and different.any():
        different = different & ~(is_nan(left, fmt.component) & is_nan(right, fmt.component))
    return [tuple(place) for place in np.argwhere(different).tolist()]


def _scales(actual: BlockTensor, expected: BlockTensor, name: str, nan: str) -> str:
    field = next(field for field in expected.format.scales if field.name == name)
    got, right = actual.scale_codes(name), expected.scale_codes(name)
    places = _differing(got, right, field.format, nan)
    lines = [f"{len(places)} of {right.size} scales {name!r} differ ({expected.format.id}, {field.format.id})"]
    for place in places[:SHOWN]:
        words = [
            f"{field.format.hexadecimal(code)} {field.format.split(code)} = {format_value(field_value(code, field))}"
            for code in (int(right[place]), int(got[place]))
        ]
        lines.append(f"at {list(place)}: expected {words[0]}, got {words[1]}")
    return _counted(lines, places)


def _elements(actual: BlockTensor, expected: BlockTensor, values: Any, nan: str) -> str:
    fmt = expected.format
    places = _differing(actual.codes, expected.codes, fmt.element, nan)
    lines = [f"{len(places)} of {expected.codes.size} codes of {fmt.element.id} differ ({fmt.id})"]
    for place in places[:SHOWN]:
        lines.append(f"at {list(place)}:" + ("" if values is None else f" {_values_words(expected, place, values)}"))
        lines += [f"  {name:<8}  {_worth(tensor, place)}" for name, tensor in (("expected", expected), ("got", actual))]
    return _counted(lines, places)


def _first_value(tensor: BlockTensor, place: tuple[int, ...]) -> tuple[int, ...]:
    """The place of the value, of a vector the first one, that a code stands for."""
    return axis_back(tensor.format.values_shape(axis_last(place, tensor.axis)), tensor.axis)


def _values_words(tensor: BlockTensor, place: tuple[int, ...], values: Any) -> str:
    first, count = _first_value(tensor, place), tensor.format.element.dimension
    if count == 1:
        return f"value {values[first]}"
    *row, start = axis_last(first, tensor.axis)
    return f"values {np.moveaxis(values, tensor.axis, -1)[tuple(row)][start : start + count].tolist()}"


def _counted(lines: list[str], places: list[tuple[int, ...]]) -> str:
    more = [f"... and {len(places) - SHOWN} more"] if len(places) > SHOWN else []
    return "\n".join([*lines, *more]) if places else ""


def _worth(tensor: BlockTensor, place: tuple[int, ...]) -> str:
    """A code in bits, what it is worth, its scales, and what they are worth together."""
    fmt, code, shape = tensor.format, int(tensor.codes[place]), axis_last(tensor.shape, tensor.axis)
    scales, words = {}, []
    for field in fmt.scales:
        codes: Array = tensor.scale_codes(field.name)
        at: tuple[int, ...] = ()
        if field.block:
            codes = np.moveaxis(codes, tensor.axis, -1)
            pairs = zip(axis_last(_first_value(tensor, place), tensor.axis), field.extents(shape), strict=True)
            at = tuple(index // extent for index, extent in pairs)
        scales[field.name] = int(codes[at])
        words.append(f"{field.name} {format_value(field_value(scales[field.name], field))}")
    numbers = range(fmt.element.dimension)
    own = format_vector(element_number(code, fmt.element, at) for at in numbers)
    whole = format_vector(element_value(code, scales, fmt, at) for at in numbers)
    return f"{fmt.element.hexadecimal(code)} {fmt.element.split(code)} = {own}; {', '.join(words)}: {whole}"
