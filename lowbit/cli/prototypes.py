"""The prototypes of all kernels that ``lowbit check`` calls: a table to read, and a C header to compile against."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from lowbit._version import __version__
from lowbit.check.block.dequantize import dequantize_prototype
from lowbit.check.block.linear import linear_prototype
from lowbit.check.block.operation import quantize_prototype
from lowbit.check.gemm.operation import gemm_prototype
from lowbit.check.nonlinear.operation import nonlinear_prototype
from lowbit.check.requantize.conv import conv_prototype
from lowbit.check.requantize.linear import layer_prototype
from lowbit.check.requantize.operation import requantize_prototype
from lowbit.dut.prototype import SCALAR, Prototype, conversion_prototype
from lowbit.format import registry
from lowbit.format.block import BlockFormat
from lowbit.format.scalar import Scalar
from lowbit.nonlinear.scheme import NONLINEARITIES, Scheme, schemes
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.nonlinear.rule import Nonlinearity

CONTAINERS = {
    "uint8": "floats of up to 8 bits and unsigned integers, one code an element, never packed; the other bits are 0",
    "uint16": "floats of 9 to 16 bits (float16, bfloat16), unsigned integers",
    "uint32": "float32 as its bits (a C function may take float *), tf32 as 19 bits, unsigned integers",
    "uint64": "float64 as its bits (or double *)",
    "int8": "signed integers and fixed point of up to 8 bits, sign-extended",
    "int16": "those of 9 to 16 bits",
    "int32": "those of 17 to 32 bits",
    "int64": "those of 33 to 64 bits",
}
"""C's type without its _t -> the codes that lie in it."""
_FORMAT_IN = {"uint8": "float8_e4m3fn", "uint16": "float16", "uint32": "float32", "uint64": "float64"}
USUAL_BLOCKS = ("nvfp4", "mxfp4")
MATRICES = ("int8", "uint8", "int16")
RESULTS = ("int8", "uint8", "int16", "uint16")


HEADINGS = {"convert": "encode, decode, convert: source and target by their containers"}


class Entry(NamedTuple):
    """A prototype, the operation that it is of, and the options that ask for it."""

    operation: str
    options: str
    prototype: Prototype

    @property
    def name(self) -> str:
        """Its name in the header: the operation, then the types in order."""
        types = [parameter.dtype for parameter in self.prototype.arrays]
        scalars = {item.name: item.dtype for item in self.prototype.parameters if item.role == SCALAR}
        types += [f"scale_{scalars['scale']}"] if "scale" in scalars else []
        types += ["zero_points"] if "a_zero_point" in scalars else []
        types += ["of_b"] if {"b_zero_point", "zero_point"} <= set(scalars) else []
        types += ["groups"] if "groups" in scalars else []
        return "_".join(["lowbit", self.operation, *types])


def usual() -> list[Entry]:
    """One prototype an operation, of its default types."""
    float32, float8 = registry.scalar_format("float32"), registry.scalar_format("float8_e4m3fn")
    casts = [
        Entry("encode", "--to float8_e4m3fn", conversion_prototype(float32, float8)),
        Entry("decode", "--from float8_e4m3fn", conversion_prototype(float8, float32)),
    ]
    firsts: dict[str, Entry] = {}
    for entry in (*_products(), *_requantizations(), *_layers(), *_blocks(), *_nonlinearities()):
        firsts.setdefault(entry.operation, entry)
    return [*casts, *firsts.values()]


@cache
def every() -> tuple[Entry, ...]:
    """Each prototype that there is, once."""
    unique: dict[str, Entry] = {}
    for entry in (*_casts(), *_products(), *_requantizations(), *_layers(), *_blocks(), *_nonlinearities()):
        unique.setdefault(entry.name, entry)
    return tuple(unique.values())


def _in_container(container: str) -> Scalar:
    return registry.scalar_format(_FORMAT_IN.get(container, container))


def _casts() -> Iterator[Entry]:
    for source, target in product(CONTAINERS, repeat=2):
        prototype = conversion_prototype(_in_container(source), _in_container(target))
        yield Entry("convert", "", prototype)


