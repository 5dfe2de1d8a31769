"""Files written whole or not at all: beside their place first, then moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lowbit.errors import InputError

LONGEST_STEM = 200
"""Characters of a name that its temporary file keeps: file systems take 255 bytes."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write into; it takes its place once everything is written.

    What was there stays if anything fails. A symbolic link stays one; a device or a pipe is written to as it is.

    Raises
    ------
    InputError
        The file cannot be written; code LB101.
    """
    path = Path(path)
    temporary = None
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: cannot be written: no name has a NUL", hint="name another file", code="LB101")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        place = Path(os.path.realpath(path))
        temporary = place.with_name(f"{place.name[:LONGEST_STEM]}.{os.getpid()}.new")
        with temporary.open("wb") as file:
            yield file
        temporary.replace(place)
    except OSError as error:
        hint = "name a file" if isinstance(error, IsADirectoryError) else "name another file; its directory must exist"
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be written: {reason}", hint=hint, code="LB101") from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # such as a path through what is no directory
                temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written, or the text has half a surrogate pair, which UTF-8 lacks; code LB101.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"{path}: cannot be written: {text[error.start : error.end]!r} is half a surrogate pair"
        raise InputError(what, hint="rename the layer, the choice or the budget that has it", code="LB101") from error
    with whole_file(path) as file:
        file.write(content)
