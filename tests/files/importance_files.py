"""Importance matrices in both layouts of llama-imatrix, written field by field."""

import struct

import numpy as np

from lowbit.files.gguf import write_gguf
from lowbit.files.gguf_values import Value
from lowbit.files.safetensors import Entry

METADATA = {
    "general.type": Value("string", "imatrix"),
    "imatrix.datasets": Value("array", ["wiki.txt"], "string"),
    "imatrix.chunk_count": Value("uint32", 3),
    "imatrix.chunk_size": Value("uint32", 512),
}


def dat(sums, *, chunks=3, text="wiki.txt"):
    """The bytes of the older layout: of each name calls and sums; ``chunks`` and ``text`` may be None."""
    data = struct.pack("<i", len(sums))
    for name, (calls, squares) in sums.items():
        data += struct.pack("<i", len(name.encode())) + name.encode() + struct.pack("<ii", calls, np.size(squares))
        data += np.asarray(squares, "<f4").tobytes()
    data += b"" if chunks is None else struct.pack("<i", chunks)
    return data + (b"" if text is None else struct.pack("<i", len(text)) + text.encode())


def write_importance(path, sums, values=METADATA):
    """A GGUF file of sums, shape (matrices, inputs), and counts, one a matrix or one for all."""
    entries, arrays = [], []
    for name, (counts, squares) in sums.items():
        for suffix, array in ((".in_sum2", squares), (".counts", np.reshape(counts, (-1, 1)))):
            arrays.append(np.asarray(array, np.float32))
            entries.append(Entry(name + suffix, "F32", arrays[-1].shape, 0, 0))
    write_gguf(path, entries, arrays, values)
