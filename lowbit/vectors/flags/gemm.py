"""The flags of the directed inputs of integer matrix products."""

from __future__ import annotations

from lowbit.vectors.flags.flag import Flag

PRODUCT = 0x40
ONE_HOT = 0x41
SHAPE = 0x42
K_TAIL = 0x43
PRODUCT_RAIL = 0x44
WIDTH_LADDER = 0x45
SWAMPING = 0x46
RAIL_WALK = 0x47
CANCELLATION = 0x48
ALL_ZERO = 0x49
ZERO_POINT = 0x4A
LONG_RUN = 0x4B

GEMM_FLAGS = (
    Flag(
        PRODUCT,
        "Product",
        "every product of two codes: an operand taken for signed or unsigned, a product cut to too few bits",
        "exhaustion",
    ),
    Flag(
        ONE_HOT,
        "OneHot",
        "a one in one place: indices swapped, an operand transposed, a stride or a packing that is off by one",
        "openvinotoolkit/openvino issue 25827",
    ),
    Flag(
        SHAPE,
        "Shape",
        "sizes beside multiples of 16 and 32: a tail of rows or columns left out, or done with the wrong mask",
        "microsoft/onnxruntime pull request 27671",
    ),
    Flag(
        K_TAIL,
        "KTail",
        "every length from 1 to 129: the last products of a row are dropped, or what follows it is added",
        "the commonest slip of a vector loop",
    ),
    Flag(
        PRODUCT_RAIL,
        "ProductRail",
        "short rows of extreme codes: pairs or quadruples of products saturate or wrap",
        "Intel SDM volume 2, PMADDUBSW; ONNX Runtime documentation, 'Quantize ONNX models', x64",
    ),
    Flag(
        WIDTH_LADDER,
        "WidthLadder",
        "sums at both ends of every width: an accumulator that is too narrow, or saturates one code too early",
        "FPRev (arXiv:2411.00442), section 4, for integers",
    ),
    Flag(
        SWAMPING,
        "Swamping",
        "a sum that leaves a width and comes back: saturation that stays, and the order of the additions",
        "FPRev (arXiv:2411.00442), section 4, for integers",
    ),
    Flag(
        RAIL_WALK,
        "RailWalk",
        "random steps beside the end of a width: lanes, blocks, trees and spills give other answers than one sum",
        "IBM FPgen model B13 for integers",
    ),
    Flag(
        CANCELLATION,
        "Cancellation",
        "large sums that cancel and leave small ones: an accumulator in binary32, which loses ones above 2^24",
        "IEEE 754-2019 table 3.5",
    ),
    Flag(ALL_ZERO, "AllZero", "zeros only: rubbish left over in accumulators", "flashinfer-ai/flashinfer issue 4685"),
    Flag(
        ZERO_POINT,
        "ZeroPoint",
        "zero points at the ends of their range: left out, swapped, added, or their product forgotten",
        "gemmlowp, doc/quantization.md, 'Efficient handling of offsets'",
    ),
    Flag(
        LONG_RUN,
        "LongRun",
        "long rows of one extreme product: chains that spill too late, sums that leave 32 bits",
        "Das et al. 2018 (arXiv:1802.00930), 'Overflow'",
    ),
)
