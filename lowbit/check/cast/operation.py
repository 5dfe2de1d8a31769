"""``lowbit check encode|decode|convert``: a conversion of codes and the policy that it follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.claims import CastClaims, followed
from lowbit.check.cast.classify import CLASS_NAMES, input_kinds
from lowbit.check.cast.codes import all_codes, check_exhaustive_bits
from lowbit.check.cast.conversion import View
from lowbit.check.cast.identify import Identification, differing, identify
from lowbit.check.cast.other_formats import other_formats
from lowbit.check.cast.rules import CastRule
from lowbit.check.cast.spoilt import RoughRules, lane_places, last_places
from lowbit.check.claims import Claim, Follows, Places, constant
from lowbit.check.comparison import Comparison, Rows
from lowbit.check.operation import Group, Operation, by_share, group_by_flag
from lowbit.check.stray import stray_rows
from lowbit.dut.code_files import read_codes
from lowbit.dut.prototype import conversion_prototype
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.explain import Explanation
from lowbit.oracle.cast.explain import explain as trace_of
from lowbit.policy.cast import CAST_PRESETS, Policy, get_policy
from lowbit.vectors.case import Array, Case, rows_case
from lowbit.vectors.cast.boundary import WHOLE_SOURCE_BITS, boundary
from lowbit.vectors.flags.cast import FLAGS, RANDOM, REMAINING
from lowbit.vectors.patterns import random_codes

FEW_FOLLOWED, MOST_FOLLOWED = 0.5, 0.9
"""A kernel that is right in so few answers is first tried as one of other formats, for which it has to follow rules in
most of them."""


class CastOperation(Operation):
    """A conversion between two formats, compared under one policy.

    ``policy``: the rules to compare with; ``any_nan``: whether any NaN is as good as another.
    """

    name = "convert"
    sets = ("directed", "random", "exhaustive")

    def __init__(self, source: Scalar, target: Scalar, policy: Policy, *, any_nan: bool = False) -> None:
        self.formats, self.policy, self.any_nan = (source, target), policy, any_nan
        self.source, self.target = source.id, target.id
        self.rule_name = policy_label(self.policy, target)
        self.types = {"--from": source.id, "--to": target.id}
        self.prototype = conversion_prototype(source, target)
        self.rule = CastRule(source, target, self.policy)

    def _directed(self) -> list[Case]:
        vectors = boundary(*self.formats)
        return [rows_case(vectors.codes.astype(self.formats[0].code_dtype), vectors.flags)]

    def _random(self, count: int, seed: int) -> list[Case]:
        return [rows_case(random_codes(self.formats[0], (count,), seed), RANDOM)]

    def _other_set(self, name: str) -> list[Case]:
        """All codes of a format that has few enough to be converted at once."""
        if name != "exhaustive":
            return super()._other_set(name)
        check_exhaustive_bits(self.formats[0])
        return [rows_case(all_codes(self.formats[0]), REMAINING)]

    def _read(self, path: str) -> list[Case]:
        return [rows_case(read_codes(path, self.formats[0]), RANDOM)]

    def differing(self, expected: Array, got: Array) -> NDArray[np.bool_]:
        """Which codes differ; two NaNs never do where any NaN will do."""
        return differing(expected, got, self.formats[1], any_nan=self.any_nan)

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> CastRule:
        """The policy asked for with other choices and with defects."""
        joined: dict[str, Any] = {}
        for change in changes:
            for axis, value in change.items():
                joined[axis] = (*joined.get(axis, ()), *value) if axis == "defects" else value
        return CastRule(*self.formats, self.policy.choose(**joined))

    def groups(self, comparison: Comparison) -> list[Group]:
        """By flag; inputs that carry none by what they are to the target."""
        source, target = self.formats
        flags = {int(case.flags[0]) for case in comparison.cases if case.outputs}
        if not flags <= {RANDOM, REMAINING}:
            return super().groups(comparison)
        if flags == {REMAINING} and source.bits <= WHOLE_SOURCE_BITS:
            return group_by_flag(comparison, boundary(source, target).flags)  # which lists all codes in this order
        kinds = input_kinds(comparison.operand("codes"), source, target)
        catches = {flag.name: flag.catches for flag in FLAGS.values()}
        members = {CLASS_NAMES[kind]: kinds == kind for kind in np.unique(kinds[comparison.wrong])}
        return by_share(
            Group(name, catches.get(name, ""), np.flatnonzero(comparison.wrong & own), int(np.count_nonzero(own)))
            for name, own in members.items()
        )

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Policies, and bugs that are not a policy, class by class; then what is left of each class."""
        if claims := constant(comparison):
            return claims
        good = np.flatnonzero(comparison.good)
        readings = [self._spoilt, self._as_asked, self._of_other_formats]
        if comparison.differences > FEW_FOLLOWED * len(comparison):
            readings.sort(key=lambda reading: reading == self._as_asked)  # which takes the longest where it fails
        best: list[Claim] = []
        for reading in (*readings, self._stopped):
            best = max((best, *reading(comparison, good)), key=lambda claims: (followed(claims), bool(claims)))
            enough = 1.0 if reading == self._as_asked else MOST_FOLLOWED
            if followed(best) >= enough * len(good):
                break
        return best

    def _as_asked(self, comparison: Comparison, good: Rows) -> Iterator[list[Claim]]:
        """The claims of a kernel of these formats that does nothing to its results."""
        view = View(comparison.operand("codes"), *self.formats)
        got = np.asarray(comparison.got, self.formats[1].code_dtype)
        yield list(CastClaims(self, comparison, good, self._identified(view, got, good)))

    def _spoilt(self, comparison: Comparison, good: Rows) -> Iterator[list[Claim]]:
        """The claims where something is done to the right results of a call, or some lanes have none."""
        if len(comparison.cases) > 1:
            return
        rough, got = self._rough(comparison)
        view, seen = rough.whole, ~comparison.unwritten
        if bugs := rough.result_bugs():
            right = bugs[0].undone(view, got)
            known = np.flatnonzero(bugs[0].known(view, got, seen) & ~stray_rows(right, self.formats[1]))
            claims = list(CastClaims(self, comparison, known, self._identified(view, right, known), after=bugs))
            if followed(claims) >= bugs[0].least(len(good)):
                yield claims
        yield from self._apart_from(lane_places(view, got), comparison, good)

    def _stopped(self, comparison: Comparison, good: Rows) -> Iterator[list[Claim]]:
        """The claims where all results from some place on are one and the same."""
        if len(comparison.cases) == 1:
            yield from self._apart_from(last_places(comparison.got), comparison, good)

    def _apart_from(self, places: Places | None, comparison: Comparison, good: Rows) -> Iterator[list[Claim]]:
        """The claims where the results at some places are one and the same, if the others are explained."""
        rough, got = self._rough(comparison)
        if places is None or not rough.without(places):
            return
        left = np.setdiff1d(good, places.rows(len(comparison)))
        claims = list(CastClaims(self, comparison, left, self._identified(rough.whole, got, left), apart=places))
        if followed(claims) == len(good):
            yield claims

    def _rough(self, comparison: Comparison) -> tuple[RoughRules, Array]:
        view = View(comparison.operand("codes"), *self.formats)
        got = np.asarray(comparison.got, self.formats[1].code_dtype)
        return RoughRules(view, got, ~comparison.unwritten, self.policy), got

    def _identified(self, view: View, got: Array, rows: Rows) -> Identification:
        return identify(view.codes[rows], got[rows], *self.formats, any_nan=self.any_nan)

    def _of_other_formats(self, comparison: Comparison, good: Rows) -> Iterator[list[Claim]]:
        """The claims of a kernel that converts between other formats than those asked for."""
        source, target = self.formats
        codes, got = comparison.operand("codes")[good], np.asarray(comparison.got[good], target.code_dtype)
        for pair in other_formats(codes, got, source, target):
            claims = list(CastClaims(self, comparison, good, identify(codes, got, *pair, pairs=False)))
            with_bugs = any(isinstance(claim, Follows) and claim.bugs for claim in claims)
            if not with_bugs and followed(claims) > MOST_FOLLOWED * len(good):
                yield claims

    def detail(self, case: Case, index: tuple[int, ...]) -> Explanation:
        """How the reference comes to its answer."""
        source, target = self.formats
        value = decode(int(case.arrays["codes"][index]), source)
        return trace_of(value, target, self.policy, source=source)

    def command(self, case: Case, index: tuple[int, ...]) -> str:
        """Shows the arithmetic of the conversion."""
        source, target = self.formats
        code = int(case.arrays["codes"][index])
        name, changes = nearest_preset(self.policy, target)
        options = [] if name == target.default_policy else [f"--policy {name}"]
        options += [f"--choice {change}" for change in changes]
        return " ".join(["lowbit encode", target.id, f"{source.hexadecimal(code)}@{source.id}", *options, "--explain"])


def policy_label(policy: Policy, target: Scalar) -> str:
    """The name of a preset, or the nearest one and what differs from it."""
    if policy.name:
        return policy.name
    presets = {name: get_policy(name, target).without_defects() for name in CAST_PRESETS}
    nearest, changes = _nearest(policy, presets)
    return f"{nearest} with {', '.join(changes)}" if changes else nearest


def nearest_preset(policy: Policy, target: Scalar) -> tuple[str, list[str]]:
    """The preset (without defects) that differs least, and the changes as ``axis=choice``."""
    presets = {name: get_policy(name, target) for name in CAST_PRESETS}
    return _nearest(policy, {name: preset for name, preset in presets.items() if not preset.defects})


def _nearest(policy: Policy, presets: dict[str, Policy]) -> tuple[str, list[str]]:
    name = min(presets, key=lambda name: len(policy.differences(presets[name])))
    changes = policy.differences(presets[name])
    return name, [f"{axis}={own}" for axis, (own, _) in changes.items() if axis != "defects"]
