"""A C function in a shared object: ``void f(const source_t*, target_t*, size_t)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lowbit.dut.container import prototype
from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.isolated import Caller, IsolatedDevice
from lowbit.dut.worker import CAST
from lowbit.errors import InputError
from lowbit.format.scalar import Scalar


def parse_shared_object(text: str) -> tuple[str, str]:
    """Split ``./cast.so:cast`` into the absolute path and the symbol.

    Raises
    ------
    InputError
        There is no symbol, or no such file.
    """
    path, colon, symbol = text.rpartition(":")
    if not colon or not path or not symbol:
        raise InputError(f"shared object {text!r} names no symbol", hint="write it as ./cast.so:cast", code=CANNOT_LOAD)
    file = Path(path)
    if not file.is_file():
        raise InputError(
            f"shared object {path!r} is not a file", hint="cc -O2 -shared -fPIC -o cast.so cast.c", code=CANNOT_LOAD
        )
    return str(file.resolve()), symbol


def shared_object_load(device: str) -> dict[str, Any]:
    """The request that makes a worker load a conversion."""
    path, symbol = parse_shared_object(device)
    return {"kind": "shared_object", "path": path, "symbol": symbol, "types": CAST}


class SharedObjectDevice(IsolatedDevice):
    """A C function ``void f(const source_t *in, target_t *out, size_t n)`` in a process of its own.

    The element types are the containers of the formats: ``uint32_t`` for float32 and tf32, ``uint8_t`` for a format
    of at most 8 bits, ``int8_t`` for int4, and so on; the code stands in the low bits
    (:func:`lowbit.dut.container.prototype`).
    """

    def __init__(
        self, device: str, source: Scalar, target: Scalar, *, timeout: float = 60.0, caller: Caller | None = None
    ) -> None:
        load = shared_object_load(device)
        super().__init__(device, load, source, target, timeout, caller)
        self.hint = f"the function has to be {prototype(source, target, load['symbol'])}"
