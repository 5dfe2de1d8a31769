"""``lowbit check encode|decode|convert``: a conversion of codes and the policy that it follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.classify import CLASS_NAMES, input_kinds
from lowbit.check.cast.codes import all_codes, check_exhaustive_bits, random_codes
from lowbit.check.cast.identify import Identification, differing, identify
from lowbit.check.cast.input_classes import decode_inputs
from lowbit.check.cast.other_formats import other_formats
from lowbit.check.cast.rules import CastRule, reference
from lowbit.check.claims import Becomes, Claim, Follows, Neighbour, Right, Unexplained, covered_by
from lowbit.check.comparison import Comparison, Rows
from lowbit.check.operation import Group, Operation, by_share, group_by_flag
from lowbit.dut.code_files import read_codes
from lowbit.dut.prototype import conversion_prototype
from lowbit.exact import FINITE
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.explain import Explanation
from lowbit.oracle.cast.explain import explain as trace_of
from lowbit.policy.cast import PRESETS, Policy, get_policy
from lowbit.vectors.case import Array, Case, rows_case
from lowbit.vectors.cast.boundary import WHOLE_SOURCE_BITS, boundary
from lowbit.vectors.flags.cast import FLAGS, RANDOM, REMAINING

FEW_FOLLOWED, MOST_FOLLOWED = 0.5, 0.9
"""A kernel that is right in so few answers is first tried as one of other formats, for which it has to follow rules in
most of them."""


class CastOperation(Operation):
    """A conversion between two formats, compared under one policy.

    ``policy``: the rules to compare with; ``any_nan``: whether any NaN is as good as another.
    """

    name = "convert"

    def __init__(self, source: Scalar, target: Scalar, policy: Policy, *, any_nan: bool = False) -> None:
        self.formats, self.policy, self.any_nan = (source, target), policy, any_nan
        self.source, self.target = source.id, target.id
        self.rule_name = policy_label(self.policy, target)
        self.types = {"--from": source.id, "--to": target.id}
        self.prototype = conversion_prototype(source, target)
        self.rule = CastRule(source, target, self.policy)

    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """The boundary set, random codes, or all codes of a format that has few enough to be converted at once."""
        source = self.formats[0]
        if set_name == "directed":
            vectors = boundary(*self.formats)
            return [rows_case(vectors.codes.astype(source.code_dtype), vectors.flags)]
        if set_name == "random":
            return [rows_case(random_codes(source, count, seed), RANDOM)]
        if set_name != "exhaustive":
            raise self._refuse_set(set_name, ("directed", "random", "exhaustive"))
        check_exhaustive_bits(source)
        return [rows_case(all_codes(source), REMAINING)]

    def read_cases(self, path: str) -> list[Case]:
        """The codes of a file."""
        return [rows_case(read_codes(path, self.formats[0]), RANDOM)]

    def expected(self, case: Case) -> Array:
        """What the policy asked for gives."""
        return self.rule.run(case)

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
        source, target = self.formats
        good = np.flatnonzero(comparison.good)
        codes = comparison.operand("codes")[good]
        got = np.asarray(comparison.got[good], target.code_dtype)
        mostly_right = comparison.differences <= FEW_FOLLOWED * len(comparison)
        others = () if mostly_right else self._of_other_formats(comparison, good)
        if others:
            return list(others)
        found = identify(codes, got, source, target, any_nan=self.any_nan)
        claims = list(_Claims(self, comparison, good, found).all())
        if not mostly_right or _followed(claims) == len(good):
            return claims
        others = self._of_other_formats(comparison, good)
        return list(others) if _followed(others) > _followed(claims) else claims

    def _of_other_formats(self, comparison: Comparison, good: Rows) -> Sequence[Claim]:
        """The claims of a kernel that converts between other formats than those asked for; none if it does not."""
        source, target = self.formats
        codes, got = comparison.operand("codes")[good], np.asarray(comparison.got[good], target.code_dtype)
        for pair in other_formats(codes, got, source, target):
            claims = list(_Claims(self, comparison, good, identify(codes, got, *pair)).all())
            with_bugs = any(isinstance(claim, Follows) and claim.bugs for claim in claims)
            if not with_bugs and _followed(claims) > MOST_FOLLOWED * len(good):
                return claims
        return ()

    def detail(
        self, case: Case, index: tuple[int, ...], expected: int, got: int | None, claims: Sequence[Claim]
    ) -> Explanation:
        """How the reference comes to its answer."""
        del expected, got, claims
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


def _followed(claims: Sequence[Claim]) -> int:
    """How many answers rules explain."""
    return sum(len(claim.rows) for claim in claims if isinstance(claim, Follows))


class _Claims:
    """What is said of the answers, from an identification of those that are codes."""

    def __init__(self, operation: CastOperation, comparison: Comparison, good: Rows, found: Identification) -> None:
        self.operation, self.comparison, self.good, self.found = operation, comparison, good, found
        self.formats = found.source, found.target
        self.policies = found.nearest(operation.policy)

    def all(self) -> Iterator[Claim]:
        """First the rules, then what they leave."""
        covered = np.zeros(len(self.comparison), bool)
        for claim in self._rules():
            covered[claim.rows] = True
            yield claim
        left = self.comparison.good & ~covered
        wrong = left & self.comparison.wrong
        against = np.zeros(len(left), bool)
        for item in self.found.classes:
            against[self.good[item.left]] = len(item.rows) > 0
        for right, contrary in ((left & ~wrong & against, True), (left & ~wrong & ~against, False)):
            if right.any():
                yield Right(np.flatnonzero(right), contrary)
        for name in dict.fromkeys(item.group.name for item in self.found.classes):
            rows = np.sort(
                np.concatenate([self.good[item.group.rows] for item in self.found.classes if item.group.name == name])
            )
            if wrong[rows].any():
                yield self._left(name, len(rows), rows[wrong[rows]])
        neighbour = self._neighbours() if self._in_the_dark() else None
        if neighbour is not None:
            yield neighbour

    def _in_the_dark(self) -> bool:
        """Whether there are numbers of which nothing is known."""
        return any(not len(item.rows) and "rounding" in item.group.axes for item in self.found.classes)

    def _rules(self) -> Iterator[Follows]:
        for bugs in dict.fromkeys(item.bugs for item in sorted(self.found.classes, key=lambda item: bool(item.bugs))):
            classes = [item for item in self.found.classes if item.bugs == bugs and len(item.rows)]
            if not classes:
                continue
            rules = [CastRule(*self.formats, policy, bug) for policy in self.policies for bug in (bugs or (None,))]
            rows = self.good[np.sort(np.concatenate([item.rows for item in classes]))]
            where = tuple(item.group.name for item in classes) if bugs else ()
            covered = rows[covered_by(rules, self.comparison, rows)]
            if len(covered):
                yield Follows(
                    covered, rules, where, **self._choices(), other_types=self.formats != self.operation.formats
                )

    def _choices(self) -> dict[str, Mapping[str, Any]]:
        """What is left on each axis; a second rounding or a defect of some product only where it is needed."""
        values = self.found.values()
        idle = [axis for axis in ("via", "defects") if any(value in ("", ()) for value in values.get(axis, ()))]
        choices = {axis: left for axis, left in values.items() if axis not in idle}
        return {"choices": choices, "asked": {axis: getattr(self.operation.policy, axis) for axis in choices}}

    def _left(self, name: str, total: int, rows: Rows) -> Claim:
        """Wrong answers to the inputs of a class, which may be one and the same number."""
        source, target = self.operation.formats
        got = self.comparison.got[rows]
        magnitudes = got
        if not (is_nan(got, target) & (got == target.sign_bit)).any():
            magnitudes = got & ~np.asarray(target.sign_bit, got.dtype)
        if (magnitudes != magnitudes[0]).any():
            return Unexplained(rows, name, total)
        negative = decode_inputs(self.comparison.operand("codes")[rows], source).negative
        signs = np.where(negative, target.sign_bit, 0)
        for codes in (np.full_like(got, got[0]), (magnitudes | signs).astype(got.dtype)):
            if np.array_equal(codes, got):
                return Becomes(rows, name, total, codes)
        return Unexplained(rows, name, total)

    def _neighbours(self) -> Neighbour | None:
        """Whether every answer in range is one of the two neighbours of its input."""
        source, target = self.formats
        codes = self.comparison.operand("codes")

        def under(rounding: str, overflow: str) -> NDArray[Any]:
            return reference(codes, source, target, Policy(rounding=rounding, overflow=overflow))

        below, above = under("toward_zero", "saturate"), under("away_from_zero", "saturate")
        within = (decode_inputs(codes, source).kind == FINITE) & (above == under("away_from_zero", "infinity"))
        rows = np.flatnonzero(within & self.comparison.good)
        got = self.comparison.got[rows]
        if not len(rows) or not ((got == below[rows]) | (got == above[rows])).all():
            return None
        return Neighbour(rows, (below[rows], above[rows]))


def policy_label(policy: Policy, target: Scalar) -> str:
    """The name of a preset, or the nearest one and what differs from it."""
    if policy.name:
        return policy.name
    presets = {name: get_policy(name, target).without_defects() for name in PRESETS}
    nearest, changes = _nearest(policy, presets)
    return f"{nearest} with {', '.join(changes)}" if changes else nearest


def nearest_preset(policy: Policy, target: Scalar) -> tuple[str, list[str]]:
    """The preset (without defects) that differs least, and the changes as ``axis=choice``."""
    presets = {name: get_policy(name, target) for name in PRESETS}
    return _nearest(policy, {name: preset for name, preset in presets.items() if not preset.defects})


def _nearest(policy: Policy, presets: dict[str, Policy]) -> tuple[str, list[str]]:
    name = min(presets, key=lambda name: len(policy.differences(presets[name])))
    changes = policy.differences(presets[name])
    return name, [f"{axis}={own}" for axis, (own, _) in changes.items() if axis != "defects"]
