"""The format audit: what a stored tensor holds that its values do not need, and the one canonical way to store them.

A place is audited where other bits would give the same value: the sign of a zero, the payload of a NaN, codes under a
scale of zero, the scale of a block of zeros, bits beside packed codes. A kind of place in which all are canonical
carries nothing; if one is not, all of them could carry a message, and that many bits are the capacity. This finds
accidents, and messages that are hidden in the format. It cannot see what is hidden in the values themselves: low bits
of weights that use them anyway, or the shared parameters of Matryoshka (arXiv 2206.14371), which that paper trains so
as to survive such changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import SupportsFloat, SupportsInt

import numpy as np

from lowbit.files.compressed_tensors import GGML
from lowbit.format.block import WHOLE, BlockFormat, ScaleField
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import get_block_policy

KINDS: Mapping[str, str] = {
    "negative_zero": "zeros have a sign",
    "nan_payload": "NaNs are not the canonical one",
    "second_code": "codes stand for a value that a lower one has",
    "restricted_code": "codes are the lowest one, which no quantiser of the format gives: a value, so no room",
    "code_under_zero_scale": "codes under a scale of zero are not that of zero",
    "scale_of_zeros": "blocks of zeros have another scale than quantisation gives them",
    "pad_bit": "bits beside packed codes are set",
    "padding_byte": "bytes between tensors are not zero",
    "lineage": "values have bits that the declared origin cannot have given them",
    "mixed_lineage": "values have low mantissa bits, and the others of their tensors none (--lineage judges them)",
    "order": "orders of the inputs do not have each of them once",
}
"""What may be found -> in words, after `N of M`."""

RESTRICTED = frozenset({"ggml_q8_0", "ggml_q8_1", "ggml_q8_k"})
"""Formats of whose integers the lowest is not given: scales are amax / 127 (ggml-quants.c, quantize_row_q8_0_ref)."""
SMALL = 8
"""Codes of at most so many bits are looked up."""
CHUNK = 1 << 18
"""Numbers at a time, so that a step finds them in the processor's cache."""


@dataclass
class Tally:
    """Of each kind how many places are not canonical, how many there are, and how many bits they have."""

    counts: dict[str, tuple[int, int, float]] = dataclasses.field(default_factory=dict)

    def add(self, kind: str, count: SupportsInt, places: SupportsInt, bits: SupportsFloat) -> None:
        """Add some places of a kind."""
        before = self.counts.get(kind, (0, 0, 0.0))
        self.counts[kind] = (before[0] + int(count), before[1] + int(places), before[2] + float(bits))

    def join(self, others: Iterable[Tally]) -> Tally:
        """Add those of others."""
        for other in others:
            for kind, places in other.counts.items():
                self.add(kind, *places)
        return self

    @property
    def found(self) -> dict[str, tuple[int, int, float]]:
        """The kinds of which a place is not canonical."""
        return {kind: places for kind, places in self.counts.items() if places[0]}

    @property
    def capacity(self) -> float:
        """Bits that the places of these kinds could carry."""
        return sum(bits for _, _, bits in self.found.values())


@cache
def spellings(fmt: Scalar) -> tuple[Array, dict[str, Array]]:
    """Of a small format the canonical pattern of each pattern, and by the kind of finding how many mean the same.

    The canonical one is that without a sign, the canonical NaN, and otherwise the lowest.
    """
    count = 1 << fmt.bits
    canonical = np.arange(count, dtype=np.uint8)
    kinds = {kind: np.zeros(count, np.int64) for kind in ("negative_zero", "nan_payload", "second_code")}
    alike: dict[object, list[int]] = {}
    codes = set(fmt.codes)
    for pattern in (pattern for pattern in range(count) if fmt.from_pattern(pattern) in codes):
        code = fmt.from_pattern(pattern)
        word = fmt.classify(code)
        alike.setdefault(word if word in ("zero", "nan") else fmt.decode(code), []).append(pattern)
    for value, patterns in alike.items():
        nan = value == "nan" and fmt.canonical_nan is not None
        canonical[patterns] = fmt.pattern(fmt.canonical_nan or 0) if nan else patterns[0]
        kind = {"zero": "negative_zero", "nan": "nan_payload"}.get(str(value), "second_code")
        if len(patterns) > 1:
            kinds[kind][patterns] = len(patterns)
    return canonical, kinds


def patterns_of(codes: Array, fmt: Scalar) -> Array:
    """Codes as patterns of bits."""
    words = np.ascontiguousarray(codes).view(f"u{codes.dtype.itemsize}")
    return words & words.dtype.type((1 << fmt.bits) - 1) if fmt.bits < 8 * words.itemsize else words


