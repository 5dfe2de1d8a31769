"""Runs lowbit's own softmax, GELU, LayerNorm and RMSNorm."""

from __future__ import annotations

import numpy as np

from lowbit.nonlinear import lowbit_scheme as own
from lowbit.nonlinear.scheme import get_scheme
from lowbit.ops.nonlinear.dispatch import (
    Answer,
    Integers,
    Request,
    fast,
    fast_or_none,
    limits_of,
    plain,
    prepared,
    require_code_range,
    require_rows,
)
from lowbit.ops.nonlinear.rows import (
    ByteTable,
    affine,
    cannot_overflow,
    centred_bytes,
    is_byte_sized,
    of_distances,
    rounded_biases,
    wide_by_table,
)
from lowbit.ops.types import Array


def _constants(multiplier: own.Multiplier, limit: int, bits: int) -> Integers:
    """The vector that the kernels take; the order is that of kernels/nonlinear/lowbit_scheme.py."""
    numbers = (*multiplier, limit, bits, *own.COEFFICIENTS, own.GELU_LINEAR, own.GELU_CUBIC)
    return np.array(numbers, dtype=np.int64)


@prepared
def _softmax_constants(scale: float, bits: int) -> Integers:
    multiplier = own.exp_multiplier(scale)
    return _constants(multiplier, own.farthest(multiplier), bits)


def softmax(request: Request) -> Answer:
    """Softmax along the rows."""
    from lowbit.kernels.nonlinear import fast_lowbit_scheme, lowbit_scheme

    scale = request.scale
    require_rows(request.rows, own.LONGEST, "for which the sum has its width")
    constants = _softmax_constants(scale, request.bits)
    codes = None
    if request.bits == own.SOFTMAX_BITS and is_byte_sized(request.rows):
        rows, kernel = centred_bytes(request.rows), fast_lowbit_scheme.softmax_words
        codes = fast_or_none(request, rows, kernel, *_exponentials(scale), constants, limits_of(request.call.widths))
    if codes is None:
        codes = plain(request, lowbit_scheme.softmax, constants)
    return Answer(codes, 2.0 ** (1 - request.bits))


@prepared
def _exponentials(scale: float) -> ByteTable:
    from lowbit.kernels.nonlinear.lowbit_scheme import exponentials

    widths = get_scheme("softmax", "lowbit").with_parameters().widths
    return of_distances(exponentials, _softmax_constants(scale, own.SOFTMAX_BITS), widths, 0)


def gelu(request: Request) -> Answer:
    """GELU of every code; none of 8 bits overflows anywhere."""
    require_code_range(request.rows, own.GELU_CODE_BITS)
    codes = wide_by_table(request, _gelu) if request.rows.dtype == np.int8 else _gelu(request)
    return Answer(codes, request.scale / (1 << (request.bits - 1)))


def _gelu(request: Request) -> Array:
    from lowbit.kernels.nonlinear.lowbit_scheme import gelu

    multiplier = own.gelu_multiplier(request.scale)
    return plain(request, gelu, _constants(multiplier, own.GELU_LIMIT << own.FRACTION, request.bits))


def layernorm(request: Request) -> Answer:
    """LayerNorm along the rows."""
    return _norm(request, 1, own.NORM_LONGEST)


def rmsnorm(request: Request) -> Answer:
    """RMSNorm along the rows."""
    return _norm(request, 0, own.RMS_LONGEST)


def _norm(request: Request, centred: int, longest: int) -> Answer:
    from lowbit.kernels.nonlinear import fast_lowbit_scheme, lowbit_scheme

    require_rows(request.rows, longest, "for which the variance has its width", own.NORM_CODE_BITS)
    gamma, beta = affine(request.options, request.rows.shape[1])
    bias = rounded_biases(gamma, beta, own.NORM_FRACTION)
    # 2^29 for the normalised value, so that nothing overflows and nothing can trap.
    if cannot_overflow(request.rows, bias):
        codes = fast(request, request.rows, fast_lowbit_scheme.norm_rows, centred, bias.astype(np.int32))
    else:
        codes = plain(request, lowbit_scheme.norm, centred, bias)
    return Answer(codes, gamma * np.float32(2.0**-own.NORM_FRACTION))
