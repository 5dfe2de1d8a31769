"""Presets are claims about products, so they are data: one TOML file a vocabulary, read when it is first looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lowbit.errors import PolicyError
from lowbit.policy.choices import Choices

if TYPE_CHECKING:
    from lowbit.policy.presets.reader import PresetFile

Key = TypeVar("Key")
Value = TypeVar("Value")
Kind = TypeVar("Kind", bound=Choices)

EVIDENCE = {
    "run": "compared with the product itself, or with its recorded answers, by a test in tests/cross",
    "source": "read in the product's source",
    "specification": "read in a standard, a manual or a paper",
    "fitted": "a model that agreed with the product on many answers; its source was not read",
}
"""How well a claim is founded: grade -> what it means."""


@dataclass(frozen=True)
class Claim:
    """What a preset claims."""

    summary: str  # in a line
    # product, version: what it stands for; "" for a rule without a product
    product: str = ""
    version: str = ""
    evidence: str = ""  # one of ``EVIDENCE``, or ""
    source: str = ""  # where: standard and clause, or repository, file and revision


class Lazy(Mapping[Key, Value]):
    """A mapping whose items are read when it is first looked at."""

    def __init__(self, read: Callable[[], Mapping[Key, Value]]) -> None:
        self._read = read

    @cached_property
    def _items(self) -> Mapping[Key, Value]:
        return self._read()

    def __getitem__(self, key: Key) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


class Presets(Lazy[str, Kind]):
    """The presets of one vocabulary: name -> choices.

    ``kind``: the vocabulary; ``what``: what messages call one; ``file``: its name in this folder; ``also``: what else
    is a name, for the hint about an unknown one; ``usual``: names known to be there: asking for them reads no file;
    ``overrides``: preset -> target id or kind -> the choices there.
    """

    def __init__(self, kind: type[Kind], what: str, file: str, also: str = "", usual: tuple[str, ...] = ()) -> None:
        super().__init__(lambda: self._file.presets)
        self._kind, self._what, self._name, self._also, self._usual = kind, what, file, also, usual
        self.claims: Mapping[str, Claim] = Lazy(lambda: self._file.claims)
        self.overrides: Mapping[str, Mapping[str, Kind]] = Lazy(lambda: self._file.overrides)
        self.summaries: Mapping[str, str] = Lazy(lambda: {name: self.claims[name].summary for name in self.claims})

    def __contains__(self, name: object) -> bool:
        return name in self._usual or super().__contains__(name)

    @cached_property
    def _file(self) -> PresetFile[Kind]:
        from lowbit.policy.presets.reader import FOLDER, read_presets

        return read_presets(self._kind, FOLDER / self._name)

    def named(self, value: object) -> Kind:
        """Choices from themselves, or those of a preset; look-up ignores case.

        Raises PolicyError: the name is unknown (the nearest one is suggested), or the argument is neither.
        """
        if isinstance(value, self._kind):
            return value
        if not isinstance(value, str):
            what, kind = (
                f"{'an' if word[0] in 'aeiouA' else 'a'} {word}" for word in (self._what, self._kind.__name__)
            )
            hint = f"one of {', '.join(self)}{self._also}"
            raise PolicyError(f"{what} is {kind} or the name of a preset, not {type(value).__name__}", hint=hint)
        name = value.lower()
        if name not in self:
            self._kind.require(self._what, name, self, also=self._also)
        return self[name]
