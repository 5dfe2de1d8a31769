"""Digests: what is too big to ship is hashed, so that equality can be proved without the data.

The inputs are all codes of the source in rising order, the outputs the target's codes as bit patterns, each in a
little-endian container of 1, 2, 4 or 8 bytes. Block digests, the first hexadecimal digits of the sha256 of each
sixteenth of the outputs, find the block of a difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowbit.errors import InputError, VectorFileError
from lowbit.files.whole import write_text
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.scalar import Scalar
from lowbit.vectors.block.digests import HEAD, tensor_bytes, tensors
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.cast.sets import parse_policy
from lowbit.vectors.manifest import Difference, read_document
from lowbit.vectors.patterns import from_patterns, to_patterns
from lowbit.vectors.recipes import FLOATS_16, GGML, core_recipes, default_policy, named_formats, p3109_names

BLOCKS = 16
BLOCK_DIGITS = 4
SCHEMA = "lowbit.digests/1"
DIGESTS = "digests.toml"
DIGESTS_P3109 = "digests_p3109.toml"
"""The members of P3109 with more than 8 bits, in a file of their own."""
DIGESTS_BLOCK = "digests_block.toml"
"""A large tensor in each block format."""
WIDEST_SOURCE = 20
WIDE_P3109 = range(9, 17)

_HEAD = """\
# Digests of whole conversions: all codes of a 16-bit source in rising order, under the policy named.
# sha256 is of the outputs in order, each in a little-endian container of 1, 2, 4 or 8 bytes (two's complement for
# integers, upper bits zero). blocks holds the first 4 hexadecimal digits of the sha256 of each 4096 outputs.
# Written by `lowbit golden regen`; do not edit.
"""


@dataclass(frozen=True)
class Digest:
    """What all outputs of a conversion hash to."""

    source: str
    target: str
    policy: str
    sha256: str
    blocks: tuple[str, ...]


def output_bytes(codes: Unsigned, target: Scalar) -> bytes:
    """Bit patterns in little-endian containers."""
    return codes.astype(f"<u{target.container_bits // 8}").tobytes()


def digest_outputs(codes: Unsigned, source: str, target: Scalar, policy: str) -> Digest:
    """The digest of a complete sweep's outputs, given as bit patterns in the order of the inputs."""
    if len(codes) % BLOCKS:
        raise InputError(f"{len(codes)} outputs do not divide into {BLOCKS} blocks")
    return digest_bytes(output_bytes(codes, target), source, target.id, policy)


