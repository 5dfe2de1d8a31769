"""What is in a checkpoint: which formats, how they are stored, what the format audit finds; and a copy without that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lowbit.campaign.run import Progress, unseen
from lowbit.errors import InputError
from lowbit.files import coded, gguf_tensors, kinds, own_tensors, quantization_config
from lowbit.files.audit import (
    Tally,
    audit_block,
    audit_numbers,
    canonical_block,
    canonical_numbers,
    lineage_bits,
)
from lowbit.files.compressed_tensors import kind_as_stored
from lowbit.files.distinct import refuse_overwriting
from lowbit.files.gguf import TYPES, GgufFile, padding_of, write_gguf
from lowbit.files.kinds import require_suffix
from lowbit.files.model_config import KEY, NAME, config_beside, quantization_of, read_config
from lowbit.files.parts import CODES, INPUT_ORDER, StoredTensor, raw_bytes
from lowbit.files.safetensors import DTYPES, PACKED, Entry, TensorFile
from lowbit.files.sharded import ShardedFile, config_place, read_checkpoint, write_checkpoint
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import Array, checked_threads
from lowbit.ops.block.rows import each_slab, slabs

LINEAGES = ("bfloat16", "float16")
EVIDENT = 1 / 4
"""If so many values of a tensor are those of a narrower type, it comes from that: by chance 2^-13 of them are."""
_INPUT_ORDERS = re.compile(r"(^|[._])g_idx$")
UNSEEN = (
    "low mantissa bits of weights that use them anyway",
    "models inside a model (Matryoshka, arXiv 2206.14371): they are in the values",
    "scale and codes with the same products, twice the one and half the others: dequantise and quantise",
    "metadata, names, and the order of tensors",
)
"""What the audit cannot tell."""


@dataclass
class Group:
    """Tensors that are stored alike.

    Attributes
    ----------
    format : str
        The id of the format, or what the file calls it.
    packing : str
        How codes are stored, in words.
    scales : str
        How elements and scales make a value, and the format and block of each scale.
    names : list of str
    values, stored : int
        Numbers, and bytes that they take.
    tally : Tally
    """

    format: str
    packing: str
    scales: str = ""
    names: list[str] = field(default_factory=list)
    values: int = 0
    stored: int = 0
    tally: Tally = field(default_factory=Tally)

    @property
    def bits_per_weight(self) -> float:
        """Bits of a value, all of its scales counted."""
        return 8 * self.stored / self.values if self.values else 0.0


@dataclass(frozen=True)
class Scan:
    """What a checkpoint holds.

    Attributes
    ----------
    container : str
        "GGUF", "compressed-tensors", "lowbit" or "safetensors".
    groups : tuple of Group
    tally : Tally
        What belongs to no group.
    notes : tuple of str
    """

    container: str
    groups: tuple[Group, ...]
    tally: Tally
    notes: tuple[str, ...] = ()

    @property
    def capacity(self) -> float:
        """Bits that places of the kinds found could carry."""
        return self.tally.capacity + sum(group.tally.capacity for group in self.groups)


def scan_file(path: str | Path, *, lineage: str | None = None, threads: int = 1, progress: Progress = unseen) -> Scan:
    """Say what a checkpoint holds, and audit it.

    Parameters
    ----------
    path : path
        A safetensors file, a folder of such files, or a GGUF file.
    lineage : {"bfloat16", "float16"}, optional
        The type that weights in float32 had before; by default what ``config.json`` beside them says.
    threads : int
        For tensors in block formats.
    progress : callable
        Takes (tensors done, tensors, name).

    Raises
    ------
    InputError
        The file is damaged, scales are missing or misshapen, or the lineage is unknown.
    """
    checked_threads(threads)
    file = read_checkpoint(Path(path))
    stored, beside, container = _stored(file)
    origin = _origin(file, lineage)
    groups: dict[tuple[str, str, str], Group] = {}
    parts = {part.name for tensor in stored for part in tensor.parts} | beside
    plain = [entry for name, entry in file.entries.items() if name not in parts]
    total = len(stored) + len(plain)
    for done, tensor in enumerate(stored):
        progress(done, total, tensor.name)
        words = _words(tensor, file.coders)
        group = groups.setdefault(words, Group(*words))
        size = sum(file.entries[part.name].stop - file.entries[part.name].start for part in tensor.parts)
        _join(group, tensor.name, tensor.size, size, _audit_stored(file, tensor, threads))
    for done, entry in enumerate(plain, len(stored)):
        progress(done, total, entry.name)
        packing = f"{_block_words(entry.dtype)}" if isinstance(file, GgufFile) else "as they are"
        words = (entry.dtype, packing, "")
        group = groups.setdefault(words, Group(*words))
        _join(group, entry.name, entry.size, entry.stop - entry.start, _audit_plain(file, entry, origin))
    return Scan(container, tuple(groups.values()), _audit_file(file), _notes(file, container, origin, beside))


def _join(group: Group, name: str, values: int, size: int, tally: Tally) -> None:
    group.names.append(name)
    group.values += values
    group.stored += size
    group.tally.join([tally])


def _stored(file: TensorFile) -> tuple[list[StoredTensor], set[str], str]:
    """The tensors in block formats, what belongs to them, and the container."""
    if isinstance(file, GgufFile):
        return list(gguf_tensors.read(file)), set(), "GGUF"
    own = own_tensors.read(file)
    if own:
        return own, set(), "lowbit"
    config = quantization_of(file)
    if config.get("quant_method", quantization_config.METHOD) != quantization_config.METHOD or not config:
        return [], set(), "safetensors"
    tensors, beside = quantization_config.read(config, file)
    return tensors, beside, quantization_config.METHOD if tensors else "safetensors"


def _origin(file: TensorFile, lineage: str | None) -> str | None:
    """The type that is declared of weights in float32."""
    if lineage is not None and lineage not in LINEAGES:
        raise InputError(f"lineage {lineage!r} is unknown", hint=f"one of {', '.join(LINEAGES)}")
    if lineage is None and not isinstance(file, GgufFile):
        config = read_config(file.path)
        told = config.get("dtype") or config.get("torch_dtype")
        return told if told in LINEAGES else None
    return lineage


def _words(tensor: StoredTensor, coders: Mapping[str, str]) -> tuple[str, str, str]:
    """The format, how it is packed, and its scales, in words; ``coders``: how parts are coded, by their names."""
    codes = next(part for part in tensor.parts if part.role == CODES)
    kind = kind_as_stored(tensor) if codes.name != f"{tensor.name}.codes" else "lowbit's own"
    how = f"{codes.layout} in {codes.dtype}" if codes.layout else f"a code in each {codes.dtype}"
    how = f"a stream of {coders[codes.name]}, {how}" if codes.name in coders else how
    lengths = {(): "the tensor", (0,): "the channel"}
    scales = "; ".join(
        f"{one.name}: {one.format.id} of {lengths.get(one.block) or ' x '.join(map(str, one.block))}"
        for one in tensor.format.scales
    )
    element = tensor.format.element.id
    if isinstance(tensor, gguf_tensors.StructTensor):
        return codes.dtype, _block_words(codes.dtype), f"{tensor.format.formula}; {scales}"
    return tensor.format.id, f"{element}, {how}; {kind}", f"{tensor.format.formula}; {scales}"


def _block_words(dtype: str) -> str:
    _, values, size = TYPES[dtype]
    return f"blocks of {values} values in {size} bytes" if values > 1 else "as they are"


def _audit_stored(file: TensorFile, tensor: StoredTensor, threads: int) -> Tally:
    scales = tensor.scale_codes(file, padded=True)
    tally = Tally().join(
        each_slab(
            lambda rows: audit_block(tensor.block(file, scales, rows, padded=True)),
            slabs(tensor.format, tensor.shape),
            threads,
        )
    )
    if tensor.parts[0].dtype == "TQ1_0":
        tally.add("second_code", *gguf_tensors.trits_audit(file.raw(tensor.name)))
    for part in tensor.parts:
        tally.add("pad_bit", part.pads_set(file), part.pad_bits, part.pad_bits)
        if part.role == INPUT_ORDER:
            order = np.sort(part.codes(file))
            tally.add("order", not np.array_equal(order, np.arange(order.size)), 1, 0)
    return tally


def _format_of(entry: Entry) -> Scalar | None:
    """The format of a tensor that is numbers on their own; None for integers and what is unknown."""
    names = own_tensors.DTYPE_OF_FORMAT
    return next((scalar_format(name) for name, dtype in names.items() if dtype == entry.dtype), None)


def _codes_of(file: TensorFile, entry: Entry, fmt: Scalar) -> Array:
    if entry.dtype in PACKED:
        return file.tensor(entry.name).view(np.uint8)
    return file.raw(entry.name).view(np.dtype(fmt.code_dtype).newbyteorder("<"))


def _audit_plain(file: TensorFile, entry: Entry, origin: str | None) -> Tally:
    tally = Tally()
    if _INPUT_ORDERS.search(entry.name) and entry.dtype in ("I32", "I64"):
        members = np.unique(file.tensor(entry.name), return_counts=True)[1]
        even = not members.size or ((members[:-1] == members[0]).all() and members[-1] <= members[0])
        tally.add("order", not even, 1, 0)
    fmt = _format_of(entry)
    if fmt is None or not entry.size:
        return tally
    codes = _codes_of(file, entry, fmt)
    tally.join([audit_numbers(codes, fmt)])
    if entry.dtype == "F32":
        _audit_lineage(codes, origin, tally)
    return tally


def _audit_lineage(codes: Array, origin: str | None, tally: Tally) -> None:
    """Add values that are not those of the declared type, or of that which most values of the tensor are of."""
    if origin:
        others, bits = lineage_bits(codes, origin)
        tally.add("lineage", others, codes.size, codes.size * bits)
        return
    others = min(lineage_bits(codes, name)[0] for name in LINEAGES)
    if others < (1 - EVIDENT) * codes.size:
        tally.add("mixed_lineage", others, codes.size, 0)


def _audit_file(file: TensorFile) -> Tally:
    tally = Tally()
    if isinstance(file, GgufFile):
        padding = padding_of(file)
        tally.add("padding_byte", np.count_nonzero(padding), padding.size, 8 * padding.size)
    return tally


def _notes(file: TensorFile, container: str, origin: str | None, beside: set[str]) -> tuple[str, ...]:
    notes = []
    if container == "safetensors" and not isinstance(file, GgufFile):
        method = quantization_of(file).get("quant_method")
        if method and method != quantization_config.METHOD:
            notes.append(f"quant_method {method!r} is not decoded here: its tensors are listed by their dtypes")
    if origin:
        notes.append(f"weights in float32 are taken to come from {origin}")
    if beside:
        notes.append(f"{len(beside)} tensors of activations and shapes go with them")
    unknown = sorted({entry.dtype for entry in file.entries.values() if entry.dtype not in {**DTYPES, **PACKED}})
    if isinstance(file, GgufFile):
        unknown = sorted({entry.dtype for entry in gguf_tensors.undecoded(file)})
    if unknown:
        notes.append(f"not audited: {', '.join(unknown)}, which cannot be read")
    return tuple(notes)


def clean_file(
    path: str | Path, output: str | Path, *, lineage: str | None = None, progress: Progress = unseen
) -> None:
    """Write a checkpoint with the same values, each stored in the canonical way: a scan of it finds nothing.

    Parameters
    ----------
    path, output : path
    lineage : {"bfloat16", "float16"}, optional
        Weights in float32 are rounded to it; this alone changes values.
    progress : callable

    Raises
    ------
    InputError
        The file is damaged, or the output cannot be written.
    """
    path, output = Path(path), Path(output)
    file = read_checkpoint(path)
    stored, _, _ = _stored(file)
    _origin(file, lineage)
    refuse_overwriting([(str(output), output)], [("the checkpoint", path), (f"its {NAME}", file.path.parent / NAME)])
    require_suffix(output, kinds.GGUF if isinstance(file, GgufFile) else kinds.SAFETENSORS)
    of_part = {part.name: tensor for tensor in stored for part in tensor.parts}

    def arrays() -> Iterator[Array]:
        clean: dict[str, Array] = {}
        for done, (name, entry) in enumerate(file.entries.items()):
            progress(done, len(file.entries), name)
            if name in of_part:
                if name not in clean:
                    clean |= _clean_stored(file, of_part[name])
                yield _stream(file, name, clean.pop(name))
            else:
                yield _stream(file, name, _clean_plain(file, entry, lineage))

    if isinstance(file, GgufFile):
        write_gguf(output, file.entries.values(), arrays(), file.values, version=file.version)
        return
    quantization = quantization_of(file)
    folder = isinstance(file, ShardedFile)
    config = config_beside(file.path, config_place(file, output), quantization or None) if folder else None
    entries, metadata = dict(file.entries), dict(file.metadata)
    if file.coders:  # the header says how long streams are, so that all is cleaned here, and once more when written
        records = {
            name: coded.Record(entries[name].dtype, entries[name].shape, file.coders[name]) for name in file.coders
        }
        sizes = {name: array.size for name, array in zip(entries, arrays(), strict=True) if name in records}
        entries |= {name: Entry(name, "U8", (size,), 0, 0) for name, size in sizes.items()}
        metadata |= coded.metadata(records)
    metadata |= {KEY: json.dumps(quantization)} if quantization and not folder else {}
    write_checkpoint(output, file, list(entries.items()), arrays(), metadata, config)


def _stream(file: TensorFile, name: str, words: Array) -> Array:
    """What is written of a tensor: its stream where it is coded."""
    return coded.encoded(words, file.entries[name].dtype, file.coders[name]) if name in file.coders else words


def _clean_stored(file: TensorFile, tensor: StoredTensor) -> dict[str, Array]:
    """The words of each part of a tensor in a block format."""
    scales = tensor.scale_codes(file, padded=True)
    blocks = [
        canonical_block(tensor.block(file, scales, rows, padded=True)) for rows in slabs(tensor.format, tensor.shape)
    ]
    words: dict[str, Array] = {}
    if isinstance(tensor, gguf_tensors.StructTensor):
        return {tensor.name: np.concatenate([gguf_tensors.structs(block) for block in blocks])}
    for part in tensor.parts:
        if part.role == CODES:
            codes = np.concatenate([block.codes for block in blocks])
        elif part.role in scales:
            pieces = [block.scale_codes(part.role) for block in blocks]
            codes = np.concatenate(pieces) if part.grid else pieces[0]
        else:
            words[part.name] = file.raw(part.name)
            continue
        words[part.name] = raw_bytes(part.words(codes))
    return words


def _clean_plain(file: TensorFile, entry: Entry, lineage: str | None) -> Array:
    fmt = _format_of(entry)
    if fmt is None or not entry.size:
        return file.raw(entry.name)
    codes = _codes_of(file, entry, fmt)
    if entry.dtype == "F32" and lineage:
        narrow = np.dtype(DTYPES[own_tensors.DTYPE_OF_FORMAT[lineage]])
        codes = codes.view("<f4").astype(narrow).astype("<f4").view("<u4")
    if entry.dtype in PACKED:
        result: Array = canonical_numbers(codes, fmt).view(PACKED[entry.dtype]).reshape(entry.shape)
        return result
    return raw_bytes(canonical_numbers(codes, fmt))


def capacity_words(bits: float) -> str:
    """A capacity in whole bits, rounded up."""
    return f"{int(-(-bits // 1)):,} {'bit' if 0 < bits <= 1 else 'bits'}"
