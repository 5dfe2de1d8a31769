"""The one rule of what may be written where: no output is an input, or another output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from lowbit.errors import InputError
from lowbit.files.whole import descriptor_of

Identity = tuple[int, int] | str | None
"""What all names of a file have in common; None for a device or a pipe, and for what cannot be a name."""
Named = tuple[str, str | Path]
"""What messages call a file, such as ``--apply new.safetensors`` or ``the model``, and where it is."""


def refuse_overwriting(outputs: Iterable[Named], inputs: Iterable[Named]) -> None:
    """Refuse outputs that are inputs or one another, under whatever name: links and other spellings of a path too.

    Devices and pipes may be named as often as one likes, standard output among the outputs too. A file inside a folder
    that is an input is one of the inputs.

    ``outputs`` and ``inputs``: what messages call a file, such as ``--apply new.safetensors`` and ``the model``, and
    where it is.

    Raises InputError: writing would lose an input or another output; code LB102.
    """
    places: dict[Identity, Named] = {}
    for output in outputs:
        place = _identity(output[1])
        if place is None:
            continue
        other = places.setdefault(place, output)
        if other is not output and not (_is_descriptor(output) and _is_descriptor(other)):
            what = f"{output[0]} and {other[0]} are the same file: one would overwrite the other"
            raise InputError(what, hint="name another file", code="LB102")
    for name, path in inputs if places else ():
        lost = _lost(path, places)
        if lost is not None:
            what = f"{lost[0]} is {name} itself, which would be lost"
            raise InputError(what, hint="name another file", code="LB102")


def _is_descriptor(output: Named) -> bool:
    return descriptor_of(output[1]) is not None


def _identity(path: str | Path) -> Identity:
    descriptor = descriptor_of(path)
    try:
        status = Path(path).stat() if descriptor is None else os.fstat(descriptor)
    except ValueError:  # a NUL, or half a surrogate pair
        return None
    except OSError:  # not there yet: the name after all links is all that there is to compare
        return os.path.realpath(path)
    regular = S_ISREG(status.st_mode) or S_ISDIR(status.st_mode)
    return (status.st_dev, status.st_ino) if regular else None


def _lost(path: str | Path, places: Mapping[Identity, Named]) -> Named | None:
    """The output that an input would be lost to.

    Standard output is never one of the files in a folder: the shell that sends it there has made that file itself.
    """
    place = _identity(path)
    if place in places:
        return places[place]
    inside = Path(path).rglob("*") if Path(path).is_dir() else ()
    found = (places[place] for item in inside if (place := _identity(item)) in places)
    return next((output for output in found if not _is_descriptor(output)), None)