def digest_bytes(data: bytes, source: str, target: str, policy: str) -> Digest:
    """The digest of outputs; the last of the blocks may be shorter than the others."""
    size = -(-len(data) // BLOCKS)
    blocks = (hashlib.sha256(data[start : start + size]).hexdigest() for start in range(0, len(data), size))
    prefixes = tuple(block[:BLOCK_DIGITS] for block in blocks)
    return Digest(source, target, policy, hashlib.sha256(data).hexdigest(), prefixes)


def compute_digest(source_name: str, target_name: str, policy_text: str) -> Digest:
    """The digest of a conversion from all codes of a source, or of the large tensor in a block format.

    By the fast path, which is proved equal to the oracle.
    """
    from lowbit.ops.cast.cast import convert

    if get_format(target_name).kind == "block":
        return digest_bytes(tensor_bytes(target_name, policy_text), source_name, target_name, policy_text)

    source, target = scalar_format(source_name), scalar_format(target_name)
    if source.bits > WIDEST_SOURCE:
        raise InputError(f"{source.id} has 2^{source.bits} codes", hint=f"at most {WIDEST_SOURCE} bits")
    patterns = np.arange(1 << source.bits, dtype=np.uint64)
    codes = from_patterns(patterns, source).astype(source.code_dtype)
    outputs = np.asarray(convert(codes, source, target, policy=parse_policy(policy_text, target)))
    return digest_outputs(to_patterns(outputs, target), source.id, target, policy_text)


def core_conversions() -> list[tuple[str, str, str]]:
    """(source, target, policy) of every digest: float16 and bfloat16 to all named formats and all of P3109.

    Not to the elements and scales of ggml's blocks, which have digests of whole tensors.
    """
    targets = [*(name for name in named_formats() if name not in GGML), *p3109_names(), *p3109_names(WIDE_P3109)]
    return [(source, target, default_policy(target)) for source in FLOATS_16 for target in targets if source != target]


def core_tensors() -> list[tuple[str, str, str]]:
    """(source, target, policy) of every digest of a block format."""
    return tensors([recipe.target for recipe in core_recipes() if recipe.op == "quantize"])


def render_digests(digests: Iterable[Digest], head: str = _HEAD) -> str:
    """The digests as TOML, one line each, grouped by source."""
    groups: dict[str, list[str]] = {}
    for digest in digests:
        line = (
            f'"{digest.target}" = {{ policy = "{digest.policy}", sha256 = "{digest.sha256}", '
            f'blocks = "{" ".join(digest.blocks)}" }}'
        )
        groups.setdefault(digest.source, []).append(line)
    tables = (f"\n[{source}]\n" + "\n".join(lines) + "\n" for source, lines in groups.items())
    return f'{head}schema = "{SCHEMA}"\n' + "".join(tables)


def read_digests(directory: Path) -> Mapping[tuple[str, str], Digest]:
    """The digests of all files: (source, target) -> Digest.

    Raises VectorFileError: the file is missing, damaged or of another version.
    """
    files = (DIGESTS, DIGESTS_P3109, DIGESTS_BLOCK)
    return {key: digest for name in files for key, digest in _read_file(directory / name).items()}


def _read_file(path: Path) -> dict[tuple[str, str], Digest]:
    tables = {source: table for source, table in read_document(path, SCHEMA).items() if source != "schema"}
    try:
        return {
            (source, target): Digest(source, target, item["policy"], item["sha256"], tuple(item["blocks"].split()))
            for source, table in tables.items()
            for target, item in table.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        hint = "`lowbit golden regen` makes it anew"
        raise VectorFileError(f"{path}: a digest lacks a field, or is not a table: {error}", hint=hint) from error


def differing_blocks(left: Digest, right: Digest) -> list[int]:
    """The numbers of the blocks in which two sweeps differ."""
    return [index for index, pair in enumerate(zip(left.blocks, right.blocks, strict=True)) if pair[0] != pair[1]]


def verify_digests(directory: Path) -> list[Difference]:
    """Compute every digest anew and report those that differ, with the blocks that do."""
    found = []
    for (source, target), digest in read_digests(directory).items():
        again = compute_digest(source, target, digest.policy)
        if again != digest:
            blocks = ", ".join(map(str, differing_blocks(digest, again)))
            found.append(Difference(f"digest {source} -> {target}", f"blocks {blocks} of {BLOCKS} differ"))
    return found


def regenerate_digests(directory: Path, *, overwrite: bool = False) -> list[Difference]:
    """Compute every digest anew, write the files, and report what changed (left alone unless overwritten)."""
    old = read_digests(directory) if (directory / DIGESTS_BLOCK).exists() else {}
    digests, found = [], []
    for source, target, policy in (*core_conversions(), *core_tensors()):
        digest = compute_digest(source, target, policy)
        before = old.get((source, target), digest)
        if before != digest:
            found.append(Difference(f"digest {source} -> {target}", "it is not that of the file any more"))
        digests.append(digest if overwrite else before)
    wide, block = set(p3109_names(WIDE_P3109)), {target for _, target, _ in core_tensors()}
    of_file: dict[str, list[Digest]] = {DIGESTS: [], DIGESTS_P3109: [], DIGESTS_BLOCK: []}
    for digest in digests:
        name = DIGESTS_BLOCK if digest.target in block else DIGESTS_P3109 if digest.target in wide else DIGESTS
        of_file[name].append(digest)
    for name, own in of_file.items():
        write_text(directory / name, render_digests(own, HEAD if name == DIGESTS_BLOCK else _HEAD))
    return found
