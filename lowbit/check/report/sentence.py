"""What a device does, in a sentence that follows "your kernel": the claims of a check, put into words."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

import numpy as np

from lowbit.check import facts as f
from lowbit.check.cast.between import OnlyBetween
from lowbit.check.cast.input_classes import ZERO_INPUTS
from lowbit.check.claims import (
    AtPlaces,
    Becomes,
    Claim,
    Closest,
    Follows,
    Neighbour,
    NotWritten,
    Right,
    Stray,
    Unexplained,
    Unseen,
    explains,
)
from lowbit.check.gemm.sums import SumsInBinary32
from lowbit.check.report.values import NOT_WRITTEN, listed, spell, spell_values
from lowbit.check.result import CheckResult, Example
from lowbit.exact import NAN, format_exact
from lowbit.oracle.cast.decode import decode

FEW = 16
"""What a rule says of fewer answers is not worth a word where most follow none."""
EITHER = "a|b: cannot be told apart by these vectors"
_WORDS: Mapping[str, str] = {
    "convert": "cast",
    "gemm": "gemm",
    **dict.fromkeys(("quantize", "dequantize"), "block"),
    **dict.fromkeys(("quantize_linear", "dequantize_linear", "dynamic_quantize_linear"), "block"),
    "requantize": "requantize",
    **dict.fromkeys(("linear", "conv"), "linear"),
}


def words_of(result: CheckResult) -> ModuleType:
    """The module with the words of the result's operation: ``rule_words`` and ``example_lines``."""
    return import_module(f"lowbit.check.report.{_WORDS.get(result.operation.name, 'nonlinear')}")


def subject(result: CheckResult) -> str:
    """Who the words are about: the reader's kernel, or an installed one."""
    return "it" if result.version else "your kernel"


def sentence(result: CheckResult) -> str:
    """What the device does instead; "" where nothing differs or all is known."""
    main, left, more = clauses(result)
    return "; ".join(filter(None, [main, f"but {listed(left)}" if left else "", *more]))


def clauses(result: CheckResult) -> tuple[str, list[str], list[str]]:
    """What the device does, what is left of that, and what else there is to say."""
    if not result.claims:
        return "", [], []
    main, spoken = _main(result)
    left = [text for claim in result.claims if claim not in spoken and (text := _but(claim, result))]
    more = [text for claim in result.claims if claim not in spoken and (text := _besides(claim, result))]
    return main, left, more


def _main(result: CheckResult) -> tuple[str, list[Claim]]:
    """The first clause, and the claims that it speaks of."""
    follows = [claim for claim in result.claims if isinstance(claim, Follows)]
    if follows:
        words: str = "" if _as_asked(follows, result) else words_of(result).rule_words(follows, result.operation)
        others = [claim for claim in result.claims if explains(claim) and isinstance(claim, Becomes | AtPlaces)]
        words = ", ".join(filter(None, [words, *(_becomes(claim, result) for claim in others)]))
        spoken: list[Claim] = [*follows, *others]
        covered = sum(len(claim.rows) for claim in spoken)
        if not result.exact and 2 * covered < result.vectors:
            if neighbour := next((claim for claim in result.claims if isinstance(claim, Neighbour)), None):
                within = [claim for claim in result.claims if np.isin(claim.rows, neighbour.rows).all()]
                return "gives one of the two neighbours of every input in range, as stochastic rounding does", within
            rest = f"; in {covered:,} of {result.vectors:,} it {words}" if words and covered > FEW else ""
            return f"follows no rule that lowbit knows in most of its answers{rest}", spoken
        exact = f"{words}, and is otherwise exact{_apart(result)}" if result.exact else f"{words}{_apart(result)}"
        return exact if words else "is exact in all other answers", spoken
    first = result.claims[0]
    if isinstance(first, Becomes) and not first.name:
        return f"gives {_value(first, result)} whatever its inputs are", [first]
    if isinstance(first, Unexplained) and not first.name:
        kind = "rule" if result.operation.name == "gemm" else "scheme"
        count = _share(len(first.rows), first.total, "results")
        return f"follows no {kind} that lowbit knows: {count} differ{_facts(first.facts)}", [first]
    if sum(len(claim.rows) for claim in result.claims if isinstance(claim, Stray | NotWritten)) < result.vectors:
        return "follows no rule that these inputs could tell", []
    return f"gives no codes: {listed([_but(claim, result) for claim in result.claims])}", list(result.claims)


