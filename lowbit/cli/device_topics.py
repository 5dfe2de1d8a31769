"""What a device of ``lowbit check`` has to be, for ``lowbit explain`` and ``lowbit check --help``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CONTAINERS = (
    "Element types, code in the low bits: uint8_t for floats and unsigned integers up to 8 bits (one code an element, "
    "never packed; the other bits are 0), uint16_t for 9 to 16 bits, uint32_t for float32 (its bits; a C function may "
    "take float *) and tf32 (a 19-bit code), uint64_t for float64; signed integers and fixed point sign-extended in "
    "int8_t, int16_t, int32_t or int64_t."
)

DEVICE_TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "so": (
            "--so FILE:SYMBOL: a C function `void f(const source_t *in, target_t *out, size_t n)` in a shared object; "
            "float32 to float8_e4m3fn is `void cast(const uint32_t *, uint8_t *, size_t)`. "
            f"{CONTAINERS} Compile it by `cc -O2 -shared -fPIC -o cast.so cast.c`. It runs in a process of its own, "
            "is called with 1, 3, 17 and many rows, and must write exactly n results."
        ),
        "python": (
            "--python MODULE:FUNCTION (or FILE.py:FUNCTION): a function that takes a NumPy array of codes and returns "
            "as many: integers of any dtype, or a dtype of ml_dtypes. With --values it takes and returns values "
            f"(float16, float32 or float64). {CONTAINERS}"
        ),
        "results": (
            "--results FILE: what a simulator or a device elsewhere answered, in the order of the inputs: .hex, .txt "
            "and .mem (one hexadecimal code a line), .npy (a vector of integers), .bin (little-endian containers). "
            "The inputs are those of --set, --n and --seed, or of --inputs FILE; `lowbit gen` writes them. "
            f"{CONTAINERS}"
        ),
    }
)
"""Option -> what the device has to be, a paragraph."""
