"""A checkpoint whose codes are coded: which tensors gain by it, how long their streams are, and what loading gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.campaign.run import Progress
from lowbit.files import coded, own_tensors
from lowbit.files.parts import StoredTensor
from lowbit.files.safetensors import Entry, bytes_of

Bytes = NDArray[Any]


@dataclass
class Coding:
    """What coding makes of the codes of tensors, each in whole bytes.

    Attributes
    ----------
    coder : str
        "" where nothing is coded.
    lengths : dict of str to int
        By the name of the part, bytes of its stream.
    plain : int
        Bytes of the same codes packed.
    seconds : float
        Of processor time that decoding took.
    """

    coder: str = ""
    lengths: dict[str, int] = field(default_factory=dict)
    plain: int = 0
    seconds: float = 0.0

    def tried(self, tensor: StoredTensor, words: Bytes) -> StoredTensor:
        """The tensor as it is stored: its codes coded where that is shorter, else packed.

        Raises RuntimeError: a stream is not decoded to its codes.
        """
        part, count = tensor.parts[0], prod(tensor.parts[0].shape)
        stream = coded.encoded(words, part.dtype, self.coder)
        if not self.seconds:
            coded.decoded(stream, part.dtype, count, self.coder)  # the first call loads the kernel
        before = process_time()
        again = coded.decoded(stream, part.dtype, count, self.coder)
        self.seconds += process_time() - before
        if not np.array_equal(again, words):
            raise RuntimeError(f"the stream of {tensor.name} is not decoded to its codes: a bug of lowbit")
        packed = packed_tensor(tensor)
        size = bytes_of(packed.parts[0].entry)
        if len(stream) >= size:
            return packed
        self.plain += size
        self.lengths[part.name] = len(stream)
        return tensor

    def entry(self, entry: Entry) -> Entry:
        """How the header has a part."""
        length = self.lengths.get(entry.name)
        return entry if length is None else Entry(entry.name, "U8", (length,), 0, 0)

    def written(self, tensor: StoredTensor, words: list[Bytes]) -> list[Bytes]:
        """What is written of the parts of a tensor."""
        part = tensor.parts[0]
        if part.name not in self.lengths:
            return words
        return [coded.encoded(words[0], part.dtype, self.coder), *words[1:]]

    def metadata(self, tensors: Mapping[str, StoredTensor]) -> dict[str, str]:
        """What the header says of them."""
        parts = [part.entry for tensor in tensors.values() for part in tensor.parts if part.name in self.lengths]
        return coded.metadata({entry.name: coded.Record(entry.dtype, entry.shape, self.coder) for entry in parts})

    def told(self) -> tuple[str, ...]:
        """What loading gains, in words."""
        if not self.coder:
            return ()
        if not self.lengths:
            return (f"{self.coder} makes no tensor smaller: codes are packed, in lowbit's own container",)
        total = sum(self.lengths.values())
        rate = (self.plain - total) / max(self.seconds, 1e-9)
        what = f"codes by {self.coder}: {total:,} bytes instead of {self.plain:,}, {1 - total / self.plain:.0%} less"
        return (f"{what}; loads sooner, decoded by one thread, where storage gives less than {rate / 1e6:.0f} MB/s",)


def packed_tensor(tensor: StoredTensor) -> StoredTensor:
    """The same tensor with its codes packed."""
    inputs = next((part.role for part in tensor.parts if part.role in own_tensors.INPUTS), "")
    return own_tensors.stored(tensor.name, tensor.shape, tensor.format, inputs)


def coded_tensors(
    tensors: Mapping[str, StoredTensor],
    coder: str | None,
    words_of: Callable[[StoredTensor], list[Bytes]],
    progress: Progress,
) -> tuple[dict[str, StoredTensor], Coding]:
    """The tensors as they are stored, and what is coded.

    The header says how long streams are, so that all tensors are quantised here, and once more when they are written.
    """
    coding, result = Coding(coder or ""), dict(tensors)
    for done, (name, tensor) in enumerate(tensors.items() if coder else ()):
        progress(done, len(tensors), name)
        codable = tensor.parts[0].dtype in coded.DTYPES
        result[name] = coding.tried(tensor, words_of(tensor)[0]) if codable else packed_tensor(tensor)
    return result, coding
