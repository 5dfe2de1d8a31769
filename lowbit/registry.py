"""Finds formats by name: the files of ``formats/``, user files, ``$LOWBIT_FORMATS`` and entry points.

This is the only reader of ``formats/``. A look-up of an id reads one file; an alias needs an index, which is built
once from all of them. Look-up ignores case, and never guesses: a name in use for several formats is an error that
lists them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lowbit.dyadic import format_exact
from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format_files.catalogue import Catalogue
from lowbit.format_files.document import KINDS, read_document, read_format, read_names
from lowbit.format_files.family import Family
from lowbit.spec import FloatFormat, Format

__all__ = ["Family", "data_directory", "families", "formats", "get_format", "load_format"]

ENVIRONMENT_VARIABLE = "LOWBIT_FORMATS"
ENTRY_POINT_GROUP = "lowbit.formats"
ALL_FAMILIES = "all"
_FILE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")

_NAMESPACES = ("torch.", "numpy.", "np.", "ml_dtypes.", "jax.numpy.", "jnp.", "tensorproto.", "onnx.tensorproto.", "tl.")

_builtin: Catalogue | None = None
_loaded = Catalogue()
_environment: tuple[str, Catalogue] = ("", Catalogue())
_plugins: Catalogue | None = None
_found: dict[str, Format] = {}
"""Built-in formats found so far, by lower-case name, so that a repeated look-up costs one dictionary access."""


def data_directory(name: str) -> Path:
    """Where the data that belongs to lowbit lies: ``"formats"`` or ``"golden"``.

    A wheel carries it as ``lowbit/_data/<name>``; a checkout, an editable install too, has it beside the package.

    Raises
    ------
    FormatError
        It is in neither place: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_data" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FormatError(
        f"the {name!r} data of lowbit is missing: looked for {package / '_data' / name} and {package.parent / name}",
        hint="reinstall lowbit, or run from a complete checkout",
    )


def get_format(name: object) -> Format:
    """The format of a name, of a NumPy or ml_dtypes dtype, or of itself.

    Parameters
    ----------
    name : str, Format, or dtype
        An id (``"float8_e4m3fn"``), an alias of any case (``"E4M3FN"``, ``"bf16"``, ``"torch.float8_e4m3fn"``), a
        member of a family (``"int4"``, ``"binary8p4se"``, ``"q3.5"``), a dtype or scalar type of NumPy, ml_dtypes
        or torch, or a Format, which is returned as it is.

    Raises
    ------
    UnknownFormatError
        No format has this name, or several are known by it; the message lists the candidates.

    Examples
    --------
    >>> get_format("E5M2").id
    'float8_e5m2'
    """
    if isinstance(name, Format):
        return name
    text = name if isinstance(name, str) else _dtype_name(name)
    key = _normalised(text)
    found = _found.get(key)
    if found is None:
        found = _find(key, text)
    return found


def _find(key: str, text: str) -> Format:
    found = _from_own_file(key)
    if found is None:
        found = _builtin_catalogue().find(key)
    if found is not None:
        _found[key] = found
        return found
    ambiguous = _candidates(key)
    if ambiguous:
        raise _ambiguous_name(text, ambiguous)
    for catalogue in _user_catalogues():
        found = catalogue.find(key)
        if found is not None:
            return found
    raise _unknown_name(text, key)


def _from_own_file(key: str) -> Format | None:
    """The built-in format whose file bears its id: found without reading any other file."""
    if _builtin is not None or set(key) - _FILE_CHARACTERS:
        return None
    path = data_directory("formats") / f"{key}.toml"
    if not path.is_file():
        return None
    document = read_document(path)
    return None if "family" in document.values else read_format(document)


def _builtin_catalogue() -> Catalogue:
    global _builtin
    if _builtin is None:
        catalogue = Catalogue()
        catalogue.read_all([data_directory("formats")])
        _builtin = catalogue
    return _builtin


def _user_catalogues() -> Iterator[Catalogue]:
    """User formats, the cheap origins first: ``load_format``, ``$LOWBIT_FORMATS``, entry points."""
    yield _loaded
    yield _environment_catalogue()
    yield _plugin_catalogue()


def _environment_catalogue() -> Catalogue:
    global _environment
    value = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if value != _environment[0]:
        catalogue = Catalogue()
        paths = [Path(part).expanduser() for part in value.split(os.pathsep) if part]
        for path in paths:
            if not path.exists():
                raise FormatError(
                    f"${ENVIRONMENT_VARIABLE} names {path}, which does not exist",
                    hint=f"it is a list of format files or directories of them, separated by {os.pathsep!r}",
                )
        catalogue.read_all(paths, [_builtin_catalogue(), _loaded])
        _environment = (value, catalogue)
    return _environment[1]


def _plugin_catalogue() -> Catalogue:
    global _plugins
    if _plugins is None:
        from importlib.metadata import entry_points

        catalogue = Catalogue()
        others = [_builtin_catalogue(), _loaded, _environment_catalogue()]
        for entry_point in entry_points(group=ENTRY_POINT_GROUP):
            _read_plugin(catalogue, f"entry point {entry_point.value}", entry_point.load(), others)
        _plugins = catalogue
    return _plugins


