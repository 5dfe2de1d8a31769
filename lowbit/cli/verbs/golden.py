"""``lowbit golden list|verify|regen``: the committed vector sets."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from lowbit._version import __version__
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import also_writes, output_file
from lowbit.cli.terminal import add_output_format, print_document, terminal
from lowbit.errors import UsageError
from lowbit.files.distinct import Named
from lowbit.vectors.manifest import Entry, golden_directory, read_manifest


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "golden",
        help="list, verify and regenerate the committed vectors",
        description="The golden sets that lowbit carries: what there is, whether it is intact, and making it anew.",
    )
    output_file(parser, "--directory", metavar="DIR", help="another golden directory")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")
    listing = actions.add_parser("list", help="one line a set")
    _add_filters(listing)
    add_output_format(listing)
    verify = actions.add_parser("verify", help="read sets and compare them with the manifest; exit 1 on a difference")
    _add_filters(verify)
    verify.add_argument("--regenerate", action="store_true", help="make each set anew too, and compare byte for byte")
    verify.add_argument("--digests", action="store_true", help="compute the digests of whole conversions anew too")
    regen = actions.add_parser("regen", help="make all sets, the manifest and the digests anew")
    regen.add_argument(
        "--overwrite", action="store_true", help="write sets whose rows changed, too: a changed bit is a major version"
    )
    also_writes(regen, _written_files)


def _add_filters(parser: Any) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="only these sets")
    parser.add_argument("--op", help="only this operation")
    parser.add_argument("--from", dest="source", metavar="FORMAT", help="only from this format")
    parser.add_argument("--to", dest="target", metavar="FORMAT", help="only to this format")


def _directory(arguments: Namespace) -> Path:
    return Path(arguments.directory) if arguments.directory else golden_directory()


def _written_files(arguments: Namespace) -> list[Named]:
    from lowbit.vectors.golden import golden_files

    return [(str(file), file) for file in golden_files(_directory(arguments))]


def run(arguments: Namespace) -> int:
    directory = _directory(arguments)
    if arguments.action == "regen":
        return _regenerate(arguments, directory)
    entries = _chosen(arguments, directory)
    return (
        _list(arguments, entries, directory) if arguments.action == "list" else _verify(arguments, entries, directory)
    )


def _chosen(arguments: Namespace, directory: Path) -> list[Entry]:
    manifest = read_manifest(directory)
    unknown = [name for name in arguments.ids if name not in manifest]
    if unknown:
        raise UsageError(f"there is no set {unknown[0]!r}", hint="`lowbit golden list` lists them")
    wanted = {key: getattr(arguments, key) for key in ("op", "source", "target") if getattr(arguments, key)}
    entries = [entry for name, entry in manifest.items() if not arguments.ids or name in arguments.ids]
    entries = [entry for entry in entries if all(getattr(entry.recipe, key) == wanted[key] for key in wanted)]
    if not entries:
        raise UsageError("no set fits these filters", hint="`lowbit golden list` without filters lists all")
    return entries


def _list(arguments: Namespace, entries: list[Entry], directory: Path) -> int:
    if arguments.output_format == "json":
        records = [
            {
                "id": entry.id,
                "file": str(directory / entry.recipe.file),
                "op": entry.recipe.op,
                "source": entry.recipe.source,
                "target": entry.recipe.target,
                "policy": entry.recipe.policy,
                "rows": entry.rows,
                "flags": list(entry.flags),
                "sha256": entry.sha256,
                "since": entry.since,
                "withdrawn": entry.withdrawn,
            }
            for entry in entries
        ]
        print_document({"sets": records}, "lowbit/golden/1")
        return ExitCode.EQUAL
    page = terminal(arguments)
    rows = [("id", "rows", "generator", "sha256")]
    for entry in entries:
        name = entry.id + (f"  (withdrawn: {entry.withdrawn})" if entry.withdrawn else "")
        rows.append((name, str(entry.rows), entry.recipe.generator, entry.sha256[:12]))
    page.table(rows, right={1})
    page.write(f"{len(entries)} sets, {sum(entry.rows for entry in entries)} rows, in {directory}")
    return ExitCode.EQUAL


def _verify(arguments: Namespace, entries: list[Entry], directory: Path) -> int:
    from lowbit.vectors.digest import verify_digests
    from lowbit.vectors.golden import verify, verify_regeneration

    page = terminal(arguments)
    whole = not (arguments.ids or arguments.op or arguments.source or arguments.target)
    found = verify(directory, None if whole else entries)
    if arguments.regenerate:
        found += [item for entry in entries if (item := verify_regeneration(entry.recipe, directory))]
    if arguments.digests:
        found += verify_digests(directory)
    for item in found:
        page.write(f"{page.paint('differs', 'red')}  {item.id}: {item.reason}")
    made = ", each made anew and equal byte for byte" if arguments.regenerate and not found else ""
    page.write(f"{len(entries)} sets verified, {len(found)} differences{made}")
    return ExitCode.MISMATCH if found else ExitCode.EQUAL


def _regenerate(arguments: Namespace, directory: Path) -> int:
    from lowbit.vectors.digest import regenerate_digests
    from lowbit.vectors.golden import regenerate

    def progress(name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{name}")

    found = regenerate(directory, overwrite=arguments.overwrite, version=__version__, progress=progress)
    progress("digests")
    found += regenerate_digests(directory, overwrite=arguments.overwrite)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    page = terminal(arguments)
    for item in found:
        page.write(f"{page.paint('changed', 'yellow')}  {item.id}: {item.reason}")
    if found and not arguments.overwrite:
        page.write("left as they were: a changed bit is a major version; --overwrite writes them")
        return ExitCode.MISMATCH
    page.write(f"{directory} is up to date")
    return ExitCode.EQUAL
