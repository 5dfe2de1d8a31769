"""Parameters of layers are what their annotations say: a wrong one is refused by name, before anything asks it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import is_whole
from lowbit.printable import excerpt


class Fields:
    """Base class of dataclasses whose ``__post_init__`` begins with the check of their fields.

    NumPy's integers become Python's; arrays are left to the class, which knows their shapes and formats.
    """

    operation: ClassVar[str]

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, hint in _hints(kind).items():
            value = getattr(self, name)
            if isinstance(value, np.integer):
                object.__setattr__(self, name, int(value))
            if not any(_fits(kind, value) for kind in alternatives(hint)):
                what = getattr(self, "operation", type(self).__name__.lower())
                plain = isinstance(value, int | float | str | list | tuple)
                told = f"= {excerpt(repr(value), quoted=False)}" if plain else f"is of {type(value).__name__}"
                raise InputError(f"{what}: {name} {told}", hint=f"it takes {in_words(hint)}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(kind: Any, value: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    if origin is np.ndarray:
        return not isinstance(value, Fields | str | Mapping)
    if origin is int:
        return is_whole(value)
    if origin is float:
        return isinstance(value, float | int | np.floating | np.integer)
    if origin is tuple:
        return isinstance(value, tuple | list)
    return isinstance(value, origin)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Of a union, its members; else the annotation itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def in_words(hint: Any) -> str:
    """An annotation, short: ``int or null``, ``(int, int)``, ``Rescale``."""
    return " or ".join(map(_kind_in_words, alternatives(hint)))


def _kind_in_words(kind: Any) -> str:
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is np.ndarray:
        return "a tensor"
    if origin is tuple:
        return f"({', '.join('...' if part is ... else in_words(part) for part in parts)})"
    name: str = {Mapping: "a table", type(None): "null"}.get(origin, origin.__name__)
    return name
