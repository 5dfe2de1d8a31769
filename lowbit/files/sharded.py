"""Checkpoints in several safetensors files, which ``model.safetensors.index.json`` lists: read as if they were one.

The index, as transformers writes it, has under ``weight_map`` the file of each tensor and under ``metadata`` the bytes
of all of them (https://huggingface.co/docs/transformers/big_models).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files.gguf import is_gguf, read_gguf
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import Entry, TensorFile, bytes_of, read_header, write_tensors
from lowbit.files.whole import whole_folder, write_text
from lowbit.printable import excerpt

INDEX = "model.safetensors.index.json"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ShardedFile(TensorFile):
    """The files of a folder as one; ``path`` is that of the index, be it there or not.

    Attributes
    ----------
    shards : dict of str to TensorFile
        By their names, in order.
    where : dict of str to str
        The file of each tensor.
    """

    shards: Mapping[str, TensorFile] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of one tensor: see :meth:`TensorFile.raw`."""
        self._entry(name)
        return self.shards[self.where[name]].raw(name)


def read_checkpoint(path: Path) -> TensorFile:
    """Read and check the headers of a safetensors or GGUF file, or of the safetensors files of a folder.

    Raises
    ------
    InputError
        A file is missing or damaged, or the index contradicts the files.
    """
    if not path.is_dir():
        return read_gguf(path) if is_gguf(path) else read_header(path)
    index = path / INDEX
    listed = _weight_map(index) if index.exists() else {}
    names = list(dict.fromkeys(listed.values())) or sorted(item.name for item in path.glob(f"*{SUFFIX}"))
    if not listed and len(names) != 1:
        raise InputError(f"{path}: {len(names)} files {SUFFIX}, and no {INDEX}", hint="name one file, or its folder")
    shards = {name: read_header(path / name) for name in names}
    entries: dict[str, Entry] = {}
    where: dict[str, str] = {}
    for shard, file in shards.items():
        for name, entry in file.entries.items():
            if where.setdefault(name, shard) != shard:
                raise InputError(f"{path}: tensor {excerpt(name)} is in {where[name]} and in {shard}")
            entries[name] = entry
    for name, shard in listed.items():
        if where.get(name) != shard:
            raise InputError(f"{index}: tensor {excerpt(name)} is not in {excerpt(shard)}, where the index has it")
    coders = {name: coder for file in shards.values() for name, coder in file.coders.items()}
    return ShardedFile(index, entries, next(iter(shards.values())).metadata, shards, where, coders=coders)


def _weight_map(index: Path) -> dict[str, str]:
    """The file of each tensor."""
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except OSError as error:
        raise unreadable(index, error) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{index} has no weight_map of tensors and files: {excerpt(str(error))}") from error
    if not isinstance(listed, dict) or not listed or not all(map(_is_file_name, listed.values())):
        raise InputError(f"{index}: the weight_map is not a table of tensors and names of files beside it")
    return listed


def _is_file_name(name: Any) -> bool:
    return isinstance(name, str) and name == Path(name).name and name.endswith(SUFFIX)


def config_place(file: TensorFile, output: Path) -> Path:
    """A file of the output, beside which its config lies."""
    return output / INDEX if isinstance(file, ShardedFile) else output


def write_checkpoint(
    output: Path,
    file: TensorFile,
    entries: Sequence[tuple[str, Entry]],
    tensors: Iterator[NDArray[Any]],
    metadata: Mapping[str, str],
    config: tuple[Path, str] | None,
) -> None:
    """Write tensors as one file, or as a folder of files like those of ``file``; with a config, where there is one.

    Parameters
    ----------
    entries : sequence of (str, Entry)
        Each with the tensor of ``file`` that it stands for, in the order of ``file``.
    tensors : iterator of numpy.ndarray
        As :func:`write_tensors` takes them.

    Raises
    ------
    InputError
        The output cannot be written.
    """
    if not isinstance(file, ShardedFile):
        write_tensors(output, [entry for _, entry in entries], tensors, metadata)
        if config is not None:
            write_text(*config)
        return
    with whole_folder(output) as folder:
        where: dict[str, str] = {}
        for shard, pairs in groupby(entries, lambda pair: file.where[pair[0]]):
            own = [entry for _, entry in pairs]
            write_tensors(folder / shard, own, islice(tensors, len(own)), metadata)
            where |= {entry.name: shard for entry in own}
        total = sum(bytes_of(entry) for _, entry in entries)
        index = {"metadata": {"total_size": total}, "weight_map": where}
        if file.path.exists():
            write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
        if config is not None:
            write_text(folder / config[0].name, config[1])