def audit_numbers(codes: Array, fmt: Scalar) -> Tally:
    """The audit of numbers on their own: signs of zeros, payloads of NaNs, second codes of a value."""
    tally = Tally()
    if fmt.bits > SMALL:
        return tally.join(_audit_wide(part, fmt) for part in _chunks(codes, fmt))
    canonical, kinds = spellings(fmt)
    if not any(alike.any() for alike in kinds.values()):
        return tally
    counts = np.zeros(len(canonical), np.int64)
    for part in _chunks(codes, fmt):
        counts += np.bincount(part, minlength=len(canonical))
    other = canonical != np.arange(len(canonical))
    for kind, alike in kinds.items():
        here = np.where(alike > 0, counts, 0)
        tally.add(kind, here[other].sum(), here.sum(), (here * np.log2(np.maximum(alike, 1))).sum())
    return tally


def _chunks(codes: Array, fmt: Scalar) -> Iterable[Array]:
    flat = codes.reshape(-1)
    return (patterns_of(flat[at : at + CHUNK], fmt) for at in range(0, flat.size, CHUNK))


def _audit_wide(patterns: Array, fmt: Scalar) -> Tally:
    tally, sign = Tally(), _sign(fmt)
    if not sign:
        return tally
    zeros = patterns.size - np.count_nonzero(patterns & (sign - 1))
    negative = np.count_nonzero(patterns == sign) if zeros else 0
    tally.add("negative_zero", negative, zeros, zeros)
    nans = _nans(patterns, fmt)
    if nans is not None and (count := np.count_nonzero(nans)):
        other = np.count_nonzero(nans & (patterns != fmt.canonical_nan))
        tally.add("nan_payload", other, count, count * math.log2(fmt.nan_count))
    return tally


def _sign(fmt: Scalar) -> int:
    """The sign bit of a format of sign and magnitude; 0 of another one."""
    sign = 1 << (fmt.bits - 1)
    return sign if not fmt.wraps and fmt.classify(fmt.from_pattern(sign)) == "zero" else 0


def _nans(patterns: Array, fmt: Scalar) -> Array | None:
    """Where a pattern of a wide format is a NaN: beyond infinity, whatever its sign."""
    if not fmt.has_nan:
        return None
    magnitudes = patterns & (_sign(fmt) - 1)
    first = fmt.nan_ranges[0][0]
    return np.asarray(magnitudes >= first)


def canonical_numbers(codes: Array, fmt: Scalar) -> Array:
    """Numbers with the same values, each by its canonical code."""
    patterns = patterns_of(codes, fmt).reshape(codes.shape)
    if fmt.bits <= SMALL:
        if fmt.signed_codes:
            return codes  # two's complement has one pattern a value
        return np.asarray(spellings(fmt)[0][patterns]).astype(codes.dtype)
    sign = _sign(fmt)
    if not sign:
        return codes
    result = np.asarray(np.where(patterns == sign, patterns.dtype.type(0), patterns))
    nans = _nans(patterns, fmt)
    if nans is not None:
        result[nans] = fmt.canonical_nan
    return result.view(codes.dtype)


def lineage_bits(words: Array, origin: str) -> tuple[int, int]:
    """How many binary32 patterns are not values of a narrower type, and how many mantissa bits that one lacks."""
    lost = {"bfloat16": 16, "float16": 13}[origin]
    flat, others = words.reshape(-1), 0
    for at in range(0, flat.size, CHUNK):
        part = flat[at : at + CHUNK]
        low = int(np.count_nonzero(part & np.uint32((1 << lost) - 1)))
        if origin == "float16" and low < part.size:
            with np.errstate(all="ignore"):
                back = part.view(np.float32).astype(np.float16).astype(np.float32).view(np.uint32)
            low = int(np.count_nonzero(back != part))
        others += low
    return others, lost


def audit_block(tensor: BlockTensor) -> Tally:
    """The audit of a tensor in a block format, the blocks along the last axis."""
    fmt = tensor.format
    tally = audit_numbers(tensor.codes, fmt.number) if fmt.element.dimension == 1 else Tally()
    tally.join(audit_numbers(tensor.scale_codes(field.name), field.format) for field in fmt.scales)
    if fmt.id in RESTRICTED:
        tally.add("restricted_code", np.count_nonzero(tensor.codes == fmt.number.codes[0]), tensor.codes.size, 0)
    dead = _dead(tensor)
    if dead is not None:
        zero = _zero_codes(tensor)
        places = int(np.count_nonzero(dead))
        other = np.count_nonzero(dead & (tensor.codes != zero))
        tally.add("code_under_zero_scale", other, places, places * fmt.element.bits)
    for field, zeros, usual in _zero_blocks(tensor):
        places = int(np.count_nonzero(zeros))
        other = np.count_nonzero(tensor.scale_codes(field.name)[zeros] != usual)
        tally.add("scale_of_zeros", other, places, places * field.format.bits)
    return tally


