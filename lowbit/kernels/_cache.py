"""Where the machine code of kernels is kept, and how it is read again.

Numba's own cache checks only the file that defines a function (numba#1833, #9312): after an upgrade it can serve
stale code of a callee. Here the directory carries a hash of the defining file, of every kernel file that it imports,
and of numba's version, so an edited callee misses the cache. The directory is ``$LOWBIT_CACHE_DIR``,
``$NUMBA_CACHE_DIR`` or the user's cache, plus ``lowbit/<module>-<hash>``.

What is read is executed: the place must be an absolute path into which nobody but the user can write. Each compiled
signature is a file of its own that begins with its SHA-256, and names the signature: Numba's pairs of an index and
numbered data files can be taken for each other where two processes write, and a damaged one is an error there.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import pickle
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from lowbit.printable import excerpt

_KERNELS = Path(__file__).resolve().parent
_PACKAGE = "lowbit.kernels"
_PRUNE_AFTER_SECONDS = 30 * 24 * 3600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OWN = 0o700
"""Mode of new directories, as the XDG Base Directory Specification asks for."""


class NoCacheError(Exception):
    """There is no place that is safe to read compiled code from; the message says why."""


def import_closure(file: Path) -> list[Path]:
    """The file and all kernel files that it imports, directly or not, sorted."""
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _kernel_imports(path)
    return sorted(found)


@functools.cache
def _kernel_imports(path: Path) -> tuple[Path, ...]:
    """The kernel files that a file imports: ``from a.b import c`` may name the file b.py or the file c.py in b."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    inside = (name.removeprefix(_PACKAGE).split(".")[1:] for name in modules if name.startswith(f"{_PACKAGE}."))
    files = (_KERNELS.joinpath(*parts[:-1], f"{parts[-1]}.py") for parts in inside)
    return tuple(file for file in files if file.is_file())


def label(file: Path) -> str:
    """A file's place among the kernels, ``cast.project``, as a name."""
    place = file.relative_to(_KERNELS) if file.is_relative_to(_KERNELS) else Path(file.name)
    return ".".join(place.with_suffix("").parts)


@functools.cache
def stamp(file: Path) -> str:
    """Hash of the import closure's contents, of numba's version and of this file."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for path in [Path(__file__).resolve(), *import_closure(file)]:
        digest.update(label(path).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_root() -> tuple[Path | None, str]:
    """The directory of compiled kernels of every version, made if need be; or None, and the reason."""
    try:
        root = _chosen_root()
        _make_safe(root)
        _refuse_shared(root, root.stat())
    except NoCacheError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{error.filename} cannot be made: {error.strerror}"
    return root, ""


def _chosen_root() -> Path:
    """A relative path is a different place in every working directory, and one of them may be somebody else's."""
    for variable in ("LOWBIT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        given = os.environ.get(variable)
        if given and not Path(given).is_absolute():
            raise NoCacheError(f"{variable} is {excerpt(given)}; compiled code is kept under an absolute path only")
        if given:
            return Path(given) / "lowbit"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (never raises; without a home it stays "~")
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "")
        if not base.is_absolute():  # the XDG Base Directory Specification asks to ignore it
            base = home / ".cache"
    if not base.is_absolute():
        raise NoCacheError("no home directory is known; LOWBIT_CACHE_DIR can name another place")
    return base / "lowbit"


def _make_safe(directory: Path) -> None:
    """Make a directory if need be, and see that nobody but the user can write into it or put another in its place.

    Everything on the way, through symbolic links as well, must belong to the user or to root, and only they may write
    there, or it has the sticky bit, as /tmp has: then nobody can replace what belongs to another.
    """
    for part in (*reversed(directory.parents), directory):
        part.mkdir(mode=_OWN, exist_ok=True)
        if sys.platform == "win32":
            continue  # the owner and the rights are in access control lists, which the home directory inherits
        status = part.lstat()
        if status.st_uid not in (0, os.geteuid()):
            raise NoCacheError(f"{part} belongs to another user ({status.st_uid})")
        if stat.S_ISLNK(status.st_mode):
            _make_safe(part.parent / part.readlink())
        elif status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX and not _is_private(status):
            raise NoCacheError(f"{part} can be written by others (mode {stat.S_IMODE(status.st_mode):o})")


