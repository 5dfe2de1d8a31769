"""What kind of file a file is, by its first bytes, and what is said where another kind is wanted or is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lowbit.errors import InputError

SAFETENSORS, GGUF, NPZ, NPY = "a safetensors file", "a GGUF file", "a .npz file", "a .npy file"
TORCH, PICKLE, ONNX = "a PyTorch checkpoint", "a Python pickle, as PyTorch's are", "an ONNX model"
LFS, TEXT, EMPTY = "a pointer of Git LFS to the file", "text", "an empty file"

BEGINNINGS: Mapping[bytes, str] = {
    b"GGUF": GGUF,
    b"\x93NUMPY": NPY,
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
    b"version https://git-lfs": LFS,
    **{bytes([0x80, protocol]): PICKLE for protocol in range(2, 6)},
}
HINTS: Mapping[str, str] = {
    GGUF: "quantize, dequantize, scan and evaluate read GGUF",
    TORCH: "safetensors.torch.save_file(torch.load(FILE), OUTPUT) writes a safetensors file",
    PICKLE: "safetensors.torch.save_file(torch.load(FILE), OUTPUT) writes a safetensors file",
    NPZ: "safetensors.numpy.save_file(dict(numpy.load(FILE)), OUTPUT) writes a safetensors file",
    LFS: "git lfs pull",
}
"""What to do with such a file where one with a model's weights is wanted."""

SUFFIXES: Mapping[str, str] = {
    ".npz": NPZ,
    ".npy": NPY,
    ".onnx": ONNX,
    ".pt": TORCH,
    ".pth": TORCH,
    ".gguf": GGUF,
    ".safetensors": SAFETENSORS,
    ".json": "a JSON file",
}
"""Endings of names that promise a kind of file."""

_ZIP, _ZIP_NAME = b"PK\x03\x04", slice(30, 30 + 255)
"""A local header, and where the name of its file begins (APPNOTE.TXT 4.3.7)."""
_LENGTH = 8
_FIRST, _VERSIONS, _FIELDS = 0x08, range(1, 32), frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
"""Of ``ModelProto`` in onnx.proto: the key of ``ir_version``, versions, and the keys of the fields that may follow."""


def kind_of(path: str | Path) -> str:
    """What a file is, in words; "" where its beginning does not tell, or it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(1024)
    except OSError:
        return ""
    if not head:
        return EMPTY
    for beginning, kind in BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head.startswith(_ZIP):
        name = head[_ZIP_NAME]
        return NPZ if b".npy" in name else TORCH if b"data.pkl" in name else ""
    if head[_LENGTH : _LENGTH + 1] == b"{":
        return SAFETENSORS
    if len(head) > 2 and head[0] == _FIRST and head[1] in _VERSIONS and head[2] in _FIELDS:
        return ONNX
    return TEXT if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head) else ""


def wrong_kind(path: str | Path, wanted: str, why: str, *, hint: str = "") -> InputError:
    """The error for a file that is not of a kind: which kind it is, or else why.

    Parameters
    ----------
    path : path
    wanted : str
        One of the kinds above.
    why : str
        What is wrong with a file that is nothing else.
    hint : str
        How to get such a file.
    """
    kind = kind_of(path)
    if kind and kind != wanted:
        own = HINTS.get(kind, "")
        return InputError(f"{path} is not {wanted}, but {kind}", hint=own if kind == LFS else hint or own)
    return InputError(f"{path} is not {wanted}, or a damaged one: {why}", hint=hint)


def require_suffix(path: str | Path, kind: str) -> None:
    """Refuse a name for an output that promises another kind of file: InputError.

    ``kind`` is what is written.
    """
    promised = SUFFIXES.get(Path(path).suffix.lower())
    if promised is not None and promised != kind:
        own = next(suffix for suffix, other in SUFFIXES.items() if other == kind)
        raise InputError(f"{path}: the name is that of {promised}, and {kind} is written", hint=f"name it NAME{own}")
