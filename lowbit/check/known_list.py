"""The published differences that are no defects of a preset: choices on an axis for some types, and odd NaNs.

All were found by ``lowbit check`` itself, on the versions that each entry names. The NaN of a vectorised loop and of
its scalar tail may differ, so several entries explain only some rows of a set.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from lowbit.check.known_entry import KnownDifference
from lowbit.check.known_rows import RowRule, infinity_gives_all_ones, nan_gives, nan_payload_unquieted

NUMPY, ML_DTYPES, ORT, TORCH = "2.4.6", "0.6.0", "1.31.1", "2.13.0"
FNUZ = ("float8_e4m3fnuz", "float8_e5m2fnuz")


def _entry(
    identifier: str,
    product: str,
    seen: str,
    why: str,
    *,
    sources: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    option: str = "",
    rule: RowRule | None = None,
    **change: Any,
) -> KnownDifference:
    return KnownDifference(
        identifier, product, seen, why, MappingProxyType(change), sources, targets, option, rule=rule
    )


OTHER_DIFFERENCES: tuple[KnownDifference, ...] = (
    _entry(
        "float16_signalling_nan_kept",
        "numpy",
        NUMPY,
        "a signalling NaN stays signalling: the payload is moved by integer shifts (IEEE 754-2019 6.2 quiets it)",
        rule=nan_payload_unquieted,
    ),
    _entry(
        "bfloat16_signalling_nan_kept",
        "ml_dtypes",
        ML_DTYPES,
        "a NaN keeps its payload, and a signalling one stays signalling: widening is a shift by 16 bits",
        sources=("bfloat16",),
        targets=("float32",),
        rule=nan_payload_unquieted,
    ),
    _entry(
        "bfloat16_nan_payload_kept",
        "ml_dtypes",
        ML_DTYPES,
        "a NaN keeps its payload on the way through float32",
        sources=("bfloat16",),
        targets=("float64",),
        nan_code="payload",
    ),
    _entry(
        "float8_infinity_to_integer",
        "ml_dtypes",
        ML_DTYPES,
        "+infinity of an 8-bit float saturates to the largest 32-bit integer, which wraps to all ones",
        sources=("float8_e3m4", "float8_e4m3", "float8_e5m2"),
        rule=infinity_gives_all_ones,
    ),
    _entry(
        "float16_nan_payload_kept",
        "onnxruntime",
        ORT,
        "the vectorised loop keeps the payload of a NaN, its scalar tail does not",
        sources=("float32", "float64"),
        targets=("float16",),
        nan_code="payload",
    ),
    _entry(
        "bfloat16_signalling_nan_kept",
        "onnxruntime",
        ORT,
        "a signalling NaN stays signalling: widening is a shift by 16 bits",
        sources=("bfloat16",),
        targets=("float32",),
        rule=nan_payload_unquieted,
    ),
    _entry(
        "float8_e5m2_canonical_nan",
        "onnxruntime",
        ORT,
        "every NaN of float8_e5m2 decodes to the canonical NaN, its payload is lost",
        sources=("float8_e5m2",),
        nan_code="canonical",
    ),
    _entry(
        "bfloat16_nan_sign_dropped",
        "onnxruntime",
        ORT,
        "the sign of a bfloat16 NaN is dropped, that of every other source is kept",
        sources=("bfloat16",),
        targets=("float8_e4m3fn", "float8_e5m2"),
        option="saturate=0",
        nan_sign="drop_input",
    ),
    _entry(
        "bfloat16_nan_all_ones",
        "torch",
        TORCH,
        "the vectorised loop gives the NaN 0xffff whatever the input, its scalar tail 0x7fc0",
        targets=("bfloat16",),
        rule=nan_gives(0xFFFF),
    ),
    _entry(
        "fnuz_nan_sign_dropped",
        "torch",
        TORCH,
        "the NaN of a fnuz type, whose code is that of -0, becomes a positive NaN",
        sources=FNUZ,
        targets=("float8_e4m3fn", "float8_e5m2", "float16"),
        nan_sign="drop",
    ),
    _entry(
        "float8_nan_signalling",
        "torch",
        TORCH,
        "the NaN decodes to 0x7f800001, a signalling NaN of float32",
        sources=(*FNUZ, "float8_e8m0fnu"),
        targets=("float32", "float64"),
        rule=nan_gives(0x7F800001, 0x7FF8000020000000),
    ),
    _entry(
        "float8_e4m3fn_nan_payload",
        "torch",
        TORCH,
        "the NaN decodes by a shift of its bits, 0x7ff00000, not to the canonical one",
        sources=("float8_e4m3fn",),
        targets=("float16", "float32", "float64"),
        rule=nan_gives(0x7F80, 0xFF80, 0x7FF00000, 0xFFF00000, 0x7FFE000000000000, 0xFFFE000000000000),
    ),
    _entry(
        "bfloat16_signalling_nan_kept",
        "torch",
        TORCH,
        "a signalling NaN stays signalling: widening is a shift by 16 bits",
        sources=("bfloat16",),
        targets=("float32",),
        rule=nan_payload_unquieted,
    ),
    _entry(
        "float16_nan_all_ones",
        "torch",
        TORCH,
        "the scalar tail of the loop gives the NaN 0x7fffffff whatever the input, its vectorised part keeps payloads",
        sources=("float16",),
        targets=("float32",),
        rule=nan_gives(0x7FFFFFFF),
    ),
)
