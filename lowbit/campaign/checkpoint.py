"""Whole checkpoints into block formats and back, tensor by tensor, in memory that the largest of them bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from lowbit.campaign.chosen import chosen_tensors, held, left, require_values
from lowbit.campaign.coding import coded_tensors
from lowbit.campaign.container import (
    CONTAINERS,
    GGUF,
    check_integers,
    chosen_container,
    container_of_output,
    read_quantized,
    stored,
)
from lowbit.campaign.run import Progress, unseen
from lowbit.campaign.weighing import weighing
from lowbit.errors import InputError
from lowbit.files import compressed_tensors, gguf_tensors, kinds, own_tensors, quantization_config
from lowbit.files.distinct import Named, refuse_overwriting
from lowbit.files.gguf import GgufFile, kept_values, write_gguf
from lowbit.files.kinds import require_suffix
from lowbit.files.model_config import KEY, NAME, config_beside, read_config
from lowbit.files.parts import LEFT_AS_IS, CodedTensor, StoredTensor, raw_bytes
from lowbit.files.safetensors import DTYPES, Entry, TensorFile
from lowbit.files.selection import LEFT_OUT, LeftOut
from lowbit.files.sharded import config_place, read_checkpoint, write_checkpoint
from lowbit.files.whole import is_stream
from lowbit.format.block import WHOLE
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array, checked_threads
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.search import require_policy, weighs
from lowbit.ops.pack.structs import STRUCTS
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.printable import counted, excerpt

DTYPE_NAMES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True)
class Converted:
    """What was done to a checkpoint.

    Attributes
    ----------
    tensors : tuple of StoredTensor
        Those in block formats.
    left_out : tuple of LeftOut
        Those that are as they were, with the reason of each.
    container : str
        One of ``CONTAINERS``.
    config : Path or None
        The ``config.json`` that was written.
    notes : tuple of str
        What a user should know.
    """

    tensors: tuple[StoredTensor, ...]
    left_out: tuple[LeftOut, ...]
    container: str
    config: Path | None
    notes: tuple[str, ...] = ()


def quantize_file(  # noqa: PLR0913 (all but three are keyword-only options)
    path: str | Path,
    output: str | Path,
    fmt: FormatLike | Mapping[str, FormatLike],
    *,
    policy: BlockPolicy | str | None = None,
    include: str = "",
    exclude: str = LEFT_OUT,
    container: str | None = None,
    integers: str = "packed",
    coded: Mapping[str, CodedTensor] | None = None,
    replaced: Mapping[str, Array] | None = None,
    entropy: str | None = None,
    importance: str | Path | None = None,
    threads: int = 1,
    progress: Progress = unseen,
) -> Converted:
    """Quantise the matrices of a safetensors or GGUF file; its other tensors are copied.

    Parameters
    ----------
    path, output : path
        ``output`` is written whole or not at all. A folder of files that an index lists goes into a new folder, as
        files of the same names with an index of their own. Where it ends in .gguf, it is a GGUF file.
    fmt : str or BlockFormat, or mapping of str to these
        Of every chosen tensor; or of each by its name, and the patterns do not count. Blocks lie along the last axis.
    policy : BlockPolicy or str, optional
        By default each format's own.
    include, exclude : str
        Regular expressions, searched in names.
    container : {"compressed_tensors", "lowbit", "gguf"}, optional
        By default GGUF where the output is named so, else that of compressed-tensors where it has the formats; the
        ``quantization_config`` of the latter goes into the header's metadata, and into ``config.json`` beside an output
        in another folder, and NVFP4 is stored there with the reciprocal of the tensor's scale, ``nvfp4_reciprocal``.
        GGUF has the formats ``ggml_*``: metadata of a GGUF file is kept, names are those of the source, and a tensor
        whose rows are not whole blocks is left as it is.
    integers : {"packed", "bytes"}
        How compressed-tensors has integers: packed into words of 32 bits (pack-quantized), or, of int8 alone, a byte
        each (int-quantized).
    coded : mapping of str to CodedTensor, optional
        Tensors that a method has quantised already, in ``fmt``.
    replaced : mapping of str to ndarray, optional
        What is copied in place of other tensors of the file, each in its dtype and shape there.
    entropy : {"huffman", "rans"}, optional
        How codes are coded (:mod:`lowbit.entropy`), where they become fewer bytes; in lowbit's own container.
    importance : path, optional
        An importance matrix of llama.cpp, GGUF or .dat, by which the K-quants and IQ4 of ggml, and Q4_0 to Q5_1, are
        searched; tensors that it says nothing of are made without.
    threads : int
    progress : callable
        Takes (tensors done, tensors, name).

    Returns
    -------
    Converted

    Raises
    ------
    InputError
        The file is damaged, none of its tensors is chosen, a block does not fit, a policy refuses a value, a
        value is NaN or infinite, the container does not have the format, or importance is not for it.
    """
    path, output = Path(path), Path(output)
    checked_threads(threads)
    file = read_checkpoint(path)
    require_values(file, path)
    chosen, left_out = chosen_tensors(file, fmt, include, exclude)
    coded = coded or {}
    container, notes = chosen_container(chosen, container_of_output(output, container, entropy), policy, coded)
    check_integers(chosen, container, integers)
    wanted, there = chosen, container == CONTAINERS[0]
    chosen, left_out = held(file, chosen, left_out, container)
    tensors = {
        name: stored(file.entries[name], block, container, integers, coded.get(name), unpacked=bool(entropy))
        for name, block in chosen.items()
    }
    require_suffix(output, kinds.GGUF if container == GGUF else kinds.SAFETENSORS)
    _check_shapes(tensors, policy, whole=there, weighed=importance is not None)
    own = weighing(importance, {name: tensor for name, tensor in tensors.items() if name not in coded}, policy)
    lost = {name: made.lost for name, made in coded.items()}

    def words_of(tensor: StoredTensor) -> list[Array]:
        made = coded.get(tensor.name)
        with told_of(tensor.name):
            if made is not None:
                words = tensor.coded(made)
            else:
                words, lost[tensor.name] = own.quantized(tensor, file.tensor(tensor.name), policy, threads)
        return [raw_bytes(part) for part in words]

    tensors, coding = coded_tensors(tensors, entropy, words_of, progress)
    metadata, config = _records(file, config_place(file, output), list(tensors.values()), left_out, container, policy)
    metadata |= coding.metadata(tensors)
    _refuse_lost(path, output, config)
    entries = [(name, entry) for name in file.entries for entry in _entries(file.entries[name], tensors.get(name))]
    _refuse_twice(entries)
    entries = [(name, coding.entry(entry)) for name, entry in entries]

    def arrays() -> Iterator[list[Array]]:
        done = 0
        for name in file.entries:
            if name not in tensors:
                yield [raw_bytes(replaced[name]) if replaced and name in replaced else file.raw(name)]
                continue
            progress(done, len(tensors), name)
            yield coding.written(tensors[name], words_of(tensors[name]))
            done += 1

    each = one_ahead(arrays()) if threads > 1 else arrays()
    if container == GGUF:
        values = {**kept_values(file), **gguf_tensors.BLOCKS_VERSION, **own.metadata()}
        write_gguf(output, [entry for _, entry in entries], chain.from_iterable(each), values)
        notes += gguf_tensors.notes_on(file, wanted, list(chosen))
    else:
        write_checkpoint(output, file, entries, chain.from_iterable(each), metadata, config)
    if config is None and there and not is_stream(output):
        notes += (f"the {KEY} is in the metadata of {output} alone: {NAME} there is that of {path.name}",)
    notes += own.notes + coding.told() + told_of_lost({name: count for name, count in lost.items() if count})
    return Converted(tuple(tensors.values()), left_out, container, config[0] if config else None, notes)


def one_ahead(items: Iterator[list[Array]]) -> Iterator[list[Array]]:
    """Lists of arrays, of which each is made in a thread of its own while the one before is written."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def told_of_lost(lost: Mapping[str, int]) -> tuple[str, ...]:
    """What is said of blocks that became zero, by the names of tensors."""
    if not lost:
        return ()
    others = f" and {counted(len(lost) - 1, 'other tensor')}" * (len(lost) > 1)
    blocks = f"{counted(sum(lost.values()), 'block')} of {excerpt(next(iter(lost)), quoted=False)}{others}"
    return (f"{blocks} became zero: their scales underflow, and those of int4.g128.float32, say, would not",)


