"""The prototype of a kernel: as a C and as a Python function, and for the worker that calls it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lowbit.format.scalar import Scalar
from lowbit.vectors.case import Case

INPUT, OUTPUT, SIZE, SCALAR = "input", "output", "size", "scalar"
_C_SCALARS = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel."""

    role: str  # one of "input", "output", "size", "scalar"
    name: str  # as ``Case.arrays``, ``Case.sizes`` and ``Case.scalars`` call it
    dtype: str = ""  # NumPy's name of the element type; "" for a size, which is a ``size_t``
    format: Scalar | None = None  # of the codes in an array

    @property
    def is_array(self) -> bool:
        """Whether it is a pointer in C."""
        return self.role in (INPUT, OUTPUT)

    def c(self) -> str:
        """The parameter as C declares it."""
        if self.role == SIZE:
            return f"size_t {self.name}"
        c_type = _C_SCALARS.get(self.dtype) or f"{self.dtype}_t"
        return f"{'const ' if self.role == INPUT else ''}{c_type} {'*' if self.is_array else ''}{self.name}"


def container(output: Parameter) -> str:
    """The integers that hold the codes of a result."""
    return output.format.code_dtype if output.format is not None else output.dtype


def packed_hint(output: Parameter, answers: int, codes: int) -> str:
    """What to say where there are as many answers as bytes that the codes of a result fill without gaps; else ""."""
    bits = 8 if output.format is None else output.format.bits
    packed = bits < 8 and answers == -(-codes * bits // 8)
    return f"each code has a byte of its own in {output.name}: unpack them (`lowbit.unpack`)" if packed else ""


def as_output(codes: Any, output: Parameter) -> Any:
    """Codes as a kernel returns them: integers, or the numbers that they are the bits of."""
    return codes.astype(container(output)).view(output.dtype)


def codes_of(role: str, name: str, fmt: Scalar) -> Parameter:
    """An array of the codes of a format."""
    return Parameter(role, name, fmt.code_dtype, fmt)


@dataclass(frozen=True)
class Prototype:
    """What a kernel takes, in the order in which a C function takes it.

    A Python function takes the inputs and the scalars in the same order, and returns the output, or a tuple or dict of
    several: NumPy arrays know their sizes.
    """

    parameters: tuple[Parameter, ...]

    @property
    def arrays(self) -> Iterator[Parameter]:
        """The inputs and the output."""
        return (parameter for parameter in self.parameters if parameter.is_array)

    @property
    def inputs(self) -> Iterator[Parameter]:
        """The operands."""
        return (parameter for parameter in self.parameters if parameter.role == INPUT)

    @property
    def outputs(self) -> tuple[Parameter, ...]:
        """The results."""
        return tuple(parameter for parameter in self.parameters if parameter.role == OUTPUT)

    @property
    def output(self) -> Parameter:
        """The first result, of most kernels the only one."""
        return self.outputs[0]

    @property
    def result(self) -> Scalar:
        """The format of the first result."""
        assert self.output.format is not None
        return self.output.format

    def c(self, symbol: str) -> str:
        """``void f(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k)``."""
        return f"void {symbol}({', '.join(parameter.c() for parameter in self.parameters)})"

    def python(self, name: str) -> str:
        """``f(a, b)``."""
        names = [parameter.name for parameter in self.parameters if parameter.role in (INPUT, SCALAR)]
        return f"{name}({', '.join(names)})"

    def c_types(self) -> list[str]:
        """The parameters as ``lowbit.dut.worker.C_TYPES`` names them."""
        return ["pointer" if parameter.is_array else parameter.dtype or "size_t" for parameter in self.parameters]

    def split(self, answers: Any, case: Case) -> dict[str, Any]:
        """The results of a case by name, each in its shape, from all of them in a row."""
        if len(self.outputs) == 1:
            return {self.output.name: answers}
        parts, end = {}, 0
        for output in self.outputs:
            shape = case.shape_of(output.name)
            start, end = end, end + math.prod(shape)
            parts[output.name] = answers[start:end].reshape(shape)
        return parts


def conversion_prototype(source: Scalar, target: Scalar) -> Prototype:
    """``f(codes, out, n)``: a conversion of single codes."""
    return Prototype((codes_of(INPUT, "codes", source), codes_of(OUTPUT, "out", target), Parameter(SIZE, "n")))