def _products() -> Iterator[Entry]:
    for bits, zero_points, a, b in product((32, 64), (False, True), MATRICES, MATRICES):
        options = f"--a {a} --b {b}" + " --zero-points" * zero_points
        options += " --accumulator of more than 32 bits" * (bits == 64)
        left, right = registry.integer_format(a), registry.integer_format(b)
        yield Entry("gemm", options, gemm_prototype(Operands(left, right, zero_points), bits))


def _requantizations() -> Iterator[Entry]:
    for name, result in product(("tflite_double", *REQUANTIZE_SCHEMES), RESULTS):
        scheme = REQUANTIZE_SCHEMES[name]
        prototype = requantize_prototype(scheme, registry.integer_format(result))
        yield Entry("requantize", f"--scheme {name} --to {result}", prototype)


def _layers() -> Iterator[Entry]:
    types = product((False, True), MATRICES, MATRICES, ("tflite_double", "xnnpack_fp32"), RESULTS)
    for zero_points, a, b, name, result in types:
        operands = Operands(registry.integer_format(a), registry.integer_format(b), zero_points)
        parts = operands, REQUANTIZE_SCHEMES[name], registry.integer_format(result)
        options = f"--a {a} --b {b} --scheme {name} --to {result}" + " --zero-points" * zero_points
        yield Entry("linear", options, layer_prototype(*parts))
        yield Entry("conv", options, conv_prototype(*parts))
        yield Entry("conv", f"{options} --groups any", conv_prototype(*parts, "any"))


def _blocks() -> Iterator[Entry]:
    for name in RESULTS:
        yield Entry("quantize_linear", f"--to {name}", linear_prototype(registry.integer_format(name)))
    for name in (*USUAL_BLOCKS, *registry.formats()):
        fmt = registry.get_format(name)
        if isinstance(fmt, BlockFormat):
            yield Entry("quantize", f"--to {name}", quantize_prototype(fmt))
            yield Entry("dequantize", f"--from {name}", dequantize_prototype(fmt))


def _nonlinearities() -> Iterator[Entry]:
    for operation in NONLINEARITIES:
        for record in schemes(operation).values():
            codes = registry.integer_format(record.codes)
            for result in _results(record):
                one = Nonlinearity(operation, record.id)
                options = f"--scheme {record.id} --to {result}"
                yield Entry(operation, options, nonlinear_prototype(one, codes, registry.integer_format(result)))


def _results(record: Scheme) -> list[str]:
    """The types of results that a scheme has, its own first."""
    if record.results_like_codes:
        return [record.codes]
    calls = [record.with_parameters(variant, bits=bits) for bits in (None, *record.bits) for variant in record.variants]
    return list(dict.fromkeys(call.result_type for call in calls))


def header() -> str:
    """A C header with the type of every kernel's function: ``lowbit_gemm_int8_int8_int32 gemm;`` declares one."""
    lines = [
        "/* The kernels that `lowbit check` calls, as C function types. Declare yours by its type, and the compiler",
        " * says where it differs:",
        " *",
        ' *     #include "lowbit_kernels.h"',
        " *     lowbit_gemm_int8_int8_int32 gemm;",
        " *     void gemm(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k) { ... }",
        " *",
        f" * Written by `lowbit export prototypes`, lowbit {__version__}. Codes lie in the low bits of:",
        " *",
        *(f" *   {f'{name}_t':<9} {words}" for name, words in CONTAINERS.items()),
        " *",
        " * Matrices lie row by row. A call must write all of its results, and nothing else. */",
        "#ifndef LOWBIT_KERNELS_H",
        "#define LOWBIT_KERNELS_H",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
    ]
    operation = ""
    for entry in every():
        if entry.operation != operation:
            operation = entry.operation
            lines += ["", f"/* {HEADINGS.get(operation, operation)} */"]
        lines += [f"/* {entry.options} */"] if entry.options else []
        lines.append(f"typedef {entry.prototype.c(entry.name)};")
    return "\n".join([*lines, "", "#ifdef __cplusplus", "}", "#endif", "#endif", ""])
