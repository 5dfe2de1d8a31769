"""What codes travel in: their range, their C types, and the prototype that a C function must have."""

from __future__ import annotations

from lowbit.format.scalar import Scalar


def c_type(fmt: Scalar) -> str:
    """The element type of one code: ``uint8_t`` up to 8 bits, ``int8_t`` for int4, ``uint32_t`` for float32, ..."""
    return f"{fmt.code_dtype}_t"


def prototype(source: Scalar, target: Scalar, symbol: str = "cast") -> str:
    """``void cast(const uint32_t *, uint8_t *, size_t)``."""
    return f"void {symbol}(const {c_type(source)} *, {c_type(target)} *, size_t)"
