"""The flags of the directed inputs of integer-only nonlinearities: rows of softmax, and single codes of the others."""

from __future__ import annotations

from lowbit.vectors.flags.flag import Flag

EQUAL_CODES = 0x80
ONE_HOT_ROW = 0x81
MAXIMUM_PLACE = 0x82
MAXIMUM_VALUE = 0x83
ROW_LENGTH = 0x84
ROW_TAIL = 0x85
SUM_OF_POWER = 0x86
EVERY_CODE = 0x87
TABLE_EDGE = 0x88
SEVERAL_ROWS = 0x89
LONG_ROW = 0x8A
SMALL_VARIANCE = 0x8B
TELLS_APART = 0x8C

NONLINEAR_FLAGS = (
    Flag(
        EQUAL_CODES,
        "EqualCodes",
        "rows of one code, at the rails and between: a sum of equal maxima that is too large, a variance of 0",
        "google-ai-edge/LiteRT, tflite/kernels/internal/reference/softmax.h (TFLITE_CHECK of the exponent)",
    ),
    Flag(
        ONE_HOT_ROW,
        "OneHotRow",
        "one high code among low ones: the reciprocal of the smallest sum, a probability of 1 that does not fit",
        "I-ViT, arXiv 2207.01405, algorithm 1: 2^31 / sum",
    ),
    Flag(
        MAXIMUM_PLACE,
        "MaximumPlace",
        "the maximum at the first, the last and every other place: a loop that leaves out an element",
        "the commonest slip of a reduction",
    ),
    Flag(
        MAXIMUM_VALUE,
        "MaximumValue",
        "one row moved up and down, all negative as well: no maximum subtracted, or one that starts at 0",
        "softmax does not depend on a constant added to its row",
    ),
    Flag(
        ROW_LENGTH, "RowLength", "lengths 1, 2, odd, 197 and powers of two: division by the length", "I-ViT: 197 tokens"
    ),
    Flag(
        ROW_TAIL,
        "RowTail",
        "lengths beside multiples of 4 to 128, with codes in the tail that count: a tail dropped, or padded with zeros",
        "the commonest slip of a vector loop",
    ),
    Flag(
        SUM_OF_POWER,
        "SumOfPower",
        "sums next to powers of two: a normalising shift off by one, a sum that wraps, a table read past its end",
        "ARM-software/CMSIS-NN, arm_softmax_s16.c: the sum 2^18 - 1",
    ),
    Flag(EVERY_CODE, "EveryCode", "every code there is (of 32 bits: a sweep): one wrong table entry", "exhaustion"),
    Flag(
        TABLE_EDGE,
        "TableEdge",
        "codes beside powers of two, table segments and the ends of the range: interpolation, saturation",
        "TFLite, reference/integer_ops/logistic.h; TOSA 1.0, TABLE",
    ),
    Flag(
        SEVERAL_ROWS,
        "SeveralRows",
        "several different rows in one call: rows and columns swapped, a maximum or sum kept from the row before",
        "the commonest slip of an outer loop",
    ),
    Flag(LONG_ROW, "LongRow", "rows of 1024 and 4096: a sum of 16 bits, a factor that becomes 0", "I-ViT, TVM code"),
    Flag(
        SMALL_VARIANCE,
        "SmallVariance",
        "rows that are nearly constant, and rows with a mean of n + 1/2: roots that have not converged, rounded means",
        "I-ViT: ten iterations from 2^16",
    ),
    Flag(
        TELLS_APART,
        "TellsApart",
        "rows chosen because schemes or variants differ on them that agree on all the others",
        "search",
    ),
)
