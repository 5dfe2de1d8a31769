"""The axes on which accumulators differ, and what each choice means.

Only words: :class:`lowbit.policy.accumulator.Accumulator` is one choice on each axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_OVERFLOW = {
    "wrap": "modulo 2^width, two's complement",
    "saturate": "the largest or the lowest value of the width, at each step: later additions go on from there",
}

ACCUMULATOR_CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "overflow": _OVERFLOW,
        "combine_overflow": _OVERFLOW,
        "spill_overflow": _OVERFLOW,
        "order": {
            "sequential": "one register, terms added in the order of k",
            "pairwise": "a tree: neighbours are added, then neighbouring sums, an odd one passes up (adder tree)",
            "blocked": "each block of `block` products from zero, in the order of k; block sums added one by one",
            "lanes": "term i goes to lane i mod `lanes`; the lanes are added at the end (SIMD along k)",
        },
        "reduction": {
            "sequential": "lane 1 to lane 0, then lane 2, and so on",
            "adjacent": "neighbouring lanes, then neighbouring sums (horizontal adds)",
            "halves": "the upper half of the lanes onto the lower half, until one is left (shuffle and add)",
            "widening": "one lane after another straight into the wider accumulator",
        },
        "operands": {
            "any": "integers of up to 16 bits",
            "uint8_int8": "one operand unsigned, the other signed, 8 bits each",
            "int8_int8": "both signed, 8 bits",
            "uint8_uint8": "both unsigned, 8 bits",
            "int16_int16": "both signed, 16 bits",
        },
        "zero_points": {
            "subtracted": "zero points are subtracted from the operands before they are multiplied",
            "compensated": "raw codes are multiplied; the exact correction by row and column sums is one more step at "
            "the end",
        },
        "bias": {
            "added": "the bias is one more step after everything else",
            "preloaded": "the accumulator (the wider one, if it spills; lane 0 of lanes) starts at the bias",
        },
    }
)
"""Every axis with a closed set of values: axis -> value -> what it means."""

ACCUMULATOR_AXES: Mapping[str, str] = MappingProxyType(
    {
        "width": "bits of the accumulator, 8 to 64, two's complement",
        "overflow": "a sum outside the accumulator's range, at each step",
        "combine": "how many neighbouring products are summed exactly before they reach the accumulator; that sum is "
        "the term which a step adds",
        "combine_width": "bits that such a term is cut to before it is added; 0: it stays exact",
        "combine_overflow": "a term outside that width",
        "order": "the order in which terms are added",
        "block": "products in a block, for order 'blocked'",
        "lanes": "number of lanes, for order 'lanes'",
        "reduction": "how the lanes are added at the end",
        "spill_every": "after so many products the accumulator is added to a wider one and cleared; 0: never",
        "spill_width": "bits of the wider accumulator",
        "spill_overflow": "a sum outside the wider accumulator's range",
        "dropped_bits": "low bits of each operand given up before the multiplication (arithmetic shift right); the "
        "result counts units of 2^(2*dropped_bits)",
        "operands": "the operands that the instruction takes",
        "zero_points": "when zero points are taken into account",
        "bias": "when the bias is added",
    }
)
"""What each axis decides."""
