"""What a check says of answers that are there already, and whether it is true of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lowbit.check.cast.between import inputs_between
from lowbit.check.cast.input_classes import decode_inputs, input_classes
from lowbit.check.claims import (
    AtPlaces,
    Becomes,
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
from lowbit.check.comparison import compare
from lowbit.check.run import answered, conclude
from lowbit.check.stray import without_stray_bits

MOST_RULES = 4


def compared(operation, cases, got):
    """Answers beside the reference's."""
    return compare(operation, cases, got, [operation.expected(case) for case in cases])


def concluded(operation, cases, got, **settings):
    """The result of a check whose answers are these; every claim of it is replayed."""
    comparison = compared(operation, cases, got)
    result = conclude("kernel", comparison, **settings)
    require_true(result, comparison)
    return result


def checked(device, operation, cases, **settings):
    """The result of a check of a device; every claim of it is replayed."""
    comparison = answered(device, operation, cases)
    result = conclude(device.name, comparison, **settings)
    require_true(result, comparison)
    return result


def rules_of(claims):
    """The rules that answers are said to follow."""
    return [rule for claim in claims if isinstance(claim, Follows) for rule in claim.rules]


def foretold(claim, comparison):
    """What each reading of a claim foretells for its answers; nothing where it only counts them."""
    match claim:
        case Follows():
            return [comparison.by_rule(rule, claim.rows) for rule in claim.rules]
        case Closest():
            return [comparison.by_rule(claim.rule, claim.rows)]
        case Becomes():
            return [claim.codes]
        case AtPlaces():
            return [np.full(len(claim.rows), claim.code)]
        case Right():
            return [comparison.expected[claim.rows]]
        case Neighbour():
            below, above = claim.neighbours
            return [np.where(comparison.got[claim.rows] == above, above, below)]
        case Unexplained() | Stray() | Unseen() | NotWritten():
            return []
    raise AssertionError(f"nobody knows what {claim} foretells")


def some_rules(claim):
    """The claim with the first of its rules and some of the others, of which there may be hundreds."""
    if not isinstance(claim, Follows) or len(claim.rules) <= MOST_RULES:
        return claim
    return replace(claim, rules=claim.rules[:: -(-len(claim.rules) // MOST_RULES)])


def _of_kind(claim, comparison):
    """The answers to all inputs of the kind that a claim speaks of."""
    source, target = comparison.operation.formats
    if claim.between is not None:
        inside = inputs_between(comparison, claim.between, claim.sign)
        assert len(np.unique(comparison.got[inside] & ~np.asarray(target.sign_bit, comparison.got.dtype))) == 1
        return np.intersect1d(inside, claim.rows)
    inputs = decode_inputs(comparison.operand("codes"), source)
    kinds = [group.rows for group in input_classes(inputs, source, target) if group.name == claim.name]
    rows = np.concatenate(kinds)
    wanted = {0: np.ones(len(rows), bool), -1: inputs.negative[rows], 1: ~inputs.negative[rows]}[claim.sign]
    return np.intersect1d(rows[wanted], np.flatnonzero(comparison.good))


def require_true(result, comparison):
    """Replay every claim over the answers that it covers: what it foretells is what was given."""
    operation = comparison.operation
    spoken = np.zeros(len(comparison), int)
    for claim in result.claims:
        got = comparison.got[claim.rows]
        for answers in foretold(claim, comparison):
            assert not operation.differing(answers, got).any(), claim
        if isinstance(claim, Follows):
            assert len(claim.rows), "a rule that explains nothing"
            assert all(rule.bug is None or rule.bug in claim.bugs for rule in claim.rules)
        if isinstance(claim, Becomes) and claim.whole:
            assert len(_of_kind(claim, comparison)) == len(claim.rows)
        if isinstance(claim, AtPlaces):
            rows = claim.places.rows(len(comparison))
            assert np.array_equal(rows[comparison.good[rows]], claim.rows)
        if isinstance(claim, Unexplained):
            assert comparison.wrong[claim.rows].all(), "a right answer is called wrong"
            assert all(fact.holds(comparison) for fact in claim.facts)
        if isinstance(claim, Right):
            assert not comparison.wrong[claim.rows].any()
        if isinstance(claim, Stray):
            low = without_stray_bits(comparison.got[claim.right], operation.prototype.result)
            assert np.array_equal(low, comparison.expected[claim.right])
        if isinstance(claim, Follows | Unexplained | Right | Stray | NotWritten | Unseen):
            spoken[claim.rows] += 1
    assert result.complete == all(map(explains, result.claims)) or not result.claims
    if result.complete:  # "and is otherwise exact": what is foretold is every answer
        told = [claim.rows for claim in result.claims]
        assert np.array_equal(np.unique(np.concatenate(told)), np.arange(len(comparison)))
    return spoken