def _read_plugin(catalogue: Catalogue, origin: str, value: Any, others: list[Catalogue]) -> None:
    """What an entry point of the group ``lowbit.formats`` gives: a path, a Format, several, or a function of these."""
    if callable(value):
        value = value()
    for item in [value] if isinstance(value, (str, os.PathLike, Format)) else value:
        if isinstance(item, Format):
            catalogue.add(item, origin, (), others)
        else:
            catalogue.read_all([Path(item)], others)


def load_format(path: str | os.PathLike[str]) -> Format:
    """Read a format file of one's own and make its names known to every function of lowbit.

    Parameters
    ----------
    path : path
        A TOML file as ``formats/README.md`` describes it. Loading the same file again replaces what it gave before.

    Raises
    ------
    FormatError
        The file cannot be read, contradicts itself, or takes a name that another format has.
    """
    file = Path(path)
    document = read_document(file)
    if "family" in document.values:
        raise document.error("family", "load_format reads one format", f"name the file in ${ENVIRONMENT_VARIABLE}")
    fmt = read_format(document)
    others = [_builtin_catalogue(), _environment_catalogue()]
    _loaded.add(fmt, str(file.resolve()), read_names(document, "ambiguous"), others)
    return fmt


def families() -> list[Family]:
    """The parametric families: integers, fixed point, P3109, and those of the user."""
    return [family for catalogue in _all_catalogues() for family in catalogue.families]


def formats(*, kind: str | None = None, bits: int | None = None, family: str | None = None) -> list[str]:
    """The ids of the known formats.

    Parameters
    ----------
    kind : {"float", "integer", "fixed"}, optional
        Only formats of this kind.
    bits : int, optional
        Only formats with codes of this width.
    family : str, optional
        Only members of this family. The members of the large families (``p3109``, ``fixed``) are listed only when
        asked for, or with ``"all"``; ``families()`` has their patterns.

    Raises
    ------
    UnknownFormatError
        The kind or the family is unknown.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownFormatError(f"kind {kind!r} is unknown", hint=f"one of {', '.join(KINDS)}")
    known = families()
    if family not in (None, ALL_FAMILIES, *(item.id for item in known)):
        raise UnknownFormatError(
            f"family {family!r} is unknown", hint=f"one of {', '.join(item.id for item in known)}, {ALL_FAMILIES}"
        )
    names: list[str] = []
    if family in (None, ALL_FAMILIES):
        for catalogue in _all_catalogues():
            names += [fmt.id for fmt in sorted(catalogue.formats.values(), key=lambda fmt: (-fmt.bits, fmt.id))]
    for item in known:
        if family in (ALL_FAMILIES, item.id) or (family is None and item.listed):
            names += item.members()
    return [name for name in names if _matches(get_format(name), kind, bits)] if (kind or bits is not None) else names


def _matches(fmt: Format, kind: str | None, bits: int | None) -> bool:
    return kind in (None, fmt.kind) and bits in (None, fmt.bits)


def _all_catalogues() -> list[Catalogue]:
    return [_builtin_catalogue(), *_user_catalogues()]


def _normalised(text: str) -> str:
    key = text.strip().lower()
    for namespace in _NAMESPACES:
        key = key.removeprefix(namespace)
    return key


def _dtype_name(value: object) -> str:
    """The name of a dtype or scalar type; NumPy is imported only if it is needed to read one."""
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ == "dtype":
        return str(value)
    import numpy

    inner = getattr(value, "dtype", None)
    if isinstance(value, (numpy.dtype, type)) or (callable(value) and isinstance(inner, numpy.dtype)):
        try:
            return numpy.dtype(value).name  # type: ignore[arg-type]
        except TypeError:
            pass
    raise UnknownFormatError(
        f"{value!r} ({kind.__name__}) names no format",
        hint="give an id such as 'float8_e4m3fn', a Format, or a NumPy or ml_dtypes dtype",
    )


def _candidates(key: str) -> list[str]:
    return [name for catalogue in _all_catalogues() for name in catalogue.ambiguous.get(key, [])]


def _ambiguous_name(text: str, candidates: list[str]) -> UnknownFormatError:
    rows = [f"  {name:<20} {describe(get_format(name))}" for name in candidates]
    return UnknownFormatError(
        "\n".join([f"format name {text!r} is ambiguous: different formats go by it. Known here:", *rows]),
        hint=f"name the one you mean, for example {candidates[0]!r}",
        code="LB202",
    )


def describe(fmt: Format) -> str:
    """The figures that tell formats of one name apart: maximum, bias, specials."""
    if not isinstance(fmt, FloatFormat):
        return f"{format_exact(fmt.min)} .. {format_exact(fmt.max)}"  # type: ignore[attr-defined]
    nan = f"NaN at -0 ({fmt.canonical_nan:#x})" if fmt.nan_at_negative_zero else f"{fmt.nan_count or 'no'} NaN codes"
    infinity = "infinities" if fmt.infinity_count == 2 else "infinity" if fmt.infinity_count else "no infinity"
    return f"max {format_exact(fmt.max)}, bias {fmt.bias}, {infinity}, {nan}"


def _unknown_name(text: str, key: str) -> UnknownFormatError:
    known = [name for catalogue in _all_catalogues() for name in catalogue.names()]
    known += [name for catalogue in _all_catalogues() for name in catalogue.ambiguous]
    close = get_close_matches(key, known, n=4)
    guess = f"did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
    return UnknownFormatError(
        f"format {text!r} is unknown",
        hint=f"{guess}lowbit.formats() lists the names, lowbit.load_format(path) adds a format of your own",
    )
