"""A C function in a shared object."""

from __future__ import annotations

from pathlib import Path

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.process import Caller, ProcessDevice
from lowbit.dut.prototype import Prototype
from lowbit.errors import InputError


def parse_shared_object(text: str) -> tuple[str, str]:
    """Split ``./cast.so:cast`` into the absolute path and the symbol.

    Raises InputError: there is no symbol, or no such file.
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


class SharedObjectDevice(ProcessDevice):
    """A C function, ``./cast.so:cast``, in a process of its own.

    The element types are the containers of the formats: ``uint32_t`` for float32 and tf32, ``uint8_t`` for a format
    of at most 8 bits, ``int8_t`` for int4, and so on; the code stands in the low bits.
    """

    def __init__(
        self, device: str, prototype: Prototype, *, timeout: float = 60.0, caller: Caller | None = None
    ) -> None:
        path, symbol = parse_shared_object(device)
        load = {"kind": "shared_object", "path": path, "symbol": symbol, "types": prototype.c_types()}
        super().__init__(device, load, prototype, f"the function has to be {prototype.c(symbol)}", timeout, caller)
