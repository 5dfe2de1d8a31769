"""In which container tensors of a checkpoint are stored, and how: that of compressed-tensors, lowbit's own, or GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lowbit.errors import InputError
from lowbit.files import compressed_tensors, gguf_tensors, own_tensors, quantization_config
from lowbit.files.coded import CODERS
from lowbit.files.gguf import GgufFile
from lowbit.files.model_config import KEY, NAME, quantization_of
from lowbit.files.parts import CodedTensor, StoredTensor
from lowbit.files.safetensors import Entry, TensorFile
from lowbit.format.block import BlockFormat
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.printable import excerpt

GGUF = "gguf"
CONTAINERS = ("compressed_tensors", "lowbit", GGUF)
INTEGERS = ("packed", "bytes")


def chosen_container(
    chosen: Mapping[str, BlockFormat],
    container: str | None,
    policy: BlockPolicy | str | None,
    coded: Mapping[str, CodedTensor],
) -> tuple[str, tuple[str, ...]]:
    """The container, and what is to be said of it; InputError: the one that is asked for does not have a format."""
    if container not in (None, *CONTAINERS):
        raise InputError(f"container = {container!r} is unknown", hint=f"one of {', '.join(CONTAINERS)}")
    if container == GGUF:
        gguf_tensors.require_types(list(chosen.values()))
    blocks = {block.id: block for block in chosen.values()}
    search = get_block_policy(policy).search if policy is not None else "none"
    unknown = ", ".join(name for name, block in blocks.items() if compressed_tensors.kind_of(block) is None)
    inverse = [name for name, block in blocks.items() if compressed_tensors.stored_as(block) != block]
    why = unknown
    if not unknown and inverse and search != "none":  # which compares values under the scale itself
        why = f"{inverse[0]} but with the reciprocal of its tensor's scale, which search = {search!r} is not for"
    if container == CONTAINERS[0] and why:
        what = "the format " * bool(unknown)
        raise InputError(f"compressed-tensors does not have {what}{why}", hint="the container lowbit has it")
    changed = next((name for name, made in coded.items() if made.inputs is not None), None)
    if changed is not None and container != CONTAINERS[1]:
        where = "GGUF" if container == GGUF else "compressed-tensors"
        what = f"{where} has no place for factors or an order of the inputs of a matrix"
        if container:
            raise InputError(f"tensor {excerpt(changed)}: {what}", hint="the container lowbit has it")
        return CONTAINERS[1], (f"{what}: this file is in lowbit's own container",)
    if container or not why:
        return container or CONTAINERS[0], ()
    return CONTAINERS[1], (f"compressed-tensors does not have {why}: this file is in lowbit's own container",)


def container_of_output(output: Path, container: str | None, coder: str | None) -> str | None:
    """The container that is asked for: by its name, by the name of the output, or by coding, which is lowbit's own.

    Raises InputError: another one is asked for than coding has, or the coder is unknown.
    """
    if container is None and output.suffix == f".{GGUF}":
        container = GGUF
    if coder is None:
        return container
    if coder not in CODERS:
        raise InputError(f"entropy = {coder!r} is unknown", hint=f"one of {', '.join(CODERS)}")
    if container not in (None, CONTAINERS[1]):
        raise InputError(
            f"{container} has no place for coded codes", hint="the container lowbit has, a safetensors file"
        )
    return CONTAINERS[1]


def check_integers(chosen: Mapping[str, BlockFormat], container: str, integers: str) -> None:
    """Refuse a way to store integers that is unknown, or not for these formats: InputError."""
    if integers not in INTEGERS:
        raise InputError(f"integers = {integers!r} is unknown", hint=f"one of {', '.join(INTEGERS)}")
    others = (block.id for block in chosen.values() if block.element.wraps and block.element.id != "int8")
    other = next(others, "") if container == CONTAINERS[0] else container
    if integers == INTEGERS[1] and other:
        what = f"int-quantized is for int8 in compressed-tensors, not for {other}"
        raise InputError(what, hint="int8.channel, for example, or packed integers")


def stored(
    entry: Entry,
    block: BlockFormat,
    container: str,
    integers: str,
    coded: CodedTensor | None,
    *,
    unpacked: bool = False,
) -> StoredTensor:
    """How a tensor is stored in a container; ``unpacked``: its codes in whole bytes, as they are coded."""
    if container == CONTAINERS[1]:
        inputs = coded.inputs[0] if coded is not None and coded.inputs is not None else ""
        return own_tensors.stored(entry.name, entry.shape, block, inputs, unpacked=unpacked)
    if container == GGUF:
        return gguf_tensors.stored(entry.name, entry.shape, block)
    kind = compressed_tensors.INT if integers == INTEGERS[1] and block.element.wraps else None
    return compressed_tensors.stored(entry.name, entry.shape, compressed_tensors.stored_as(block), kind)


def read_quantized(file: TensorFile) -> tuple[list[StoredTensor], set[str], str]:
    """The quantised tensors of a file, the names of tensors that go with them, and the container.

    Raises InputError: there are none, or a tensor that belongs to them is missing or misshapen.
    """
    if isinstance(file, GgufFile):
        return _read_gguf(file), set(), GGUF
    own = own_tensors.read(file)
    if own:
        return own, set(), CONTAINERS[1]
    config = quantization_of(file)
    if not config:
        raise InputError(
            f"{file.path} is not quantised: neither its metadata nor a config.json beside it says how",
            hint="keep config.json beside the file",
        )
    tensors, beside = quantization_config.read(config, file)
    if not tensors:
        hint = "" if KEY in file.metadata else f"the {KEY} in {NAME} beside it is that of other files"
        raise InputError(f"{file.path}: none of its {len(file.entries)} tensors is quantised", hint=hint)
    return tensors, beside, CONTAINERS[0]


def _read_gguf(file: GgufFile) -> list[StoredTensor]:
    """The tensors of a GGUF file in blocks; InputError: there are none, or others that are not decoded."""
    for entry in gguf_tensors.undecoded(file):
        raise InputError(f"{file.path}: tensor {excerpt(entry.name)} is {entry.dtype}, which is not decoded here")
    tensors = gguf_tensors.read(file)
    if not tensors:
        raise InputError(f"{file.path}: none of its {len(file.entries)} tensors is quantised")
    return list(tensors)
