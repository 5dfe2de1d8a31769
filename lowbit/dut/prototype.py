"""The prototypes of kernels with several operands: as a C and as a Python function, for the worker."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.vectors.case import Array, Case, Number

INPUT, OUTPUT, SIZE, SCALAR = "input", "output", "size", "scalar"
_C_SCALARS = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes
    ----------
    role : {"input", "output", "size", "scalar"}
    name : str
        As ``Case.arrays``, ``Case.sizes`` and ``Case.scalars`` call it.
    dtype : str
        NumPy's name of the element type; "" for a size, which is a ``size_t``.
    """

    role: str
    name: str
    dtype: str = ""

    def c(self) -> str:
        """The parameter as C declares it."""
        if self.role == SIZE:
            return f"size_t {self.name}"
        if self.role == SCALAR:
            return f"{_c_type(self.dtype)} {self.name}"
        constant = "const " if self.role == INPUT else ""
        return f"{constant}{_c_type(self.dtype)} *{self.name}"


@dataclass(frozen=True)
class Prototype:
    """What a kernel takes, in the order in which a C function takes it.

    A Python function takes the inputs and the scalars in the same order, and returns the output: NumPy arrays know
    their sizes.
    """

    parameters: tuple[Parameter, ...]

    @property
    def output(self) -> Parameter:
        """The one result."""
        return next(parameter for parameter in self.parameters if parameter.role == OUTPUT)

    def c(self, symbol: str) -> str:
        """``void f(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k)``."""
        return f"void {symbol}({', '.join(parameter.c() for parameter in self.parameters)})"

    def python(self, name: str) -> str:
        """``f(a, b)``."""
        given = [parameter.name for parameter in self.parameters if parameter.role in (INPUT, SCALAR)]
        return f"{name}({', '.join(given)})"

    def c_types(self) -> list[str]:
        """The parameters as ``lowbit.dut.worker.C_TYPES`` names them."""
        kinds = {INPUT: "pointer", OUTPUT: "pointer", SIZE: "size_t"}
        return [kinds.get(parameter.role) or parameter.dtype for parameter in self.parameters]

    def inputs(self, case: Case) -> list[Array]:
        """The operands of a case in order."""
        return [case.arrays[parameter.name] for parameter in self.parameters if parameter.role == INPUT]

    def scalars(self, case: Case) -> list[Number]:
        """The scalars of a case in order."""
        return [case.scalars[parameter.name] for parameter in self.parameters if parameter.role == SCALAR]


def _c_type(dtype: str) -> str:
    return _C_SCALARS.get(dtype) or f"{dtype}_t"
