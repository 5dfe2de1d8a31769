"""What identification needs of a rule that follows a block policy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from lowbit.check.operation import Bug, Rule
from lowbit.format.protocol import Scalar
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy


@dataclass(frozen=True)
class PolicyRule(Rule):
    """A rule that a block policy decides, perhaps with a bug."""

    policy: BlockPolicy
    bug: Any = None

    @abstractmethod
    def format_of(self, field: str) -> Scalar:
        """The format that a scalar policy inside the policy is for: "scale", "tensor" or "element"."""

    @abstractmethod
    def bugs(self) -> Sequence[Bug]:
        """The bugs that such a rule can have."""

    @property
    def two_levels(self) -> bool:
        """Whether there is a scale above the finest ones."""
        return False

    @property
    def dead_axes(self) -> frozenset[str]:
        """Axes of the policy that say nothing of this rule."""
        return frozenset()


def policy_options(policy: BlockPolicy, default: str = "") -> str:
    """The options that choose a policy: its preset, or the one that differs least, and the changes.

    ``default`` is the preset that needs no option; of presets that differ as little it is the one taken.
    """
    names = sorted(BLOCK_PRESETS, key=lambda name: name != default)
    name = policy.name or min(names, key=lambda name: len(policy.differences(BLOCK_PRESETS[name])))
    changes = policy.spell(BLOCK_PRESETS[name], separator="\n").splitlines() if not policy.name else []
    words = [] if name == default else ["--policy", name]
    words += [word for change in changes for word in ("--choice", quote(change))]
    return " ".join(["", *words]) if words else ""
