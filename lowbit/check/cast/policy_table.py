"""Which choices explain the answers of a device, beside those that were asked for."""

from __future__ import annotations

from lowbit.check.result import CheckResult

EITHER = "a|b: cannot be told apart by these vectors"


def subject(result: CheckResult) -> str:
    """Who the words are about: the reader's kernel, or an installed one."""
    return "it" if result.version else "your kernel"


def table_heading(result: CheckResult) -> str:
    """What the choices in ``policy_table`` explain."""
    return "what agrees with every answer" if result.complete else "what agrees with the other answers"


def policy_table(result: CheckResult, *, whole: bool = False) -> list[tuple[str, str, str]]:
    """(axis, choices that explain the answers, what was asked for if it is none of them).

    Rounding, overflow and what differs from the policy asked for; the ``whole`` table has all axes that matter.
    """
    rows = []
    for axis, values in result.choices.items():
        wrong = result.asked[axis] not in values.split("|")
        if whole or wrong or axis in ("rounding", "overflow"):
            rows.append((axis, values, f"(asked for: {result.asked[axis]})" if wrong else ""))
    return rows


def policy_lines(result: CheckResult) -> list[str]:
    """The table with its heading, for a report in text; nothing where nothing was found out."""
    table = policy_table(result)
    if not table:
        return []
    width, values_width = (max(len(row[index]) for row in table) for index in (0, 1))
    lines = [f"{axis:<{width}}  {values:<{values_width}}  {asked}".rstrip() for axis, values, asked in table]
    if any("|" in values for _, values, _ in table):
        lines.append(EITHER)
    return [f"{table_heading(result)}:", *(f"  {line}" for line in lines)]
