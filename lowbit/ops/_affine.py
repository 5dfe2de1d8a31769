"""gamma and beta of a LayerNorm: one binary32 number an element of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError

Floats = npt.NDArray[np.float32]


def affine(options: Any, length: int) -> tuple[Floats, Floats]:
    """Gamma (1 if not given) and beta (0) as binary32 numbers, checked."""
    gamma = _one_each(options.get("gamma"), "gamma", length, 1.0)
    beta = _one_each(options.get("beta"), "beta", length, 0.0)
    return gamma, beta


def norm_biases(gamma: Floats, beta: Floats, unit: float, scheme: str) -> npt.NDArray[np.int64]:
    """floor((beta / gamma) / unit), each step in binary32: the twin of ``nonlinear.ivit.norm_bias``.

    Raises
    ------
    InputError
        A gamma is 0, or a bias is beyond what can be added in 64 bits.
    """
    _require_nonzero(gamma, scheme)
    with np.errstate(over="ignore", under="ignore"):
        biases = np.floor((beta / gamma) / np.float32(unit))
    return _whole(biases, beta, gamma)


def rounded_biases(gamma: Floats, beta: Floats, fraction_bits: int) -> npt.NDArray[np.int64]:
    """Beta / gamma times a power of two, by one binary64 division, to nearest, ties up; errors as above."""
    _require_nonzero(gamma, "the scheme lowbit")
    with np.errstate(over="ignore", under="ignore"):
        ratio = beta.astype(np.float64) / gamma.astype(np.float64)
        return _whole(np.floor(ratio * 2.0**fraction_bits + 0.5), beta, gamma)


def _require_nonzero(gamma: Floats, scheme: str) -> None:
    if not gamma.all():
        place = int(np.flatnonzero(gamma == 0)[0])
        raise InputError(
            f"gamma[{place}] = 0: {scheme} divides beta by gamma",
            hint="prune the channel, or give gamma a tiny value as the training code would",
        )


def _whole(biases: npt.NDArray[Any], beta: Floats, gamma: Floats) -> npt.NDArray[np.int64]:
    beyond = np.flatnonzero(~(np.abs(biases) < 2.0**62))
    if beyond.size:
        place = int(beyond[0])
        ratio = f"beta[{place}] / gamma[{place}] = {beta[place]} / {gamma[place]}"
        raise InputError(f"{ratio} is {biases[place]} units of the result, beyond 2^62")
    whole: npt.NDArray[np.int64] = biases.astype(np.int64)
    return whole


def _one_each(values: Any, name: str, length: int, default: float) -> Floats:
    try:
        array = np.asarray(default if values is None else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array of numbers") from error
    if array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(f"{name} has shape {array.shape}; rows have {length} elements", hint="one number an element")
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.broadcast_to(array.astype(np.float32), (length,))
    if not np.isfinite(rounded).all():
        place = int(np.flatnonzero(~np.isfinite(rounded))[0])
        raise InputError(f"{name}[{place}] is not a finite binary32 number")
    return rounded
