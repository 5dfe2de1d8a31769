"""Arrays of codes as bytes hold them: what ``BlockTensor.to_bytes`` joins and ``from_bytes`` takes apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Element
from lowbit.ops.arrays import Array, check_range
from lowbit.ops.pack.pack import pack, unpack

DENSE = "lsb_first"


@dataclass(frozen=True)
class Stored:
    """An array of codes in bytes.

    Attributes
    ----------
    format : Element
    shape : tuple of int
        The last axis is packed.
    layout : str
        Codes that fill whole containers are little-endian numbers under "lsb_first".
    """

    format: Element
    shape: Shape
    layout: str = DENSE

    @property
    def _whole(self) -> bool:
        return self.layout == DENSE and self.format.bits == 8 * np.dtype(self.format.code_dtype).itemsize

    def words(self, codes: Array) -> Array:
        """What the bytes are, as words in the order of this machine."""
        return codes if self._whole else pack(codes, self.format, layout=self.layout)

    def codes(self, data: memoryview) -> Array:
        """The codes of as many bytes as there are."""
        like = self.empty()
        words = np.frombuffer(data, like.dtype.newbyteorder("<")).astype(like.dtype).reshape(like.shape)
        if self._whole:
            check_range(words, self.format.codes[0], self.format.codes[-1], self.format.id)
            return words
        return unpack(words, self.format, layout=self.layout, count=self.shape[-1]).reshape(self.shape)

    def empty(self) -> Array:
        """The words of codes that are all zero."""
        return self.words(np.zeros(self.shape, self.format.code_dtype))


def stored_parts(fmt: BlockFormat, shape: Shape, layout: str) -> list[Stored]:
    """The codes and the scales of each field of a tensor, its block axis last."""
    scales = [Stored(field.format, (math.prod(field.grid(shape)),)) for field in fmt.scales]
    return [Stored(fmt.element, fmt.codes_shape(shape), layout), *scales]


def little_endian(words: npt.NDArray[np.generic]) -> bytes:
    """The bytes of words, the lowest first."""
    return words.astype(words.dtype.newbyteorder("<")).tobytes()
