"""Options that name files: each says whether its file is read or written.

Every option that names a file or a folder is declared here. Before a verb runs, the dispatcher compares what it would
write with what it reads (`lowbit.files.distinct`), so that no verb has to think of it.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lowbit.files.distinct import Named, refuse_overwriting
from lowbit.files.whole import STANDARD_OUTPUT, is_stream

MoreFiles = Callable[[Namespace], Sequence[Named]]
"""What a verb writes, or reads, that no option names, as `refuse_overwriting` takes it."""


class FileName(str):
    """The text of such an option; it knows its option."""

    __slots__ = ("option",)
    option: FileOption


@dataclass(frozen=True)
class FileOption:
    """The ``type`` of an option that names a file."""

    name: str  # as users write it
    what: str = ""  # what messages call a file that is read, ``"the model"``; empty for one that is written
    path_of: Callable[[str], str] = str  # the file in a text that has more than its name, such as ``FILE:SYMBOL``

    def __call__(self, text: str) -> FileName:
        """The text; ``-`` stands for standard output where a file is written."""
        name = FileName(STANDARD_OUTPUT if text == "-" and not self.what else text)
        name.option = self
        return name


def input_file(parser: Any, *names: str, what: str, path_of: Callable[[str], str] = str, **settings: Any) -> None:
    """Add an option whose file or folder is read."""
    parser.add_argument(*names, type=FileOption(names[0], what, path_of), **settings)


def output_file(parser: Any, *names: str, **settings: Any) -> None:
    """Add an option whose file is written."""
    parser.add_argument(*names, type=FileOption(names[-1]), **settings)


def also_writes(parser: Any, files: MoreFiles) -> None:
    """Say what a verb writes that no option names: a journal beside its output, the sets of a folder."""
    parser.set_defaults(also_writes=files)


def also_reads(parser: Any, files: MoreFiles) -> None:
    """Say what a verb reads that no option names: the config beside a checkpoint."""
    parser.set_defaults(also_reads=files)


def say_written(*names: str | None) -> None:
    """Say on standard error which files were written; standard output and devices need no word."""
    for name in names:
        if name and not is_stream(name):
            sys.stderr.write(f"written: {name}\n")


def refuse_lost_files(arguments: Namespace) -> None:
    """Refuse a command line that would write over its own files.

    Raises InputError: an output is an input or another output; code LB102.
    """
    outputs: list[Named] = [("standard output", STANDARD_OUTPUT)]
    inputs: list[Named] = []
    for name in _file_names(arguments):
        if name.option.what:
            inputs.append((name.option.what, name.option.path_of(name)))
        else:
            outputs.append((f"{name.option.name} {name}", name))
    if "also_reads" in arguments:
        inputs += arguments.also_reads(arguments)
    if "also_writes" in arguments:
        outputs += arguments.also_writes(arguments)
    refuse_overwriting(outputs, [*inputs, *_format_files()])


def _file_names(arguments: Namespace) -> Iterator[FileName]:
    values = (value if isinstance(value, list) else [value] for value in vars(arguments).values())
    return (value for value in chain.from_iterable(values) if isinstance(value, FileName) and value)


def _format_files() -> list[Named]:
    """The user's format files, which any verb may read."""
    from lowbit.format.registry import environment_files

    return [(f"the format file {path}", path) for path in environment_files()]
