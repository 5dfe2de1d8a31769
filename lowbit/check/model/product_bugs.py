"""Linear layers and convolutions that are computed otherwise: the causes of ``lowbit check linear`` and ``conv``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lowbit.check.gemm.problem import Matrix
from lowbit.check.model.hypothesis import LayerBug, altered
from lowbit.check.model.rescale_bugs import limited
from lowbit.check.requantize.conv import ConvBug, ConvRule, conv_bugs
from lowbit.check.requantize.linear_rules import LinearBug, LinearRule, linear_bugs, with_bias
from lowbit.format.registry import integer_format
from lowbit.layers import Conv, Layer, Linear, Quantity, Rescale, Step
from lowbit.layers.requantize import Output, finished
from lowbit.ops.types import Array
from lowbit.policy.requantize import get_requantize_scheme
from lowbit.vectors.case import Case
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.requantize.conv import SCALARS, SIZES, Geometry

NAMED_ELSEWHERE = (
    *("a_zero_ignored", "a_zero_added", "a_zero_twice", "a_zero_uncorrected", "no_bias", "bias_negated"),
    *("multiplier_first", "shift_first", "scale_first", "scales_first", "scales_next"),
)
"""Causes that any layer can have."""
OF_ROWS = ("a_transposed", "both_transposed", "result_transposed", "a_stride", "rows_", "last_row")
"""Causes begin so that mix the rows of a product."""
ANY, INT32 = get_requantize_scheme("single_even"), integer_format("int32")
"""Sums do not depend on the scheme and the format of a rule."""
LETTERS = " (a: the input, b: the weight, c: the result)"
NIBBLE = 4


def product_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Every hypothesis on the sums of products of a layer, the likely ones first."""
    if not isinstance(layer, Linear | Conv):
        return
    known, weight = _Cases(layer), integer_format(layer.weight_format)
    operands = Operands(integer_format(layer.input.scalar), weight)
    if isinstance(layer, Conv):
        causes = conv_bugs("any" if layer.groups > 1 else "")
        yield from (_bug(layer, known, cause) for cause in causes if cause.name not in NAMED_ELSEWHERE)
    yield from (_bug(layer, known, cause) for cause in linear_bugs(operands) if cause.name not in NAMED_ELSEWHERE)
    if weight.bits <= NIBBLE and layer.weight.shape[-1] % 2 == 0:
        words = "takes the two weights of a byte in the other order"
        yield altered(layer, ("weight",), lambda codes: codes[..., np.arange(codes.shape[-1]) ^ 1].copy(), words)


class _Cases:
    """The products that a layer is of the inputs that it was asked for last; each hypothesis asks for the same."""

    def __init__(self, layer: Linear | Conv) -> None:
        self.layer, self.codes, self.cases = layer, np.empty(0), list[Case]()

    def of(self, codes: Array) -> list[Case]:
        if codes is not self.codes:
            layer, self.codes = self.layer, codes
            self.cases = _images(layer, codes) if isinstance(layer, Conv) else [_rows(layer, codes)]
        return self.cases


def _bug(layer: Linear | Conv, known: _Cases, cause: LinearBug) -> LayerBug:
    words = re.sub(r"\bcolumn\b", "output", cause.words)
    if re.search(r"\b[bc]\b|\bof a$|\bof a[ ,]|takes a for|operands", words):
        words += LETTERS

    def steps(codes: Array) -> Iterator[Step]:
        cases = known.of(codes)
        rule = (ConvRule if isinstance(layer, Conv) else LinearRule)(ANY, ANY, INT32, cause)
        solved = [_solved(layer.output, cause, rule, case) for case in cases]
        yield from _joined(solved, _shape(layer, codes), moved=isinstance(cause, ConvBug) and cause.moved)

    return LayerBug(words, steps, by_item=isinstance(layer, Conv) or not cause.name.startswith(OF_ROWS))


