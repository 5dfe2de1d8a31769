"""Sets of linear layers and convolutions in ``.vec`` files: operands, parameters and zero points, and the codes.

A row of a linear layer is one output: ``a`` and ``b`` of one length, the bias and the scale of its column. A row of a
convolution is a whole image with all of its outputs. Every column is a row of elements, element 0 in its last digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lowbit.errors import InputError, VectorFileError
from lowbit.format.registry import integer_format
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.layers.conv import conv
from lowbit.oracle.layers.linear import linear
from lowbit.oracle.layers.requantize import Rescaling
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme
from lowbit.vectors.case import Array, Case
from lowbit.vectors.elements import elements, elements_of
from lowbit.vectors.flags import gemm as g
from lowbit.vectors.gemm.sets import parse_operands
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.in_turn import in_turn
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.requantize.cases import multiplier_of
from lowbit.vectors.requantize.conv import Geometry, drawn_convolution, geometry_of, told, with_geometry
from lowbit.vectors.requantize.linear import directed_linear, linear_case, require_layer_scheme
from lowbit.vectors.vec import VectorFile, assemble, read_vectors

IMAGE = ("height", "width", "channels", "outputs")
"""Arguments of a set of convolutions; its policy says the rest: ``tflite_double+window=3+padding=1+groups=4``."""
PARAMETERS = {"bias": "int32", "multiplier": "int32", "shift": "int8", "scale": "uint64"}
"""Columns of numbers for each output, with their formats: a scale is the bits of a double."""


def linear_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe, with the codes that the oracle computes.

    Arguments: ``length``, how many elements a row has; ``rows``, at most that many; ``zero_points``, whether b has one.
    """
    operands, scheme, result = _parts(recipe)
    length, most = int(recipe.arguments["length"]), int(recipe.arguments["rows"])
    if length < 1:
        raise InputError(f"length = {length}: a dot product has at least one element")
    directed = [case for case in directed_linear(operands, scheme, result) if case.sizes["k"] <= length]
    flags = dict.fromkeys(case.flag for case in directed)
    sources = [_single(directed, flag, length) for flag in flags]
    cases = sorted(in_turn(sources, most, _key), key=lambda case: case.flag)
    return _file(recipe, cases, [_linear_answer(case, scheme, result) for case in cases], f"{length} elements")


