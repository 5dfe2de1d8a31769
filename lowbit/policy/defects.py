"""The known bugs of products, as data: a preset names them, ``encode`` reproduces them and ``check`` reports them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowbit.exact import Exact, parse_exact
from lowbit.policy.presets import Lazy


@dataclass(frozen=True)
class Defect:
    """A known bug of a product: inputs that it sends to a wrong code, or a step it should not take.

    The steps (``via``) of a policy's defects are taken before its intervals and midpoints are looked at.
    """

    summary: str  # what happens, and the public thread about it
    via: str = ""  # the intermediate format of a double rounding; "" where the defect is an interval
    sources: tuple[str, ...] = ()  # ids of the source formats that are affected, () for all
    targets: tuple[str, ...] = ()  # ids of the target formats that are affected, () for all
    # above, below: the magnitudes strictly between them get ``code``, with the sign of the input where the format has
    # one; a negative value into an unsigned format has no magnitude here unless the policy's ``negative`` is "absolute"
    above: Exact | None = None
    below: Exact | None = None
    code: int = 0  # the wrong magnitude code
    positive: bool = False  # whether only positive values meet the interval
    infinite: bool = False  # whether infinities meet it too
    # whether a value is compared with the midpoint of two values of a table after that is rounded to the source format,
    # so that a value on a midpoint that was rounded up goes to the lower of the two
    rounded_midpoints: bool = False

    def applies(self, source: str, target: str) -> bool:
        """Whether a conversion between these formats meets the defect."""
        return (not self.sources or source in self.sources) and (not self.targets or target in self.targets)


def _read() -> dict[str, Defect]:
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    read: dict[str, Callable[[Any], Any]] = {
        "sources": tuple,
        "targets": tuple,
        "above": parse_exact,
        "below": parse_exact,
    }
    return {
        name: Defect(**{field: read.get(field, lambda value: value)(value) for field, value in table.items()})
        for name, table in tables.items()
    }


DEFECTS: Mapping[str, Defect] = Lazy(_read)
"""Id -> defect."""
