"""A Python function over NumPy arrays, of codes or of values."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.memory import Layout
from lowbit.dut.process import ProcessDevice, joined
from lowbit.dut.prototype import Parameter, Prototype, packed_hint
from lowbit.errors import DeviceError, InputError, LowbitError
from lowbit.format.scalar import Scalar
from lowbit.vectors.case import Array, Case

NATIVE_FLOATS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


def parse_function(text: str) -> tuple[str, str]:
    """Split ``module:function`` or ``path/to/file.py:function``."""
    module, colon, function = text.rpartition(":")
    if not colon or not module or not function:
        raise InputError(
            f"Python kernel {text!r} names no function", hint="write it as module:function", code=CANNOT_LOAD
        )
    if module.endswith(".py") or "/" in module:
        if not Path(module).is_file():
            hint = "write it as path/to/file.py:function"
            raise InputError(f"Python file {module!r} does not exist", hint=hint, code=CANNOT_LOAD)
        module = str(Path(module).resolve())
    return module, function


class PythonDevice(ProcessDevice):
    """A function that takes arrays of codes and returns one, ``module:function``, in a process of its own.

    ``values``: the function takes values (float16, float32 or float64, whichever holds the source exactly) and may
    return floats, which must be values of the target.
    """

    def __init__(self, device: str, prototype: Prototype, *, values: bool = False, timeout: float = 60.0) -> None:
        module, function = parse_function(device)
        load = {"kind": "python", "path": module, "symbol": function}
        super().__init__(device, load, prototype, f"the function is called as {prototype.python(function)}", timeout)
        self.values = values

    def _prepared(self, case: Case) -> Case:
        case = super()._prepared(case)
        if not self.values:
            return case
        formats = {item.name: item.format for item in self.prototype.inputs if item.format is not None}
        return replace(case, arrays={name: _values(array, formats[name]) for name, array in case.arrays.items()})

    def _collected(self, reply: dict[str, Any], case: Case, layout: Layout, guard: int) -> Array:
        """What the function returned, as codes."""
        del guard, layout
        outputs = self.prototype.outputs
        if "returned" in reply:
            names = ", ".join(output.name for output in outputs)
            raise self._error(case, f"returned {reply['returned']} where a tuple or a dict of {names} was expected")
        pairs = zip(outputs, reply["results"], strict=True)
        arrays = [self._codes_of(answer, output, case) for output, answer in pairs]
        return arrays[0] if len(arrays) == 1 else joined(arrays)

    def _codes_of(self, answer: dict[str, Any], output: Parameter, case: Case) -> Array:
        """One of the results, as codes."""
        name, kind, shape = str(answer["dtype"]), answer["kind"], tuple(answer["shape"])
        expected, of = case.shape_of(output.name), f" as {output.name}" if case.shapes else ""
        if shape != expected:
            hint = packed_hint(output, math.prod(shape), math.prod(expected))
            raise self._error(case, f"returned an array of shape {shape}{of} where {expected} was expected", hint)
        if kind == "O":
            raise self._error(case, "returned Python objects, not an array of numbers,")
        start = int(answer["at"])
        raw = self._memory[start : start + math.prod(shape) * int(answer["itemsize"])].tobytes()
        result = output.format
        assert result is not None
        if kind in "iub":
            codes = self._from_integers(np.frombuffer(raw, name), result, case)
        elif kind == "f" and name in NATIVE_FLOATS and result.id != name:
            codes = self._from_values(np.frombuffer(raw, name), result, case)
        else:
            self._require_format(name, result, case)
            codes = np.frombuffer(raw, result.code_dtype)
        return codes.reshape(shape)

    def _error(self, case: Case, what: str, hint: str = "") -> DeviceError:
        return DeviceError(f"{self.name} {what} on {case.place}", hint=hint or self.hint, code="LB604")

    def _from_integers(self, integers: NDArray[Any], result: Scalar, case: Case) -> NDArray[Any]:
        """Any integer dtype will do; elements that the container cannot hold stay as they are, to be reported."""
        container, widest = np.iinfo(result.code_dtype), np.iinfo(np.int64)
        if integers.dtype == bool or not integers.size:
            return integers.astype(result.code_dtype)
        low, high = int(integers.min()), int(integers.max())
        if container.min <= low and high <= container.max:
            return integers.astype(result.code_dtype)
        if result.container_bits == widest.bits or high > widest.max:
            wrong = low if low < container.min else high
            what = f"returned {wrong}, which {result.code_dtype}, the container of {result.id}, cannot hold,"
            raise self._error(case, what, f"return codes, as an array of {result.code_dtype}")
        return integers.astype(np.int64)

    def _from_values(self, values: NDArray[Any], result: Scalar, case: Case) -> NDArray[Any]:
        from lowbit.ops.cast.cast import decode, encode

        if not self.values:
            what = f"returned {values.dtype} where codes of {result.id} ({result.code_dtype}) were expected"
            raise self._error(case, what, "with --values a function of a conversion may take and return values")
        codes = np.asarray(encode(values, result))
        back = decode(codes, result, dtype=np.float64)
        wrong = ~((back == values) | (np.isnan(back) & np.isnan(values)))
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            what = f"returned {values[where]!r}, which is not a value of {result.id}, at {case.place_of((where,))}"
            raise self._error(case, what)
        return codes

    def _require_format(self, name: str, result: Scalar, case: Case) -> None:
        """Refuse a dtype that NumPy shows bit for bit, of ml_dtypes most likely, unless it is that of the results."""
        from lowbit.format.registry import get_format

        try:
            returned = get_format(name).id
        except LowbitError:
            returned = ""
        if returned != result.id:
            raise self._error(case, f"returned {name} where {result.id} was expected")


def _values(codes: NDArray[Any], source: Scalar) -> NDArray[Any]:
    """Codes as numbers: float32 where it holds every value of the source, float64 otherwise."""
    native = NATIVE_FLOATS.get(source.id)
    if native is not None:
        return codes.view(native)
    from lowbit.ops.cast.cast import decode

    fits = getattr(source, "precision", source.bits) <= 24 and getattr(source, "exponent_bits", 0) <= 8
    return np.ascontiguousarray(decode(codes, source, dtype=np.float32 if fits else np.float64))
