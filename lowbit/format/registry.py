"""Finds formats by name: the files of ``formats/``, user files, ``$LOWBIT_FORMATS`` and entry points.

This is the only reader of ``formats/``. A look-up of an id reads one file; an alias needs an index, which is built
once from all of them. Look-up ignores case, and never guesses: a name in use for several formats is an error that
lists them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from lowbit.errors import FormatError, InputError, UnknownFormatError
from lowbit.format.block import BlockFormat
from lowbit.format.common import Format
from lowbit.format.files.catalogue import ENVIRONMENT_VARIABLE, Catalogue, format_files, path_for_a_name
from lowbit.format.files.document import KINDS, read_document, read_format, read_names
from lowbit.format.files.family import Family
from lowbit.format.fixed import FixedFormat
from lowbit.format.protocol import Scalar
from lowbit.format.types import FormatLike

__all__ = [
    "Family",
    "data_directory",
    "families",
    "formats",
    "get_format",
    "integer_format",
    "load_format",
    "scalar_format",
]

GROUPED = re.compile(r"(?P<element>.+?)(?:[._-]?g|[._-])(?P<length>[1-9][0-9]{0,5})", re.ASCII)
"""How the names of groups are spelled elsewhere: int4_g128, int4g128, int4-128."""
ENTRY_POINT_GROUP = "lowbit.formats"
ALL_FAMILIES = "all"
SCALAR = "scalar"
"""What ``formats(kind=...)`` calls every kind but vectors and block formats."""

_NAMESPACES = ("torch.", "numpy.", "np.", "ml_dtypes.", "jax.numpy.", "jnp.", "onnx.", "tensorproto.", "tl.")

_builtin = Catalogue()
_loaded = Catalogue()
_found: dict[object, Format] = {}
"""Built-in formats found so far, by name or dtype as asked for, so that asking again costs one dictionary access."""
_lock = RLock()


def data_directory(name: str) -> Path:
    """Where the data that belongs to lowbit lies: ``"formats"`` or ``"golden"``.

    A wheel carries it as ``lowbit/_data/<name>``; a checkout, an editable install too, has it beside the package.

    Raises FormatError: it is in neither place: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "_data" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FormatError(
        f"the {name!r} data of lowbit is missing: looked for {package / '_data' / name} and {package.parent / name}",
        hint="reinstall lowbit, or run from a complete checkout",
    )


