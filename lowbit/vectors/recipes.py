"""The recipes of the sets that ``golden/`` holds: which formats, under which policies, made how.

Every named scalar format of at most 16 bits is encoded from float32 under its default policy and decoded; wider and
narrower sources, other policies and conversions between the 8-bit formats are there where bugs were found.
"""

from __future__ import annotations

from collections.abc import Iterator

from lowbit.format.registry import get_format
from lowbit.policy.accumulator import get_accumulator
from lowbit.policy.requantize import get_requantize_scheme
from lowbit.vectors.nonlinear.recipes import nonlinear_recipes
from lowbit.vectors.recipe import Recipe

FLOATS_16 = ("float16", "bfloat16")
FLOATS_8 = (
    "float8_e5m2",
    "float8_e4m3fn",
    "float8_e4m3",
    "float8_e3m4",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3b11fnuz",
    "float8_e8m0fnu",
    "float8_e4m3fnu",
    "float8_e5m3fnu",
)
FLOATS_SMALL = (
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
    "float4_e1m2",
    "float4_e3m0",
    "float4_e0m3",
)
FLOATS = (*FLOATS_16, *FLOATS_8, *FLOATS_SMALL)
NARROW = tuple(f"int{bits}_narrow" for bits in range(2, 17))
FIXED = ("q1.7", "q4.4", "q1.15", "q8.8")

POLICY_VARIANTS = (
    ("float8_e4m3fn", "ocp_nosat"),
    ("float8_e4m3fn", "cuda"),
    ("float8_e4m3fn", "cuda_nosat"),
    ("float8_e4m3fn", "ocp_sat+rounding=toward_zero"),
    ("float8_e4m3fn", "ocp_sat+rounding=toward_positive"),
    ("float8_e4m3fn", "ocp_sat+rounding=toward_negative"),
    ("float8_e4m3fn", "ocp_sat+rounding=nearest_away"),
    ("float8_e4m3fn", "ocp_sat+rounding=to_odd"),
    ("float8_e4m3fn", "ocp_sat+flush_results=after_rounding"),
    ("float8_e5m2", "ocp_nosat"),
    ("float8_e5m2", "cuda"),
    ("float8_e5m2", "cuda_nosat"),
    ("float8_e5m2", "ieee"),
    ("float8_e5m2", "ieee+rounding=toward_zero"),
    ("float8_e5m2", "ieee+rounding=toward_positive"),
    ("float8_e5m2", "ieee+rounding=toward_negative"),
    ("float8_e4m3fnuz", "ocp_nosat"),
    ("float8_e5m2fnuz", "ocp_nosat"),
    ("float8_e8m0fnu", "ocp_nosat+tie_without_mantissa=up+zero=nan"),
    ("float8_e8m0fnu", "cuda"),
    ("float8_e8m0fnu", "cuda+rounding=toward_positive"),
    ("float8_e8m0fnu", "ocp_sat+rounding=toward_zero"),
    ("float8_e5m3fnu", "cuda"),
    ("float6_e2m3fn", "ocp_nosat+nan=inverted_zero"),
    ("float6_e3m2fn", "cuda"),
    ("float4_e2m1fn", "ocp_nosat+nan=inverted_zero"),
    ("float4_e2m1fn", "cuda"),
    ("float4_e2m1fn", "ocp_sat+rounding=toward_zero"),
    ("float16", "ieee+rounding=toward_zero"),
    ("bfloat16", "ieee+rounding=toward_zero"),
    ("bfloat16", "ieee+flush_results=after_rounding"),
    ("int8", "integer+rounding=toward_zero"),
    ("int8", "integer+rounding=nearest_away"),
    ("int4", "integer_wrap"),
)
"""(target, policy) of the further sets from float32."""

FROM_FLOAT64 = (
    *("float16", "bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3", "float8_e3m4", "float8_e4m3fnuz"),
    *("float8_e5m2fnuz", "float8_e4m3b11fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"),
    *("int8", "int4"),
)
CONVERSIONS = (
    ("float8_e4m3fn", "float8_e5m2"),
    ("float8_e5m2", "float8_e4m3fn"),
    ("float8_e4m3fn", "float8_e4m3fnuz"),
    ("float8_e4m3fnuz", "float8_e4m3fn"),
    ("float8_e5m2", "float8_e5m2fnuz"),
    ("float8_e5m2fnuz", "float8_e5m2"),
    ("float8_e4m3", "float8_e4m3fn"),
    ("float8_e4m3fn", "float8_e4m3"),
    ("float8_e4m3fn", "float8_e4m3b11fnuz"),
    ("float8_e3m4", "float8_e4m3fn"),
    ("float8_e4m3fn", "float8_e3m4"),
    ("float8_e4m3fn", "float4_e2m1fn"),
    ("float4_e2m1fn", "float8_e4m3fn"),
    ("float6_e2m3fn", "float4_e2m1fn"),
    ("float6_e3m2fn", "float6_e2m3fn"),
    ("float8_e4m3fn", "int8"),
    ("int8", "float8_e4m3fn"),
    ("int8", "float8_e5m2"),
    ("int16", "float8_e5m2"),
    ("int32", "float8_e5m2"),
    ("int32", "float16"),
    ("int64", "bfloat16"),
    ("float16", "bfloat16"),
    ("bfloat16", "float16"),
    ("float32", "tf32"),
)
REQUANTIZED = (
    "tflite_double",
    "tflite_single",
    "tflite_neon",
    "tflite_int64",
    "tosa_single",
    "tosa_double",
    "tosa_single_48",
    "xnnpack_fp32",
    "xnnpack_rndnu",
    "xnnpack_rndnu16",
    "qnnpack_precise",
    "onnxruntime",
    "single_even",
    "double_down_up",
    "hawq",
    "tvm_tonearest",
    "tvm_x86_float32",
    "float64_away",
    "nvdla",
)
"""One of each arithmetic, under the name of a product where it has one."""
REQUANTIZED_TO_UINT8 = ("tflite_double", "tflite_single", "xnnpack_fp32")
P3109_BITS = range(3, 9)

