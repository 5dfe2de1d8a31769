"""Files and folders written whole or not at all: beside their place first, then moved there.

The only writer of files in lowbit. What is not whole goes when writing fails, the user interrupts it, or the process is
asked to end (SIGTERM); only SIGKILL leaves it behind.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from stat import S_IFREG, S_IMODE, S_ISDIR, S_ISREG
from typing import Any, BinaryIO

from lowbit.errors import InputError

STANDARD_OUTPUT = "/dev/stdout"
LONGEST_STEM = 40
"""Characters of a name that its temporary file keeps: file systems take 255 bytes, and a character has up to four."""

_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d{1,9})|std(in|out|err))|/proc/self/fd/(\d{1,9})")
_STANDARD = {"in": 0, "out": 1, "err": 2}


def descriptor_of(path: str | Path) -> int | None:
    """The open file that a name such as ``/dev/stdout`` or ``/dev/fd/3`` stands for; None for any other name."""
    match = _DESCRIPTOR.fullmatch(Path(path).as_posix())
    if match is None:
        return None
    return _STANDARD[match[2]] if match[2] else int(match[1] or match[3])


def is_stream(path: str | Path) -> bool:
    """Whether writing goes straight to a path: to an open file, a device or a pipe, which nothing can replace."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # not there, or not a name at all
        mode = S_IFREG
    return descriptor_of(path) is not None or not (S_ISREG(mode) or S_ISDIR(mode))


def require_writable(path: str | Path, *, folder: bool = False) -> None:
    """Refuse an output before the work that it is for: a file, or a new folder.

    Raises InputError: there is something else, a folder with files in it, or no folder to be in; code LB101.
    """
    _require_name(path)
    place = Path(os.path.realpath(path))
    try:
        taken = place.exists() and (not place.is_dir() or any(place.iterdir()))
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise _unwritable(path, error) from error
    if folder and (is_stream(path) or taken):
        what = f"{path}: cannot be written: several files go into a new folder, or an empty one"
        raise InputError(what, hint="name another folder", code="LB101")
    if is_stream(path):
        return
    if place.is_dir() and not folder:
        raise _unwritable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if not place.parent.is_dir():
        raise _unwritable(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))


def _unwritable(path: str | Path, error: OSError) -> InputError:
    hint = "name a file" if isinstance(error, IsADirectoryError) else "name another file; its directory must exist"
    return InputError(f"{path}: cannot be written: {error.strerror or error}", hint=hint, code="LB101")


@contextmanager
def whole_file(path: str | Path, *, parents: bool = False) -> Iterator[BinaryIO]:
    """A file to write into; it takes its place once everything is written.

    What was there stays if anything fails, and its permissions are kept. A symbolic link stays one; a device, a pipe or
    standard output is written to as it is.

    ``parents``: make the folders that are missing.

    Raises InputError: the file cannot be written; code LB101.
    """
    path = Path(path)
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(path) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader has seen enough, which is not the output's fault
    except OSError as error:
        raise _unwritable(path, error) from error


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    _require_name(path)
    descriptor = descriptor_of(path)
    if descriptor is not None:
        print(end="", flush=True)  # what was printed before comes before
        return os.fdopen(os.dup(descriptor), "wb")
    return path.open("wb") if is_stream(path) else _beside(Path(os.path.realpath(path)))


def _require_name(path: str | Path) -> None:
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        name = b"\0"  # half a surrogate pair, which is not a character of a name either
    if b"\0" in name:
        what = f"{str(path)!r}: cannot be written: no name has such a character"
        raise InputError(what, hint="name another file", code="LB101")


@contextmanager
def _beside(place: Path) -> Iterator[BinaryIO]:
    """A new file that replaces another; its name is its own, whoever else writes to the same place."""
    temporary = _temporary(place)
    with _removed(temporary):
        if place.exists():
            place.open("r+b").close()  # a file that may not be written may not be replaced either
        with temporary.open("xb") as file:
            if place.exists():
                with suppress(OSError):  # not every file system has permissions
                    temporary.chmod(S_IMODE(place.stat().st_mode))
            yield file
        temporary.replace(place)


def _temporary(place: Path) -> Path:
    """A name beside a place that nothing else has."""
    return place.with_name(f"{place.name[:LONGEST_STEM]}.{os.urandom(8).hex()}.new")


@contextmanager
def _removed(temporary: Path) -> Iterator[None]:
    """Remove a file or folder at the end, if it is still there then, whatever ends."""
    try:
        with _termination_raised():
            yield
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # such as a path through what is not a directory
            temporary.unlink(missing_ok=True)


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Let SIGTERM end the process by an exception, where nobody has said otherwise; in the main thread alone."""
    usual = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not usual:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: Any) -> None:
    """Leave with the status that shells have for a signal."""
    del frame
    raise SystemExit(128 + number)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to write files into; it takes its place once everything is written.

    Raises InputError: there is a folder with files in it, or something else, or it cannot be made; code LB101.
    """
    require_writable(path, folder=True)
    place = Path(os.path.realpath(path))
    temporary = _temporary(place)
    try:
        with _removed(temporary):
            temporary.mkdir()
            yield temporary
            temporary.replace(place)
    except OSError as error:
        what = f"{path}: cannot be written: {error.strerror or error}"
        raise InputError(what, hint="name another folder; the one that it is in must exist", code="LB101") from error


def write_bytes(path: str | Path, content: bytes, *, parents: bool = False) -> None:
    """Write bytes, whole or not at all; see `whole_file`."""
    with whole_file(path, parents=parents) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all.

    Raises InputError: the file cannot be written, or the text has half a surrogate pair, which UTF-8 lacks; code LB101.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"{path}: cannot be written: {text[error.start : error.end]!r} is half a surrogate pair"
        raise InputError(what, hint="rename the layer, the choice or the budget that has it", code="LB101") from error
    write_bytes(path, content)
