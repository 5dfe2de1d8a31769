"""Nearest encoding of weights by groups: one scale for a number of neighbouring weights of a row.

The baseline that every weight quantiser is compared with (round to nearest, "RTN"): scale = largest magnitude of the
group over the largest value of the format, rounded to the scale's own format; code = nearest to weight / scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.cast import Policy

SCALE_FORMATS = ("float16", "bfloat16", "float32")
CHUNK = 1 << 20
"""Weights worked on at once: it bounds the memory, and with it the order in which errors are added."""

_NEAREST = Policy(overflow="saturate", infinity="saturate", without_infinity="saturate", nan="error")
_WIDEST_BITS = 16


@dataclass(frozen=True)
class GroupScheme:
    """How weights are stored: a scalar format, and one scale a group.

    Parameters
    ----------
    fmt : Format or str
        A signed format of at most 16 bits, such as ``int4`` or ``float4_e2m1fn``.
    group : int
        Neighbouring weights of an output that share a scale; 0 for one scale an output. The last group may be shorter.
    scale_format : {"float16", "bfloat16", "float32"}
    """

    fmt: Scalar
    group: int = 128
    scale_format: str = "float16"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fmt", scalar_format(self.fmt))
        if not self.fmt.signed or self.fmt.bits > _WIDEST_BITS or self.largest <= 0:
            raise InputError(
                f"{self.fmt.id} cannot hold weights: a signed format of at most {_WIDEST_BITS} bits is needed",
                hint="int4, int8, float4_e2m1fn or float8_e4m3fn, for example",
            )
        if self.group < 0:
            raise InputError(f"group = {self.group} is negative", hint="128, say, or 0 for one scale a row")
        if self.scale_format not in SCALE_FORMATS:
            raise InputError(
                f"scale format {self.scale_format!r} is not supported here", hint=f"one of {', '.join(SCALE_FORMATS)}"
            )

    @property
    def largest(self) -> float:
        """The largest value of the format; its negative is one too."""
        return float(self.fmt.max.fraction())

    def groups_of(self, columns: int) -> int:
        """How many groups a row of that many weights has."""
        return 1 if not self.group else -(-columns // self.group)

    def bits_of(self, shape: tuple[int, ...]) -> int:
        """Bits of a weight array of this shape: its codes, packed densely, and its scales."""
        rows, columns = rows_and_columns(shape)
        scale_bits = scalar_format(self.scale_format).bits
        return rows * (columns * self.fmt.bits + self.groups_of(columns) * scale_bits)


@dataclass(frozen=True, eq=False)
class GroupQuantized:
    """Codes and scales of one weight array.

    Parameters
    ----------
    codes : numpy.ndarray
        Codes of the format, shaped like the weights.
    scales : numpy.ndarray, shape (rows, groups)
        In the scale's format.
    """

    scheme: GroupScheme
    codes: NDArray[Any]
    scales: NDArray[Any]

    def values(self) -> NDArray[np.float64]:
        """The weights that the codes and scales stand for; exact: both factors have at most 24 bits."""
        rows, columns = rows_and_columns(self.codes.shape)
        values: NDArray[np.float64] = decode(self.codes.reshape(rows, columns), self.scheme.fmt, dtype=np.float64)
        return (values * spread(self.scales, columns, self.scheme.group)).reshape(self.codes.shape)


def rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """A weight array as a matrix: a row an output (the first axis), a vector being one row."""
    rows = shape[0] if len(shape) > 1 else 1
    columns = 1
    for length in shape[1:] if len(shape) > 1 else shape:
        columns *= length
    return rows, columns


def spread(scales: NDArray[Any], columns: int, group: int) -> NDArray[np.float64]:
    """One scale a weight."""
    wide = scales.astype(np.float64)
    return wide if not group else np.repeat(wide, min(group, columns), axis=1)[:, :columns]


def quantize_groups(weights: NDArray[Any], scheme: GroupScheme) -> GroupQuantized:
    """Encode weights to nearest, each group by its own scale.

    Parameters
    ----------
    weights : numpy.ndarray
        Floating point, finite; the first axis counts the outputs, groups run along the others in storage order.
    scheme : GroupScheme

    Returns
    -------
    GroupQuantized
        A group of zeros has the scale 1. A scale too small for its format is the format's smallest number.

    Raises
    ------
    InputError
        A weight is NaN or infinite, or a scale is beyond its format.
    """
    rows, columns = rows_and_columns(weights.shape)
    matrix = np.asarray(weights).reshape(rows, columns)
    codes = np.empty((rows, columns), dtype=scheme.fmt.code_dtype)
    scales = np.empty((rows, scheme.groups_of(columns)), dtype=_numpy_type(scheme.scale_format))
    for part in row_chunks(rows, columns):
        with np.errstate(invalid="ignore"):  # signalling NaNs, which _scales refuses
            wide = matrix[part].astype(np.float64)
        scales[part] = _scales(wide, scheme)
        codes[part] = encode(wide / spread(scales[part], columns, scheme.group), scheme.fmt, policy=_NEAREST)
    return GroupQuantized(scheme, codes.reshape(weights.shape), scales)


def row_chunks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows that together hold about ``CHUNK`` weights each."""
    step = max(1, CHUNK // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _scales(matrix: NDArray[np.float64], scheme: GroupScheme) -> NDArray[Any]:
    columns = matrix.shape[1]
    starts = np.arange(0, columns, scheme.group) if 0 < scheme.group < columns else np.array([0])
    peaks = np.maximum.reduceat(np.abs(matrix), starts, axis=1) if columns else np.zeros((len(matrix), 1))
    if not np.isfinite(peaks).all():
        row, group = (int(index) for index in np.argwhere(~np.isfinite(peaks))[0])
        raise InputError(f"weights hold NaN or infinity, first in row {row}, group {group}")
    target = _numpy_type(scheme.scale_format)
    with np.errstate(over="ignore", under="ignore"):
        scales = (peaks / scheme.largest).astype(target)
    if not np.isfinite(scales.astype(np.float64)).all():
        raise InputError(
            f"a scale of {peaks.max() / scheme.largest:.4g} is beyond {scheme.scale_format}",
            hint="float32 scales reach 3.4e38" if scheme.scale_format == "float16" else "scale the weights down",
        )
    scales = np.maximum(scales, np.nextafter(target.type(0), target.type(1)))
    scales[peaks == 0] = 1
    return np.asarray(scales)


def _numpy_type(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
