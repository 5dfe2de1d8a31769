"""Making a vector set from its recipe: the inputs from a generator, the expected codes from the oracle.

The oracle gives the expected bits, so that no error of a kernel can reach a golden file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.errors import InputError, PolicyError
from lowbit.exact import NAN
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.cast import convert
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import Policy, get_policy
from lowbit.vectors.cast.boundary import Flags, boundary
from lowbit.vectors.cast.patterns import from_patterns, to_patterns
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.cast.representative import class_flags, representative_codes
from lowbit.vectors.flags import cast as f
from lowbit.vectors.splitmix import random_patterns
from lowbit.vectors.vec import Column, VectorFile, digits_for

GENERATOR_VERSION = 1
"""Raised whenever a generator makes other rows from the same arguments: that is a major version of the sets."""

ORACLE = "lowbit.oracle 1"
KERNELS = "lowbit.kernels 1"
OPERATIONS = ("encode", "decode", "convert")
GENERATORS = ("boundary", "random", "exhaustive", "representative")
EXHAUSTIVE_BITS = 20
"""A source of more bits is not listed whole in a file."""


@dataclass(frozen=True)
class Recipe:
    """What makes a set: the same recipe gives the same bytes."""

    # ``encode`` (a float to a low-bit format), ``decode`` (exactly, to a wider one) or ``convert``; all three are
    # conversions of codes. ``gemm``: dot products (``lowbit.vectors.gemm.sets``), whose source is ``<a>_<b>`` and whose
    # policy the name of an accumulator; ``requantize``: the policy is the name of a scheme. ``softmax``, ``gelu``, ...:
    # the policy is the name of a scheme, and ``+variant=`` where it has some.
    op: str
    # source, target: ids of the formats
    source: str
    target: str
    policy: str  # a preset, with choices on single axes after it: ``ocp_sat``, ``ocp_sat+rounding=toward_zero``
    generator: str = "boundary"  # one of ``GENERATORS``
    # Its arguments: ``reach`` and ``intermediates``; ``count``, ``seed`` and ``distribution``; ``length``; ``rows``;
    # ``scale`` and what else a nonlinearity has.
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    folder: str = ""  # subfolder of the file, "" for none

    @property
    def id(self) -> str:
        """``encode.float32.float8_e4m3fn.ocp_sat``."""
        return f"{self.op}.{self.source}.{self.target}.{self.policy_slug}"

    @property
    def policy_slug(self) -> str:
        """The policy as part of a file name: ``ocp_sat-rounding-toward_zero``."""
        preset, *choices = self.policy.split("+")
        return "-".join((preset, *(choice.replace("=", "-") for choice in choices)))

    @property
    def file(self) -> str:
        """Where the set lives below ``golden/``."""
        folders = [self.op, self.source, *([self.folder] if self.folder else [])]
        return "/".join((*folders, f"{self.target}.{self.policy_slug}.vec"))


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
        made = boundary(source, target, **arguments)
        return to_patterns(made.codes, source), made.flags
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


def generate_inputs(recipe: Recipe) -> VectorFile:
    """Make a set without the column of expected codes."""
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    policy = parse_policy(recipe.policy, target)
    patterns, flags = legal_inputs(recipe, source, target)
    columns = (Column("input", digits_for(source.bits)), Column("flag", 2))
    lines = header(recipe, source, target, policy)
    for key in ("policy", "choices", "oracle"):
        del lines[key]
    return VectorFile(lines, columns, np.column_stack((patterns, flags)))


def legal_inputs(recipe: Recipe, source: Scalar, target: Scalar) -> tuple[Unsigned, Flags]:
    """``inputs`` without bit patterns that are no codes: the lowest one of a narrow integer."""
    patterns, flags = inputs(recipe, source, target)
    chosen = from_patterns(patterns, source) >= source.codes[0]
    return patterns[chosen], flags[chosen]


def expected_by_kernels(patterns: Unsigned, source: Scalar, target: Scalar, policy: Policy) -> Unsigned:
    """``expected`` from the fast path, which tests/agree proves equal to the oracle."""
    from lowbit.ops.cast.cast import convert as convert_array

    codes = from_patterns(patterns, source).astype(source.code_dtype)
    return to_patterns(np.asarray(convert_array(codes, source, target, policy=policy)), target)


def generate(recipe: Recipe, *, oracle_up_to: int | None = None) -> VectorFile:
    """Make a set.

    ``oracle_up_to``: sets of more rows than this take their expected codes from the kernels. Golden sets never do.

    Raises InputError: the policy refuses an input (an axis with the value ``error``), or a decode would not be exact.
    """
    if recipe.op == "gemm":
        from lowbit.vectors.gemm.sets import dot_set

        return dot_set(recipe.id, recipe.source, recipe.policy, recipe.arguments)
    if recipe.op == "requantize":
        from lowbit.vectors.requantize.sets import requantize_set

        return requantize_set(recipe.id, recipe.target, recipe.policy, dict(recipe.arguments))
    if recipe.op not in OPERATIONS:
        from lowbit.vectors.nonlinear.sets import nonlinear_set

        return nonlinear_set(recipe.id, recipe.op, recipe.source, recipe.target, recipe.policy, recipe.arguments)
    source, target = scalar_format(recipe.source), scalar_format(recipe.target)
    policy = parse_policy(recipe.policy, target)
    if policy.stochastic:
        raise PolicyError("a stochastic policy needs random bits for each row, which .vec sets do not carry")
    patterns, flags = legal_inputs(recipe, source, target)
    lines = header(recipe, source, target, policy)
    if oracle_up_to is not None and len(patterns) > oracle_up_to:
        results = expected_by_kernels(patterns, source, target, policy)
        lines["oracle"] = KERNELS
    else:
        results = expected(patterns, source, target, policy)
    if recipe.op == "decode":
        require_exact(patterns, results, source, target)
    columns = (
        Column("input", digits_for(source.bits)),
        Column("expected", digits_for(target.bits)),
        Column("flag", 2),
    )
    return VectorFile(lines, columns, np.column_stack((patterns, results, flags)))


def header(recipe: Recipe, source: Scalar, target: Scalar, policy: Policy) -> dict[str, str]:
    """The header of a set, without what follows from its rows."""
    arguments = " ".join(f"{key}={value}" for key, value in sorted(recipe.arguments.items()))
    return {
        "set": recipe.id,
        "op": recipe.op,
        "source": f"{source.id}, {source.bits} bits",
        "target": f"{target.id}, {target.bits} bits",
        "policy": recipe.policy,
        "choices": spell_out(policy),
        "generator": f"{recipe.generator} {GENERATOR_VERSION} {arguments}".strip(),
        "oracle": ORACLE,
    }


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
