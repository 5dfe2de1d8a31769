"""Runs I-BERT's i-softmax, i-GELU, I-LayerNorm, i-exp and i-sqrt; tables and lanes for 8-bit codes."""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear import ibert as own
from lowbit.nonlinear.ivit import norm_scale
from lowbit.nonlinear.scheme import get_scheme
from lowbit.ops.nonlinear.dispatch import (
    Answer,
    Integers,
    Request,
    fast,
    plain,
    prepared,
    require_code_range,
    require_not_positive,
    require_rows,
    require_whole,
)
from lowbit.ops.nonlinear.rows import (
    ByteTable,
    affine,
    cannot_overflow,
    centred_bytes,
    fits_planes,
    is_byte_sized,
    norm_biases,
    norm_in_lanes,
    of_distances,
    wide_by_table,
)
from lowbit.ops.types import Array

LONGEST = 1 << 20
"""That many exponentials, 16 bits in the code and 33 in the paper's variant, stay below the kernels' 2^62."""
NORM_CODE_BITS = 20
"""Squares of differences of such codes stay far below 2^62."""
LONGEST_SHIFT = 16
ROOT_BITS = 63
"""Signed: values below 2^62."""


@prepared
def exp_vector(scale: float, variant: str, bits: int) -> Integers:
    """The vector that the kernels of i-exp take; the order is that of kernels/nonlinear/ibert.py."""
    multiplier, right = own.exp_multiplier(scale) if variant == "code" else (0, 0)
    numbers = (*own.exp_constants(scale, variant), variant == "code", multiplier, right, own.NUMERATOR, bits)
    return np.array(numbers, dtype=np.int64)


def exp(request: Request) -> Answer:
    """i-exp of every code."""
    from lowbit.kernels.nonlinear.ibert import exponential

    scale, variant = request.scale, request.variant
    require_code_range(request.rows)
    require_not_positive(request.rows)
    return Answer(plain(request, exponential, exp_vector(scale, variant, 0)), own.exp_scale(scale, variant))


def softmax(request: Request) -> Answer:
    """i-softmax along the rows."""
    from lowbit.kernels.nonlinear import ibert
    from lowbit.kernels.nonlinear.fast_ibert import softmax_bytes

    scale = request.scale
    require_rows(request.rows, LONGEST, "where the sum could leave 62 bits")
    constants = exp_vector(scale, request.variant, request.bits)
    codes = None
    if request.variant == "code" and request.bits <= own.SOFTMAX_BITS and is_byte_sized(request.rows):
        tables, rows = _weights(scale, request.mode), centred_bytes(request.rows)
        codes = None if tables is None else fast(request, rows, softmax_bytes, *tables, constants)
    return Answer(plain(request, ibert.softmax, constants) if codes is None else codes, 2.0**-request.bits)


@prepared
def _weights(scale: float, mode: int) -> ByteTable | None:
    """The code's exponentials, if results of at most 8 bits cannot overflow: factor * weight stays below 2^32."""
    from lowbit.kernels.nonlinear.ibert import weights

    widths = get_scheme("softmax", "ibert").with_parameters("code").widths
    table = of_distances(weights, exp_vector(scale, "code", own.SOFTMAX_BITS), widths, mode)
    largest = int(table.entries.max())
    narrow = fits_planes(table.entries) and largest < 1 << 15
    return table if narrow and largest * (own.NUMERATOR // largest) < own.NUMERATOR else None


def gelu(request: Request) -> Answer:
    """i-GELU of every code."""
    require_code_range(request.rows)
    by_table = request.rows.dtype == np.int8 and request.overflow != "trap"
    codes = wide_by_table(request, _gelu) if by_table else _gelu(request)
    return Answer(codes, own.gelu_scale(request.scale, request.variant))


def _gelu(request: Request) -> Array:
    from lowbit.kernels.nonlinear.ibert import gelu

    return plain(request, gelu, np.array(own.gelu_constants(request.scale, request.variant), dtype=np.int64))


def layernorm(request: Request) -> Answer:
    """I-LayerNorm along the rows; 32-bit lanes for 8-bit codes that cannot overflow."""
    from lowbit.kernels.nonlinear import ibert

    length = request.rows.shape[1]
    require_rows(request.rows, LONGEST, "the longest that the sums allow", NORM_CODE_BITS)
    shift = require_whole("shift", request.options.get("shift", 0), 0, LONGEST_SHIFT)
    gamma, beta = affine(request.options, length)
    unit = norm_scale(length)
    bias = norm_biases(gamma, beta, unit)
    simple = request.variant == "code" and request.rows.dtype == np.int8 and shift == 0
    if simple and cannot_overflow(request.rows, bias):
        codes = norm_in_lanes(request, bias, np.array([own.NORM_NUMERATOR, 0, 0], dtype=np.int64))
    else:
        codes = plain(request, ibert.layernorm, bias, np.array([own.NORM_NUMERATOR, shift], dtype=np.int64))
    return Answer(codes, np.float32(unit) * gamma)


def integer_sqrt(request: Request) -> Answer:
    """i-sqrt of every value."""
    from lowbit.kernels.nonlinear import ibert

    require_code_range(request.rows, ROOT_BITS)
    if request.rows.size and request.rows.min() < 0:
        raise InputError(f"the value {int(request.rows.min()):,} is negative: it has no square root")
    return Answer(plain(request, ibert.integer_sqrt), None)
