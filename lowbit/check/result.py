"""The outcome of one comparison, ready to be reported: counts, verdict, reasons, examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.classify import group_differences
from lowbit.check.cast.compare import Comparison
from lowbit.check.cast.explain import NOT_WRITTEN, explain
from lowbit.check.cast.identify import identify, looks_stochastic
from lowbit.check.cast.known import explain_known
from lowbit.check.cast.known_entry import KnownDifference
from lowbit.check.cast.stray import is_code, stray_hexadecimal, stray_rows, without_stray_bits
from lowbit.check.cast.words import choices_words, describe, spell
from lowbit.dut.container import prototype
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import PRESETS, Policy, get_policy

PASS, KNOWN, MISMATCH = "pass", "known", "MISMATCH"


@dataclass(frozen=True)
class Example:
    """One row that differs: codes in hexadecimal (or ``not written``), and the explanation."""

    input: str
    expected: str
    got: str
    text: str


@dataclass(frozen=True)
class GroupResult:
    """Rows that differ for one reason: a flag of the vectors, or a class of input."""

    name: str
    catches: str
    differences: int
    total: int
    examples: list[Example]


@dataclass(frozen=True)
class CheckResult:
    """One kernel and conversion, compared.

    Attributes
    ----------
    kernel, version, option : str
        What was compared.
    source, target : str
    policy : str
        The rules compared against, in a line.
    vectors, differences : int
    verdict : str
        ``pass``, ``known`` (all differences are published) or ``MISMATCH``.
    known : list of str
        Ids of the published differences that were met.
    words : str
        What the kernel does instead, to follow "your kernel"; "" where nothing differs or all is known.
    hint : str
        What to look at first where most results differ, else "".
    complete : bool
        Whether ``choices`` explain every answer.
    choices : dict
        Axis -> the values that explain the answers; where there are several, the inputs cannot tell them apart.
    asked : dict
        Axis -> the value that the policy asked for.
    groups : list of GroupResult
    command : str
        Shows the arithmetic of the first difference.
    """

    kernel: str
    version: str
    option: str
    source: str
    target: str
    policy: str
    vectors: int
    differences: int
    verdict: str
    known: list[str] = field(default_factory=list)
    words: str = ""
    hint: str = ""
    complete: bool = True
    choices: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    groups: list[GroupResult] = field(default_factory=list)
    command: str = ""


def conclude(
    comparison: Comparison,
    kernel: str,
    *,
    version: str = "",
    option: str = "",
    known: list[KnownDifference] | None = None,
    max_errors: int = 3,
) -> CheckResult:
    """Decide the verdict and, where there are differences that are not published, find out what the kernel does."""
    source, target, policy = comparison.source, comparison.target, comparison.policy
    facts: dict[str, Any] = {
        "kernel": kernel,
        "version": version,
        "option": option,
        "source": source.id,
        "target": target.id,
        "policy": policy_label(policy, target),
        "vectors": len(comparison),
        "differences": comparison.differences,
    }
    if not comparison.differences:
        return CheckResult(**facts, verdict=PASS)
    used, left = explain_known(comparison, known or [])
    if not len(left):
        return CheckResult(**facts, verdict=KNOWN, known=list(used))
    groups = _groups(comparison, max_errors)
    first = int(comparison.codes[left[0]])
    return CheckResult(
        **facts,
        verdict=MISMATCH,
        known=list(used),
        hint=_hint(comparison) if not version else "",
        **_identified(comparison),
        groups=groups,
        command=reproduce_command(source, target, policy, first),
    )


def _identified(comparison: Comparison) -> dict[str, Any]:
    """The rule that the kernel follows, from the answers that are there and are codes."""
    source, target = comparison.source, comparison.target
    stray = stray_rows(comparison.got, target)
    good = ~(stray | comparison.unwritten)
    codes = comparison.codes[good]
    got = np.asarray(comparison.got[good], target.code_dtype)
    facts: dict[str, Any] = {"complete": False}
    words = ""
    if len(codes):
        found = identify(codes, got, source, target, nan=comparison.nan)
        words = describe(found, comparison.policy, target)
        if found.unexplained and looks_stochastic(codes, got, source, target):
            words += "; every answer is a neighbour of its input, as stochastic rounding gives"
        choices = choices_words(found)
        asked = {axis: spell(getattr(comparison.policy, axis)) for axis in choices}
        facts = {"complete": found.complete and bool(good.all()), "choices": choices, "asked": asked}
    told = [_stray_words(comparison, stray)] if stray.any() else []
    if comparison.unwritten.any():
        told.append(unwritten_words(int(np.count_nonzero(comparison.unwritten)), len(comparison)))
    if told:
        words = f"{words}; but {' and '.join(told)}" if words else f"gives no codes: {' and '.join(told)}"
    return {"words": words, **facts}


def unwritten_words(count: int, total: int) -> str:
    """How many results are missing."""
    verb = "was" if count == 1 else "were"
    return f"{count:,} of {total:,} results {verb} {NOT_WRITTEN} (no word at their address, or an x or z in it)"


def _stray_words(comparison: Comparison, stray: NDArray[np.bool_]) -> str:
    """How many answers are no codes, and whether their low bits at least are right."""
    count = int(np.count_nonzero(stray))
    low = without_stray_bits(comparison.got[stray], comparison.target)
    right = int(np.count_nonzero(low == comparison.expected[stray]))
    bits = f"the low {comparison.target.bits} bits are right in {right:,} of them"
    return f"{count:,} of {len(comparison):,} answers are no code of {comparison.target.id} ({bits})"


def _hint(comparison: Comparison) -> str:
    if (comparison.differences - int(np.count_nonzero(comparison.unwritten))) * 2 <= len(comparison):
        return ""
    device = prototype(comparison.source, comparison.target)
    return (
        f"more than half of the results differ: do --from {comparison.source.id} and --to {comparison.target.id} name "
        f"the kernel's formats? A C function has to be {device}"
    )


def _groups(comparison: Comparison, max_errors: int) -> list[GroupResult]:
    results = []
    for group in group_differences(comparison):
        examples = [_example(comparison, int(row)) for row in group.rows[:max_errors]]
        results.append(GroupResult(group.name, group.catches, len(group.rows), group.total, examples))
    return results


def _example(comparison: Comparison, row: int) -> Example:
    source, target = comparison.source, comparison.target
    code, expected = int(comparison.codes[row]), int(comparison.expected[row])
    got = None if comparison.unwritten[row] else int(comparison.got[row])
    text = explain(source, target, comparison.policy, code, expected, got).text
    if got is None:
        given = NOT_WRITTEN
    else:
        given = target.hexadecimal(got) if is_code(got, target) else stray_hexadecimal(got, target)
    return Example(source.hexadecimal(code), target.hexadecimal(expected), given, text)


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


def reproduce_command(source: Scalar, target: Scalar, policy: Policy, code: int) -> str:
    """The command that shows the arithmetic of one conversion."""
    name, changes = nearest_preset(policy, target)
    options = [] if name == target.default_policy else [f"--policy {name}"]
    options += [f"--choice {change}" for change in changes]
    return " ".join(["lowbit encode", target.id, f"{source.hexadecimal(code)}@{source.id}", *options, "--explain"])
