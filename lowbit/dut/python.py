"""A Python function over NumPy arrays, of codes or of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.isolated import OUTPUT, IsolatedDevice
from lowbit.errors import DeviceError, InputError, LowbitError
from lowbit.format.scalar import Format, Scalar

NATIVE_FLOATS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


def parse_function(text: str) -> tuple[str, str]:
    """Split ``module:function`` or ``path/to/file.py:function``."""
    module, colon, function = text.rpartition(":")
    if not colon or not module or not function:
        raise InputError(
            f"Python device {text!r} names no function", hint="write it as module:function", code=CANNOT_LOAD
        )
    if module.endswith(".py") or "/" in module:
        if not Path(module).is_file():
            raise InputError(f"Python file {module!r} does not exist", code=CANNOT_LOAD)
        module = str(Path(module).resolve())
    return module, function


class PythonDevice(IsolatedDevice):
    """A function that takes an array of source codes and returns as many target codes.

    Parameters
    ----------
    values : bool
        The function takes values (float16, float32 or float64, whichever holds the source exactly) and may return
        floats, which must be values of the target.
    """

    def __init__(
        self, device: str, source: Scalar, target: Scalar, *, values: bool = False, timeout: float = 60.0
    ) -> None:
        module, function = parse_function(device)
        super().__init__(device, {"kind": "python", "path": module, "symbol": function}, source, target, timeout)
        self.values = values

    def _prepare(self, rows: NDArray[Any]) -> NDArray[Any]:
        if not self.values:
            return rows
        native = NATIVE_FLOATS.get(self.source.id)
        if native is not None:
            return rows.view(native)
        from lowbit.ops.cast.cast import decode

        return np.ascontiguousarray(decode(rows, self.source, dtype=_value_dtype(self.source)))

    def _collect(self, reply: dict[str, Any], rows: NDArray[Any], what: str) -> NDArray[Any]:
        count, name, shape = rows.size, str(reply["dtype"]), tuple(reply["shape"])
        if shape != (count,):
            raise DeviceError(
                f"{self.name} was given {count} rows and returned an array of shape {shape} {what}", code="LB604"
            )
        if reply["kind"] == "O":
            raise DeviceError(f"{self.name} returned Python objects, not an array of numbers, {what}", code="LB604")
        size = count * int(reply["itemsize"])
        raw = self._bytes[OUTPUT : OUTPUT + size].tobytes()
        if reply["kind"] in "iub":
            return self._from_integers(np.frombuffer(raw, name), what)
        if reply["kind"] == "f" and name in NATIVE_FLOATS and self.target.id != name:
            if not self.values:
                raise DeviceError(
                    f"{self.name} returned {name} where codes of {self.target.id} ({self.target.code_dtype}) were "
                    f"expected {what}",
                    hint="with --values a function may take and return values",
                    code="LB604",
                )
            return self._from_values(np.frombuffer(raw, name), what)
        return self._from_viewed(raw, name, int(reply["itemsize"]), what)

    def _from_integers(self, result: NDArray[Any], what: str) -> NDArray[Any]:
        """Any integer dtype will do; elements that the container cannot hold stay as they are, to be reported."""
        container = np.iinfo(self.target.code_dtype)
        if result.dtype == bool or not result.size:
            return result.astype(self.target.code_dtype)
        low, high = int(result.min()), int(result.max())
        if container.min <= low and high <= container.max:
            return result.astype(self.target.code_dtype)
        widest = np.iinfo(np.int64)
        if self.target.container_bits == widest.bits or high > widest.max:
            wrong = low if low < container.min else high
            raise DeviceError(
                f"{self.name} returned {wrong} {what}, which {self.target.code_dtype}, the container of "
                f"{self.target.id}, cannot hold",
                hint=f"return codes, as an array of {self.target.code_dtype}",
                code="LB604",
            )
        return result.astype(np.int64)

    def _from_values(self, result: NDArray[Any], what: str) -> NDArray[Any]:
        from lowbit.ops.cast.cast import decode, encode

        codes = np.asarray(encode(result, self.target))
        back = decode(codes, self.target, dtype=np.float64)
        wrong = ~((back == result) | (np.isnan(back) & np.isnan(result)))
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            raise DeviceError(
                f"{self.name} returned {result[where]!r}, which is no value of {self.target.id}, at position {where} "
                f"{what}",
                code="LB604",
            )
        return codes

    def _from_viewed(self, raw: bytes, name: str, itemsize: int, what: str) -> NDArray[Any]:
        """A dtype that NumPy shows bit for bit, of ml_dtypes most likely."""
        from lowbit.format.registry import get_format

        try:
            returned = get_format(name)
        except LowbitError:
            returned = None
        if returned is None or returned.id != self.target.id:
            raise DeviceError(f"{self.name} returned {name} where {self.target.id} was expected {what}", code="LB604")
        return np.frombuffer(raw, self.target.code_dtype if itemsize == self.target.container_bits // 8 else name)


def _value_dtype(source: Format) -> type:
    """float32 where it holds every value of the source, float64 otherwise."""
    precision = getattr(source, "precision", source.bits)
    fits = precision <= 24 and getattr(source, "exponent_bits", 0) <= 8
    return np.float32 if fits else np.float64
