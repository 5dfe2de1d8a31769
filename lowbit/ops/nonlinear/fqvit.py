"""Runs FQ-ViT's log-int-softmax and its LayerNorm with power-of-two factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.fqvit import LARGEST_FACTOR
from lowbit.nonlinear.ibert import exp_constants
from lowbit.nonlinear.scheme import get_scheme
from lowbit.ops.nonlinear.dispatch import Answer, Integers, Request, fast, plain, prepared, require_rows
from lowbit.ops.nonlinear.ibert import exp_vector
from lowbit.ops.nonlinear.rows import affine, centred_bytes, is_byte_sized, of_distances

LONGEST = 1 << 20
SUM_BITS = 62
"""What the kernels hold: c * 2^30 an element."""
NORM_LONGEST = 1 << 16
NORM_CODE_BITS = 13
"""Codes shifted by a factor of 8 have 16 bits, and the variance over the longest rows 62."""


def softmax(request: Request) -> Answer:
    """Log-int-softmax along the rows; it has no scale, a result r stands for 2^-r."""
    from lowbit.kernels.nonlinear import fast_fqvit, fqvit

    scale, length = request.scale, request.rows.shape[1]
    require_rows(request.rows, LONGEST, "the longest that is supported")
    exp = exp_constants(scale, "code")
    if (exp.c << exp.shift) * length >> SUM_BITS:
        raise InputError(
            f"scale = {scale!r} is too small for rows of {length:,} codes: their sum needs more than {SUM_BITS} bits",
            hint="a larger scale or shorter rows",
        )
    constants = np.append(exp_vector(scale, "code", request.bits), np.int64(request.variant == "paper"))
    # Nothing leaves 62 bits, so that no overflow rule can matter; the code's 2^8 for probability 0 needs a ninth bit.
    if is_byte_sized(request.rows) and request.bits < 8:
        rows = centred_bytes(request.rows)
        return Answer(
            fast(request, rows, fast_fqvit.softmax_bytes, _exponentials(scale), constants), None, exponents=True
        )
    return Answer(plain(request, fqvit.softmax, constants), None, exponents=True)


@prepared
def _exponentials(scale: float) -> Integers:
    from lowbit.kernels.nonlinear.ibert import exponential

    widths = get_scheme("exp", "ibert").with_parameters("code").widths
    return of_distances(exponential, exp_vector(scale, "code", 0), widths, 0).entries


def layernorm(request: Request) -> Answer:
    """LayerNorm along the rows; codes at ``result_scale``."""
    from lowbit.kernels.nonlinear import fast_fqvit

    length = request.rows.shape[1]
    require_rows(request.rows, NORM_LONGEST, "for which the variance fits 62 bits", NORM_CODE_BITS)
    unit = scale32(request.options.get("result_scale"), "result_scale")
    gamma, beta = (values.astype(np.float64) for values in affine(request.options, length))
    factors = _factors(request.options.get("factors"), length)
    return Answer(plain(request, fast_fqvit.layernorm, gamma, beta, factors, unit), unit)


def _factors(factors: Any, length: int) -> Integers:
    """The exponents of the power-of-two factors, one an element of a row."""
    array = np.asarray(0 if factors is None else factors)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(f"factors must be whole numbers, one for each of {length} elements")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= LARGEST_FACTOR:
        raise InputError(f"factors must lie in 0 to {LARGEST_FACTOR}: element i counts 2^factors[i]")
    return np.ascontiguousarray(np.broadcast_to(array.astype(np.int64), (length,)))