def _check_shapes(
    tensors: Mapping[str, StoredTensor], policy: BlockPolicy | str | None, *, whole: bool, weighed: bool
) -> None:
    """Refuse a policy or a shape before anything is written; ``whole``: rows of short groups, which one cannot read."""
    for name, tensor in tensors.items():
        fmt = tensor.format
        chosen = get_block_policy(fmt.default_policy if policy is None else policy)
        with told_of(name):
            _check_blocks(tensor, short=chosen.tail == "short" and not chosen.of_ggml)
            require_policy(fmt, tensor.shape, chosen, weighed=weighed and weighs(fmt, chosen))
            group = fmt.block[0] if len(fmt.block) == 1 else WHOLE
            if whole and group != WHOLE and tensor.shape[-1] % group:
                raise InputError(
                    f"groups of {group} do not divide a row of {tensor.shape[-1]}, as compressed-tensors asks",
                    hint=f"{LEFT_AS_IS}, or --container lowbit",
                )


def _check_blocks(tensor: StoredTensor, *, short: bool) -> None:
    try:
        tensor.format.check_shape(tensor.shape, short=short)
    except InputError as error:
        hint = f"{LEFT_AS_IS}, or pad its axes to whole blocks beforehand"
        hint += "; an output that ends in .gguf leaves it as it is" * (tensor.format.id in STRUCTS)
        raise InputError(error.message, hint=hint) from error