def conv_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe, with the codes that the oracle computes.

    Arguments: those of ``IMAGE``; ``rows``, how many; ``zero_points``, whether b has one.
    """
    operands, scheme, result = _parts(recipe)
    geometry = geometry_from(recipe.policy, recipe.arguments)
    flags = (g.SHAPE, g.ZERO_POINT)
    cases = [
        drawn_convolution(flags[row % 2], geometry, operands, scheme, result, 150_000 + 64 * row)
        for row in range(int(recipe.arguments["rows"]))
    ]
    cases = sorted(cases, key=lambda case: case.flag)
    what = f"image {geometry.height} x {geometry.width} x {geometry.channels}, b {cases[0].arrays['b'].shape}"
    return _file(recipe, cases, [_conv_answer(case, scheme, result) for case in cases], what)


def read_linear(path: str, operands: Operands, scheme: RequantizeScheme) -> list[Case]:
    """The rows of a file as cases of one row and one column."""
    cases = []
    for case in _cases(path, "linear", operands, scheme):
        arrays = {**case.arrays, "a": case.arrays["a"][None, :], "b": case.arrays["b"][:, None]}
        sizes = {"m": 1, "n": 1, "k": arrays["a"].size}
        cases.append(replace(case, arrays=arrays, sizes=sizes, shape=(1, 1)))
    return cases


def read_conv(path: str, operands: Operands, scheme: RequantizeScheme, groups: str = "") -> list[Case]:
    """The rows of a file as cases of one image, for a kernel that takes ``groups`` as in ``directed_convolutions``."""
    file = read_vectors(path)
    words = dict(word.split("=", 1) for word in file.header.get("generator", "").split() if "=" in word)
    try:
        geometry = geometry_from(file.header.get("policy", ""), {name: int(words[name]) for name in IMAGE})
    except (KeyError, ValueError) as error:
        hint = "`lowbit gen conv` makes files of them"
        raise VectorFileError(f"{path}: does not say the sizes of its convolutions", hint=hint) from error
    depthwise = geometry.groups == geometry.channels == geometry.outputs
    if (geometry.groups > 1 and not groups) or (groups == "depthwise" and not depthwise):
        hint = "--groups any, or depthwise where each output sees its own channel"
        raise InputError(f"{path}: holds convolutions of {geometry.groups} groups", hint=hint)
    cases = []
    for case in _cases(path, "conv", operands, scheme):
        arrays = {**case.arrays, "a": case.arrays["a"].reshape(geometry[:3])}
        arrays["b"] = arrays["b"].reshape(_shape_of_b(geometry))
        cases.append(told(with_geometry(replace(case, arrays=arrays), geometry), groups))
    return cases


def geometry_from(policy: str, sizes: Mapping[str, Any]) -> Geometry:
    """The geometry that the words of a policy and the sizes of an image and its outputs say.

    Raises InputError: a word is unknown, a number is not positive, groups do not divide, or a window is too large.
    """
    own = {"window": 1, "stride": 1, "padding": 0, "groups": 1}
    for word in policy.split("+")[1:]:
        name, _, number = word.partition("=")
        if name not in own or not number.isdigit():
            raise InputError(f"{word!r} says nothing of a convolution", hint=", ".join(f"{key}=N" for key in own))
        own[name] = int(number)
    window, stride, padding, groups = own.values()
    height, width, channels, outputs = (int(sizes[name]) for name in IMAGE)
    out_height, out_width = ((size + 2 * padding - window) // max(stride, 1) + 1 for size in (height, width))
    whole = groups > 0 and channels % groups == outputs % groups == 0
    least = min(height, width, channels, outputs, window, stride, out_height, out_width)
    if least < 1 or not whole or padding >= window:
        raise InputError(f"{policy}, image {height} x {width} x {channels}, {outputs} outputs: no such convolution")
    sides = window, window, out_height, out_width, stride, stride, padding, padding
    return Geometry(height, width, channels, outputs, *sides, groups)


def _shape_of_b(geometry: Geometry) -> tuple[int, ...]:
    return geometry.outputs, geometry.rows, geometry.columns, geometry.channels // geometry.groups


def _parts(recipe: Recipe) -> tuple[Operands, RequantizeScheme, FixedFormat]:
    operands = replace(parse_operands(recipe.source), zero_points=bool(recipe.arguments.get("zero_points")))
    scheme = get_requantize_scheme(recipe.policy.split("+")[0])
    require_layer_scheme(scheme)
    return operands, scheme, integer_format(recipe.target)


def _single(cases: list[Case], flag: int, length: int) -> Iterator[Case]:
    """Outputs of the cases of a flag, one after the other, filled up with the zero point of ``a`` to one length."""
    own = [case for case in cases if case.flag == flag]
    for place in range(max(np.prod(case.shape) for case in own)):
        for case in own:
            if place < np.prod(case.shape):
                row, column = (7 * place % case.shape[0], place % case.shape[1])
                yield _output(case, row, column, length)


def _output(case: Case, row: int, column: int, length: int) -> Case:
    zeros = {name: int(case.scalars.get(name, 0)) for name in ("a_zero_point", "b_zero_point", "zero_point")}
    codes = case.arrays["a"][row], case.arrays["b"][:, column]
    a, b = (
        np.concatenate([part, np.full(length - len(part), zero, part.dtype)])
        for part, zero in zip(codes, (zeros["a_zero_point"], zeros["b_zero_point"]), strict=True)
    )
    scale = {name: case.arrays[name][column].item() for name in PARAMETERS if name in case.arrays and name != "bias"}
    bias = [case.arrays["bias"][column].item()]
    of_b = zeros["b_zero_point"] if "b_zero_point" in case.scalars else None
    both = zeros["a_zero_point"], zeros["zero_point"]
    return linear_case(case.flag, (a[None, :], b[:, None]), bias, [scale], both, of_b)


def _key(case: Case) -> bytes:
    return b"".join(array.tobytes() for array in case.arrays.values()) + repr(sorted(case.scalars.items())).encode()


def _rescaling(case: Case, scheme: RequantizeScheme, result: FixedFormat) -> Rescaling:
    names = [name for name in PARAMETERS if name in case.arrays and name != "bias"]
    scales = zip(*(case.arrays[name].tolist() for name in names), strict=True)
    multipliers, shifts = zip(
        *(multiplier_of(scheme, dict(zip(names, scale, strict=True))) for scale in scales), strict=True
    )
    zero_point = int(case.scalars["zero_point"])
    return Rescaling(scheme, multipliers, shifts, zero_point, result.min_code, result.max_code)


def _linear_answer(case: Case, scheme: RequantizeScheme, result: FixedFormat) -> list[int]:
    return linear(
        case.arrays["a"][0].tolist(),
        case.arrays["b"].T.tolist(),
        _rescaling(case, scheme, result),
        bias=case.arrays["bias"].tolist(),
        input_zero_point=int(case.scalars["a_zero_point"]),
        weight_zero_points=[int(case.scalars.get("b_zero_point", 0))],
    )


def _conv_answer(case: Case, scheme: RequantizeScheme, result: FixedFormat) -> list[int]:
    size = geometry_of(case)
    rows = conv(
        case.arrays["a"].tolist(),
        case.arrays["b"].tolist(),
        _rescaling(case, scheme, result),
        bias=case.arrays["bias"].tolist(),
        zero_point=int(case.scalars["a_zero_point"]),
        stride=(size.stride_height, size.stride_width),
        padding=((size.above, size.above), (size.left, size.left)),
        groups=size.groups,
        weight_zero_point=int(case.scalars.get("b_zero_point", 0)),
    )
    return [code for row in rows for place in row for code in place]


def _file(recipe: Recipe, cases: list[Case], answers: list[list[int]], what: str) -> VectorFile:
    operands, scheme, result = _parts(recipe)
    formats = {"a": operands.a, "b": operands.b, **{name: integer_format(kind) for name, kind in PARAMETERS.items()}}
    zeros = {"a_zero_point": operands.a, "b_zero_point": operands.b, "zero_point": result}
    columns = [
        elements(name, np.stack([_bits(case.arrays[name]).ravel() for case in cases]), formats[name])
        for name in cases[0].arrays
    ]
    columns += [
        elements(name, np.array([[case.scalars[name]] for case in cases]), zeros[name])
        for name in zeros
        if name in cases[0].scalars
    ]
    columns.append(elements("expected", np.array(answers), result))
    source = f"{operands.words}, {operands.a.bits} and {operands.b.bits} bits, {what}"
    choices = " ".join(f"{axis}={getattr(scheme, axis)}" for axis in scheme.AXES)
    header = recipe.header(source, f"{result.id}, {result.bits} bits", choices)
    return assemble(header, columns, [case.flag for case in cases])


def _bits(values: Array) -> Array:
    return values.view(np.uint64) if values.dtype == np.float64 else values


def _cases(path: str, op: str, operands: Operands, scheme: RequantizeScheme) -> Iterator[Case]:
    """The rows of a file, their arrays without a shape."""
    file = read_vectors(path)
    digits = {column.name: column.digits for column in file.columns}
    scale = ("scale",) if scheme.takes_scale else ("multiplier", "shift")
    zeros = ("a_zero_point", *(("b_zero_point",) if operands.zero_points else ()), "zero_point")
    wanted = ("a", "b", "bias", *scale, *zeros)
    source = file.header.get("source", "").split(",")[0]
    if file.header.get("op") != op or set(wanted) | {"expected", "flag"} != set(digits):
        given = f"columns {', '.join(digits)} of {file.header.get('op')}"
        raise VectorFileError(f"{path}: has {given}, not those of {op}: {', '.join(wanted)}", hint=f"`lowbit gen {op}`")
    if source != operands.words:
        hint = "--a and --b name the formats"
        raise InputError(f"{path}: holds {source}, the check is of {operands.words}", hint=hint)
    result = file.header["target"].split(",")[0]
    formats = {**PARAMETERS, "a": operands.a.id, "b": operands.b.id, "a_zero_point": operands.a.id}
    formats |= {"b_zero_point": operands.b.id, "zero_point": result}
    columns = {name: elements_of(file, name, integer_format(formats[name])) for name in wanted}
    for row, flag in enumerate(file.flags.tolist()):
        arrays = {name: columns[name][row] for name in wanted if not name.endswith("zero_point")}
        if scheme.takes_scale:
            arrays["scale"] = arrays["scale"].view(np.float64)
        arrays |= {name: arrays[name].astype(np.int32) for name in ("bias", *scale) if name != "scale"}
        scalars = {name: columns[name][row].item() for name in zeros}
        yield Case(flag, arrays, {}, (), scalars, row)
