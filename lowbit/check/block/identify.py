"""Which block policy a kernel follows: candidates are eliminated on one kind of answer after the other.

The scales of ordinary tensors depend on fewer axes than their codes, and only tensors with NaN, with zeros, ... on
others. So each stage changes the axes that are live there on what the stages before have left, and keeps what gives
every answer of the stage. Where nothing is left, bugs are tried on all answers so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, product
from typing import Any

import numpy as np

from lowbit.check.block.bugs import block_bugs
from lowbit.check.block.rules import BlockRule
from lowbit.check.block.variants import changed, choice, differences
from lowbit.check.claims import Claim, Follows, Right, Unexplained, covered_by
from lowbit.check.comparison import Comparison, Mask
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.vectors.flags import block as f

MOST_LEFT = 16
"""Of candidates that nothing tells apart, so many are taken on, those closest to what is asked for."""
WITH_BUGS = 6
"""Bugs are tried with so many of the policies that are left."""

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Stage:
    """One kind of answers, and the axes that decide them; ``element.rounding`` is one of the elements' policy."""

    name: str  # as a claim says it, to follow "of"
    flags: frozenset[int] | None  # of its cases; None for all that no other stage has
    scales_only: bool
    axes: Sequence[Axes]  # products of choices, one after the other


ROUNDINGS = (
    *("nearest_even", "nearest_away", "nearest_zero", "nearest_up", "nearest_down"),
    *("toward_zero", "away_from_zero", "toward_positive", "toward_negative", "to_odd"),
)
_STEPS: Axes = {
    "scale_rule": BlockPolicy.choices("scale_rule"),
    "arithmetic": BlockPolicy.choices("arithmetic"),
    "scale_steps": BlockPolicy.choices("scale_steps"),
    "tensor_steps": BlockPolicy.choices("tensor_steps"),
}
_SPECIAL = frozenset(
    {f.ZERO_BLOCK, f.RANGE_OF_SCALE, f.NAN_IN_BLOCK, f.INFINITY_IN_BLOCK, f.SHORT_TAIL},
)
_NAN_BECOMES = ("maximum", "signed_maximum", "minimum", "zero", "negative_zero")
STAGES = (
    Stage(
        "scales of ordinary blocks",
        None,
        True,
        (
            _STEPS,
            {"scale.rounding": ROUNDINGS, "scale_rule": ("amax_over_max",), "arithmetic": _STEPS["arithmetic"]},
            {
                **{axis: values for axis, values in _STEPS.items() if axis != "scale_rule"},
                "search": BlockPolicy.choices("search"),
                "scale_maximum": (0, 256),
            },
            {
                "smallest_scale": BlockPolicy.choices("smallest_scale"),
                "zero_scale": BlockPolicy.choices("zero_scale"),
                "arithmetic": _STEPS["arithmetic"],
            },
            {"tensor.rounding": ROUNDINGS},
        ),
    ),
    Stage(
        "codes of ordinary blocks",
        None,
        False,
        (
            {
                "quotient_steps": BlockPolicy.choices("quotient_steps"),
                "quotient_scale": BlockPolicy.choices("quotient_scale"),
                "element.rounding": ROUNDINGS,
                "element.negative_zero": ("keep", "positive"),
            },
            {"element.overflow": ("saturate", "infinity", "nan", "wrap"), "element.rounding": ROUNDINGS},
            {"element.via": ("float16", "bfloat16"), "element.rounding": ("nearest_even", "nearest_away")},
            {"element.flush_results": ("after_rounding", "before_rounding")},
        ),
    ),
    Stage(
        "blocks with very small or very large maxima",
        frozenset({f.ZERO_BLOCK, f.RANGE_OF_SCALE}),
        False,
        (
            {
                "zero_block": BlockPolicy.choices("zero_block"),
                "smallest_scale": BlockPolicy.choices("smallest_scale"),
                "zero_scale": BlockPolicy.choices("zero_scale"),
                "scale.overflow": ("saturate", "infinity", "nan"),
            },
            {
                "zero_block": BlockPolicy.choices("zero_block"),
                "scale.flush_results": ("after_rounding", "before_rounding"),
                "element.flush_inputs": ("never", "always"),
            },
        ),
    ),
    Stage(
        "tensors with NaN",
        frozenset({f.NAN_IN_BLOCK}),
        False,
        ({"nan": ("propagate", "ignore"), "element.nan": _NAN_BECOMES},),
    ),
    Stage(
        "tensors with infinities",
        frozenset({f.INFINITY_IN_BLOCK}),
        False,
        (
            {
                "infinity": ("propagate", "nan", "ignore"),
                "element.infinity": ("propagate", "saturate", "nan"),
                "scale.infinity": ("propagate", "saturate", "nan"),
                "element.nan": _NAN_BECOMES,
            },
        ),
    ),
    Stage("tails", frozenset({f.SHORT_TAIL}), False, ()),
)


