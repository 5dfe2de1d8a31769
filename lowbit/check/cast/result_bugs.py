"""Bugs of the results of a conversion, whatever its rule: their sign, their bytes, their places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.conversion import Codes, Mask, View
from lowbit.check.operation import Bug

Places = NDArray[np.intp]
GROUPS = (2, 4, 8, 16, 32)


class ResultBug(Bug, ABC):
    """What is done to the right results of a call, so that it can be undone before a rule is looked for."""

    @abstractmethod
    def on(self, view: View, results: Codes) -> Codes:
        """What comes out of the right results of some inputs."""

    @abstractmethod
    def undone(self, view: View, got: Codes) -> Codes:
        """The right results of what came out."""

    def places(self, rows: Places) -> Places:
        """Where the results of some inputs come out, in order."""
        return rows

    def least(self, count: int) -> int:
        """Of that many answers, those that have to be explained for the bug to be worth a word."""
        return count // 2

    @abstractmethod
    def known(self, view: View, got: Codes, good: Mask) -> Mask:
        """Which of them can be told; ``good``: which answers are results."""


@dataclass(frozen=True)
class CodeBug(ResultBug):
    """Each result is changed by itself."""

    spoil: Callable[[View, Codes], Codes]  # (inputs, right results) -> what comes out
    restore: Callable[[View, Codes], Codes]  # (inputs, what came out) -> the right results
    told: Callable[[View, Codes], Mask] = lambda _, codes: np.ones(codes.shape, bool)  # where ``restore`` is sure

    def on(self, view: View, results: Codes) -> Codes:
        """What comes out of the right results of some inputs."""
        return self.spoil(view, results)

    def undone(self, view: View, got: Codes) -> Codes:
        """The right results of what came out."""
        return self.restore(view, got).astype(got.dtype)

    def known(self, view: View, got: Codes, good: Mask) -> Mask:
        """Which of them can be told."""
        return good & self.told(view, got)


@dataclass(frozen=True, eq=False)
class PlaceBug(ResultBug):
    """Each place has the result of another input of the call, or 0 where that is outside it."""

    come_from: Places

    @property
    def _inside(self) -> Mask:
        return (self.come_from >= 0) & (self.come_from < len(self.come_from))

    def on(self, view: View, results: Codes) -> Codes:
        """What comes out of the right results of a call."""
        del view
        inside = self._inside
        return np.where(inside, results[np.where(inside, self.come_from, 0)], results.dtype.type(0))

    def places(self, rows: Places) -> Places:
        """Where the results of some inputs come out, in order."""
        return np.flatnonzero(np.isin(self.come_from, rows))

    def least(self, count: int) -> int:
        """All but those that come from outside the call: neighbouring inputs often have the same result."""
        return count - int(np.count_nonzero(~self._inside))

    def undone(self, view: View, got: Codes) -> Codes:
        """The right results of what came out."""
        del view
        right = np.zeros_like(got)
        right[self.come_from[self._inside]] = got[self._inside]
        return right

    def known(self, view: View, got: Codes, good: Mask) -> Mask:
        """Which of them came out somewhere."""
        del got
        return self.undone(view, good)


def result_bugs(view: View) -> Iterator[ResultBug]:
    """Those that the results of a conversion can have, the likeliest first."""
    target = view.target
    if target.signed and not target.listed:
        yield from _integer_sign_bugs(target.bits) if target.wraps else _float_sign_bugs(target.sign_bit)
        yield from _negative_code_bugs(target.bits) if target.wraps else ()
    if np.dtype(target.code_dtype).itemsize > 1 and target.bits == 8 * np.dtype(target.code_dtype).itemsize:
        swapped = _of_codes(lambda codes: codes.byteswap())
        yield CodeBug("bytes_swapped", "writes the bytes of each result in the other order", swapped, swapped)
    container = 8 * np.dtype(target.code_dtype).itemsize
    yield from _misplaced_bit_bugs(target.bits, container, signed_codes=target.signed_codes)
    yield from _place_bugs(len(view.codes))


def _of_codes(change: Callable[[Codes], Codes]) -> Callable[[View, Codes], Codes]:
    """A change of results, whatever the inputs."""
    return lambda _, codes: np.asarray(change(codes))


def _of_numbers(change: Callable[[Codes], Codes]) -> Callable[[View, Codes], Codes]:
    """A change of results of an integer format, as int64."""
    return _of_codes(lambda codes: change(codes.astype(np.int64)))


def _misplaced_bit_bugs(bits: int, container: int, *, signed_codes: bool) -> Iterator[CodeBug]:
    """Codes that do not stand in the low bits of their containers."""
    spare, sign, top = container - bits, 1 << (bits - 1), 1 << (container - 1)
    high = _of_codes(lambda codes: codes << codes.dtype.type(spare))
    low = _of_codes(lambda codes: codes >> codes.dtype.type(spare))
    apart = _of_codes(lambda codes: np.where(codes & sign, (codes ^ sign) | top, codes))
    together = _of_codes(lambda codes: np.where(codes & top, (codes & (sign - 1)) | sign, codes & (sign - 1)))
    if spare:
        yield CodeBug("high_bits", f"leaves each code in the high {bits} bits of its container", high, low)
        if not signed_codes:
            yield CodeBug(
                "sign_in_top", "leaves the sign of each code in the top bit of its container", apart, together
            )


def _float_sign_bugs(sign: int) -> Iterator[ResultBug]:
    without = _of_codes(lambda codes: codes & ~codes.dtype.type(sign))
    with_sign = _of_codes(lambda codes: codes | codes.dtype.type(sign))
    other = _of_codes(lambda codes: codes ^ codes.dtype.type(sign))

    def of_input(view: View, codes: Codes) -> Codes:
        signs = np.where(view.inputs.negative, sign, 0)
        return np.asarray((codes & ~codes.dtype.type(sign)) | signs.astype(codes.dtype))

    def told(view: View, codes: Codes) -> Mask:
        """Where no zero of a format without -0 is lost."""
        if view.target.canonical_nan != sign:
            return np.ones(codes.shape, bool)
        return np.asarray(codes & ~codes.dtype.type(sign) != 0)

    yield CodeBug("sign_dropped", "drops the sign of every result", without, of_input, told)
    yield CodeBug("sign_flipped", "flips the sign of every result", other, other)
    yield CodeBug("sign_set", "sets the sign of every result", with_sign, of_input, told)


def _integer_sign_bugs(bits: int) -> Iterator[ResultBug]:
    half = 1 << (bits - 1)
    magnitude = _of_numbers(lambda numbers: np.minimum(np.abs(numbers), half - 1))
    negated = _of_numbers(lambda numbers: np.clip(-numbers, -half, half - 1))
    wrapped = _of_numbers(lambda numbers: np.where(numbers == -half, numbers, -numbers))
    biased = _of_numbers(lambda numbers: numbers + np.where(numbers < 0, half, -half))
    low_bits = _of_numbers(lambda numbers: numbers & (half - 1))

    def of_input(view: View, codes: Codes) -> Codes:
        return np.where(view.inputs.negative, -codes.astype(np.int64), codes)

    def inside(view: View, codes: Codes) -> Mask:
        """Where the lowest code is not a case of its own."""
        return np.asarray(np.abs(codes.astype(np.int64)) < half - 1) | ~view.inputs.negative

    def extended(view: View, codes: Codes) -> Codes:
        return codes.astype(np.int64) - np.where(view.inputs.negative & (codes != 0), half, 0)

    yield CodeBug("magnitude", "gives the magnitude of every result, without its sign", magnitude, of_input, inside)
    yield CodeBug("negated", "negates every result", negated, negated, inside)
    yield CodeBug("negated_wraps", "negates every result", wrapped, wrapped)
    words = f"flips the top bit of every result, as for unsigned codes with a zero point of {half}"
    yield CodeBug("top_bit_flipped", words, biased, biased)
    words = "clears the top bit of every result, which is its sign"
    yield CodeBug(
        "top_bit_dropped", words, low_bits, extended, lambda view, codes: ~view.inputs.negative | (codes != 0)
    )


def _negative_code_bugs(bits: int) -> Iterator[ResultBug]:
    """Negative results in other codes than two's complement; one of these codes may be that of two results."""
    half = 1 << (bits - 1)
    kinds: tuple[tuple[str, str, Callable[[Codes], Codes], Callable[[Codes], Codes], int], ...] = (
        ("magnitudes", "as sign and magnitude", lambda c: np.minimum(-c, half - 1) - half, lambda c: -half - c, -1),
        ("ones_complement", "in one's complement", lambda c: np.maximum(c - 1, -half), lambda c: c + 1, -half),
    )
    for name, how, change, restore, doubtful in kinds:
        yield CodeBug(
            name,
            f"codes negative results {how}",
            _of_negatives(change),
            _of_negatives(restore),
            lambda _, codes, doubtful=doubtful: np.asarray(codes != doubtful),  # type: ignore[misc]
        )


def _of_negatives(change: Callable[[Codes], Codes]) -> Callable[[View, Codes], Codes]:
    return _of_numbers(lambda numbers: np.where(numbers < 0, change(numbers), numbers))


def _place_bugs(count: int) -> Iterator[PlaceBug]:
    """The right results in other places; ``count``: those of the call."""
    places = np.arange(count)
    for step in (1, -1, 2, -2, 3, -3):
        distance = "a place" if abs(step) == 1 else f"{abs(step)} places"
        side = "late" if step > 0 else "early"
        yield PlaceBug(f"{side}_{abs(step)}", f"writes each result {distance} too {side}", places - step)
    for group in GROUPS:
        first = places // group * group
        turned = 2 * first + group - 1 - places
        each = "each pair" if group == 2 else f"each {group}"
        words = f"swaps the results of {each}" if group == 2 else f"writes the results of {each} the other way round"
        yield PlaceBug(f"turned_{group}", words, np.where(turned < count, turned, places))
        yield PlaceBug(f"first_of_{group}", f"writes the first result of {each} for all of them", first)
    yield PlaceBug("reversed", "writes the results of a call from the last to the first", places[::-1])