def canonical_block(tensor: BlockTensor) -> BlockTensor:
    """A tensor with the same values and no finding."""
    fmt = tensor.format
    plain = fmt.element.dimension == 1
    codes = canonical_numbers(tensor.codes, fmt.number) if plain else tensor.codes
    scales = {field.name: canonical_numbers(tensor.scale_codes(field.name), field.format) for field in fmt.scales}
    dead = _dead(tensor)
    if dead is not None:
        codes = np.where(dead, _zero_codes(tensor), codes).astype(codes.dtype)
    result = BlockTensor.trusted(fmt, tensor.axis, codes, scales)
    for field, zeros, usual in _zero_blocks(result):
        scales[field.name] = np.where(zeros, usual, scales[field.name]).astype(scales[field.name].dtype)
    return BlockTensor.trusted(fmt, tensor.axis, codes, scales)


def _dead(tensor: BlockTensor) -> Array | None:
    """Where the scales make zero of every finite element, and there is one; None where they do not anywhere."""
    fmt = tensor.format
    if fmt.by_sign or fmt.element.dimension > 1:
        return None
    dead: Array | None = None
    for one in (field for field in fmt.scales if field.role in ("multiply", "super")):
        zero = field_values(tensor.scale_codes(one.name), one) == 0
        if zero.any():
            here = np.broadcast_to(spread(zero, one, tensor.shape), tensor.shape)
            if not fmt.of_role("multiply") or _scales_elements(fmt, one):
                dead = here if dead is None else dead | here
    if dead is None or fmt.number.bits > SMALL or _finite(fmt.number).all():
        return dead
    return dead & _finite(fmt.number)[patterns_of(tensor.codes, fmt.number)]


def _scales_elements(fmt: BlockFormat, factor: ScaleField) -> bool:
    """Whether elements are multiplied by a factor, or by one of its own, with nothing added in between."""
    target = factor if factor.role == "multiply" else next(field for field in fmt.scales if field.name == factor.of)
    return target.role == "multiply" and not any(other.role == "offset" for other in fmt.on_scales(target.name))


def _zero_codes(tensor: BlockTensor) -> Array:
    """The code of zero for each element, or one that broadcasts: of zero points theirs."""
    for one in tensor.format.of_role("zero_point"):
        zero = tensor.scale_codes(one.name)
        return np.broadcast_to(spread(zero, one, tensor.shape), tensor.shape).astype(tensor.codes.dtype)
    number = tensor.format.number
    zeros = np.flatnonzero(_zeros(number))
    return np.asarray(number.codes[int(zeros[0])] if zeros.size else 0, tensor.codes.dtype)


@cache
def _finite(fmt: Scalar) -> Array:
    """Which patterns of a narrow format are numbers."""
    kinds = [fmt.classify(fmt.from_pattern(pattern)) for pattern in range(1 << fmt.bits)]
    return np.array([kind not in ("nan", "infinity") for kind in kinds])


@cache
def _zeros(fmt: Scalar) -> Array:
    """Which codes of a format are zeros, in their order."""
    return np.array([fmt.classify(code) == "zero" for code in fmt.codes])


def _zero_blocks(tensor: BlockTensor) -> list[tuple[ScaleField, Array, Array]]:
    """The one scale of elements, which of its blocks have zeros alone, and the code that quantisation gives those."""
    fmt = tensor.format
    factors = [field for field in fmt.scales if field.role != "divide"]
    (one, *others) = factors
    if others or one.role != "multiply" or not one.block or WHOLE in one.block[:-1] or fmt.element.dimension > 1:
        return []
    number = fmt.number
    zeros = _zeros(number)
    live = ~zeros[tensor.codes.astype(np.int64) - number.codes[0]] if zeros.sum() > 1 else tensor.codes != 0
    blocks = ~reduced(live, one, np.logical_or)
    if not blocks.any() or zeros.sum() == 0:
        return []
    blocks &= np.isfinite(field_values(tensor.scale_codes(one.name), one))  # zero times infinity is NaN
    return [(one, blocks, usual_scale(fmt))]


@cache
def usual_scale(fmt: BlockFormat) -> Array:
    """The code of the scale of elements that a block of zeros gets beside one that is not zero."""
    factor = next(field for field in fmt.scales if field.role == "multiply")
    zero = factor.format.from_ordinal(0)  # ggml's blocks of zeros have it (ggml-quants.c: d ? 1.0f/d : 0.0f)
    if fmt.id.startswith(GGML) and factor.format.classify(zero) == "zero":
        return np.asarray(zero, factor.format.code_dtype)
    *_, rows, columns = (1, *factor.block)
    values = np.ones((2 * max(rows, 1), 2 * (columns or 1)), np.float32)
    values[: max(rows, 1)] = 0
    codes: Array = quantize(
        values, fmt, policy=replace(get_block_policy(fmt.default_policy), tail="short")
    ).scale_codes(factor.name)
    first: Array = codes.reshape(-1)[0]
    return first