CHOICES: Axes = {
    axis: values for stage in reversed(STAGES) for axes in reversed(stage.axes) for axis, values in axes.items()
}
"""Every axis that some stage changes."""


def identified(comparison: Comparison, asked: BlockRule) -> list[Claim]:
    """What a kernel does, as claims."""
    left, seen = [asked], np.zeros(len(comparison), bool)
    unexplained: list[tuple[str, Mask]] = []
    past: list[Axes] = []
    for stage in STAGES:
        mask = _answers(stage, comparison)
        if not mask.any():
            continue
        axes = () if unexplained else stage.axes  # what depends on unknown answers is unknown, too, or right
        kept = _survivors(axes, left, comparison, mask, asked)
        if not kept and past and not unexplained:  # what no stage before could tell apart may make a difference here
            new = _closest((new for axes in past for new in _changed(left, axes)), asked)
            others = agreeing(new, comparison, seen, MOST_LEFT)
            kept = _survivors(axes, others, comparison, mask, asked)
        if not kept and stage is STAGES[0]:
            kept = agreeing((replace(asked, policy=policy) for policy in BLOCK_PRESETS.values()), comparison, mask)
        if not kept and not unexplained:
            kept = _with_bugs(stage, left, comparison, seen | mask, asked)
        past += stage.axes
        if not kept:
            unexplained.append((stage.name, mask & comparison.wrong))
            continue
        left, seen = kept, seen | mask
    left = _closest([*left, *_alike(left[0], comparison, seen, asked)], asked)
    return _claims([*left, *_presets(asked, left, comparison, seen)], comparison, unexplained, asked)


def _alike(rule: BlockRule, comparison: Comparison, mask: Mask, asked: BlockRule) -> list[BlockRule]:
    """The rules that differ from one where it differs from the one asked for, and agree all the same."""
    axes = [axis for axis in differences(rule, asked) if axis in CHOICES]
    return agreeing((new for axis in axes for new in _changed([rule], {axis: CHOICES[axis]})), comparison, mask)


def _answers(stage: Stage, comparison: Comparison) -> Mask:
    """The answers of a stage that are there."""
    flags = np.array([case.flag for case in comparison.cases])
    inside = ~np.isin(flags, list(_SPECIAL)) if stage.flags is None else np.isin(flags, list(stage.flags))
    mask = inside[comparison.case_numbers(np.arange(len(comparison)))] & comparison.good
    return mask & (comparison.output_numbers > 0) if stage.scales_only else mask


def _survivors(
    products: Sequence[Axes], rules: Sequence[BlockRule], comparison: Comparison, mask: Mask, asked: BlockRule
) -> list[BlockRule]:
    """Those of the rules that give the answers of a stage, or what they become by a change of its axes."""
    kept = agreeing(rules, comparison, mask)
    for axes in products:
        kept = kept or agreeing(_changed(rules, axes), comparison, mask)
    return _closest(kept, asked)[:MOST_LEFT]


