"""The candidates of an identification: every scheme, variant and width of an operation that has these types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lowbit.check.nonlinear.mutant import Bug
from lowbit.check.operation import UNDEFINED, Rule
from lowbit.errors import LowbitError
from lowbit.format.scalar import FixedFormat
from lowbit.nonlinear.scheme import Scheme, schemes
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity

WIDTHS = (4, 8, 16)
"""Results of these widths are tried beside the scheme's own."""
OVERFLOWS = ("wrap", "saturate")


@dataclass(frozen=True)
class NonlinearRule(Rule):
    """A scheme with its parameters, and perhaps a bug."""

    made: Nonlinearity
    target: FixedFormat  # of the results
    bug: Bug | None = None

    def run(self, case: Case) -> Array:
        """The results of a case as int64; ``UNDEFINED`` in rows for which the scheme is not defined."""
        run = self.bug.run if self.bug else lambda made, _, part: made.run(part.arrays["codes"], part.arrays)
        return _guarded(run, self.made, self.target, case).astype(np.int64)


def _guarded(function: object, made: Nonlinearity, target: FixedFormat, case: Case) -> Array:
    """The results; a case that is refused is done again row by row, and the rows at fault are undefined."""
    refusals = (LowbitError, ValueError, IndexError, ZeroDivisionError, OverflowError)
    try:
        return np.asarray(function(made, target, case))  # type: ignore[operator]
    except refusals:
        pass
    results = np.full(case.shape, UNDEFINED)
    if len(case.shape) == 1 or case.shape[0] == 1:
        return results
    for row in range(case.shape[0]):
        single = replace(
            case, arrays={**case.arrays, "codes": case.arrays["codes"][row : row + 1]}, shape=(1, *case.shape[1:])
        )
        try:
            results[row] = function(made, target, single)[0]  # type: ignore[operator]
        except refusals:
            continue
    return results


def candidates(asked: Nonlinearity, source: FixedFormat, target: FixedFormat) -> list[Nonlinearity]:
    """Everything that an answer may follow: the nonlinearity asked for first, then its relatives, then the others."""
    found = [asked, *(replace(asked, overflow=overflow) for overflow in OVERFLOWS)]
    own = asked.record
    records = sorted(schemes(asked.operation).values(), key=lambda record: (record != own, not record.related_to(own)))
    for record in records:
        for variant in record.variants:
            for made in _widths_of(_with_options(asked, record, variant), source, target):
                found += [replace(made, overflow=overflow) for overflow in OVERFLOWS]
    return list(dict.fromkeys(found))


def relatives(asked: Nonlinearity, found: list[Nonlinearity]) -> list[Nonlinearity]:
    """Those that differ in details only, so that rows have to be looked for that tell them apart."""
    return [made for made in found if made.record.related_to(asked.record)]


def _with_options(asked: Nonlinearity, record: Scheme, variant: str) -> list[Nonlinearity]:
    """The scheme with those of the options that it takes; all values of an option that is tried."""
    options = {name: value for name, value in asked.options if name in record.options}
    scale = asked.scale if record.needs_scale(options) else None
    made = [Nonlinearity(asked.operation, record.id, variant, scale, None, tuple(options.items()))]
    for name, values in record.trials.items():
        made = [replace(item, options=((name, value), *_without(item, name))) for item in made for value in values]
    return made


def _without(made: Nonlinearity, name: str) -> tuple[tuple[str, float | str], ...]:
    return tuple(item for item in made.options if item[0] != name)


def _widths_of(listed: list[Nonlinearity], source: FixedFormat, target: FixedFormat) -> Iterator[Nonlinearity]:
    """With the scheme's own width of the result and others, as far as they fit the target."""
    for made in listed:
        seen = set()
        for bits in dict.fromkeys((None, *WIDTHS, target.bits)):
            some = replace(made, bits=bits)
            try:
                dtype = some.result_dtype(source)
            except (LowbitError, TypeError):
                continue
            own = own_bits(some)
            if np.can_cast(dtype, target.code_dtype, "safe") and own not in seen:
                seen.add(own)
                yield some


def own_bits(made: Nonlinearity) -> int:
    """The width of the results that the scheme declares."""
    return made.widths.steps[-1].bits
