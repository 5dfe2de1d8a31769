"""Sets of conversions in ``.vec`` files: a code a row, and the code that it becomes."""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError, PolicyError
from lowbit.exact import NAN
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.cast import convert
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import Policy, get_policy
from lowbit.vectors.cast.boundary import Flags, boundary
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.cast.representative import class_flags, representative_codes
from lowbit.vectors.flags import cast as f
from lowbit.vectors.patterns import from_patterns, to_patterns
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.splitmix import random_patterns
from lowbit.vectors.vec import Column, VectorFile, assemble, digits_for

KERNELS = "lowbit.kernels 1"
GENERATORS = ("boundary", "random", "exhaustive", "representative")
EXHAUSTIVE_BITS = 20
"""A source of more bits is not listed whole in a file."""


def parse_policy(text: str, target: Scalar | None = None) -> Policy:
    """A policy from ``preset`` or ``preset+axis=value+axis=value``; presets may differ between targets.

    Raises PolicyError: unknown preset, axis or value.
    """
    preset, _, choices = text.partition("+")
    try:
        return Policy.parse(choices, get_policy(preset, target))
    except PolicyError as error:
        raise PolicyError(f"policy {text!r}: {error.message}", hint=error.hint) from error


def spell_out(policy: Policy) -> str:
    """Every axis of a policy, ``rounding=nearest_even overflow=saturate ...``, and its defects."""
    return policy.spell(separator=" ").replace("defects=", "defect=")


def read_policy(choices: str, name: str = "") -> Policy:
    """A policy from what ``spell_out`` wrote, with a name of its own."""
    return Policy.parse(choices.replace("defect=", "defects=")).choose(name=name)


def inputs(recipe: Recipe, source: Scalar, target: Scalar) -> tuple[Unsigned, Flags]:
    """The bit patterns of a recipe's inputs and their flags.

    Raises InputError: the generator is unknown, or the source too wide to be listed whole.
    """
    arguments = dict(recipe.arguments)
    if recipe.generator == "boundary":
        directed = boundary(source, target, **arguments)
        return to_patterns(directed.codes, source), directed.flags
    if recipe.generator == "random":
        patterns = random_patterns(source, arguments.pop("count"), arguments.pop("seed"), **arguments)
        return patterns, np.full(patterns.shape, f.RANDOM, dtype=np.uint8)
    if recipe.generator == "representative":
        patterns = representative_codes(source)
        return patterns, class_flags(patterns, source)
    if recipe.generator == "exhaustive":
        if source.bits > EXHAUSTIVE_BITS:
            raise InputError(
                f"{source.id} has 2^{source.bits} codes, too many to list",
                hint="use --set boundary or random; digests stand for whole sweeps",
            )
        patterns = np.arange(1 << source.bits, dtype=np.uint64)
        return patterns, np.full(patterns.shape, f.REMAINING, dtype=np.uint8)
    raise InputError(f"generator {recipe.generator!r} is unknown", hint=f"one of {', '.join(GENERATORS)}")


def expected(patterns: Unsigned, source: Scalar, target: Scalar, policy: Policy) -> Unsigned:
    """What the oracle says each input becomes, as bit patterns of the target."""
    mask = (1 << target.bits) - 1
    codes = from_patterns(patterns, source).tolist()
    results = (convert(code, source, target, policy).code & mask for code in codes)
    return np.fromiter(results, dtype=np.uint64, count=len(codes))


def conversion_inputs(recipe: Recipe) -> VectorFile:
    """A set without the column of expected codes."""
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    patterns, flags = legal_inputs(recipe, source, target)
    lines = _header(recipe, source, target, parse_policy(recipe.policy, target))
    kept = {key: value for key, value in lines.items() if key not in ("policy", "choices", "oracle")}
    return assemble(kept, [(Column("input", digits_for(source.bits)), patterns)], flags)


def legal_inputs(recipe: Recipe, source: Scalar, target: Scalar) -> tuple[Unsigned, Flags]:
    """``inputs`` without bit patterns that are not codes: the lowest one of a narrow integer."""
    patterns, flags = inputs(recipe, source, target)
    chosen = from_patterns(patterns, source) >= source.codes[0]
    return patterns[chosen], flags[chosen]


def expected_by_kernels(patterns: Unsigned, source: Scalar, target: Scalar, policy: Policy) -> Unsigned:
    """``expected`` from the fast path, which tests/agree proves equal to the oracle."""
    from lowbit.ops.cast.cast import convert as convert_array

    codes = from_patterns(patterns, source).astype(source.code_dtype)
    return to_patterns(np.asarray(convert_array(codes, source, target, policy=policy)), target)


def conversion_set(recipe: Recipe, *, oracle_up_to: int | None = None) -> VectorFile:
    """The set of a recipe; one of more rows than ``oracle_up_to`` takes its codes from the kernels, a golden one never.

    Raises InputError: the policy refuses an input (an axis with the value ``error``), or a decode would not be exact.
    """
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    policy = parse_policy(recipe.policy, target)
    if policy.stochastic:
        raise PolicyError("a stochastic policy needs random bits for each row, which .vec sets do not carry")
    patterns, flags = legal_inputs(recipe, source, target)
    lines = _header(recipe, source, target, policy)
    if oracle_up_to is not None and len(patterns) > oracle_up_to:
        results = expected_by_kernels(patterns, source, target, policy)
        lines["oracle"] = KERNELS
    else:
        results = expected(patterns, source, target, policy)
    if recipe.op == "decode":
        require_exact(patterns, results, source, target)
    columns = [
        (Column("input", digits_for(source.bits)), patterns),
        (Column("expected", digits_for(target.bits)), results),
    ]
    return assemble(lines, columns, flags)


def _header(recipe: Recipe, source: Scalar, target: Scalar, policy: Policy) -> dict[str, str]:
    source_words, target_words = (f"{fmt.id}, {fmt.bits} bits" for fmt in (source, target))
    return recipe.header(source_words, target_words, spell_out(policy))


def require_exact(patterns: Unsigned, results: Unsigned, source: Scalar, target: Scalar) -> None:
    """Raise InputError unless each result has the value of its input."""
    pairs = zip(from_patterns(patterns, source).tolist(), from_patterns(results, target).tolist(), strict=True)
    for code, result in pairs:
        before, after = decode(code, source), decode(result, target)
        if before.kind != NAN and before.reduced() != after.reduced():
            raise InputError(
                f"code {code:#x} of {source.id} is {before}, which {target.id} cannot hold",
                hint="decode to a wider format: --to float64",
            )