def _as_asked(follows: list[Follows], result: CheckResult) -> bool:
    """Whether the rule asked for is among those that the device follows, and its name says nothing more."""
    return result.operation.name != "convert" and result.operation.rule in follows[0].rules


def _apart(result: CheckResult) -> str:
    unseen = next((claim for claim in result.claims if isinstance(claim, Unseen)), None)
    return f" (calls of more than {unseen.largest_case:,} results apart)" if unseen else ""


def _but(claim: Claim, result: CheckResult) -> str:
    """What is left of the first clause; "" for claims that are worth no word."""
    count, total = f"{len(claim.rows):,}", f"{result.vectors:,}"
    target = result.operation.prototype.result
    if isinstance(claim, Unexplained):
        share = _share(len(claim.rows), claim.total, claim.name or "results")
        return f"{share} follow no rule that lowbit knows{_facts(claim.facts)}"
    if isinstance(claim, Becomes):
        share = _share(len(claim.rows), claim.total, _kind(claim))
        return f"{share} become {_value(claim, result)}, which no rule that lowbit knows asks for"
    if isinstance(claim, Right) and claim.against:
        return f"{count} of {total} answers are as asked for all the same"
    if isinstance(claim, Stray):
        if len(result.operation.prototype.outputs) > 1:
            return f"{count} of {total} answers are not codes (the low bits are right in {len(claim.right):,} of them)"
        right = f"the low {target.bits} bits are right in {len(claim.right):,} of them"
        return f"{count} of {total} answers are not codes of {target.id} ({right})"
    if isinstance(claim, NotWritten):
        verb = "was" if len(claim.rows) == 1 else "were"
        return f"{count} of {total} results {verb} {NOT_WRITTEN} (no word at their address, or an x or z in it)"
    return ""


def _share(count: int, total: int, kind: str) -> str:
    """``61 of 188 scales``, ``all 188 scales``."""
    return f"all {total:,} {kind}" if count == total > 1 else f"{count:,} of {total:,} {kind}"


def _kind(claim: Becomes) -> str:
    """The inputs that a claim speaks of: ``-0``, ``negative NaN inputs``, ``all inputs from 4 to 5 in magnitude``."""
    if claim.between is not None:
        return f"all {_interval_words(claim.between, claim.sign)}"
    if claim.name == ZERO_INPUTS:
        return {-1: "-0", 1: "0"}.get(claim.sign, claim.name)
    sign = {-1: "negative ", 1: "positive "}.get(claim.sign, "")
    return claim.name if claim.name.startswith("negative") else f"{sign}{claim.name}"


def _becomes(claim: Claim, result: CheckResult) -> str:
    """``turns all 17 negative NaN inputs into 0``; ``gives 0 for all results from the 4,097th on``."""
    if isinstance(claim, AtPlaces):
        places, value = claim.places, _value(claim, result)
        if places.period == 1:
            return f"gives {value} for all results after the first {places.first:,}"
        which = f"place{'s' if len(places.offsets) > 1 else ''} {listed([str(place) for place in places.offsets])}"
        return f"gives {value} in {which} (from 0) of each {places.period} results"
    assert isinstance(claim, Becomes)
    kind = _kind(claim)
    if claim.name not in ("", ZERO_INPUTS) or kind == ZERO_INPUTS:
        kind = f"all {claim.total:,} {kind}" if claim.total > 1 else f"the {kind.replace('inputs', 'input', 1)}"
    return f"turns {kind} into {_value(claim, result)}"


def _interval_words(between: tuple[float, float], sign: int) -> str:
    """``inputs from 4 to 5 in magnitude``, ``inputs from 4 to 5``, ``inputs from -5 to -4``."""
    low, high = (f"{end:.9g}" for end in between)
    if sign < 0:
        low, high = f"-{high}", f"-{low}"
    span = f"of {low}" if low == high else f"from {low} to {high}"
    return f"inputs {span}{'' if sign else ' in magnitude'}"


