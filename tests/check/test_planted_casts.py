"""Faults of conversions, planted into right answers: the sentence names each, and what it claims is replayed."""

import numpy as np
import pytest

from lowbit.check.cast.operation import CastOperation
from lowbit.check.cast.rules import reference
from lowbit.check.report.sentence import sentence
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy, get_policy
from tests.check.answers import concluded
from tests.thinned import thinned

E4M3, E5M2, FNUZ = (f"float32 {name} ocp_sat" for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"))
E2M1, E2M3 = (f"float32 {name} ocp_sat" for name in ("float4_e2m1fn", "float6_e2m3fn"))
BFLOAT16, FLOAT16, INT8, UINT8 = (
    "float32 bfloat16 ieee",
    "float32 float16 ieee",
    "float32 int8 integer",
    "float32 uint8 integer",
)
E8M0 = "float32 float8_e8m0fnu ocp_sat"
EXACT = ", and is otherwise exact"


def values(bits):
    return bits.view(np.float32)


def bits_of(numbers):
    return numbers.astype(np.float32).view(np.uint32)


def places(answers):
    return np.arange(len(answers))


def sign(bits):
    return bits >> 24 & 0x80


def scaled(change, conversion):
    """Right, but for another value: numbers and infinities are changed first."""

    def kernel(bits, right):
        del right
        numbers = values(bits)
        changed = np.where(np.isnan(numbers), numbers, change(numbers)).astype(np.float32)
        return by_policy(conversion)(changed.view(np.uint32), None)

    return kernel


def by_policy(conversion, **choices):
    source, target, policy = conversion.split()

    def kernel(bits, right):
        del right
        target_format = get_format(target)
        return reference(bits, get_format(source), target_format, get_policy(policy, target_format).choose(**choices))

    return kernel


def by_half(rounding):
    """Through float16, rounded to in some way."""

    def kernel(bits, right):
        del right
        half = reference(bits, get_format("float32"), get_format("float16"), Policy(rounding=rounding))
        return reference(half, get_format("float16"), get_format("float8_e5m2"), get_policy("ocp_sat"))

    return kernel


truncated, flushed = by_policy(E4M3, rounding="toward_zero"), by_policy(E4M3, flush_results="before_rounding")


def as_int32(bits):
    return np.rint(np.clip(np.nan_to_num(values(bits)).astype(float), -(2**31), 2**31 - 1)).astype(np.int64)


PLANTED = {
    # --- signs
    "sign dropped": (E4M3, lambda u, g: g & 0x7F, ["drops the sign of every result", EXACT]),
    "sign flipped": (E4M3, lambda u, g: g ^ 0x80, ["flips the sign of every result", EXACT]),
    "sign set": (E4M3, lambda u, g: g | 0x80, ["sets the sign of every result", EXACT]),
    "sign of zeros dropped": (E4M3, lambda u, g: np.where(g == 0x80, 0, g), ["drops the sign of zero", EXACT]),
    "sign of -0 dropped": (
        E4M3, lambda u, g: np.where(u << 1 == 0, 0, g),
        ["drops the sign of zero, keeps the sign of a result that underflows", EXACT],
    ),
    "sign of underflow dropped": (
        E4M3, lambda u, g: np.where((g == 0x80) & (u << 1 != 0), 0, g),
        ["drops the sign of a result that underflows to zero, not of a zero input", EXACT],
    ),
    "sign of e5m2 dropped": (E5M2, lambda u, g: g & 0x7F, ["drops the sign of every result", EXACT]),
    "sign of e2m1 dropped": (E2M1, lambda u, g: g & 7, ["drops the sign of every result", EXACT]),
    "sign of fnuz dropped": (FNUZ, lambda u, g: g & 0x7F, ["drops the sign of every result", EXACT]),
    "sign of fnuz flipped": (FNUZ, lambda u, g: g ^ 0x80, ["flips the sign of every result", EXACT]),
    "sign of bfloat16 dropped": (BFLOAT16, lambda u, g: g & 0x7FFF, ["drops the sign of every result", EXACT]),
    "sign of float16 flipped": (FLOAT16, lambda u, g: g ^ 0x8000, ["flips the sign of every result", EXACT]),
    "sign of values dropped": (
        "float8_e4m3fn float32 ieee", lambda u, g: g & 0x7FFFFFFF, ["drops the sign of every result", EXACT],
    ),
    "sign of NaN flipped": (
        E4M3, lambda u, g: g ^ np.where(g & 0x7F == 0x7F, 0x80, 0),
        ["flips the sign of NaN", EXACT],
    ),
    "sign of NaN set": (
        BFLOAT16, lambda u, g: np.where(np.isnan(values(u)), 0xFFFF, g),
        ["all-ones NaN, sets the sign of every NaN", EXACT],
    ),
    "int8 top bit cleared": (INT8, lambda u, g: g & 0x7F, ["clears the top bit of every result", EXACT]),
    "int8 magnitudes": (
        INT8, lambda u, g: np.minimum(abs(g.astype(int)), 127), ["gives the magnitude of every result", EXACT],
    ),
    "int8 negated": (INT8, lambda u, g: np.where(g == -128, g, -g.astype(int)), ["negates every result", EXACT]),
    "int8 with an offset": (
        INT8, lambda u, g: g.astype(int) ^ -128, ["flips the top bit of every result, as for unsigned codes", EXACT],
    ),
    "unsigned codes taken for signed": (
        "uint8 float32 ieee", lambda u, g: u.astype(np.int8).astype(np.float32).view(np.uint32),
        ["takes unsigned codes for signed ones", EXACT],
    ),
    "signed codes taken for unsigned": (
        "int8 float32 ieee", lambda u, g: u.astype(np.uint8).astype(np.float32).view(np.uint32),
        ["extends negative codes with zeros", EXACT],
    ),
    # --- places
    "late": (E4M3, lambda u, g: np.roll(g, 1), ["writes each result a place too late", "1 of 4,840 results"]),
    "early": (E4M3, lambda u, g: np.append(g[1:], 0), ["writes each result a place too early", EXACT]),
    "pairs swapped": (E4M3, lambda u, g: g[places(g) ^ 1], ["swaps the results of each pair", EXACT]),
    "first lane": (
        E4M3, lambda u, g: g[places(g) // 4 * 4], ["writes the first result of each 4 for all of them", EXACT],
    ),
    "reversed": (E4M3, lambda u, g: g[::-1], ["writes the results of a call from the last to the first", EXACT]),
    "fourth lane": (
        E4M3, lambda u, g: np.where(places(g) % 4 == 3, 0, g),
        ["gives 0 in place 3 \\(from 0\\) of each 4 results", EXACT],
    ),
    "last lanes": (
        E4M3, lambda u, g: np.where(places(g) % 4 > 1, 0, g),
        ["gives 0 in places 2 and 3 \\(from 0\\) of each 4", EXACT],
    ),
    "stopped": (
        E4M3, lambda u, g: np.where(places(g) < 4096, g, 0), ["gives 0 for all results after the first 4,096", EXACT],
    ),
    "all one number": (E4M3, lambda u, g: g * 0 + 0x38, ["^gives 1 whatever its inputs are$"]),
    "bytes swapped": (BFLOAT16, lambda u, g: g.byteswap(), ["bytes of each result in the other order", EXACT]),
    "high nibble": (E2M1, lambda u, g: g << 4, ["leaves each code in the high 4 bits of its container", EXACT]),
    "high bits": (E2M3, lambda u, g: g << 2, ["leaves each code in the high 6 bits of its container", EXACT]),
    "sign in bit 7": (
        E2M1, lambda u, g: (g & 8) << 4 | g & 7, ["leaves the sign of each code in the top bit", EXACT],
    ),
    # --- two causes at once
    "truncated, NaN is 448": (
        E4M3, lambda u, g: np.where(np.isnan(values(u)), 0x7E, truncated(u, g)),
        ["is truncating", "turns all 34 NaN inputs into 448", EXACT],
    ),
    "truncated, sign dropped": (
        E4M3, lambda u, g: truncated(u, g) & 0x7F, ["is truncating", "drops the sign of every result", EXACT],
    ),
    "truncated, late": (
        E4M3, lambda u, g: np.roll(truncated(u, g), 1), ["is truncating", "writes each result a place too late"],
    ),
    "truncated to int8, narrow": (
        INT8, lambda u, g: np.maximum(by_policy(INT8, rounding="toward_zero")(u, g), -127),
        ["is truncating", "never gives the lowest code", EXACT],
    ),
    "early overflow, flushed": (
        E4M3,
        lambda u, g: np.where(abs(values(u)) > 448, 0x7F | sign(u), flushed(u, g)),
        ["decides overflow before rounding", "flushes subnormal results", EXACT],
    ),
    # --- clamps, scales, other formats on the way
    "clamped to 240": (E4M3, scaled(lambda x: np.clip(x, -240, 240), E4M3), ["clamps its inputs to ±240", EXACT]),
    "clamped to 448": (E5M2, scaled(lambda x: np.clip(x, -448, 448), E5M2), ["clamps its inputs to ±448", EXACT]),
    "clamped to 4": (E2M1, scaled(lambda x: np.clip(x, -4, 4), E2M1), ["clamps its inputs to ±4", EXACT]),
    "clamped to uint8": (INT8, lambda u, g: np.maximum(g, 0), ["clamps its inputs to 0 at least", EXACT]),
    "four times": (E4M3, scaled(lambda x: x * 4, E4M3), ["gives values 2\\^2 times as large as they are", EXACT]),
    "a tenth more": (E4M3, scaled(lambda x: x * np.float32(1.1), E4M3), ["multiplies its inputs by about 1.1,", EXACT]),
    "a stray scale": (
        E2M1, scaled(lambda x: x * np.float32(448 / 6), E2M1), ["inputs by a number between 56 and 80, "],
    ),
    "a third of bfloat16": (
        BFLOAT16, scaled(lambda x: x / np.float32(3), BFLOAT16), ["divides its inputs by about 3,", EXACT],
    ),
    "scaled to int8": (
        INT8, scaled(lambda x: x * np.float32(12.7), INT8), ["multiplies its inputs by about 12.7,", EXACT],
    ),
    "scaled and truncated": (
        E4M3, lambda u, g: truncated(np.where(np.isnan(values(u)), u, bits_of(values(u) * np.float32(0.9))), None),
        ["is truncating", "multiplies its inputs by about 0.9,", EXACT],
    ),
    "zero point": (
        INT8, lambda u, g: np.clip(g.astype(int) + 3, -128, 127), ["adds 3 to every result", EXACT],
    ),
    "offset codes": (
        "uint4 float32 ieee", lambda u, g: bits_of(u.astype(float) - 8), ["^adds -8 to its inputs", EXACT],
    ),
    "sign and magnitude": (
        "float32 int4 integer", lambda u, g: np.where(g < 0, np.minimum(-g.astype(int), 7) - 8, g),
        ["codes negative results as sign and magnitude", EXACT],
    ),
    "one's complement": (
        INT8, lambda u, g: np.where(g < 0, np.maximum(g.astype(int) - 1, -128), g),
        ["codes negative results in one's complement", EXACT],
    ),
    "infinite integers": (
        INT8, lambda u, g: np.where(np.isinf(values(u)), 0, g), ["gives infinite inputs what it gives NaN", EXACT],
    ),
    "no new bias": (E4M3, lambda u, g: u >> 20, ["^gives the bits from 20 up of each input's code", EXACT]),
    "shifted by 8": (
        "bfloat16 float32 ieee", lambda u, g: u.astype(int) << 8,
        ["^gives the code of each input, shifted left by 8", EXACT],
    ),
    "low half of binary32": (BFLOAT16, lambda u, g: u & 0xFFFF, ["^gives the low bits of each input's code", EXACT]),
    "high byte of binary32": (E4M3, lambda u, g: u >> 24, ["^gives the high bits of each input's code", EXACT]),
    "rounded exponents": (
        E8M0, lambda u, g: u + 0x400000 >> 23 & 0xFF,
        ["has no NaN test: its bits .* carry out of the exponent", "takes subnormal inputs for normal ones", EXACT],
    ),
    "exponents of rounded elements": (
        E8M0, lambda u, g: np.where(np.isnan(values(u)) | (u >> 31 == 1), 0xFF, u + 0x200000 >> 23 & 0xFF),
        ["rounds up from 1.75 times a power of two on, as a mantissa of 1 bit", EXACT],
    ),
    "negative values truncated": (
        E4M3, lambda u, g: np.where(u >> 31, truncated(u, g), g), ["truncates negative values", EXACT],
    ),
    "exponents rounded up": (
        E8M0, lambda u, g: u.astype(np.uint64) + 0x7FFFFF >> 23 & 0xFF,
        ["rounding toward \\+infinity", "has no NaN test: its bits .* carry out of the exponent", EXACT],
    ),
    "truncated to bfloat16": (
        E4M3, scaled(lambda x: (x.view(np.uint32) & 0xFFFF0000).view(np.float32), E4M3),
        ["truncates to bfloat16 first", EXACT],
    ),
    "truncated to float16": (E5M2, by_half("toward_zero"), ["truncates to float16 first", EXACT]),
    "top byte of float16": (
        E5M2, lambda u, g: by_policy(FLOAT16)(u, g) >> 8,
        ["truncating", "rounds twice, through float16 first", EXACT],
    ),
    "other format": (FNUZ, by_policy(E4M3), ["converts to float8_e4m3fn, not to float8_e4m3fnuz", EXACT]),
    # --- some inputs only
    "lowest value lost": (
        E4M3, lambda u, g: np.where(g & 0x7F == 1, g & 0x80, g),
        ["turns all inputs from 0.00097656\\d* to .* into ±0", EXACT],
    ),
    "a threshold": (
        E2M1, lambda u, g: np.where((abs(values(u)) >= 4.99) & (abs(values(u)) < 5), 7 | g & 8, g),
        ["turns all inputs from 4.99\\d* to 4.99\\d* in magnitude into ±6", EXACT],
    ),
    "subnormals rounded, others cut": (
        E4M3, lambda u, g: np.where(u & 0x7FFFFFFF < 0x3C800000, g, truncated(u, g)),
        ["is truncating", "rounds subnormal results to nearest, ties to even", EXACT],
    ),
    "indefinite integer": (
        INT8, lambda u, g: np.where(abs(values(u)) >= 2.0**31, -128, g),
        ["turns the positive infinite input into -128", "inputs .* into -128", EXACT],
    ),
    "wraps below": (
        UINT8, lambda u, g: np.where(values(u) < 0, as_int32(u) & 0xFF, g),
        ["wraps below"],
    ),
    "NaN is -448": (
        E4M3, lambda u, g: np.where(np.isnan(values(u)), 0xFE, g),
        ["all 34 NaN inputs into -448", EXACT],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", thinned(list(PLANTED), 6))
def test_planted_fault_is_named(name):
    from tests.check.test_reported import requires

    conversion, kernel, words = PLANTED[name]
    source, target, policy = conversion.split()
    source, target = get_format(source), get_format(target)
    operation = CastOperation(source, target, get_policy(policy, target))
    (case,) = operation.cases("directed", 0, 0)
    with np.errstate(all="ignore"):
        got = np.asarray(kernel(case.arrays["codes"], operation.expected(case))).astype(target.code_dtype)
    requires(words, sentence(concluded(operation, [case], [got])))