DOT_PRODUCTS = (
    ("int8_int8", "int32", 64),
    ("uint8_int8", "int32", 64),
    ("uint8_uint8", "int32", 64),
    ("int4_int4", "int32", 64),
    ("int16_int16", "int32", 64),
    ("int16_int16", "int32_saturate", 64),
    ("int16_int16", "int64", 64),
    ("uint8_int8", "x86_vpmaddubsw", 64),
    ("uint8_int8", "x86_vpmaddubsw_int16", 64),
    ("uint8_int8", "x86_vpdpbusd", 64),
    ("uint8_int8", "x86_vpdpbusds", 64),
    ("int16_int16", "x86_vpdpwssd", 64),
    ("int16_int16", "x86_vpdpwssds", 64),
    ("int8_int8", "arm_sdot", 64),
    ("uint8_uint8", "arm_udot", 64),
    ("uint8_int8", "arm_usdot", 64),
    ("int8_int8", "arm_smlal", 64),
    ("uint8_int8", "fbgemm_acc16", 512),
    ("int16_int16", "dfp16_16bit", 64),
    ("int16_int16", "dfp16_15bit", 64),
    ("int16_int16", "dfp16_14bit", 128),
    ("int16_int16", "dfp16_13bit", 512),
    ("int16_int16", "dfp16_12bit", 1024),
    ("int8_int8", "fpga_24", 1600),
    ("int8_int8", "fpga_24_saturate", 1600),
    ("int8_int8", "fpga_20", 512),
    ("int8_int8", "fpga_20_saturate", 512),
    ("int16_int16", "fpga_dsp48", 64),
)
"""(operands, accumulator, elements of a row): long enough for the accumulator to overflow, where a row can."""


def p3109_names(bits: range = P3109_BITS) -> list[str]:
    """All formats of P3109 with so many bits: signed P = 1..K-1, unsigned P = 1..K, extended and finite."""
    names = []
    for width in bits:
        signed = [f"binary{width}p{precision}s" for precision in range(1, width)]
        unsigned = [f"binary{width}p{precision}u" for precision in range(1, width + 1)]
        names += [name + domain for name in signed + unsigned for domain in "ef"]
    return names


def integers() -> list[str]:
    """int1 to int16 and uint1 to uint16, narrow ranges and fixed point: all that are not floats."""
    return [f"{prefix}int{bits}" for prefix in ("", "u") for bits in range(1, 17)] + [*NARROW, *FIXED]


def named_formats() -> list[str]:
    """The named scalar formats of at most 16 bits."""
    return [*FLOATS, *integers()]


def core_recipes() -> list[Recipe]:
    """The recipe of every set of ``golden/``, in the order of the manifest."""
    recipes = [*_encodes(), *_decodes(), *_conversions(), *_p3109(), *_dot_products(), *_requantizations()]
    recipes += nonlinear_recipes()
    assert len({recipe.file for recipe in recipes}) == len(recipes), "two sets would share a file"
    return recipes


def default_policy(target: str) -> str:
    """The default preset of a format."""
    return get_format(target).default_policy


def _encodes() -> Iterator[Recipe]:
    for target in named_formats():
        yield Recipe("encode", "float32", target, default_policy(target), arguments={"reach": _reach(target)})
    for target, policy in POLICY_VARIANTS:
        if policy != default_policy(target):
            yield Recipe("encode", "float32", target, policy, arguments={"reach": 1})
    for target in FROM_FLOAT64:
        yield Recipe("encode", "float64", target, default_policy(target), arguments={"reach": 1})
    for source in FLOATS_16:
        for target in (*FLOATS_8, *FLOATS_SMALL, "int8", "int4"):
            yield Recipe("encode", source, target, default_policy(target), arguments={"reach": 1})


def _reach(target: str) -> int:
    """Three source ulps on each side, one for the formats with so many values that a file would grow too large."""
    return 3 if get_format(target).bits <= 8 else 1


def _decodes() -> Iterator[Recipe]:
    for source in named_formats():
        yield Recipe("decode", source, "float32", "ieee", "representative")


def _conversions() -> Iterator[Recipe]:
    for source, target in CONVERSIONS:
        yield Recipe("convert", source, target, default_policy(target), arguments={"reach": 1})


def _dot_products() -> Iterator[Recipe]:
    for source, accumulator, length in DOT_PRODUCTS:
        target = "int32" if get_accumulator(accumulator).result_width <= 32 else "int64"
        yield Recipe("gemm", source, target, accumulator, "directed", arguments={"length": length})


def _requantizations() -> Iterator[Recipe]:
    for target, rows in (("int8", 600), ("uint8", 150)):
        for name in REQUANTIZED if target == "int8" else REQUANTIZED_TO_UINT8:
            source = f"int{get_requantize_scheme(name).accumulator_bits}"
            yield Recipe("requantize", source, target, name, "directed", arguments={"rows": rows})


def _p3109() -> Iterator[Recipe]:
    arguments = {"reach": 1, "intermediates": False}
    for name in p3109_names():
        policy = default_policy(name)
        yield Recipe("encode", "float32", name, policy, arguments=arguments, folder="p3109")
        yield Recipe("decode", name, "float32", "ieee", "representative", folder="p3109")