def _value(claim: Becomes | AtPlaces, result: CheckResult) -> str:
    """The number that answers are, perhaps of either sign."""
    codes = [claim.code] if isinstance(claim, AtPlaces) else np.unique(claim.codes)
    values = [decode(int(code), result.operation.prototype.result) for code in codes]
    value = "NaN" if values[0].kind == NAN else format_exact(values[0])
    return f"±{value.removeprefix('-')}" if len(values) > 1 and values[0].kind != NAN else value


def _besides(claim: Claim, result: CheckResult) -> str:
    """What is said at the end."""
    if isinstance(claim, Neighbour):
        return "every answer in range is a neighbour of its input, as stochastic rounding gives"
    if isinstance(claim, Closest):
        text: str = words_of(result).closest_words(claim, result.operation)
        return text
    return ""


def _facts(facts: tuple[f.Fact, ...]) -> str:
    right = [text for fact in facts if (text := _right_words(fact))]
    others = [_other_words(fact) for fact in facts if not _right_words(fact)]
    return "".join(
        f"; {text}" for text in [*([f"it is right wherever {' and '.join(right)}"] if right else []), *others]
    )


def _right_words(fact: f.Fact) -> str:
    if isinstance(fact, f.RightAtMultiples):
        return f"{fact.axis} is a multiple of {fact.multiple}"
    if isinstance(fact, f.RightBelow):
        return f"{fact.axis} is less than {fact.limit:,}"
    return f"{fact.name} is 0" if isinstance(fact, f.RightAtZero) else ""


def _other_words(fact: f.Fact) -> str:
    if isinstance(fact, f.OnlyInTail):
        return f"only {fact.name} after the last whole group of {fact.multiple} are wrong"
    if isinstance(fact, f.OffBy):
        if fact.low < -1 or fact.high > 1:
            return f"by {fact.low:+d} to {fact.high:+d}"
        side = "too low" if fact.high < 0 else "too high" if fact.low > 0 else "too low or too high"
        return f"by one unit at most, {side}"
    if isinstance(fact, f.OnlyAtCodes):
        codes = listed([str(code) for code in fact.codes])
        what = f"code {codes}, and always there: one entry" if len(fact.codes) == 1 else f"the codes {codes}: entries"
        return f"only at {what} of a table"
    if isinstance(fact, OnlyBetween):
        return f"they are those of all {_interval_words(fact.between, fact.sign)}"
    if isinstance(fact, SumsInBinary32):
        return "every result is a binary32 number, and right where no sum can pass 2^24: it accumulates in float"
    if isinstance(fact, f.NeverFirst):
        return "never in the first row of a call"
    return "rows whose maximum is 0 are right: the maximum is not subtracted, perhaps"


def hint(result: CheckResult) -> str:
    """What to look at first where most results differ, else ""."""
    if not result.mostly_wrong:
        return ""
    types = " and ".join(f"{option} {name}" for option, name in result.operation.types.items())
    prototype = result.operation.prototype.c("cast" if result.operation.name == "convert" else "f")
    return (
        f"more than half of the results differ: do {types} name the kernel's types? A C function has to be {prototype}"
    )


def choice_rows(result: CheckResult, *, whole: bool = False) -> list[tuple[str, str, str, bool]]:
    """(axis, choices that explain the answers, what was asked for, whether that is none of them).

    Rounding, overflow and what differs from the rule asked for; the ``whole`` table has all axes that matter.
    """
    rows = []
    for axis, values in result.choices.items():
        asked = result.asked[axis]
        if whole or asked not in values or axis in ("rounding", "overflow"):
            rows.append((axis, spell_values(values, asked), spell(asked), asked not in values))
    return rows


def choices_heading(result: CheckResult) -> str:
    """What the choices explain."""
    every = result.complete and not any(isinstance(claim, Follows) and claim.bugs for claim in result.claims)
    return f"what agrees with {'every answer' if every else 'the other answers'}"


def example_text(example: Example, result: CheckResult) -> str:
    """One difference over several lines."""
    return "\n".join(words_of(result).example_lines(example, result.operation))