def _joined(solved: list[list[Step]], shape: tuple[int, ...], *, moved: bool) -> Iterator[Step]:
    """The steps of all images as those of the batch."""
    for one in zip(*solved, strict=True):
        codes = np.stack([step.codes for step in one]).reshape(shape)
        if moved:
            codes = np.moveaxis(codes, -1, -3).reshape(shape)
        yield one[0]._replace(codes=codes)


def _shape(layer: Linear | Conv, codes: Array) -> tuple[int, ...]:
    if isinstance(layer, Linear):
        return (*codes.shape[:-1], len(layer.weight))
    return (*codes.shape[:-3], *_sizes(layer, codes), len(layer.weight))


def _sizes(layer: Conv, codes: Array) -> tuple[int, int]:
    """The height and the width of a result."""
    height, width = (
        (codes.shape[axis - 3] + sum(layer.padding[axis]) - layer.weight.shape[1 + axis]) // layer.stride[axis] + 1
        for axis in (0, 1)
    )
    return height, width


def _rows(layer: Linear, codes: Array) -> Case:
    rows = codes.reshape(-1, codes.shape[-1])
    weight = layer.weight.T.astype(np.int64) - np.asarray(layer.weight_zero_point, np.int64)
    sizes = {"m": len(rows), "n": weight.shape[1], "k": len(weight)}
    return Case(RANDOM, {"a": rows, "b": weight, **_columns(layer)}, sizes, (len(rows), weight.shape[1]), _zeros(layer))


def _images(layer: Conv, codes: Array) -> list[Case]:
    outputs, rows, columns, depth = layer.weight.shape
    (height, width), out, (above, left) = codes.shape[-3:-1], _sizes(layer, codes), (ends[0] for ends in layer.padding)
    geometry = Geometry(height, width, depth * layer.groups, outputs, rows, columns, *out, *layer.stride, above, left)
    known = geometry._asdict()
    sizes, scalars = ({name: known[name] for name in names} for names in (SIZES, SCALARS))
    arrays, scalars = _columns(layer), {**scalars, **_zeros(layer), "groups": layer.groups}
    return [
        Case(RANDOM, {"a": image, "b": layer.weight, **arrays}, sizes, (*out, outputs), scalars)
        for image in codes.reshape(-1, *codes.shape[-3:])
    ]


def _columns(layer: Linear | Conv) -> dict[str, Array]:
    outputs = len(layer.weight)
    bias = np.zeros(outputs, np.int32) if layer.bias is None else layer.bias
    if not isinstance(layer.output, Rescale):
        return {"bias": bias}
    pair = layer.output.multiplier, layer.output.shift
    multiplier, shift = (np.broadcast_to(array, (outputs,)) for array in pair)
    return {"bias": bias, "multiplier": multiplier, "shift": shift}


def _zeros(layer: Linear | Conv) -> dict[str, int]:
    return {"a_zero_point": layer.input.zero_point, "zero_point": layer.result.zero_point}


def _solved(output: Output, cause: LinearBug, rule: LinearRule, case: Case) -> list[Step]:
    """The accumulators and the codes of the linear layer that a kernel computes instead."""
    taken = cause.rewrite(case)
    sums = rule.sums(taken)
    if isinstance(output, Rescale):
        zero_point = replace(output.result, zero_point=int(taken.scalars["zero_point"]))
        output = replace(output, multiplier=taken.arrays["multiplier"], shift=taken.arrays["shift"], result=zero_point)
    if cause.bias_later and isinstance(output, Rescale):
        return _bias_later(output, sums, taken)
    return list(finished(output, with_bias(taken, sums).astype(np.int32)))


def _bias_later(output: Rescale, sums: Matrix, taken: Case) -> list[Step]:
    wide = replace(output, result=Quantity("int32", output.result.scale), minimum=None, maximum=None)
    codes = wide(sums.astype(np.int32)) + taken.arrays["bias"].astype(np.int64) + output.result.zero_point
    fmt = output.result.scalar
    requantised = Step("requantised", limited(codes, output), fmt.bits, fmt.signed)
    return [Step("accumulator", sums.astype(np.int32), 32), requantised]