def _with_bugs(
    stage: Stage, rules: Sequence[BlockRule], comparison: Comparison, mask: Mask, asked: BlockRule
) -> list[BlockRule]:
    """The rules that are left with a bug that they have not yet, on all answers so far."""
    if any(rule.bug for rule in rules):
        return []
    own = list(dict.fromkeys(rule.policy for rule in rules))[:WITH_BUGS]
    presets = [policy for policy in BLOCK_PRESETS.values() if policy not in own] if stage is STAGES[0] else []
    for policies in (own, presets):
        bugs = (replace(asked, policy=policy, bug=bug) for policy in policies for bug in block_bugs(asked.format))
        if found := agreeing(bugs, comparison, mask):
            return _closest(found, asked)[:MOST_LEFT]
    return []


def _changed(rules: Iterable[BlockRule], axes: Axes) -> Iterator[BlockRule]:
    """The rules with every combination of choices that is one."""
    seen = set()
    for rule in rules:
        for values in product(*axes.values()):
            policy = changed(rule, dict(zip(axes, values, strict=True)))
            if policy is not None and (policy, rule.bug) not in seen:
                seen.add((policy, rule.bug))
                yield replace(rule, policy=policy)


def agreeing(
    rules: Iterable[BlockRule], comparison: Comparison, mask: Mask, most: int | None = None
) -> list[BlockRule]:
    """The rules that give every answer of a mask, at most so many."""
    got, wrong = comparison.parts("got"), comparison.parts("wrong")
    ends = np.cumsum([0, *(case.outputs for case in comparison.cases)])
    masks = [mask[start:end] for start, end in pairwise(ends)]
    order = [index for index in range(len(masks)) if masks[index].any()]
    order.sort(key=lambda index: (not (wrong[index] & masks[index]).any(), comparison.cases[index].outputs))

    def agrees(rule: BlockRule) -> bool:
        return all(
            np.array_equal(rule.run(comparison.cases[index])[masks[index]], got[index][masks[index]]) for index in order
        )

    return list(islice(filter(agrees, rules), most))


def _closest(rules: Iterable[BlockRule], asked: BlockRule) -> list[BlockRule]:
    """Each rule once, those that differ least from the one asked for first."""
    each = list(dict.fromkeys(rules))
    return sorted(each, key=lambda rule: len(differences(rule, asked)))


def _presets(asked: BlockRule, left: Sequence[BlockRule], comparison: Comparison, mask: Mask) -> Sequence[BlockRule]:
    """The named policies that give every answer, where rules without a bug do."""
    if any(rule.bug for rule in left) or not (comparison.wrong & mask).any():
        return ()
    return agreeing((replace(asked, policy=policy) for policy in BLOCK_PRESETS.values()), comparison, mask)


def _claims(
    rules: Sequence[BlockRule],
    comparison: Comparison,
    unexplained: Sequence[tuple[str, Mask]],
    asked: BlockRule,
) -> list[Claim]:
    """The rules on all answers that they give, and what is left."""
    good = np.flatnonzero(comparison.good)
    covered = covered_by(rules, comparison, good)
    claims: list[Claim] = []
    if covered.any():
        axes = {axis for rule in rules for axis in differences(rule, asked)} if not rules[0].bug else set()
        choices = {axis: tuple(dict.fromkeys(choice(rule, axis) for rule in rules)) for axis in sorted(axes)}
        names = {axis: choice(asked, axis) for axis in choices}
        claims.append(Follows(good[covered], rules, choices=choices, asked=names))
    left = good[~covered]
    wrong = comparison.wrong[left]
    claims += [Right(left[~wrong])] if len(left) and not wrong.all() else []
    bad = np.zeros(len(comparison), bool)
    bad[left[wrong]] = True
    for name, mask in unexplained:
        rows = np.flatnonzero(bad & mask)
        bad[rows] = False
        claims += [Unexplained(rows, name, int(np.count_nonzero(mask | bad & mask)))] if len(rows) else []
    rest = np.flatnonzero(bad)
    return [*claims, Unexplained(rest, "results", len(comparison))] if len(rest) else claims
