"""What the vocabularies of disagreement share: one choice on each of some axes, checked, compared, spelled and read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, field, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

from lowbit.errors import PolicyError

_SEPARATORS = re.compile(r"[\s,+]+")
_SPAN = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def axis(default: Any, words: str, choices: Mapping[str, str] | range | None = None, *, compare: bool = True) -> Any:
    """A field of a vocabulary.

    ``words``: what it decides; "" for a field that reports leave out. ``choices``: the closed set of its values with
    what each means, or the integers that it may be. ``compare``: whether two records that differ in it are different.
    """
    return field(default=default, compare=compare, metadata={"words": words, "choices": choices})


class Choices:
    """The base of frozen dataclasses whose fields are axes; ``name`` and what else a preset claims are not."""

    AXIS: ClassVar[str] = "axis"
    """What messages call an axis."""

    CLAIMS: ClassVar[tuple[str, ...]] = ("name",)
    """Fields that belong to a preset, and are lost when a choice changes."""

    AXES: ClassVar[Mapping[str, str]] = {}
    """What each axis decides."""

    CHOICES: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Every axis with a closed set of values: axis -> value -> what it means."""

    NUMBERS: ClassVar[Mapping[str, range]] = {}
    """Every axis that is an integer of a range."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """Every field that is not a claim, with its default."""

    _texts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        items = {name: vars(cls)[name] for name in cls.__annotations__}
        data = {name: item.metadata for name, item in items.items() if isinstance(item, Field)}
        closed = {name: entry["choices"] for name, entry in data.items() if entry.get("choices") is not None}
        defaults = {name: item.default if isinstance(item, Field) else item for name, item in items.items()}
        cls.AXES = MappingProxyType({name: entry["words"] for name, entry in data.items() if entry.get("words")})
        cls.CHOICES = MappingProxyType({name: values for name, values in closed.items() if isinstance(values, Mapping)})
        cls.NUMBERS = MappingProxyType({name: values for name, values in closed.items() if isinstance(values, range)})
        cls.DEFAULTS = MappingProxyType({name: item for name, item in defaults.items() if name not in cls.CLAIMS})
        cls._texts = tuple(name for name, item in defaults.items() if isinstance(item, str) and name not in cls.CHOICES)

    def check_choices(self) -> None:
        """Refuse a value that its axis has not.

        Raises PolicyError: the message names the axis, the hint the values that it may take.
        """
        for name, choices in self.CHOICES.items():
            require_choice(name, getattr(self, name), choices)
        for name, numbers in self.NUMBERS.items():
            value: object = getattr(self, name)
            if type(value) is not int or value not in numbers:
                raise PolicyError(f"{name} = {value!r} is not an integer from {numbers[0]} to {numbers[-1]}")
        for name in self._texts:
            if not isinstance(getattr(self, name), str):
                raise PolicyError(f"{name} = {getattr(self, name)!r} is not a string", hint="'' stands for none")

    def choose(self, **axes: Any) -> Self:
        """A copy with other choices on some axes; the preset's name and claims are kept only if nothing changed.

        Raises
        ------
        PolicyError
            An axis or a choice is unknown, or two of them contradict each other.
        """
        for name in sorted(set(axes) - set(self.DEFAULTS) - set(self.CLAIMS)):
            self.require(self.AXIS, name, [*self.DEFAULTS, *self.CLAIMS])
        copy = replace(self, **(dict.fromkeys(self.CLAIMS, "") | axes))  # type: ignore[type-var]
        return self if all(getattr(copy, name) == getattr(self, name) for name in {*self.DEFAULTS, *axes}) else copy

    def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
        """The axes on which two records differ: axis -> (own value, other value)."""
        names = [item.name for item in fields(self) if item.compare and item.name not in self.CLAIMS]  # type: ignore[arg-type]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @classmethod
    def choices(cls, axis: str) -> tuple[str, ...]:
        """The values that an axis with a closed set may take."""
        cls.require(cls.AXIS, axis, cls.CHOICES)
        return tuple(cls.CHOICES[axis])

    @classmethod
    def meaning(cls, axis: str, choice: str) -> str:
        """What a choice on an axis means, in words."""
        require_choice(axis, choice, dict.fromkeys(cls.choices(axis)))
        return cls.CHOICES[axis][choice]

    def live_axes(self) -> list[str]:
        """The axes that say something about this record; the others are switched off."""
        return list(self.AXES)

    def describe(self, axes: Iterable[str] | None = None) -> list[tuple[str, str, str]]:
        """Each live axis, or those of some that are live, with its value and what that means."""
        live = self.live_axes()
        rows = [(name, str(getattr(self, name))) for name in (live if axes is None else axes) if name in live]
        return [(name, value, self.CHOICES.get(name, {}).get(value, self.AXES[name])) for name, value in rows]

    def spell(self, other: Self | None = None, *, separator: str = ", ") -> str:
        """The choices as text, ``axis=choice, axis=choice``: all of them, or those that differ from another's."""
        names = self.DEFAULTS if other is None else self.differences(other)
        return separator.join(f"{name}={text}" for name in names for text in _texts(getattr(self, name)))

    @classmethod
    def parse(cls, text: str, base: Self | None = None) -> Self:
        """The inverse of ``spell``: choices between commas, blanks or ``+``, changed on ``base`` or on the defaults.

        Raises
        ------
        PolicyError
            A word is not ``axis=choice``, or an axis or a choice is unknown.
        """
        axes: dict[str, Any] = {}
        for word in filter(None, _SEPARATORS.split(text)):
            name, equals, choice = word.partition("=")
            if not equals:
                raise PolicyError(f"{word!r} is not axis=choice", hint=f"the axes are {', '.join(cls.DEFAULTS)}")
            value = cls.read(name, choice)
            axes[name] = axes.get(name, ()) + value if isinstance(value, tuple) else value
        return (base or cls()).choose(**axes)

    @classmethod
    def read(cls, axis: str, text: str) -> Any:
        """The value that text stands for on an axis: the text itself, a number, true or false, or ``low..high``.

        Raises
        ------
        PolicyError
            The axis is unknown, or a number is needed and the text is not one.
        """
        cls.require(cls.AXIS, axis, cls.DEFAULTS)
        default = cls.DEFAULTS[axis]
        if isinstance(default, str):
            return text
        if isinstance(default, bool):
            require_choice(axis, text, {"true": True, "false": False})
            return text == "true"
        if default == ():
            return (text,)
        if isinstance(default, tuple):
            span = _SPAN.fullmatch(text)
            if span is None:
                raise PolicyError(f"{axis} = {text!r} is not low..high", hint=f"{axis}={_texts(default)[0]}, say")
            return int(span[1]), int(span[2])
        if not _NUMBER.fullmatch(text):
            raise PolicyError(f"{axis} = {text!r} is not an integer", hint=f"{axis}={default or 8}, say")
        return int(text)

    @classmethod
    def option(cls, axis: str, choice: str) -> str:
        """How the command line spells a choice, with ", or " after it; "" where it cannot."""
        del axis, choice
        return ""

    @classmethod
    def require(cls, what: str, value: object, names: Collection[str], *, also: str = "") -> None:
        """Raise PolicyError for what is not one of some names; the hint has the nearest, or the axis that it is of."""
        require_choice(what, value, names, cls._hint(value) if isinstance(value, str) else "", also)

    @classmethod
    def _hint(cls, value: str) -> str:
        """How to write a choice where a name or an axis is wanted; empty if no axis has such a choice."""
        first, *others = [axis for axis, choices in cls.CHOICES.items() if value in choices] or [""]
        if not first:
            return ""
        also = f" (and of {', '.join(others)})" if others else ""
        option = cls.option(first, value)
        return f"{value!r} is a choice of {first}{also}: {option}{cls.__name__}({first}={value!r}); else "


def require_choice(axis: str, value: object, choices: Collection[str], suggestion: str = "", also: str = "") -> None:
    """Raise a PolicyError that suggests the nearest name if ``value`` is not one of ``choices``."""
    if isinstance(value, str) and value in choices:
        return
    from difflib import get_close_matches

    close = get_close_matches(str(value), list(choices), n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise PolicyError(f"{axis} = {value!r} is unknown", hint=f"{suggestion or guess}one of {', '.join(choices)}{also}")


def _texts(value: Any) -> list[str]:
    """One word, or one for each member of a tuple of names."""
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, tuple):
        return list(value) if all(isinstance(part, str) for part in value) else ["..".join(map(str, value))]
    return [str(value)]
