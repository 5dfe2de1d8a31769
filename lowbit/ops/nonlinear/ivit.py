"""Runs I-ViT's Shiftmax, ShiftGELU, I-LayerNorm and ShiftExp; tables and lanes for narrow codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear import ivit as own
from lowbit.nonlinear.scheme import get_scheme
from lowbit.ops.nonlinear.dispatch import (
    Answer,
    Integers,
    Request,
    fast,
    fast_or_none,
    limits_of,
    no_trap,
    plain,
    prepared,
    require_code_range,
    require_not_positive,
    require_rows,
)
from lowbit.ops.nonlinear.rows import (
    affine,
    cannot_overflow,
    centred_bytes,
    fits_planes,
    is_byte_sized,
    norm_biases,
    norm_in_lanes,
    of_distances,
)
from lowbit.ops.types import Array

LONGEST = 1 << 20
"""That many exponentials of the smallest scale, below 2^40 each, stay below the kernels' 2^62."""
LONGEST_TVM = (1 << 15) - 1
"""relay.mean divides by the length in the input's int16."""
NORM_CODE_BITS = 20
"""Squares of differences of such codes, over the longest rows, stay below 2^62."""
WIDEST_IN_LANES = {"torch": 16, "paper": 8, "tvm": 0}
"""Codes whose LayerNorm needs no more than 32-bit lanes; the paper's squares have 32 bits."""


def _constants(exp: own.ExpConstants, variant: str, result_shift: int) -> Integers:
    """The vector that the kernels take; the order is that of kernels/nonlinear/ivit.py."""
    clamp = own.LARGEST if variant == "torch" else 0
    return np.array([*exp, own.NUMERATOR[variant], clamp, result_shift, variant == "paper"], dtype=np.int64)


def exp(request: Request) -> Answer:
    """ShiftExp of every code."""
    from lowbit.kernels.nonlinear.ivit import exponential

    scale, variant = request.scale, request.variant
    require_code_range(request.rows)
    require_not_positive(request.rows)
    codes = plain(request, exponential, _softmax_constants(scale, variant, 0))
    return Answer(codes, scale / (1 << own.SOFTMAX_SHIFT[variant]))


def softmax(request: Request) -> Answer:
    """Shiftmax along the rows."""
    from lowbit.kernels.nonlinear import ivit

    require_rows(request.rows, LONGEST, "where the sum could leave 62 bits")
    constants = _softmax_constants(request.scale, request.variant, request.bits)
    codes = None
    if is_byte_sized(request.rows) and request.bits <= 16:
        codes = _softmax_by_table(request, constants)
    return Answer(plain(request, ivit.softmax, constants) if codes is None else codes, 2.0 ** (1 - request.bits))


@prepared
def _softmax_constants(scale: float, variant: str, bits: int) -> Integers:
    return _constants(own.softmax_exp(scale, variant), variant, 32 - bits)


class Exponentials(NamedTuple):
    """The exponential of every distance, also in 32 bits and as byte planes."""

    table: Integers
    narrow: npt.NDArray[np.int32]
    planes: npt.NDArray[np.uint8]


@prepared
def _exponentials(scale: float, variant: str, mode: int) -> Exponentials | None:
    """None where they do not fall, because some have wrapped, or do not fit the planes."""
    from lowbit.kernels.nonlinear.ivit import exponential

    widths = get_scheme("exp", "ivit").with_parameters(variant).widths
    table, planes = of_distances(exponential, _softmax_constants(scale, variant, 0), widths, mode)
    if table[0] != table.max() or not fits_planes(table):
        return None
    # The narrow one is read for products below 2^31 only: then the entries fit, too.
    return Exponentials(table, table.astype(np.int32), planes)


def _softmax_by_table(request: Request, constants: Integers) -> Array | None:
    """The codes; None where they need the plain kernel: a sum that wraps to 0, or what could trap."""
    from lowbit.kernels.nonlinear.fast_ivit import softmax_bytes, softmax_words

    tables = _exponentials(request.scale, request.variant, request.mode)
    if tables is None or (request.overflow == "trap" and not _all_fit(request, constants)):
        return None
    kernel = softmax_words if request.bits > 8 else softmax_bytes
    limits = limits_of(request.call.widths)
    return fast_or_none(request, centred_bytes(request.rows), kernel, *tables, constants, limits, request.mode)


def _all_fit(request: Request, constants: Integers) -> bool:
    """Whether no intermediate of 8-bit rows can leave its width.

    The exponentials are at most -unit * 2^N. While their sum fits, exponential * factor is at most the numerator, and
    the paper's is clamped.
    """
    unit, shift = constants[:2].tolist()
    return bool((-unit << shift) * request.rows.shape[1] <= own.LARGEST)


def gelu(request: Request) -> Answer:
    """ShiftGELU along the rows; a table of maximum and code for 8-bit codes."""
    from lowbit.kernels.nonlinear import fast_ivit, ivit

    scale, variant = request.scale, request.variant
    require_rows(request.rows, LONGEST, "the longest that is supported")
    table = None
    if request.rows.dtype == np.int8 and request.overflow != "trap" and request.call.result_type == "int32":
        table = _sigmoids(scale, variant, request.mode)
    if table is None:
        codes = plain(request, ivit.gelu, _gelu_constants(scale, variant))
    else:
        codes = fast(request, request.rows, fast_ivit.gelu_rows, table)
    return Answer(codes, scale / (1 << (own.GELU_SIGMOID_BITS - 1)))


def _gelu_constants(scale: float, variant: str) -> Integers:
    return _constants(own.gelu_exp(scale, variant), variant, 32 - own.GELU_SIGMOID_BITS)


@prepared
def _sigmoids(scale: float, variant: str, mode: int) -> npt.NDArray[np.uint8] | None:
    """The sigmoid of every maximum and code, if all are bytes and no sum is 0."""
    from lowbit.kernels.nonlinear.ivit import gelu_table

    limits = limits_of(get_scheme("gelu", "ivit").with_parameters(variant).widths)
    entries, trap = np.empty((256, 256), dtype=np.int64), no_trap()
    gelu_table(_gelu_constants(scale, variant), limits, mode, entries, trap)
    # |code * sigmoid| <= 128 * 255 fits every variant's result.
    return entries.astype(np.uint8) if trap[0] < 0 and entries.min() >= 0 and entries.max() <= 255 else None


def layernorm(request: Request) -> Answer:
    """I-LayerNorm along the rows; 32-bit lanes for 8- and 16-bit codes that cannot overflow."""
    from lowbit.kernels.nonlinear import ivit

    length, variant = request.rows.shape[1], request.variant
    longest = LONGEST_TVM if variant == "tvm" else LONGEST
    require_rows(request.rows, longest, "the longest that the sums allow", NORM_CODE_BITS)
    gamma, beta = affine(request.options, length)
    unit = own.norm_scale(length)
    bias = norm_biases(gamma, beta, unit)
    first = 0 if variant == "paper" else own.NORM_FIRST
    constants = np.array([own.LARGEST, first, own.NORM_ITERATIONS, variant == "tvm"], dtype=np.int64)
    if request.rows.dtype.itemsize * 8 <= WIDEST_IN_LANES[variant] and cannot_overflow(request.rows, bias):
        codes = norm_in_lanes(request, bias, constants)
    else:
        codes = plain(request, ivit.layernorm, bias, constants)
    return Answer(codes, np.float32(unit) * gamma)
