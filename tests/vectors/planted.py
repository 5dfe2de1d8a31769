"""Planted bugs: casts that are wrong on purpose, to show that the core sets catch what random vectors do not.

`python -m tests.vectors.planted` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FloatFormat
from lowbit.vectors.cast.sets import expected, parse_policy
from lowbit.vectors.manifest import golden_directory
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.splitmix import random_patterns
from lowbit.vectors.vec import read_vectors
from tests.vectors.broken_casts import Unit, cast_float, cast_integer


@dataclass(frozen=True)
class Bug:
    """A planted bug and the core set that is shown to catch it."""

    name: str
    recipe: Recipe
    cast: Callable


E4M3 = Recipe("encode", "float32", "float8_e4m3fn", "ocp_sat")
E4M3_NOSAT = Recipe("encode", "float32", "float8_e4m3fn", "ocp_nosat")
E5M2 = Recipe("encode", "float32", "float8_e5m2", "ocp_sat")
E5M2_IEEE = Recipe("encode", "float32", "float8_e5m2", "ieee")
E4M3_WIDE = Recipe("encode", "float64", "float8_e4m3fn", "ocp_sat")
E2M1 = Recipe("encode", "float32", "float4_e2m1fn", "ocp_sat")
FNUZ = Recipe("encode", "float32", "float8_e4m3fnuz", "ocp_sat")
E8M0 = Recipe("encode", "float32", "float8_e8m0fnu", "ocp_sat")
UE5M3 = Recipe("encode", "float32", "float8_e5m3fnu", "ocp_sat")
HALF = Recipe("encode", "float32", "float16", "ieee")
INT8 = Recipe("encode", "float32", "int8", "integer")
UINT8 = Recipe("encode", "float32", "uint8", "integer")
INT4 = Recipe("encode", "float32", "int4", "integer")


def _float(name, recipe, **switches):
    return Bug(name, recipe, partial(cast_float, unit=Unit(**switches)))


def _integer(name, recipe, **switches):
    return Bug(name, recipe, partial(cast_integer, **switches))


def _half_away(values):
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


BUGS = (
    _float("ties away from zero", E4M3, ties="away"),
    _float("ties up", E4M3, ties="up"),
    _float("ties toward zero", E4M3, ties="zero"),
    _float("ties to odd", E4M3, ties="odd"),
    _float("truncation", E4M3, direction="truncate"),
    _float("rounding toward +infinity", E4M3, direction="up"),
    _float("overflow decided before rounding", E4M3_NOSAT, early_overflow=True),
    _float("overflow decided before rounding (e5m2)", E5M2_IEEE, early_overflow=True),
    _float("overflow by the unrounded binade only", E4M3_NOSAT, late_overflow=True),
    _float("sticky sees 4 bits only", E4M3, guard_bits=4),
    _float("sticky misses the last bit", E4M3, guard_bits=19),
    _float("sticky misses the last bit (e8m0)", E8M0, guard_bits=22),
    _float("sticky sees 32 bits of float64 only", E4M3_WIDE, guard_bits=32),
    _float("results flushed after rounding", E4M3, flush_results="after"),
    _float("results flushed before rounding", E4M3, flush_results="before"),
    _float("inputs flushed (e8m0)", E8M0, flush_inputs=True),
    _float("wrong NaN code", E5M2, nan_shift=1),
    _float("NaN one code too low", E4M3, nan_shift=-1),
    _float("NaN becomes zero", E4M3, nan_is_zero=True),
    _float("sign of NaN lost", E4M3, nan_sign_lost=True),
    _float("NaN becomes +0 (fnuz)", FNUZ, nan_shift=1),
    _float("signalling NaN truncated to infinity", HALF, payload_kept=True),
    _float("sign of zero lost", E4M3, zero_sign_lost=True),
    _float("sign of underflow lost", E4M3, underflow_sign_lost=True),
    _float("double rounding via float16", E4M3, via="float16"),
    _float("double rounding via bfloat16", E4M3, via="bfloat16"),
    _float("double rounding via float32", E4M3_WIDE, via="float32"),
    _float("double rounding via bfloat16 (e8m0)", E8M0, via="bfloat16"),
    _float("bias one too high", E4M3, bias_shift=1),
    _float("bias one too low", E5M2, bias_shift=-1),
    _float("subnormal shift one too far", E4M3, subnormal_shift=1),
    _float("smallest subnormal lost", E4M3, smallest_lost=True),
    _float("saturates one code too low", E4M3, saturation_short=1),
    _float("infinity not saturated", E5M2, infinity_kept=True),
    _float("sign of infinity lost", E5M2, infinity_positive=True),
    _float("largest value treated as overflow", E4M3_NOSAT, max_is_overflow=True),
    _float("carry into the exponent lost", E4M3, carry_lost=True),
    _float("ties away from zero (e2m1)", E2M1, ties="away"),
    _float("E8M0 lowest binade rounds up", E8M0, lowest_binade_up=True),
    _float("E8M0 tie away", E8M0, ties="away"),
    _float("E8M0 truncates", E8M0, direction="truncate"),
    _float("negative as absolute value (e8m0)", E8M0, negative_absolute=True),
    _float("negative as absolute value (ue5m3)", UE5M3, negative_absolute=True),
    _integer("integer wraps", INT8, bug="wrap"),
    _integer("integer truncates", INT8, rounding=np.trunc),
    _integer("integer ties away", INT8, rounding=_half_away),
    _integer("integer floor(x + 1/2)", INT4, rounding=lambda values: np.floor(values + 0.5)),
    _integer("lowest integer left out", INT8, bug="symmetric"),
    _integer("clamped before rounding", UINT8, bug="clamp_first"),
    _integer("NaN becomes the largest integer", INT8, bug="nan_is_max"),
    _integer("infinity becomes zero", INT8, bug="infinity_is_zero"),
    _integer("negative as absolute value (uint8)", UINT8, bug="absolute"),
)


@dataclass(frozen=True)
class Score:
    """How many rows of a core set catch a bug, and of random sets of the same size."""

    name: str
    set_id: str
    rows: int
    caught: int
    random_bits: int
    random_normal: int


@cache
def core_rows(recipe):
    """(inputs, expected codes) of a core set, as its file has them."""
    file = read_vectors(golden_directory() / recipe.file)
    return file.column("input"), file.column("expected")


@cache
def random_rows(recipe, distribution):
    """As many random inputs as the core set has rows, and what the oracle says of them."""
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    patterns = random_patterns(source, len(core_rows(recipe)[0]), 1, distribution)
    return patterns, expected(patterns, source, target, parse_policy(recipe.policy, target))


def count_differences(cast, recipe, rows):
    """In how many rows a cast gives another code than expected."""
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    patterns, right = rows
    return int(np.count_nonzero(cast(patterns, source, target, parse_policy(recipe.policy, target)) != right))


def right_cast(recipe):
    """The cast with every switch off."""
    return cast_float if isinstance(scalar_format(recipe.target), FloatFormat) else cast_integer


def qualify():
    """Run every planted bug on its core set and on random sets of the same size."""
    scores = []
    for bug in BUGS:
        counts = [
            count_differences(bug.cast, bug.recipe, rows)
            for rows in (
                core_rows(bug.recipe),
                random_rows(bug.recipe, "bits"),
                random_rows(bug.recipe, "normal"),
            )
        ]
        scores.append(Score(bug.name, bug.recipe.id, len(core_rows(bug.recipe)[0]), *counts))
    return scores


def table(scores):
    """The scores as lines of text."""
    head = f"{'planted bug':42} {'set':38} {'rows':>6} {'core':>6} {'bits':>6} {'normal':>6}"
    lines = [head, "-" * len(head)]
    lines += [
        f"{item.name:42} {item.set_id:38} {item.rows:6} {item.caught:6} {item.random_bits:6} {item.random_normal:6}"
        for item in scores
    ]
    total = len(scores)
    missed = [sum(getattr(score, name) == 0 for score in scores) for name in ("caught", "random_bits", "random_normal")]
    lines.append(
        f"of {total} planted bugs the core sets catch {total - missed[0]}, random bit patterns {total - missed[1]}, "
        f"random N(0, 1) values {total - missed[2]}"
    )
    return lines


if __name__ == "__main__":
    print("\n".join(table(qualify())))
