"""Which tensors of a checkpoint are quantised, and in which format each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lowbit.campaign.container import CONTAINERS, GGUF
from lowbit.errors import InputError
from lowbit.files import compressed_tensors, gguf_tensors, own_tensors, quantization_config
from lowbit.files.gguf import GgufFile
from lowbit.files.model_config import KEY, NAME, quantization_of
from lowbit.files.safetensors import DTYPES, Entry, TensorFile
from lowbit.files.selection import LeftOut, check_patterns, select
from lowbit.format.block import BlockFormat
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.printable import excerpt


def is_quantized(file: TensorFile) -> bool:
    """Whether a file says so itself, or has tensors that the config beside it makes quantised ones."""
    if own_tensors.KEY in file.metadata or KEY in file.metadata:
        return True
    if isinstance(file, GgufFile):
        return any(entry.dtype not in DTYPES for entry in file.entries.values())
    config = quantization_of(file)
    try:
        return bool(config and quantization_config.read(config, file)[0])
    except InputError as error:
        raise InputError(error.message, hint=error.hint or f"move {NAME} away if it is that of other files") from error


def require_values(file: TensorFile, path: Path) -> None:
    """Refuse a file that is quantised already: InputError."""
    if is_quantized(file):
        raise InputError(f"{path} is quantised already", hint="`lowbit dequantize` it first")


def chosen_tensors(
    file: TensorFile, fmt: FormatLike | Mapping[str, FormatLike], include: str, exclude: str
) -> tuple[dict[str, BlockFormat], tuple[LeftOut, ...]]:
    """The format of each chosen tensor, and the other tensors; see :func:`lowbit.campaign.checkpoint.quantize_file`."""
    check_patterns(include, exclude)
    entries, left_out = select(file, include, exclude)
    if not isinstance(fmt, Mapping):
        block = block_format_of(fmt)
        return {entry.name: block for entry in entries}, left_out
    if not fmt:
        raise InputError(f"{file.path}: no tensor has a format", hint="a mapping of names to formats")
    weights = {entry.name for entry in select(file, exclude="")[0]}
    for name in fmt:
        if name not in weights:
            what = "is not a weight of" if name in file.entries else "is not in"
            raise InputError(f"tensor {excerpt(name)}, which has a format, {what} {file.path}")
    left_out = tuple(
        next((item for item in left_out if item.name == name), left(entry, "no format is given for it"))
        for name, entry in file.entries.items()
        if name not in fmt
    )
    return {name: block_format_of(fmt[name]) for name in file.entries if name in fmt}, left_out


def left(entry: Entry, reason: str) -> LeftOut:
    """A tensor that is left as it is."""
    return LeftOut(entry.name, entry.dtype, entry.shape, entry.size, reason)


def held(
    file: TensorFile, chosen: Mapping[str, BlockFormat], left_out: tuple[LeftOut, ...], container: str
) -> tuple[dict[str, BlockFormat], tuple[LeftOut, ...]]:
    """What a container can hold of the chosen tensors, and the others; lowbit's own holds them all.

    Raises InputError: it holds none of them, or has no type for one that is left as it is.
    """
    others = {name: _why_not(file.entries[name], block, container) for name, block in chosen.items()}
    kept = {name: block for name, block in chosen.items() if not others[name]}
    if not kept:
        name, reason = next(iter(others.items()))
        raise InputError(f"{file.path}: none of the chosen tensors is quantised: {excerpt(name)}: {reason}")
    reasons = {item.name: item.reason for item in left_out} | {name: why for name, why in others.items() if why}
    rest = tuple(left(entry, reasons[name]) for name, entry in file.entries.items() if name in reasons)
    if container == GGUF:
        gguf_tensors.require_plain(file, [item.name for item in rest])
    return kept, rest


def _why_not(entry: Entry, block: BlockFormat, container: str) -> str:
    if container == CONTAINERS[0]:
        return compressed_tensors.why_not(entry.name, entry.shape)
    return gguf_tensors.why_not(entry, block) if container == GGUF else ""
