"""Bugs of nonlinearities: other rows, other results, or one intermediate of the oracle computed in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from lowbit.check.nonlinear.mutant import Bug, Change, Compute, Mutant, mutant
from lowbit.check.nonlinear.shifts import rounding_bugs
from lowbit.check.nonlinear.table_bugs import difference_bugs, table_bugs
from lowbit.check.transposed import read_transposed, written_transposed
from lowbit.format.scalar import FixedFormat
from lowbit.nonlinear.widths import Intermediate
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity


def _kernel(made: Nonlinearity, codes: Array, case: Case) -> Array:
    return made.run(codes, case.arrays).astype(np.int64)


TAILS = (4, 8, 16, 32, 64)
NARROW = (8, 16, 24, 32)
NUMERATORS = tuple((1 << power) - less for power in (15, 16, 24, 30, 31, 32) for less in (0, 1))
POWERS = range(1, 9)
DIVISORS = ("clamped_sum", "normalized", "deviation", "sum")
"""What the numerator of a reciprocal is divided by: the first of these that the scheme has."""


def nonlinear_bugs(made: Nonlinearity, source: FixedFormat) -> Iterator[Bug]:
    """Every bug that the nonlinearity can have, the likeliest first."""
    names = [step.name for step in made.widths.steps]
    if made.by_row:
        yield from _layout_bugs()
        yield from _maximum_bugs(names)
        yield from _tail_bugs(names)
        yield from difference_bugs(names)
    yield from _mean_bugs(made)
    yield from _root_mean_square_bugs(made)
    yield from rounding_bugs(made)
    yield from _reciprocal_bugs(names)
    yield from _result_bugs(source)
    yield from _width_bugs(made)
    yield from _scale_bugs(made)
    yield from table_bugs(source)


def _layout_bugs() -> Iterator[Bug]:
    def read(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        return _kernel(made, read_transposed(case.arrays["codes"]), case)

    def written(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        return written_transposed(_kernel(made, case.arrays["codes"], case))

    def columns(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        return _kernel(made, np.ascontiguousarray(case.arrays["codes"].T), case).T

    def whole(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        return _kernel(made, case.arrays["codes"].reshape(1, -1), case).reshape(case.shape)

    yield Bug("columns", "runs along the columns instead of the rows", columns)
    yield Bug("whole", "takes all rows for one", whole)
    yield Bug("read_transposed", "takes the codes for transposed: length rows of codes", read)
    yield Bug("written_transposed", "writes the results transposed", written)
    yield from _place_bugs()


def _place_bugs() -> Iterator[Bug]:
    """The right results of a row in other places of it, or not written."""

    def moved(place: Callable[[Array], Array]) -> Compute:
        return lambda made, _, case: place(_kernel(made, case.arrays["codes"], case))

    def last_cleared(results: Array) -> Array:
        return np.concatenate([results[:, :-1], np.zeros_like(results[:, -1:])], axis=1)

    def beside(results: Array, step: int) -> Array:
        moved = np.roll(results, step, axis=1)
        moved[:, 0 if step > 0 else -1] = 0
        return moved

    yield Bug("row_reversed", "writes the results of a row from the last to the first", moved(lambda r: r[:, ::-1]))
    yield Bug(
        "row_rolled",
        "writes each result of a row a place too late, the last one first",
        moved(lambda r: np.roll(r, 1, 1)),
    )
    yield Bug("row_late", "writes each result of a row a place too late, and 0 first", moved(lambda r: beside(r, 1)))
    yield Bug("row_early", "writes each result of a row a place too early, and 0 last", moved(lambda r: beside(r, -1)))
    yield Bug("last_unwritten", "writes 0 for the last code of a row", moved(last_cleared))


def _maximum_bugs(names: list[str]) -> Iterator[Bug]:
    """The maximum that is subtracted; ``distance`` has the other sign."""
    kinds: tuple[tuple[str, str, Callable[[Mutant], int]], ...] = (
        ("no_maximum", "does not subtract the row's maximum", lambda _: 0),
        ("zero_maximum", "starts the maximum at 0 instead of the lowest code", lambda m: max(0, *m.codes)),
        ("first_maximum", "subtracts the first code instead of the maximum", lambda m: m.codes[0]),
        ("call_maximum", "subtracts the maximum of the whole call instead of the row's", lambda m: max(m.everything)),
        ("late_maximum", "leaves the first code out of the maximum", lambda m: max(m.codes[1:] or m.codes)),
        ("early_maximum", "leaves the last code out of the maximum", lambda m: max(m.codes[:-1] or m.codes)),
        (
            "magnitude_maximum",
            "subtracts the largest magnitude instead of the maximum",
            lambda m: max(abs(code) for code in m.codes),
        ),
    )
    for name, words, maximum in kinds:
        if "difference" in names:
            yield mutant(name, words, {"difference": lambda _, m, top=maximum: m.code - top(m)})  # type: ignore[misc]
        if "distance" in names:
            yield mutant(name, words, {"distance": lambda _, m, top=maximum: top(m) - m.code})  # type: ignore[misc]


def _tail_bugs(names: list[str]) -> Iterator[Bug]:
    sums = [name for name in ("sum", "sum_of_squares") if name in names]

    def kept(first: int, stop: Callable[[int], int], name: str) -> Change:
        def change(value: int, m: Mutant) -> int:
            inside = first <= m.element < stop(len(m.codes))
            before = m.last.get(name, 0) if m.element > 0 else 0
            return value if inside else before

        return change

    def bugs(name: str, words: str, first: int, stop: Callable[[int], int]) -> Iterator[Bug]:
        yield mutant(name, words, {key: kept(first, stop, key) for key in sums})
        for key in sums if len(sums) > 1 else ():
            what = f"{words} to the {key.replace('_', ' ')}"
            yield mutant(f"{name}_{key}", what, {key: kept(first, stop, key)})

    if sums:
        for step in TAILS:
            words = f"drops the tail of a row: only whole groups of {step} codes are added"
            yield from bugs(f"tail_{step}", words, 0, lambda length, step=step: length - length % step)  # type: ignore[misc]
        yield from bugs("last", "drops the last code of a row: it is not added", 0, lambda length: length - 1)
        yield from bugs("first", "drops the first code of a row: it is not added", 1, lambda length: length)
    for step in TAILS:

        def padded(made: Nonlinearity, _: FixedFormat, case: Case, step: int = step) -> Array:
            codes = case.arrays["codes"]
            length = codes.shape[1]
            wide = np.pad(codes, ((0, 0), (0, -length % step)))
            return _kernel(made, wide, case)[:, :length]

        def unfinished(made: Nonlinearity, _: FixedFormat, case: Case, step: int = step) -> Array:
            results = _kernel(made, case.arrays["codes"], case)
            results[:, case.shape[1] - case.shape[1] % step :] = 0
            return results

        yield Bug(f"padded_{step}", f"counts zeros that fill rows up to groups of {step} codes", padded)
        yield Bug(f"unfinished_{step}", f"writes zeros beyond the last whole group of {step} codes", unfinished)


def _mean_bugs(made: Nonlinearity) -> Iterator[Bug]:
    """``centred`` is a code less the rounded mean, or n times the code less the sum."""
    if made.record.mean == "times_length":
        yield mutant("no_mean", "does not subtract the mean", {"centred": lambda _, m: m.code * len(m.codes)})
    if made.record.mean != "rounded":
        return
    means: tuple[tuple[str, str, Callable[[int, int], int]], ...] = (
        ("no_mean", "does not subtract the mean", lambda _, __: 0),
        ("mean_down", "rounds the mean down", lambda total, length: total // length),
        ("mean_half_up", "rounds the mean half up", lambda total, length: (2 * total + length) // (2 * length)),
        ("mean_to_zero", "rounds the mean toward zero", lambda total, n: abs(total) // n * (1 if total > 0 else -1)),
    )
    for name, words, mean in means:
        yield mutant(name, words, {"centred": lambda _, m, mean=mean: m.code - mean(m.last["sum"], len(m.codes))})  # type: ignore[misc]


def _root_mean_square_bugs(made: Nonlinearity) -> Iterator[Bug]:
    """RMSNorm taken for another normalisation."""
    if made.operation != "rmsnorm":
        return
    other = replace(made, operation="layernorm")
    words = "subtracts the mean first, as LayerNorm does"
    yield Bug("mean", words, lambda _, __, case: _kernel(other, case.arrays["codes"], case))


def _reciprocal_bugs(names: list[str]) -> Iterator[Bug]:
    """``factor`` is a numerator over the sum, or over the deviation."""
    if "factor" not in names:
        return

    def factor(numerator: int) -> Change:
        return lambda _, m: numerator // next(m.last[name] for name in DIVISORS if name in m.last)

    what = "deviation" if "deviation" in names else "sum"
    for numerator in NUMERATORS:
        power = (numerator + 1).bit_length() - 1
        spelled = f"2^{power}" if numerator == 1 << power else f"2^{power} - 1"
        yield mutant(f"numerator_{numerator}", f"divides {spelled} by the {what}", {"factor": factor(numerator)})


def _width_bugs(made: Nonlinearity) -> Iterator[Bug]:
    for step in made.widths.steps[:-1]:
        for bits in NARROW:
            for signed in (True, False):
                if bits > step.bits or (bits == step.bits and signed == step.signed):
                    continue
                narrow = Intermediate(step.name, bits, signed)
                kind = "signed" if signed else "unsigned"
                what = f"the {step.name.replace('_', ' ')} in {bits} bits ({kind})"
                yield mutant(
                    f"{step.name}_{kind}_{bits}_wraps",
                    f"keeps {what}, where it wraps",
                    {step.name: lambda value, _, narrow=narrow: narrow.wrapped(value)},  # type: ignore[misc]
                )
                yield mutant(
                    f"{step.name}_{kind}_{bits}_saturates",
                    f"keeps {what}, where it saturates",
                    {step.name: lambda value, _, narrow=narrow: min(max(value, narrow.low), narrow.high)},  # type: ignore[misc]
                )


def _scale_bugs(made: Nonlinearity) -> Iterator[Bug]:
    if made.scale is not None:
        for factor in (2.0, 0.5, 4.0, 0.25):
            scaled = replace(made, scale=made.scale * factor)
            yield Bug(
                f"scale_{factor:g}",
                f"takes {made.scale * factor:g} for the scale",
                lambda _, __, case, scaled=scaled: _kernel(scaled, case.arrays["codes"], case),  # type: ignore[misc]
            )
    for name, _ in made.options:
        fewer = replace(made, options=tuple(item for item in made.options if item[0] != name))
        yield Bug(
            f"no_{name}",
            f"ignores {name.replace('_', ' ')}",
            lambda _, __, case, fewer=fewer: _kernel(fewer, case.arrays["codes"], case),  # type: ignore[misc]
        )


def _result_bugs(source: FixedFormat) -> Iterator[Bug]:
    def of(finish: Callable[[Array], Array]) -> Compute:
        def run(made: Nonlinearity, target: FixedFormat, case: Case) -> Array:
            results = finish(_kernel(made, case.arrays["codes"], case))
            half = 1 << (target.bits - 1) if target.signed else 0
            return results if target.bits > 32 else ((results + half) & ((1 << target.bits) - 1)) - half

        return run

    def other_sign(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        codes = case.arrays["codes"].astype(np.int64)
        span = 1 << source.bits
        return _kernel(made, np.where(codes < 0, codes + span, np.where(codes >= span // 2, codes - span, codes)), case)

    taken = "unsigned" if source.signed else "signed"
    yield Bug("signedness", f"takes the codes for {taken}", other_sign)
    yield Bug("negated", "negates the results", of(lambda results: -results))
    yield Bug("mirrored", "inverts the bits of the results", of(lambda results: ~results))
    yield Bug("rectified", "gives no negative results", of(lambda results: np.maximum(results, 0)))
    yield Bug("magnitude", "loses the sign of the results", of(np.abs))
    yield Bug("cleared_bit", "clears the lowest bit of the results", of(lambda results: results & ~1))
    for power in POWERS:
        yield Bug(f"times_{power}", f"gives results {1 << power} times as large", of(lambda r, p=power: r << p))  # type: ignore[misc]
        yield Bug(f"over_{power}", f"gives results shifted right by {power}", of(lambda r, p=power: r >> p))  # type: ignore[misc]
        yield Bug(
            f"rounded_over_{power}",
            f"gives results divided by {1 << power}, rounded half up",
            of(lambda r, p=power: (r + (1 << (p - 1))) >> p),  # type: ignore[misc]
        )
    for offset in (1, -1, 128, -128, 1 << 15, -(1 << 15)):
        yield Bug(f"offset_{offset}", f"adds {offset} to the results", of(lambda r, o=offset: r + o))  # type: ignore[misc]
