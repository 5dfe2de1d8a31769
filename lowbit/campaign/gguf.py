"""A checkpoint into a GGUF file of ggml's blocks, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lowbit.campaign.checkpoint import Converted, chosen_tensors, is_quantized, told_of, told_of_lost
from lowbit.campaign.container import GGUF
from lowbit.campaign.run import Progress, unseen
from lowbit.errors import InputError
from lowbit.files.distinct import refuse_overwriting
from lowbit.files.gguf import TYPES, GgufFile, kept_values, write_gguf
from lowbit.files.gguf_tensors import entry_of, require_types, stored, why_not
from lowbit.files.gguf_values import Value
from lowbit.files.selection import LEFT_OUT, LeftOut
from lowbit.files.sharded import read_checkpoint
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array, checked_threads
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.printable import counted, excerpt

_VERSION = {"general.quantization_version": Value("uint32", 2)}
"""Of the blocks: GGML_QNT_VERSION (include/ggml.h)."""


def quantize_to_gguf(
    path: str | Path,
    output: str | Path,
    fmt: FormatLike | Mapping[str, FormatLike],
    *,
    policy: BlockPolicy | str | None = None,
    include: str = "",
    exclude: str = LEFT_OUT,
    threads: int = 1,
    progress: Progress = unseen,
) -> Converted:
    """Quantise the matrices of a safetensors or GGUF file into ggml's blocks; its other tensors are copied.

    Parameters
    ----------
    path, output : path
        ``output`` is written whole or not at all. Metadata of a GGUF file is kept; there is none in a safetensors file
        that llama.cpp could load a model by, and names are those of the source.
    fmt, policy, include, exclude, threads, progress
        As for :func:`lowbit.campaign.checkpoint.quantize_file`; formats are ``ggml_*``.

    Returns
    -------
    Converted
        A tensor whose rows are not whole blocks is left as it is, as llama.cpp leaves what has one axis.

    Raises
    ------
    InputError
        The file is damaged or quantised, a format is not one of GGUF, none of the tensors can be in it, a policy
        refuses a value, or a tensor is of a dtype that GGUF lacks.
    """
    path, output = Path(path), Path(output)
    checked_threads(threads)
    refuse_overwriting([(str(output), output)], [("the checkpoint", path)])
    file = read_checkpoint(path)
    if is_quantized(file):
        raise InputError(f"{path} is quantised already", hint="`lowbit dequantize` it first")
    chosen, left_out = chosen_tensors(file, fmt, include, exclude)
    require_types(list(chosen.values()))
    reasons = {name: why_not(file.entries[name], block) for name, block in chosen.items()}
    tensors = {
        name: stored(name, file.entries[name].shape, block) for name, block in chosen.items() if not reasons[name]
    }
    if not tensors:
        name, reason = next(iter(reasons.items()))
        raise InputError(f"{path}: none of the chosen tensors can be quantised: {excerpt(name)}: {reason}")
    for name, entry in file.entries.items():
        if name not in tensors and entry.dtype not in TYPES:
            what = f"tensor {excerpt(name)} is {excerpt(entry.dtype, quoted=False)}, for which GGUF has no type"
            raise InputError(f"{path}: {what}", hint="write it without that tensor, or into a safetensors file")
    for tensor in tensors.values():
        get_block_policy(tensor.format.default_policy if policy is None else policy).require_held(tensor.format)
    whole = [entry_of(tensors[name]) if name in tensors else entry for name, entry in file.entries.items()]
    lost: dict[str, int] = {}

    def arrays() -> Iterator[Array]:
        for name in file.entries:
            if name not in tensors:
                yield file.raw(name)
                continue
            progress(len(lost), len(tensors), name)
            with told_of(name):
                (words,), lost[name] = tensors[name].quantized(file.tensor(name), policy, threads)
            yield words

    write_gguf(output, whole, arrays(), {**kept_values(file), **_VERSION})
    others = [
        LeftOut(name, file.entries[name].dtype, file.entries[name].shape, file.entries[name].size, reason)
        for name, reason in reasons.items()
        if reason
    ]
    return Converted(
        tuple(tensors.values()),
        (*left_out, *others),
        GGUF,
        None,
        (*_notes(file, others), *told_of_lost({name: count for name, count in lost.items() if count})),
    )


def _notes(file: object, others: list[LeftOut]) -> tuple[str, ...]:
    notes = []
    if others:
        what = f"{counted(len(others), 'tensor')} with rows that are not whole blocks left as they are"
        notes.append(f"{what}; llama.cpp takes them")
    if not isinstance(file, GgufFile):
        notes.append("names are those of the source and there is no model's metadata: convert the model to GGUF first")
    return tuple(notes)
