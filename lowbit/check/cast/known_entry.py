"""What a published difference is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lowbit.check.cast.known_rows import RowRule
from lowbit.policy.cast import DEFECTS


@dataclass(frozen=True)
class KnownDifference:
    """One row of ``published_differences.toml``, whose head says what each field means.

    Attributes
    ----------
    id, product : str
        Together unique.
    version : str
        The version it was seen in.
    sources, targets, option : str and tuples of str
        Where it applies, with wildcards.
    change : mapping
        Policy axis (or ``defects``) -> the choice that reproduces it.
    rule : callable or None
        Which rows it explains, where no policy can say so.
    varies : bool
        Whether the answer depends on the machine or on the place in the array.
    example : mapping
        One input code with both answers, in hexadecimal.
    right : str
        ``lowbit``, ``product`` or ``unspecified``.
    why, link : str
        What happens, and where it is discussed or written.
    """

    id: str
    product: str
    version: str
    why: str
    link: str
    right: str
    example: Mapping[str, str]
    change: Mapping[str, Any]
    rule: RowRule | None = None
    sources: tuple[str, ...] = ("*",)
    targets: tuple[str, ...] = ("*",)
    option: str = "*"
    varies: bool = False

    @property
    def defects(self) -> tuple[str, ...]:
        """The defects of the product's preset that it is."""
        defects: tuple[str, ...] = self.change.get("defects", ())
        return defects

    def applies(self, product: str, source: str, target: str, option: str) -> bool:
        """Whether the entry speaks of a conversion."""
        if product != self.product or not fnmatchcase(option, self.option):
            return False
        if not (_matches(source, self.sources) and _matches(target, self.targets)):
            return False
        return all(DEFECTS[name].applies(source, target) for name in self.defects)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
