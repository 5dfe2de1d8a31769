"""The golden reference for low-bit numerics.

Every public name is loaded when it is first used (PEP 562), so that ``import lowbit`` costs next to nothing: NumPy
comes with the first array, Numba with the first kernel.
"""

import importlib

from lowbit._version import __version__

_HOMES = {
    "lowbit.accumulator": ("ACCUMULATORS", "Accumulator", "get_accumulator"),
    "lowbit.custom": ("float_format",),
    "lowbit.dyadic": ("Exact", "format_decimal", "format_exact", "format_hexfloat", "parse_exact"),
    "lowbit.errors": (
        "DeviceError",
        "FormatError",
        "InexactError",
        "InputError",
        "IntermediateOverflowError",
        "LowbitError",
        "PolicyError",
        "UnknownFormatError",
        "VectorFileError",
    ),
    "lowbit.multipliers": ("Dyadic", "effective_scale"),
    "lowbit.ops.cast": ("convert", "decode", "encode"),
    "lowbit.ops.exact": ("decode_exact", "encode_exact"),
    "lowbit.ops.gemmlowp": ("exp_on_negative_values", "inverse_square_root", "one_over_one_plus_x", "reciprocal"),
    "lowbit.ops.gemm": ("gemm",),
    "lowbit.ops.l2norm": ("l2norm",),
    "lowbit.ops.logistic": ("logistic",),
    "lowbit.ops.llm_int8": ("LLMInt8Rows", "llm_int8_matmul", "llm_int8_quantize"),
    "lowbit.ops.ordinal": ("from_ordinal", "next_after", "ordinal", "ulp_distance"),
    "lowbit.ops.pack": ("pack", "unpack"),
    "lowbit.ops.packed_codes": ("PackedCodes",),
    "lowbit.ops.prepack": ("PackedMatrix", "prepack"),
    "lowbit.ops.exponential": ("exp", "integer_sqrt"),
    "lowbit.ops.gelu": ("gelu",),
    "lowbit.ops.layernorm": ("layernorm",),
    "lowbit.ops.softmax": ("softmax",),
    "lowbit.ops.quantized_arithmetic": ("quantized_add", "quantized_multiply"),
    "lowbit.ops.requantize": ("quantize_multiplier", "requantize"),
    "lowbit.ops.table": ("table_lookup",),
    "lowbit.ops.tanh": ("tanh",),
    "lowbit.ops.tosa": ("arithmetic_right_shift", "integer_divide", "multiply_shifted", "pooling_divisor"),
    "lowbit.ops.prove": ("SafeLength", "largest_safe_k"),
    "lowbit.ops.prove_weights": ("WeightBounds", "prove_weights"),
    "lowbit.policy": ("PRESETS", "Policy", "get_policy"),
    "lowbit.registry": ("Family", "families", "formats", "get_format", "load_format"),
    "lowbit.requantization": ("REQUANTIZE_SCHEMES", "RequantizeScheme", "get_requantize_scheme"),
    "lowbit.spec": ("FixedFormat", "FloatFormat", "Format"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = ("allocate",)

__all__ = ["__version__", *sorted((*_HOME_OF, *_PACKAGES))]  # noqa: PLE0604 - strings, though the linter cannot see it


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"lowbit.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lowbit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
