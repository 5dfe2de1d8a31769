"""ggml's K-quants, IQ4 and Q8_K, a super-block at a time, step by step in binary32.

After ``quantize_row_*_ref`` and, with importance, ``quantize_row_*_impl`` of ggml-quants.c, whose structs are not made
here: a code is what dequantisation reads of the byte that it is stored in.
Source: https://github.com/ggml-org/ggml at d99724f, src/ggml-quants.c.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lowbit.errors import InputError
from lowbit.exact import Exact
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic.binary32 import Binary32
from lowbit.oracle.block.ggml_searches import (
    ONE,
    SMALLEST,
    ZERO,
    Numbers,
    affine,
    by_moves,
    factor,
    first_peak,
    from_table,
    in_order,
    limited,
    nearest_element,
    nearest_int,
    symmetric,
)
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy

Block = dict[str, list[int]]
"""The codes of a super-block by the name of the field, those of the elements under "codes"."""

Weights = Numbers | None
"""The importance of the values of a super-block, or None."""

BINARY16_NAN = 0xFE00
"""The NaN that x86 makes of an invalid operation, in binary16."""


def quantize(
    values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy, importance: Sequence[Exact] | None
) -> tuple[list[int], dict[str, list[int]]]:
    """Codes and scales of a tensor in C order, the axis of the blocks last, where it is one that ggml searches for.

    Raises
    ------
    InputError
        A value is not finite in binary32, or ggml has no search for the format.
    """
    by_rows = _ROW_RUNS if importance is not None else {}
    run = ({**_RUNS, **by_rows} if policy.search == "ggml" else _FIRST_RUNS).get(fmt.id)
    if run is None:
        raise InputError(f"{fmt.id}: search = {policy.search!r} is not for this format")
    numbers, length = [_number(value) for value in values], shape[-1] if fmt.id in by_rows else fmt.block[0]
    bad = next((place for place, number in enumerate(numbers) if not math.isfinite(number)), None)
    if bad is not None:
        raise InputError(f"{fmt.id}: value {bad} is not finite in binary32")
    columns = None if importance is None else [_number(weight) for weight in importance]
    fields: Block = {name: [] for name in ("codes", *(field.name for field in fmt.scales))}
    for start in range(0, len(numbers), length):
        column = start % shape[-1]
        own = None if columns is None else columns[column : column + length]
        for name, codes in run(numbers[start : start + length], own).items():
            fields[name] += codes
    return fields.pop("codes"), fields


def _number(value: Exact) -> Binary32:
    """A number that binary64 holds, with its sign where it is 0, rounded to binary32."""
    number = float(value.fraction()) if value.kind == 0 else math.inf
    return Binary32(math.copysign(number, -1.0 if value.negative else 1.0))


def _runs(x: Numbers, length: int) -> list[Numbers]:
    return [x[start : start + length] for start in range(0, len(x), length)]


def _binary16(number: Binary32) -> int:
    """The code of the nearest number of binary16."""
    if math.isnan(number):
        return BINARY16_NAN
    try:
        packed = struct.pack("<e", number)
    except OverflowError:
        packed = struct.pack("<e", math.copysign(math.inf, number))
    return int.from_bytes(packed, "little")


def _of_binary16(code: int) -> Binary32:
    return Binary32(struct.unpack("<e", code.to_bytes(2, "little"))[0])


def _mean_square(x: Numbers, times: int) -> Binary32:
    return in_order([number * number for number in x]) * times / Binary32(len(x))


def _weights(x: Numbers, importance: Numbers, sigma: Binary32) -> list[Binary32]:
    return [weight * (sigma + number * number).sqrt() for number, weight in zip(x, importance, strict=True)]


def _encoded(x: Numbers, minimum: Binary32, scale: Binary32, ends: tuple[int, int], kept: list[int]) -> list[int]:
    """Codes by a scale as it is stored; what the search gave where that is 0."""
    return [limited(nearest_int((number + minimum) / scale), *ends) for number in x] if scale else kept


def _affine(most: int, most_scale: int, length: int, trials: tuple[float, float, int]) -> Callable[..., Block]:
    """Q2_K, Q4_K, Q5_K. Q2_K keeps a scale and a minimum in one byte, and without importance looks at magnitudes."""
    nibbles = most_scale < 16

    def run(x: Numbers, importance: Weights) -> Block:
        blocks, every = _runs(x, length), []
        if importance is None:
            every = [[abs(number) for number in block] for block in blocks]
            if not nibbles:
                roots = [_mean_square(block, 1).sqrt() for block in blocks]
                every = [[root + size for size in sizes] for root, sizes in zip(roots, every, strict=True)]
        else:
            sigma = _mean_square(x, 1 if nibbles else 2)
            every = [_weights(block, own, sigma) for block, own in zip(blocks, _runs(importance, length), strict=True)]
        of_trials, absolute = (trials, nibbles) if importance is None else ((-0.9, 0.05, 36), False)
        parts = [affine(block, w, most, of_trials, absolute=absolute) for block, w in zip(blocks, every, strict=True)]
        scales, minima, kept = zip(*parts, strict=True)
        sums = [in_order(w) for w in every]
        pairs = []
        for each in (scales, minima):
            if importance is None:
                top = max([ZERO, *(number for number in each if number > 0)])
                inverse = Binary32(most_scale) / top if top > 0 else ZERO
                pairs.append((top / Binary32(most_scale), [nearest_int(inverse * number) & 0xFF for number in each]))
            else:
                pairs.append(factor(each, sums, most_scale))
        codes = [[min(most_scale, code) for code in pair[1]] for pair in pairs]
        if nibbles:
            octets = [code | (other << 4 & 0xFF) for code, other in zip(pairs[0][1], pairs[1][1], strict=True)]
            codes = [[octet & 0xF for octet in octets], [octet >> 4 for octet in octets]]
        halves = [_binary16(pair[0]) for pair in pairs]
        d, m = ([_of_binary16(half) * code for code in each] for half, each in zip(halves, codes, strict=True))
        elements = [
            code
            for block, minimum, scale, own in zip(blocks, m, d, kept, strict=True)
            for code in _encoded(block, minimum, scale, (0, most), own)
        ]
        return {"codes": elements, "block": codes[0], "super": halves[:1], "min": codes[1], "super_min": halves[1:]}

    return run


def _signed_byte(code: int) -> int:
    return (code + 128) % 256 - 128


def _q3_k(x: Numbers, importance: Weights) -> Block:
    blocks = _runs(x, 16)
    if importance is None:
        parts = [by_moves(block, 4) for block in blocks]
        scales = [scale for scale, _ in parts]
        peak = first_peak(scales)
        inverse = Binary32(-32) / peak
        codes = [limited(_signed_byte(nearest_int(inverse * scale)), -32, 31) if peak else -32 for scale in scales]
        d = ONE / inverse if peak else ZERO
    else:
        sigma = _mean_square(x, 2)
        weights = [_weights(block, own, sigma) for block, own in zip(blocks, _runs(importance, 16), strict=True)]
        parts = [symmetric(block, w, 4) for block, w in zip(blocks, weights, strict=True)]
        d, codes = symmetric([scale for scale, _ in parts], [in_order(w) for w in weights], 32)
    return _with_scales(blocks, [kept for _, kept in parts], d, codes, 4)


def _q6_k(x: Numbers, importance: Weights) -> Block:
    blocks = _runs(x, 16)
    weights = _runs([number * number for number in x] if importance is None else importance, 16)
    parts = [symmetric(block, w, 32) for block, w in zip(blocks, weights, strict=True)]
    peak = first_peak([scale for scale, _ in parts])
    if abs(peak) < SMALLEST:
        return {"codes": [-32] * len(x), "block": [0] * len(blocks), "super": [0]}
    inverse = Binary32(-128) / peak
    codes = [_signed_byte(min(127, nearest_int(inverse * scale))) for scale, _ in parts]
    return _with_scales(blocks, [kept for _, kept in parts], ONE / inverse, codes, 32)


def _with_scales(blocks: list[Numbers], kept: list[list[int]], d: Binary32, scales: list[int], half: int) -> Block:
    stored = _binary16(d)
    used = [_of_binary16(stored) * code for code in scales]
    parts = [
        _encoded(block, ZERO, scale, (-half, half - 1), own)
        for block, scale, own in zip(blocks, used, kept, strict=True)
    ]
    return {"codes": [code for part in parts for code in part], "block": scales, "super": [stored]}


def _from_table(length: int, tries: int = 7) -> Callable[..., Block]:
    """IQ4_NL, of 32, and IQ4_XS, of 256."""

    def run(x: Numbers, importance: Weights) -> Block:
        elements = scalar_format("ggml_nl4")
        table = [int(decode(code, elements).fraction()) for code in elements.codes]
        blocks = _runs(x, 32)
        if importance is None:
            weights = [[number * number for number in block] for block in blocks]
        else:
            sigma = in_order([number * number for number in x]) * Binary32(2 / length)
            weights = [_weights(block, own, sigma) for block, own in zip(blocks, _runs(importance, 32), strict=True)]
        parts = [from_table(block, w, table, tries) for block, w in zip(blocks, weights, strict=True)]
        scales = [scale for scale, _ in parts]
        fields: Block = {"block": [_binary16(scales[0])]}
        if length > 32:
            d = -first_peak(scales) / Binary32(32)
            inverse = ONE / d if d else ZERO
            codes = [limited(nearest_int(inverse * scale), -32, 31) for scale in scales]
            scales, fields = [d * code for code in codes], {"block": codes, "super": [_binary16(d)]}
        inverses = [inverse for _, inverse in parts] if not tries else [ONE / d if d else ZERO for d in scales]
        pairs = zip(blocks, inverses, strict=True)
        return {"codes": [nearest_element(own * number, table) for block, own in pairs for number in block]} | fields

    return run


def _q8_k(x: Numbers, _: Weights) -> Block:
    peak = first_peak(x)
    if not peak:
        return {"codes": [0] * len(x), "block": [0], "sums": [0] * (len(x) // 16)}
    inverse = Binary32(-127) / peak
    codes = [_signed_byte(min(127, nearest_int(inverse * number))) for number in x]
    return {
        "codes": codes,
        "block": [(ONE / inverse).word],
        "sums": [sum(codes[start : start + 16]) for start in range(0, len(x), 16)],
    }


def _of_rows(search: Callable[..., tuple[Any, ...]]) -> Callable[..., Block]:
    """Q4_0 to Q5_1 of a whole row with importance; a search gives a scale, perhaps a minimum, and codes."""

    def run(x: Numbers, importance: Weights) -> Block:
        sigma = _mean_square(x, 1)
        pairs = zip(_runs(x, 32), _runs(importance or [], 32), strict=True)
        scales, *minima, codes = zip(*(search(block, _weights(block, own, sigma)) for block, own in pairs), strict=True)
        fields: Block = {"codes": [code for own in codes for code in own], "block": [*map(_binary16, scales)]}
        for each in minima:
            fields["offset"] = [_binary16(-number) for number in each]
        return fields

    return run


_ROW_RUNS: Mapping[str, Callable[[Numbers, Weights], Block]] = {
    "ggml_q4_0": _of_rows(lambda x, w: symmetric(x, w, 8)),
    "ggml_q4_1": _of_rows(lambda x, w: affine(x, w, 15, (-0.9, 0.05, 36), absolute=False)),
    "ggml_q5_0": _of_rows(lambda x, w: symmetric(x, w, 16)),
    "ggml_q5_1": _of_rows(lambda x, w: affine(x, w, 31, (-0.9, 0.05, 36), absolute=False)),
}
_RUNS: Mapping[str, Callable[[Numbers, Weights], Block]] = {
    "ggml_q2_k": _affine(3, 15, 16, (-0.5, 0.1, 15)),
    "ggml_q3_k": _q3_k,
    "ggml_q4_k": _affine(15, 63, 32, (-1.0, 0.1, 20)),
    "ggml_q5_k": _affine(31, 63, 32, (-0.5, 0.1, 15)),
    "ggml_q6_k": _q6_k,
    "ggml_q8_k": _q8_k,
    "ggml_iq4_nl": _from_table(32),
    "ggml_iq4_xs": _from_table(256),
}
_FIRST_RUNS: Mapping[str, Callable[[Numbers, Weights], Block]] = {"ggml_iq4_nl": _from_table(32, tries=0)}
