"""Arrays by their names in one file, .npz or .safetensors, or one array without a name in a .npy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lowbit.errors import InputError
from lowbit.files.kinds import NPY, wrong_kind
from lowbit.files.npz import npz_array, npz_names
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import DTYPES, Entry, read_header, write_tensors
from lowbit.files.whole import write_bytes
from lowbit.ops.arrays import Array

UNNAMED = ""
"""The name of the array in a .npy file."""
SUFFIXES = (".npy", ".npz", ".safetensors")

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of a file by their names.

    Raises InputError: it cannot be read, is damaged, or its name ends in none of ``SUFFIXES``.
    """
    match Path(path).suffix.lower():
        case ".npz":
            return {name: npz_array(path, name) for name in npz_names(path)}
        case ".safetensors":
            file = read_header(path)
            return {name: np.array(file.tensor(name)) for name in file.entries}
        case ".npy":
            return {UNNAMED: read_npy(path)}
    raise wrong_suffix(path)


def read_npy(path: str | Path) -> Array:
    """The array of a .npy file, whatever its name.

    Raises InputError: it cannot be read, is damaged, or another kind of file.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise wrong_kind(path, NPY, str(error), hint="numpy.save writes one") from error
    if not isinstance(array, np.ndarray):
        raise wrong_kind(path, NPY, "it has several arrays", hint="numpy.save writes one")
    return array


def write_arrays(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays, whole or not at all.

    Raises InputError: the file cannot be written, its name ends in none of ``SUFFIXES``, or a .npy is to hold several.
    """
    suffix = require_place(path, several=len(arrays) != 1)
    if suffix == ".safetensors":
        entries = [Entry(name, _NAMES[array.dtype], array.shape, 0, array.nbytes) for name, array in arrays.items()]
        write_tensors(path, entries, arrays.values())
        return
    content = io.BytesIO()
    if suffix == ".npz":
        np.savez(content, **arrays)  # type: ignore[arg-type]
    else:
        np.save(content, next(iter(arrays.values())))
    write_bytes(path, content.getvalue())


def require_place(path: str | Path, *, several: bool) -> str:
    """The suffix of a file that has a place for one array or several, before the work that makes them.

    Raises InputError: its name ends in none of ``SUFFIXES``, or a .npy is to hold several.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise wrong_suffix(path)
    if suffix == ".npy" and several:
        raise InputError(f"{path}: a .npy file has one array, and there are several", hint="a .npz has several")
    return suffix


def wrong_suffix(path: str | Path) -> InputError:
    """The error for a file of another kind."""
    return InputError(f"{path}: the name ends in none of {', '.join(SUFFIXES)}")
