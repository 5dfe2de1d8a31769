"""The golden reference for low-bit numerics.

Every public name is loaded when it is first used (PEP 562), so that ``import lowbit`` costs next to nothing: NumPy
comes with the first array, Numba with the first kernel.
"""

import importlib

from lowbit._version import __version__

_HOMES = {
    "lowbit.policy.accumulator": ("ACCUMULATORS", "Accumulator", "get_accumulator"),
    "lowbit.format.block": ("BlockFormat", "ScaleField"),
    "lowbit.format.block_name": ("block_format",),
    "lowbit.format.build": ("float_format", "power_format", "table_format"),
    "lowbit.exact": ("Exact", "format_decimal", "format_exact", "format_hexfloat", "parse_exact"),
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
    "lowbit.policy.dyadic": ("Dyadic",),
    "lowbit.policy.multiplier": ("effective_scale",),
    "lowbit.ops.types": ("Codes", "FormatLike", "RangeLike", "Results", "ScaleLike"),
    "lowbit.ops.block.dequantize": ("dequantize",),
    "lowbit.ops.block.linear": ("dequantize_linear", "dynamic_quantize_linear", "fake_quantize", "quantize_linear"),
    "lowbit.ops.block.quantize": ("quantize",),
    "lowbit.ops.block.tensor": ("BlockTensor",),
    "lowbit.policy.block": ("BLOCK_PRESETS", "BlockPolicy", "get_block_policy"),
    "lowbit.ops.cast.cast": ("convert", "decode", "encode"),
    "lowbit.ops.cast.exact": ("decode_exact", "encode_exact"),
    "lowbit.ops.gemm.gemm": ("gemm",),
    "lowbit.ops.nonlinear.l2norm": ("l2norm",),
    "lowbit.ops.nonlinear.logistic": ("logistic",),
    "lowbit.quantizers.methods.llm_int8": ("LLMInt8Rows", "llm_int8_matmul", "llm_int8_quantize"),
    "lowbit.ops.cast.ordinal": ("from_ordinal", "next_after", "ordinal", "ulp_distance"),
    "lowbit.ops.pack.pack": ("pack", "unpack"),
    "lowbit.ops.pack.packed_codes": ("PackedCodes",),
    "lowbit.ops.gemm.prepack": ("PackedMatrix", "prepack"),
    "lowbit.ops.nonlinear.gelu": ("gelu",),
    "lowbit.ops.nonlinear.layernorm": ("layernorm",),
    "lowbit.ops.nonlinear.softmax": ("softmax",),
    "lowbit.ops.requantize.quantized": ("quantized_add", "quantized_multiply"),
    "lowbit.ops.requantize.requantize": ("quantize_multiplier", "requantize"),
    "lowbit.ops.nonlinear.tanh": ("tanh",),
    "lowbit.proof.accumulator": ("SafeLength", "largest_safe_k"),
    "lowbit.proof.weights": ("WeightBounds", "prove_weights"),
    "lowbit.policy.cast": ("CAST_PRESETS", "Policy", "get_policy"),
    "lowbit.format.registry": ("Family", "families", "formats", "get_format", "load_format"),
    "lowbit.policy.requantize": ("REQUANTIZE_SCHEMES", "RequantizeScheme", "get_requantize_scheme"),
    "lowbit.format.scalar": ("FixedFormat", "FloatFormat", "Format", "TableFormat"),
}
_ALIASES = {"PRESETS": "CAST_PRESETS"}
"""Names of before, which are not listed."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = ("allocate", "fixed_point", "metrics", "quantizers")

__all__ = ["__version__", *sorted((*_HOME_OF, *_PACKAGES))]  # noqa: PLE0604 - strings, though the linter cannot see it


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"lowbit.{name}")
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lowbit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
