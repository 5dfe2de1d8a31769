"""Codes narrower than a byte as an operand of integer GEMM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import FormatLike, scalar_format
from lowbit.ops.pack.pack import layout_of, unpack

_NIBBLES = {"low_nibble_first": 0, "lsb_first": 0, "high_nibble_first": 1}
"""Where the first of two four-bit codes is: 0 in the low half of the byte, 1 in the high half."""


@dataclass(frozen=True, eq=False)
class PackedCodes:
    """A matrix, or a stack of matrices, of packed integer codes; :func:`gemm` takes it as a or b.

    Attributes
    ----------
    packed : ndarray of uint8, shape (..., rows, bytes)
        As :func:`pack` makes it: the codes of a row lie along the last axis.
    fmt : str, Format or dtype
        int2 to int8 or uint2 to uint8.
    layout : str
        A name out of ``LAYOUTS``.
    count : int, optional
        Codes in a row; as many as fit unless given.
    transposed : bool
        The operand is the transpose of what is packed, as where the weights of each output lie along k.

    Raises
    ------
    InputError
        The format is not an integer of at most 8 bits, the layout does not have it, or ``packed`` is not such an array.

    Examples
    --------
    >>> import lowbit
    >>> weights = lowbit.pack([[1, -2], [3, 4]], "int4", layout="low_nibble_first")
    >>> PackedCodes(weights, "int4", "low_nibble_first").unpack().tolist()
    [[1, -2], [3, 4]]
    """

    packed: npt.NDArray[np.uint8]
    fmt: FormatLike
    layout: str = "lsb_first"
    count: int | None = None
    transposed: bool = False

    def __post_init__(self) -> None:
        fmt = scalar_format(self.fmt)
        if fmt.kind != "integer" or fmt.bits > 8:
            raise InputError(f"packed operands are int2 to int8 or uint2 to uint8, not {fmt.id}")
        if np.asarray(self.packed).dtype != np.uint8 or np.ndim(self.packed) < 2:
            raise InputError("packed codes are a uint8 array of at least two axes", hint="lowbit.pack makes it")
        layout_of(self.layout, fmt.bits)

    @property
    def T(self) -> PackedCodes:  # noqa: N802 (NumPy's name)
        """The transposed operand, of the same memory."""
        return PackedCodes(self.packed, self.fmt, self.layout, self.count, not self.transposed)

    def unpack(self) -> npt.NDArray[Any]:
        """The codes, a byte each.

        Raises
        ------
        InputError
            As for :func:`unpack`: the count does not fit what is packed, or padding is not zero.
        """
        fmt = scalar_format(self.fmt)
        if fmt.bits == 4 and self.layout in _NIBBLES:
            codes = self._nibbles(fmt.signed)
        else:
            codes = unpack(self.packed, self.fmt, layout=self.layout, count=self.count)
        return codes.swapaxes(-1, -2) if self.transposed else codes

    def _nibbles(self, signed: bool) -> npt.NDArray[Any]:
        """The usual case, in one pass."""
        from lowbit.kernels.gemm.nibbles import split_nibbles

        rows, octets = self.packed.shape[:-1], self.packed.shape[-1]
        found = 2 * octets
        count = found if self.count is None else self.count
        exact = count == found or (self.layout == "lsb_first" and count == found - 1)
        if not exact or (count < found and self.packed.size and (self.packed[..., -1] >> 4).any()):
            return unpack(self.packed, self.fmt, layout=self.layout, count=self.count)  # or says what is wrong
        flat = np.ascontiguousarray(self.packed).reshape(-1)
        codes = np.empty(2 * flat.size, dtype=np.int8)
        split_nibbles(flat, _NIBBLES[self.layout], 8 if signed else 0, codes)
        shaped = codes.reshape(*rows, found)[..., :count]
        return shaped if signed else shaped.view(np.uint8)
