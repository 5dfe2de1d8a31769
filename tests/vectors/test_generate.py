"""Recipes: policies as text, wrong arguments, and the kernels giving what the oracle gives."""

from __future__ import annotations

import numpy as np
import pytest

from lowbit.errors import InputError, LowbitError, PolicyError
from lowbit.format.registry import get_format
from lowbit.policy.cast import CAST_PRESETS, Policy
from lowbit.vectors.cast.sets import (
    KERNELS,
    conversion_inputs,
    conversion_set,
    expected,
    expected_by_kernels,
    parse_policy,
    read_policy,
    spell_out,
)
from lowbit.vectors.operations import generate
from lowbit.vectors.recipe import Recipe

POLICIES = (*CAST_PRESETS.values(), Policy(rounding="stochastic_b", random_bits=7), Policy(via="float32"))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name or policy.rounding)
def test_a_policy_spelled_out_is_read_again(policy):
    assert read_policy(spell_out(policy), policy.name) == policy


def test_policies_from_text():
    assert parse_policy("ocp_sat") == CAST_PRESETS["ocp_sat"]
    changed = parse_policy("ocp_sat+rounding=to_odd+flush_results=after_rounding")
    assert changed.differences(CAST_PRESETS["ocp_sat"]).keys() == {"rounding", "flush_results"}
    assert parse_policy("ml_dtypes", get_format("int4")).rounding == "toward_zero"


@pytest.mark.parametrize("text", ["ocp", "ocp_sat+rounding", "ocp_sat+colour=red", "ocp_sat+rounding=sideways"])
def test_wrong_policies_are_refused(text):
    with pytest.raises(PolicyError):
        parse_policy(text)
    with pytest.raises(PolicyError):
        generate(Recipe("encode", "float32", "float4_e2m1fn", text))


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        (Recipe("encode", "float32", "int4", "integer", "exhaustive"), "2\\^32 codes"),
        (Recipe("encode", "float32", "int4", "integer", "guess"), "generator 'guess' is unknown"),
        (Recipe("encode", "float32", "float4_e2m1fn", "ocp_sat+nan=error"), "NaN|nan"),
        (Recipe("decode", "float64", "float32", "ieee", "representative"), "cannot hold"),
        (Recipe("encode", "float32", "e4m3", "ocp_sat"), "ambiguous|candidates|e4m3"),
        (Recipe("encode", "float32", "int4", "integer", "random", {"count": -4, "seed": 0}), "negative"),
    ],
)
def test_what_cannot_be_made_says_so(recipe, what):
    with pytest.raises(LowbitError, match=what):
        generate(recipe)


def test_a_stochastic_policy_needs_random_bits_per_row():
    with pytest.raises(PolicyError, match="random bits"):
        generate(Recipe("encode", "float32", "int4", "integer+rounding=stochastic_a+random_bits=4"))


def test_inputs_alone_have_no_expected_column():
    recipe = Recipe("encode", "float32", "float4_e2m1fn", "ocp_sat")
    alone, whole = conversion_inputs(recipe), generate(recipe)
    assert [column.name for column in alone.columns] == ["input", "flag"]
    assert np.array_equal(alone.rows, whole.rows[:, [0, 2]])
    assert "policy" not in alone.header


def test_a_narrow_source_has_no_lowest_code():
    made = generate(Recipe("convert", "int4_narrow", "float8_e4m3fn", "ocp_sat"))
    assert 0x8 not in made.column("input").tolist()
    assert len(made.rows) == 15


def test_large_sets_come_from_the_kernels_and_say_so():
    recipe = Recipe("encode", "float32", "float8_e5m2", "ocp_sat", "random", {"count": 500, "seed": 3})
    slow, fast = generate(recipe), conversion_set(recipe, oracle_up_to=100)
    assert np.array_equal(slow.rows, fast.rows)
    assert fast.header["oracle"] == KERNELS != slow.header["oracle"]


@pytest.mark.parametrize("target", ["float8_e4m3fn", "float8_e8m0fnu", "binary8p3se", "int8", "q4.4", "bfloat16"])
@pytest.mark.parametrize("source", ["float16", "float32", "float64", "float8_e5m2", "int16", "uint64"])
def test_the_kernels_give_what_the_oracle_gives(source, target):
    recipe = Recipe("convert", source, target, "ieee" if target == "bfloat16" else "ocp_sat")
    formats = get_format(source), get_format(target)
    policy = parse_policy("integer" if formats[1].kind != "float" else recipe.policy, formats[1])
    patterns = conversion_inputs(recipe).column("input")
    assert np.array_equal(expected_by_kernels(patterns, *formats, policy), expected(patterns, *formats, policy))


def test_recipes_name_their_files():
    recipe = Recipe("encode", "float32", "float8_e4m3fn", "ocp_sat+rounding=toward_zero", folder="extra")
    assert recipe.file == "encode/float32/extra/float8_e4m3fn.ocp_sat-rounding-toward_zero.vec"
    assert recipe.id == "encode.float32.float8_e4m3fn.ocp_sat-rounding-toward_zero"


def test_a_random_set_depends_on_its_seed():
    def rows(seed):
        return generate(Recipe("encode", "float32", "int8", "integer", "random", {"count": 40, "seed": seed})).rows

    assert np.array_equal(rows(1), rows(1))
    assert not np.array_equal(rows(1), rows(2))


def test_exhaustive_sets_list_every_code():
    made = generate(Recipe("convert", "float8_e4m3fn", "int8", "integer", "exhaustive"))
    assert made.column("input").tolist() == list(range(256))
    with pytest.raises(InputError):
        generate(Recipe("convert", "float64", "int8", "integer", "exhaustive"))
