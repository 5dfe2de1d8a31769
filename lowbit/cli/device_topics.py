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

GEMM_C = (
    "gemm: `void f(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k)`, all row by row: a is "
    "m by k, b is k by n, c is m by n; uint8_t or int16_t as --a and --b say, int64_t *c where --accumulator is wider "
    "than 32 bits, and with --zero-points `int32_t a_zero_point, int32_t b_zero_point` at the end."
)
REQUANTIZE_C = (
    "requantize: `void f(const int32_t *accumulators, int8_t *out, size_t n, int32_t multiplier, int32_t shift, "
    "int32_t zero_point)` with multiplier and shift in the convention of --scheme; schemes that multiply by the scale "
    "itself have `float scale` (`double scale` if they work in binary64) in place of both, those with 48-bit "
    "accumulators `const int64_t *accumulators`; out is of --result's type."
)
GEMM_PYTHON = (
    "gemm: `f(a, b)`, two-dimensional arrays of codes, or `f(a, b, a_zero_point, b_zero_point)` with --zero-points; "
    "it returns integers of shape (m, n). requantize: `f(accumulators, multiplier, shift, zero_point)` or "
    "`f(accumulators, scale, zero_point)`, which returns as many codes."
)
GEMM_RESULTS = (
    "gemm: the results of all cases in order, each row by row, in int32 (int64) containers; `lowbit gen gemm -o "
    "cases.npz` writes the matrices of all cases, `lowbit gen gemm -o dots.vec` dot products for --inputs dots.vec. "
    "requantize likewise."
)

DEVICE_TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "so": (
            "--so FILE:SYMBOL: a C function `void f(const source_t *in, target_t *out, size_t n)` in a shared object; "
            "float32 to float8_e4m3fn is `void cast(const uint32_t *, uint8_t *, size_t)`. "
            f"{CONTAINERS} Compile it by `cc -O2 -shared -fPIC -o cast.so cast.c`. It runs in a process of its own, "
            "is called with 1, 3, 17 and many rows, and must write exactly n results. What it prints goes to standard "
            "error; processes that it starts end with the check. "
            f"{GEMM_C} {REQUANTIZE_C} Both are called twice, with other bytes around the operands and in the "
            "results."
        ),
        "python": (
            "--python MODULE:FUNCTION (or FILE.py:FUNCTION): a function that takes a NumPy array of codes and returns "
            "as many: integers of any dtype, or a dtype of ml_dtypes. With --values it takes and returns values "
            f"(float16, float32 or float64). {CONTAINERS} {GEMM_PYTHON}"
        ),
        "results": (
            "--results FILE: what a simulator or a device elsewhere answered, in the order of the inputs: .hex, .txt "
            "and .mem (hexadecimal codes as $writememh writes them, `@address` lines and comments included: row 0 is "
            "at address 0, and a result that has no word, or one with x or z, is a difference), .npy (a vector of "
            "integers), .bin (little-endian containers). The inputs are those of --set, --n and --seed, or of --inputs "
            "FILE; `lowbit gen` writes them. "
            f"{CONTAINERS} {GEMM_RESULTS}"
        ),
    }
)
"""Option -> what the device has to be, a paragraph."""
