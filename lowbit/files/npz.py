"""NumPy's archives of arrays (.npz), with one error for everything that can be wrong with a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - a class

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files.kinds import NPZ, kind_of, wrong_kind
from lowbit.files.reading import unreadable
from lowbit.printable import excerpt

_DAMAGE = (
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    TokenError,
    RecursionError,
    RuntimeError,
    MemoryError,
)
"""What NumPy and zipfile raise for damaged, encrypted and pickled members, and for headers that claim any size."""

_SUFFIX = ".npy"


def npz_names(path: str | Path) -> list[str]:
    """The names of the arrays in a file.

    Raises
    ------
    InputError
        The file cannot be read, or is not a .npz file.
    """
    with _opened(path) as archive:
        return [name.removesuffix(_SUFFIX) for name in archive.namelist()]


def npz_array(path: str | Path, name: str) -> NDArray[Any]:
    """One array of a file.

    Raises
    ------
    InputError
        The file cannot be read, is not a .npz file, lacks the array, or it is damaged or holds Python objects.
    """
    with _opened(path) as archive, archive.open(name + _SUFFIX) as member:
        try:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        except (BadZipFile, *_DAMAGE, ZlibError) as error:
            what = f"{path}: array {excerpt(name)} is damaged: {error}"
            raise InputError(what, hint="numpy.savez writes one") from error
    return array


@contextmanager
def _opened(path: str | Path) -> Iterator[ZipFile]:
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            if names and not any(name.endswith(_SUFFIX) for name in names):
                raise wrong_kind(path, NPZ, "none of its files is an array", hint="numpy.savez writes one")
            yield archive
    except InputError:  # which is a ValueError, too
        raise
    except BadZipFile as error:
        truncated = kind_of(path) == NPZ
        why = "it is truncated: its end, which lists its arrays, is missing" if truncated else str(error)
        hint = "copy it again" if truncated else "numpy.savez writes one"
        raise wrong_kind(path, NPZ, why, hint=hint) from error
    except OSError as error:
        raise unreadable(path, error) from error
    except (*_DAMAGE, ZlibError) as error:
        raise InputError(f"{path} is damaged: {error}", hint="numpy.savez writes one") from error
