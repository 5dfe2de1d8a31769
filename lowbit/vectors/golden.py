"""Making and verifying the whole of ``golden/``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from lowbit.errors import VectorFileError
from lowbit.files.whole import write_bytes
from lowbit.vectors.digest import DIGESTS, DIGESTS_BLOCK, DIGESTS_P3109
from lowbit.vectors.manifest import (
    MANIFEST,
    Difference,
    Entry,
    describe,
    golden_directory,
    read_manifest,
    read_set,
    render_manifest,
)
from lowbit.vectors.operations import generate
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.recipes import core_recipes
from lowbit.vectors.vec import render

Progress = Callable[[str], None]


def _ignore(_: str) -> None:
    """Report nothing."""


def regenerate(
    directory: Path | None = None, *, overwrite: bool = False, version: str, progress: Progress = _ignore
) -> list[Difference]:
    """Make every core set anew and write those that are new; the manifest with them.

    ``directory``: where to; ``golden/`` by default. ``overwrite``: write sets whose rows changed too. Without it they
    are left alone and reported: changing an expected bit is a major version. ``version``: the ``since`` of sets that
    are new. ``progress``: called with the id of each set.

    Returns the sets whose rows are not those of the manifest, and those that the manifest has and no recipe makes.
    """
    directory = directory or golden_directory()
    old = read_manifest(directory) if (directory / MANIFEST).exists() else {}
    entries, differences = [], []
    for recipe in core_recipes():
        progress(recipe.id)
        entry, data = make(recipe, version)
        before = old.pop(recipe.id, None)
        if before is not None:
            entry = replace(entry, since=before.since, withdrawn=before.withdrawn)
            if before.sha256 != entry.sha256:
                differences.append(Difference(entry.id, "its rows are not those of the manifest any more"))
                entry = entry if overwrite else before
        entries.append(entry)
        if overwrite or entry is not before:
            _write_if_new(directory / recipe.file, data)
    for entry in old.values():
        differences.append(Difference(entry.id, "no recipe makes it any more"))
        if not overwrite:
            entries.append(entry)
    _write_if_new(directory / MANIFEST, render_manifest(entries).encode())
    return differences


def golden_files(directory: Path) -> list[Path]:
    """Every file of a golden directory that lowbit writes."""
    names = [MANIFEST, DIGESTS, DIGESTS_P3109, DIGESTS_BLOCK, *(recipe.file for recipe in core_recipes())]
    return [directory / name for name in names]


def make(recipe: Recipe, version: str) -> tuple[Entry, bytes]:
    """A set: its entry of the manifest and the bytes of its file."""
    file = generate(recipe)
    return describe(recipe, file, version), render(file)


def _write_if_new(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    write_bytes(path, data, parents=True)


def verify(directory: Path | None = None, entries: Iterable[Entry] | None = None) -> list[Difference]:
    """Read sets and report those that are damaged, missing, or not what the manifest says; strays too."""
    directory = directory or golden_directory()
    manifest = read_manifest(directory)
    differences = []
    for entry in manifest.values() if entries is None else entries:
        try:
            read_set(entry, directory)
        except VectorFileError as error:
            differences.append(Difference(entry.id, str(error)))
    if entries is None:
        known = {entry.recipe.file for entry in manifest.values()}
        strays = sorted(str(path.relative_to(directory).as_posix()) for path in directory.rglob("*.vec"))
        differences += [Difference(name, "is not in the manifest") for name in strays if name not in known]
    return differences


def verify_regeneration(recipe: Recipe, directory: Path | None = None) -> Difference | None:
    """Make a set anew and compare it byte for byte with the file; None where they are equal."""
    path = (directory or golden_directory()) / recipe.file
    _, data = make(recipe, "")
    if not path.exists():
        return Difference(recipe.id, f"{path} is missing")
    if path.read_bytes() != data:
        return Difference(recipe.id, f"{path} is not byte for byte what its recipe makes")
    return None