def get_format(name: FormatLike) -> Format:
    """The format of a name, of a NumPy or ml_dtypes dtype, or of itself.

    Parameters
    ----------
    name : str, Format, or dtype
        An id (``"float8_e4m3fn"``), an alias of any case (``"E4M3FN"``, ``"bf16"``, ``"torch.float8_e4m3fn"``), a
        member of a family (``"int4"``, ``"binary8p4se"``, ``"q3.5"``, ``"int4.g128"``), a dtype or scalar type of
        NumPy, ml_dtypes or torch, or a Format, which is returned as it is.

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
    try:
        return _found[name]
    except (KeyError, TypeError):  # not asked for before; no dictionary key, which _find refuses
        return _find(name)


def scalar_format(name: object) -> Scalar:
    """The scalar format of a name, a dtype or itself: what every ``fmt`` argument is resolved by, once.

    Raises UnknownFormatError: as for :func:`get_format`; InputError: it is not a scalar format.
    """
    fmt = get_format(name)  # type: ignore[arg-type]  # whatever it is: what does not name a format is refused
    if not isinstance(fmt, Scalar):
        hint = "lowbit.quantize and lowbit.dequantize take block formats; `lowbit show` says what their elements are"
        if fmt.kind == "vector":
            hint = f"{fmt.id}.g128 are blocks of its vectors, which lowbit.quantize and lowbit.dequantize take"
        raise InputError(f"{fmt.id} is not a scalar format", hint=hint)
    return fmt


def block_format_of(name: object) -> BlockFormat:
    """The block format of a name or of itself: what quantize and dequantize resolve their format by.

    Raises UnknownFormatError: as for :func:`get_format`; InputError: it is a scalar format.
    """
    fmt = get_format(name)  # type: ignore[arg-type]  # as for scalar_format
    if not isinstance(fmt, BlockFormat):
        hint = f"{fmt.id}.g128 has blocks of 128 that share a scale; lowbit.formats(kind='block') lists the others"
        raise InputError(f"{fmt.id} is not a block format", hint=hint)
    return fmt


def integer_format(name: object) -> FixedFormat:
    """The integer or fixed-point format of a name, a dtype or itself.

    Raises UnknownFormatError: as for :func:`get_format`; InputError: it is of another kind.
    """
    fmt = scalar_format(name)
    if not isinstance(fmt, FixedFormat):
        raise InputError(f"{fmt.id} is not an integer format", hint="int8, uint8, int4, int16, ...")
    return fmt


def _find(name: object) -> Format:
    from lowbit.format.block_name import block_member

    text = name if isinstance(name, str) else _dtype_name(name)
    key = _normalised(text)
    with _lock:
        found = _find_builtin(key)
        if found is not None:
            _found[name] = _found.setdefault(found.id, found)  # one object a format: comparing it costs nothing
            return _found[name]
        for catalogue in _user_catalogues():
            found = catalogue.find(key)
            if found is not None:
                return found
        found = block_member(key)
        if found is not None:
            return found
        candidates = _candidates(key)
        raise _ambiguous_name(text, candidates) if candidates else _unknown_name(text, key)


def _find_builtin(key: str) -> Format | None:
    """A built-in format: if a file bears the name, no other file is read."""
    found = _builtin.find(key)
    if found is None and key in _builtin_files():
        _builtin.read_all([_builtin_files()[key]])
        found = _builtin.find(key)
    return found or _builtin_catalogue().find(key)


@cache
def _builtin_files() -> dict[str, Path]:
    """The files of ``formats/`` by the names that they bear: what was typed never becomes part of a path."""
    return {file.stem: file for file in format_files([data_directory("formats")])}


@cache
def _builtin_catalogue() -> Catalogue:
    with _lock:
        _builtin.read_all([data_directory("formats")])
        return _builtin


def _user_catalogues() -> Iterator[Catalogue]:
    """User formats, the cheap origins first: ``load_format``, ``$LOWBIT_FORMATS``, entry points."""
    yield _loaded
    yield _environment_catalogue(os.environ.get(ENVIRONMENT_VARIABLE, ""))
    yield _plugin_catalogue()


@lru_cache(maxsize=1)
def _environment_catalogue(value: str) -> Catalogue:
    catalogue = Catalogue()
    for path in _paths_of(value):
        if not path.exists():
            raise FormatError(
                f"${ENVIRONMENT_VARIABLE} names {path}, which does not exist",
                hint=f"it is a list of format files or directories of them, separated by {os.pathsep!r}",
            )
        catalogue.read_all([path], [_builtin_catalogue(), _loaded])
    return catalogue


def _paths_of(value: str) -> list[Path]:
    return [Path(part).expanduser() for part in value.split(os.pathsep) if part]


def environment_files() -> list[Path]:
    """The format files that ``$LOWBIT_FORMATS`` names, those of its directories included."""
    return format_files(_paths_of(os.environ.get(ENVIRONMENT_VARIABLE, "")))


@cache
def _plugin_catalogue() -> Catalogue:
    # Asking for entry points reads the metadata of every installed distribution: only when nothing else knows a name.
    from importlib.metadata import entry_points

    catalogue = Catalogue()
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        _read_plugin(catalogue, f"entry point {entry_point.value}", entry_point.load(), [_builtin_catalogue()])
    return catalogue


def _read_plugin(catalogue: Catalogue, origin: str, value: Any, others: list[Catalogue]) -> None:
    """What an entry point of the group ``lowbit.formats`` gives: a path, a Format, several, or a function of these."""
    if callable(value):
        value = value()
    for item in [value] if isinstance(value, (str, os.PathLike, Format)) else value:
        if isinstance(item, Format):
            catalogue.add(item, origin, (), others)
        else:
            catalogue.read_all([Path(item)], others)


def load_format(file: str | os.PathLike[str]) -> Format:
    r"""Read a format file of one's own and make its names known to every function of lowbit.

    Parameters
    ----------
    file : path
        A TOML file as ``formats/README.md`` describes it. Loading the same file again replaces what it gave before.

    Raises
    ------
    FormatError
        The file cannot be read, contradicts itself, or takes a name that another format has.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> text = 'id = "own_signs"\nkind = "table"\nbits = 1\nvalues = [-1.0, 1.0]\n[defaults]\npolicy = "ocp_sat"\n'
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "own_signs.toml"
    ...     _ = file.write_text(text, encoding="utf-8")
    ...     load_format(file).id
    'own_signs'
    """
    if not isinstance(file, (str, os.PathLike)):
        raise FormatError(f"{file!r} is not the path of a file", hint="lowbit.load_format('own.toml'), say")
    path = Path(file)
    document = read_document(path)
    if "family" in document.values:
        raise document.error("family", "load_format reads one format", f"name the file in ${ENVIRONMENT_VARIABLE}")
    fmt = read_format(document)
    with _lock:
        others = [catalogue for catalogue in _all_catalogues() if catalogue is not _loaded]
        _loaded.add(fmt, str(path.resolve()), read_names(document, "ambiguous"), others)
    return fmt


def families() -> list[Family]:
    """The parametric families: integers, fixed point, P3109, and those of the user.

    Examples
    --------
    >>> "p3109" in [family.id for family in families()]
    True
    """
    return [family for catalogue in _all_catalogues() for family in catalogue.families]


def formats(*, kind: str | None = None, bits: int | None = None, family: str | None = None) -> list[str]:
    """The ids of the known formats.

    Parameters
    ----------
    kind : {"float", "integer", "fixed", "table", "vector", "block", "scalar"}, optional
        Only formats of this kind; "scalar" is every kind but "vector" and "block".
    bits : int, optional
        Only scalar formats with codes of this width.
    family : str, optional
        Only members of this family. The members of the large families (``p3109``, ``fixed``) are listed only when
        asked for, or with ``"all"``; ``families()`` has their patterns.

    Raises
    ------
    UnknownFormatError
        The kind or the family is unknown.
    InputError
        The width is not an integer.

    Examples
    --------
    >>> formats(kind="table", bits=3)
    ['nf3']
    """
    if kind not in (None, SCALAR, *KINDS):
        raise UnknownFormatError(f"kind {kind!r} is unknown", hint=f"one of {', '.join(KINDS)}, {SCALAR}")
    if bits is not None and not hasattr(bits, "__index__"):
        raise InputError(f"bits = {bits!r} is not an integer")
    known = families()
    if family not in (None, ALL_FAMILIES, *(item.id for item in known)):
        raise UnknownFormatError(
            f"family {family!r} is unknown", hint=f"one of {', '.join(item.id for item in known)}, {ALL_FAMILIES}"
        )
    names: list[str] = []
    if family in (None, ALL_FAMILIES):
        for catalogue in _all_catalogues():
            names += [fmt.id for fmt in sorted(catalogue.formats.values(), key=_order)]
    for item in known:
        if family in (ALL_FAMILIES, item.id) or (family is None and item.listed):
            names += item.members()
    return [name for name in names if _matches(get_format(name), kind, bits)] if (kind or bits is not None) else names


def _order(fmt: Format) -> tuple[bool, int, str]:
    """Scalar formats first, the wide ones before the narrow ones."""
    return (False, -fmt.bits, fmt.id) if isinstance(fmt, Scalar) else (True, 0, fmt.id)


def _matches(fmt: Format, kind: str | None, bits: int | None) -> bool:
    if not isinstance(fmt, Scalar):
        return kind in (None, fmt.kind) and bits is None
    return kind in (None, SCALAR, fmt.kind) and bits in (None, fmt.bits)


def _all_catalogues() -> list[Catalogue]:
    return [_builtin_catalogue(), *_user_catalogues()]


def _normalised(text: str) -> str:
    key = text.strip().lower()
    for namespace in _NAMESPACES:
        key = key.removeprefix(namespace)
    return key


def _dtype_name(value: object) -> str:
    """The name of a dtype or scalar type.

    NumPy is named in a string because the oracle, which reads the registry, must not depend on it.
    """
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ == "dtype":
        return str(value)
    numpy = import_module("numpy")
    inner = getattr(value, "dtype", None)
    if isinstance(value, (numpy.dtype, type)) or (callable(value) and isinstance(inner, numpy.dtype)):
        try:
            return str(numpy.dtype(value).name)
        except TypeError:
            pass
    raise UnknownFormatError(
        f"{value!r} ({kind.__name__}) names no format",
        hint="give an id such as 'float8_e4m3fn', a Format, or a NumPy or ml_dtypes dtype",
    )


def _candidates(key: str) -> list[str]:
    return sorted(name for catalogue in _all_catalogues() for name in catalogue.ambiguous.get(key, []))


def _ambiguous_name(text: str, candidates: list[str]) -> UnknownFormatError:
    rows = [f"  {name:<20} {get_format(name).description}" for name in candidates]
    # An example suggests what is meant: only the OCP format of that name is common enough to be one.
    common = [name for name in candidates if get_format(name).source.title.startswith("OCP ")]
    example = f", for example {common[0]!r}" if common else ""
    return UnknownFormatError(
        "\n".join([f"format name {text!r} is ambiguous: different formats go by it. Known here:", *rows]),
        hint=f"name the one you mean{example}",
        code="LB202",
    )


def _unknown_name(text: str, key: str) -> UnknownFormatError:
    if text.endswith(".toml") or "/" in text:
        return path_for_a_name(text)
    if key in {family.id for family in families()}:
        hint = f"`lowbit list formats --family {key}` lists its members"
        return UnknownFormatError(f"format {text!r} is unknown: it is a family of formats", hint=hint)
    known = [name for catalogue in _all_catalogues() for name in (*catalogue.spellings, *catalogue.ambiguous)]
    known += [name for family in families() if family.is_like(key) for name in family.members()]
    is_grouped = (group := GROUPED.fullmatch(key)) is not None and group["element"] in formats(kind="scalar")
    key = ggml if (ggml := f"ggml_{re.sub('_[sml]$', '', key)}") in known else key  # llama.cpp's Q4_0 and Q4_K_M
    close = [GROUPED.sub(r"\g<element>.g\g<length>", key)] if is_grouped else get_close_matches(key, known, n=4)
    guess = f"did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
    return UnknownFormatError(
        f"format {text!r} is unknown",
        hint=f"{guess}`lowbit list formats` and lowbit.formats() list the names; $LOWBIT_FORMATS and "
        "lowbit.load_format(path) add a format of your own",
    )
