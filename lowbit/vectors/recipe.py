"""What makes a vector set: the same recipe gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

GENERATOR_VERSION = 1
"""Raised whenever a generator makes other rows from the same arguments: that is a major version of the sets."""

ORACLE = "lowbit.oracle 1"


@dataclass(frozen=True)
class Recipe:
    """An operation, its formats and its policy, and what makes the inputs."""

    op: str  # one of ``lowbit.vectors.operations.OPERATIONS``
    # source, target: ids of the formats; ``<a>_<b>`` for the operands of a dot product
    source: str
    target: str
    # A preset, an accumulator or a scheme, with choices after it: ``ocp_sat+rounding=toward_zero``, ``+variant=``.
    policy: str
    generator: str = "boundary"  # one of ``lowbit.vectors.cast.sets.GENERATORS`` for a conversion; else "directed"
    # The generator's: ``reach`` and ``intermediates``; ``count``, ``seed`` and ``distribution``; ``length``; ``rows``;
    # ``scale`` and what else a nonlinearity has.
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    folder: str = ""  # subfolder of the file, "" for none

    @property
    def id(self) -> str:
        """``encode.float32.float8_e4m3fn.ocp_sat``."""
        return f"{self.op}.{self.source}.{self.target}.{self.policy_slug}"

    @property
    def policy_slug(self) -> str:
        """The policy as part of a file name: ``ocp_sat-rounding-toward_zero``."""
        preset, *choices = self.policy.split("+")
        return "-".join((preset, *(choice.replace("=", "-") for choice in choices)))

    @property
    def file(self) -> str:
        """Where the set lives below ``golden/``."""
        folders = [self.op, self.source, *([self.folder] if self.folder else [])]
        return "/".join((*folders, f"{self.target}.{self.policy_slug}.vec"))

    def header(self, source: str, target: str, choices: str) -> dict[str, str]:
        """The header of the set, without what follows from its rows; the formats and choices in words."""
        arguments = " ".join(f"{key}={value}" for key, value in sorted(self.arguments.items()))
        return {
            "set": self.id,
            "op": self.op,
            "source": source,
            "target": target,
            "policy": self.policy,
            "choices": choices,
            "generator": f"{self.generator} {GENERATOR_VERSION} {arguments}".strip(),
            "oracle": ORACLE,
        }