def _records(
    file: TensorFile,
    output: Path,
    tensors: list[StoredTensor],
    left_out: tuple[LeftOut, ...],
    container: str,
    policy: BlockPolicy | str | None,
) -> tuple[dict[str, str], tuple[Path, str] | None]:
    """The metadata of the output, and the ``config.json`` beside it."""
    if container == GGUF:
        return {}, None
    metadata = _other_metadata(file)
    if container == CONTAINERS[1]:
        name = policy if isinstance(policy, str) else policy.spell() if policy else "default"
        return metadata | own_tensors.metadata(tensors, name), config_beside(file.path, output, None)
    config = quantization_config.config(tensors, [item.name for item in left_out if len(item.shape) == 2])
    return metadata | {KEY: json.dumps(config)}, config_beside(file.path, output, config)


def _other_metadata(file: TensorFile) -> dict[str, str]:
    """The metadata of a file but what says how it is quantised."""
    return {name: text for name, text in file.metadata.items() if name not in (KEY, own_tensors.KEY)}


def _entries(entry: Entry, tensor: StoredTensor | None) -> list[Entry]:
    return [entry] if tensor is None else [part.entry for part in tensor.parts]


def _refuse_lost(path: Path, output: Path, config: tuple[Path, str] | None) -> None:
    """Refuse to write over the checkpoint or its config."""
    outputs: list[Named] = [(str(output), output), *([(str(config[0]), config[0])] if config else [])]
    refuse_overwriting(outputs, [("the checkpoint", path), (f"its {NAME}", path.parent / NAME)])


def _refuse_twice(entries: list[tuple[str, Entry]]) -> None:
    names = [entry.name for _, entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"two tensors would have the name {excerpt(twice)}", hint="rename one of them, or leave it out"
        )


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Errors with the name of the tensor."""
    try:
        yield
    except InputError as error:
        raise InputError(f"tensor {excerpt(name)}: {error.message}", hint=error.hint) from error


def dequantize_file(
    path: str | Path,
    output: str | Path,
    *,
    dtype: str = "bfloat16",
    exact: bool = False,
    threads: int = 1,
    progress: Progress = unseen,
) -> Converted:
    """Write a checkpoint's quantised tensors as values; its other tensors are copied.

    Parameters
    ----------
    path, output : path
        A safetensors file of lowbit's or of compressed-tensors, a folder of such files that an index lists, or a GGUF
        file, whose blocks are decoded in the steps of llama.cpp. The ``quantization_config`` is in the metadata or in
        ``config.json`` beside. ``output`` is written whole or not at all; where its name ends in .gguf, as one with the
        metadata of the GGUF file that was read.
    dtype : {"float16", "bfloat16", "float32"}
        Of the values.
    exact : bool
        Whether NVFP4 of compressed-tensors is rounded once, as :func:`lowbit.dequantize` does, and not in the three
        steps of that library.
    threads : int
    progress : callable

    Raises
    ------
    InputError
        The file is damaged or not quantised, scales are missing or misshapen, or values are beyond the dtype.
    """
    path, output = Path(path), Path(output)
    checked_threads(threads)
    if dtype not in DTYPE_NAMES:
        raise InputError(f"dtype {dtype!r} is not written here", hint=f"one of {', '.join(DTYPE_NAMES)}")
    file = read_checkpoint(path)
    found, beside, container = read_quantized(file)
    tensors = {part.name: tensor for tensor in found for part in tensor.parts[:1]}
    parts = {part.name for tensor in found for part in tensor.parts[1:]} | beside
    rest = [entry for name, entry in file.entries.items() if name not in tensors and name not in parts]
    named = {name: Entry(tensor.name, DTYPE_NAMES[dtype], tensor.shape, 0, 0) for name, tensor in tensors.items()}
    entries = [(name, named.get(name, entry)) for name, entry in file.entries.items() if name not in parts]
    _refuse_twice(entries)
    metadata = _other_metadata(file)
    config = config_beside(file.path, config_place(file, output), None)
    _refuse_lost(path, output, config)
    as_gguf = isinstance(file, GgufFile) and output.suffix == f".{GGUF}"
    require_suffix(output, kinds.GGUF if as_gguf else kinds.SAFETENSORS)
    wanted = np.dtype(DTYPES[DTYPE_NAMES[dtype]])
    steps = {CONTAINERS[0]: compressed_tensors.decoded, GGUF: gguf_tensors.decoded}
    decode = partial(dequantize if exact else steps.get(container, dequantize), dtype=wanted)

    def arrays() -> Iterator[Array]:
        done = 0
        for name in file.entries:
            if name in tensors:
                progress(done, len(tensors), tensors[name].name)
                with told_of(tensors[name].name):
                    yield tensors[name].dequantized(file, wanted, decode, threads)
                done += 1
            elif name not in parts:
                yield file.raw(name)

    if as_gguf:
        write_gguf(output, [entry for _, entry in entries], arrays(), kept_values(file))
    else:
        write_checkpoint(output, file, entries, arrays(), metadata, config)
    left_out = tuple(left(entry, "it is not quantised") for entry in rest)
    notes: tuple[str, ...] = ()
    if config is None and not is_stream(output) and KEY in read_config(config_place(file, output)):
        notes = (f"{NAME} beside {output} has the {KEY} of {path.name}: loaders take both files for quantised",)
    return Converted(tuple(found), left_out, container, config[0] if config else None, notes)