def _refuse_shared(directory: Path, status: os.stat_result) -> None:
    """The directories of the cache itself are the user's alone."""
    if not stat.S_ISDIR(status.st_mode):
        raise NoCacheError(f"{directory} is not a directory")
    if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE):
        mode = stat.S_IMODE(status.st_mode)
        raise NoCacheError(f"{directory} is not the user's alone (user {status.st_uid}, mode {mode:o})")


def _is_private(status: os.stat_result) -> bool:
    """Whether only a group can write that is the user's own, as systems with the umask 002 give to everybody."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    alone = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return alone and not status.st_mode & stat.S_IWOTH


@functools.cache
def cache_directory(file: Path) -> tuple[Path | None, str]:
    """The directory for kernels defined in a file, made if need be; or None, and the reason."""
    root, reason = cache_root()
    if root is None:
        return None, reason
    try:
        directory = root / f"{label(file)}-{stamp(file)}"
        directory.mkdir(mode=_OWN, exist_ok=True)
        _refuse_shared(directory, directory.lstat())
        os.utime(directory)
    except NoCacheError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{error.filename} cannot be made: {error.strerror}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return None, f"{directory} cannot be written"
    _prune(directory)
    return directory, ""


def _prune(current: Path) -> None:
    """Remove directories of other versions of the same file that nobody has used for a month."""
    name = current.name.rsplit("-", 1)[0]
    for other in current.parent.glob(f"{name}-*"):
        try:
            if other != current and time.time() - other.stat().st_mtime > _PRUNE_AFTER_SECONDS:
                for path in sorted(other.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                other.rmdir()
        except OSError:
            continue  # somebody else is at it, or it is not ours to remove


def _enclosed(function: Callable[..., Any]) -> list[Any]:
    """What a function closes over; of a compiled function its place and source, which are the same in every process."""
    found = []
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        inner = getattr(value, "py_func", None)
        if inner is not None:
            code = inner.__code__
            place = inner.__module__, inner.__qualname__, code.co_firstlineno
            value = place, stamp(Path(code.co_filename).resolve()), _enclosed(inner)
        found.append(value)
    return found


class KernelCache(NullCache):  # type: ignore[misc]
    """The compiled code of one function, a file for every signature and processor."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._function, self._directory = function, directory

    @property
    def cache_path(self) -> str:
        return str(self._directory)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature; None where there is none that is whole."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        try:
            data = self._file(key).read_bytes()
            size = hashlib.sha256().digest_size
            if hashlib.sha256(data[size:]).digest() == data[:size]:
                stored, code = pickle.loads(data[size:])
                if stored == key:
                    return CompileResult._rebuild(target_context, *code)  # noqa: SLF001 - as Numba's cache does
        except Exception:  # noqa: BLE001  unpickling can raise anything, and compiling anew mends all of it
            pass
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code; where the disk is full, the next process compiles it again."""
        if data.library.has_dynamic_globals or not all(lifted.can_cache for lifted in data.lifted):
            return
        key = self._key(sig, data.codegen)
        content = dumps((key, data._reduce()))  # noqa: SLF001 - as Numba's cache does
        file = self._file(key)
        temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
        with suppress(OSError):
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            temporary.replace(file)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """What the machine code depends on beside the files that the directory's name hashes."""
        return sig, codegen.magic_tuple(), dumps(_enclosed(self._function))

    def _file(self, key: tuple[Any, ...]) -> Path:
        code = self._function.__code__
        name = f"{code.co_name}-{code.co_firstlineno}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        return self._directory / name
