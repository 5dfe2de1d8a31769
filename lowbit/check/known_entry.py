"""What a published difference is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lowbit.check.known_rows import RowRule
from lowbit.policy import DEFECTS


@dataclass(frozen=True)
class KnownDifference:
    """One published difference.

    Attributes
    ----------
    id : str
    product : str
    seen : str
        The versions it was seen in.
    sources, targets : tuple of str
        Where it applies; () for everywhere.
    option : str
        Text that the option of the kernel must contain.
    change : mapping
        Policy axis (or ``defects``) -> the choice that reproduces it.
    why : str
        What happens.
    link : str
        Where it is discussed or written, "" where it was found here.
    rule : callable, optional
        Which rows it explains, where no policy can say so.
    """

    id: str
    product: str
    seen: str
    why: str
    change: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    option: str = ""
    link: str = ""
    rule: RowRule | None = None

    def applies(self, product: str, source: str, target: str, option: str) -> bool:
        """Whether the entry speaks of a conversion."""
        if product != self.product or self.option not in option:
            return False
        if (self.sources and source not in self.sources) or (self.targets and target not in self.targets):
            return False
        return all(DEFECTS[name].applies(source, target) for name in self.change.get("defects", ()))
