"""The recipes of the sets that ``golden/`` holds: which formats, under which policies, made how.

Every named scalar format of at most 16 bits is encoded from float32 under its default policy and decoded; wider and
narrower sources, other policies and conversions between the 8-bit formats are there where bugs were found, as
``golden/recipes.toml`` lists them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

from lowbit.format.registry import data_directory, scalar_format
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
    "float8_e6m2fnu",
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
GGML = ("ggml_sign", "ggml_int2", "ggml_nl4", "ggml_e2m1", "ggml_e8m0", "ggml_ue4m3")
TABLES = ("nf4", "nf3", "af4", "bnb_fp4", "bnb_dynamic8", "bnb_dynamic8u", "power4_0.5", *GGML)

P3109_BITS = range(3, 9)


@cache
def _chosen() -> dict[str, Any]:
    """What ``golden/recipes.toml`` lists."""
    return tomllib.loads((data_directory("golden") / "recipes.toml").read_text(encoding="utf-8"))


def p3109_names(bits: range = P3109_BITS) -> list[str]:
    """All formats of P3109 of some widths: signed P = 1..K-1, unsigned P = 1..K, extended and finite."""
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
    return [*FLOATS, *integers(), *TABLES]


def core_recipes() -> list[Recipe]:
    """The recipe of every set of ``golden/``, in the order of the manifest."""
    recipes = [*_encodes(), *_decodes(), *_conversions(), *_p3109(), *_dot_products(), *_requantizations()]
    recipes += [*_layers(), *nonlinear_recipes(), *_quantizations(), *_packed()]
    assert len({recipe.file for recipe in recipes}) == len(recipes), "two sets would share a file"
    return recipes


def default_policy(target: str) -> str:
    """The default preset of a format."""
    return scalar_format(target).default_policy


def _encodes() -> Iterator[Recipe]:
    for target in named_formats():
        if target in GGML:  # which repeat the values of other formats
            yield Recipe("encode", "float32", target, default_policy(target), "representative")
            continue
        yield Recipe("encode", "float32", target, default_policy(target), arguments={"reach": _reach(target)})
    for target, policy in _chosen()["policies"]:
        if policy != default_policy(target):
            yield Recipe("encode", "float32", target, policy, arguments={"reach": 1})
    for target in _chosen()["from_float64"]:
        yield Recipe("encode", "float64", target, default_policy(target), arguments={"reach": 1})
    for source in FLOATS_16:
        for target in (*FLOATS_8, *FLOATS_SMALL, "int8", "int4"):
            yield Recipe("encode", source, target, default_policy(target), arguments={"reach": 1})


def _reach(target: str) -> int:
    """Three source ulps on each side, one for the formats with so many values that a file would grow too large."""
    return 3 if scalar_format(target).bits <= 8 else 1


def _decodes() -> Iterator[Recipe]:
    for source in named_formats():
        yield Recipe("decode", source, "float32", "ieee", "representative")


def _conversions() -> Iterator[Recipe]:
    for source, target in _chosen()["conversions"]:
        yield Recipe("convert", source, target, default_policy(target), arguments={"reach": 1})


def _dot_products() -> Iterator[Recipe]:
    for source, accumulator, length in _chosen()["dot_products"]:
        target = "int32" if get_accumulator(accumulator).result_width <= 32 else "int64"
        yield Recipe("gemm", source, target, accumulator, "directed", arguments={"length": length})


def _requantizations() -> Iterator[Recipe]:
    for target, rows, key in (("int8", 600, "requantizations"), ("uint8", 150, "requantizations_to_uint8")):
        for name in _chosen()[key]:
            source = f"int{get_requantize_scheme(name).accumulator_bits}"
            yield Recipe("requantize", source, target, name, "directed", arguments={"rows": rows})


def _layers() -> Iterator[Recipe]:
    for source, target, policy, arguments in _chosen()["linear_layers"]:
        yield Recipe("linear", source, target, policy, "directed", arguments)
    for source, target, policy, arguments in _chosen()["convolutions"]:
        yield Recipe("conv", source, target, policy, "directed", arguments)


def _quantizations() -> Iterator[Recipe]:
    pairs = [(target, policy) for target, policies in _chosen()["quantizations"].items() for policy in policies]
    for target, policy in pairs:
        yield Recipe("quantize", "float32", target, policy, "directed")
    for source in dict(pairs):
        yield Recipe("dequantize", source, "float32", "ieee", "directed")


def _packed() -> Iterator[Recipe]:
    for source, layout in _chosen()["packed"]:
        yield Recipe("pack", source, "uint32", layout, "directed")


def _p3109() -> Iterator[Recipe]:
    arguments = {"reach": 1, "intermediates": False}
    for name in p3109_names():
        policy = default_policy(name)
        yield Recipe("encode", "float32", name, policy, arguments=arguments, folder="p3109")
        yield Recipe("decode", name, "float32", "ieee", "representative", folder="p3109")
