"""Which block policy a kernel follows: candidates are eliminated on one kind of answer after the other.

The scales of ordinary tensors depend on fewer axes than their codes, and only tensors with NaN, with zeros, ... on
others. So each stage changes the axes that are live there on what the stages before have left, and keeps what gives
every answer of the stage. Where nothing is left, bugs are tried on all answers so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise, product

import numpy as np

from lowbit.check.block.policy_rule import PolicyRule
from lowbit.check.block.stages import STAGES, Axes, Stage, choices_of
from lowbit.check.block.variants import changed, choice, differences
from lowbit.check.claims import Claim, Follows, Right, Unexplained, covered_by
from lowbit.check.comparison import Comparison, Mask
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy

MOST_LEFT = 16
"""Of candidates that nothing tells apart, so many are taken on, those closest to what is asked for."""
WITH_BUGS = 6
"""Bugs are tried with so many of the policies that are left."""


def identified(comparison: Comparison, asked: PolicyRule, stages: Sequence[Stage] = STAGES) -> list[Claim]:
    """What a kernel does, as claims."""
    left, seen = [asked], np.zeros(len(comparison), bool)
    unexplained: list[tuple[str, Mask]] = []
    past: list[Axes] = []
    for stage in stages:
        mask = _answers(stage, stages, comparison)
        if not mask.any():
            continue
        axes = () if unexplained else stage.axes  # what depends on unknown answers is unknown, too, or right
        kept = _survivors(axes, left, comparison, mask, asked)
        if not kept and past and not unexplained:  # what no stage before could tell apart may make a difference here
            new = _closest((new for axes in past for new in _changed(left, axes)), asked)
            kept = agreeing(new, comparison, seen | mask, MOST_LEFT)
            kept = kept or _survivors(axes, agreeing(new, comparison, seen, MOST_LEFT), comparison, mask, asked)
        if not kept and not unexplained:
            named = (replace(asked, policy=policy) for policy in BLOCK_PRESETS.values())
            kept = [_nearer(rule, comparison, seen | mask, asked) for rule in agreeing(named, comparison, seen | mask)]
            kept = _closest(kept, asked)
        if not kept and not unexplained:
            presets = BLOCK_PRESETS.values() if stage is stages[0] else ()
            kept = _with_bugs(presets, left, comparison, seen | mask, asked)
        past += stage.axes
        if not kept:
            unexplained.append((stage.name, mask & comparison.wrong))
            continue
        left, seen = kept, seen | mask
    alike = _alike(left[0], choices_of(stages), comparison, seen, asked)
    left = _closest([*left, *alike], asked)
    return _claims([*left, *_presets(asked, left, comparison, seen)], comparison, unexplained, asked)


def _nearer(rule: PolicyRule, comparison: Comparison, mask: Mask, asked: PolicyRule) -> PolicyRule:
    """A rule that has what is asked for on every axis that its answers do not depend on."""
    for axis in differences(rule, asked):
        policy = changed(rule, {axis: choice(asked, axis)})
        if policy is not None:
            rule = next(iter(agreeing([replace(rule, policy=policy)], comparison, mask)), rule)
    return rule


def _alike(rule: PolicyRule, choices: Axes, comparison: Comparison, mask: Mask, asked: PolicyRule) -> list[PolicyRule]:
    """The rules that differ from one where it differs from the one asked for, and agree all the same."""
    axes = [axis for axis in differences(rule, asked) if axis in choices]
    return agreeing((new for axis in axes for new in _changed([rule], {axis: choices[axis]})), comparison, mask)


def _answers(stage: Stage, stages: Sequence[Stage], comparison: Comparison) -> Mask:
    """The answers of a stage that are there."""
    flags = np.array([case.flag for case in comparison.cases])
    others = [flag for other in stages if other.flags is not None for flag in other.flags]
    inside = ~np.isin(flags, others) if stage.flags is None else np.isin(flags, list(stage.flags))
    mask = inside[comparison.case_numbers(np.arange(len(comparison)))] & comparison.good
    return mask & (comparison.output_numbers > 0) if stage.scales_only else mask


def _survivors(
    products: Sequence[Axes], rules: Sequence[PolicyRule], comparison: Comparison, mask: Mask, asked: PolicyRule
) -> list[PolicyRule]:
    """Those of the rules that give the answers of a stage, or what they become by a change of its axes."""
    kept = agreeing(rules, comparison, mask)
    for axes in products:
        kept = kept or agreeing(_changed(rules, axes), comparison, mask)
    return _closest(kept, asked)[:MOST_LEFT]


def _with_bugs(
    others: Iterable[BlockPolicy], rules: Sequence[PolicyRule], comparison: Comparison, mask: Mask, asked: PolicyRule
) -> list[PolicyRule]:
    """The rules that are left with a bug that they have not yet, on all answers so far."""
    if any(rule.bug for rule in rules):
        return []
    own = list(dict.fromkeys(rule.policy for rule in rules))[:WITH_BUGS]
    for policies in (own, [policy for policy in others if policy not in own]):
        bugs = (replace(asked, policy=policy, bug=bug) for policy in policies for bug in asked.bugs())
        if found := agreeing(bugs, comparison, mask):
            return _closest(found, asked)[:MOST_LEFT]
    return []


def _changed(rules: Iterable[PolicyRule], axes: Axes) -> Iterator[PolicyRule]:
    """The rules with every combination of choices that is one; none where an axis says nothing."""
    seen = set()
    for rule in (rule for rule in rules if not axes.keys() & rule.dead_axes):
        for values in product(*axes.values()):
            policy = changed(rule, dict(zip(axes, values, strict=True)))
            if policy is not None and (policy, rule.bug) not in seen:
                seen.add((policy, rule.bug))
                yield replace(rule, policy=policy)


def agreeing(
    rules: Iterable[PolicyRule], comparison: Comparison, mask: Mask, most: int | None = None
) -> list[PolicyRule]:
    """The rules that give every answer of a mask, at most so many."""
    ends = np.cumsum([0, *(case.outputs for case in comparison.cases)])
    masks = [mask[start:end] for start, end in pairwise(ends)]
    order = [index for index in range(len(masks)) if masks[index].any()]
    wrong = [comparison.part("wrong", index).reshape(-1) & masks[index] for index in range(len(masks))]
    answers = {index: comparison.part("got", index).reshape(-1)[masks[index]] for index in order}
    order.sort(key=lambda index: (not wrong[index].any(), comparison.cases[index].outputs))

    def agrees(rule: PolicyRule) -> bool:
        return all(
            np.array_equal(rule.run(comparison.cases[index]).reshape(-1)[masks[index]], answers[index])
            for index in order
        )

    return list(islice(filter(agrees, rules), most))


def _closest(rules: Iterable[PolicyRule], asked: PolicyRule) -> list[PolicyRule]:
    """Each rule once, those that differ least from the one asked for first."""
    each = list(dict.fromkeys(rules))
    return sorted(each, key=lambda rule: len(differences(rule, asked)))


def _presets(asked: PolicyRule, left: Sequence[PolicyRule], comparison: Comparison, mask: Mask) -> Sequence[PolicyRule]:
    """The named policies that give every answer, where rules without a bug do."""
    if any(rule.bug for rule in left) or not (comparison.wrong & mask).any():
        return ()
    return agreeing((replace(asked, policy=policy) for policy in BLOCK_PRESETS.values()), comparison, mask)


def _claims(
    rules: Sequence[PolicyRule],
    comparison: Comparison,
    unexplained: Sequence[tuple[str, Mask]],
    asked: PolicyRule,
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
