"""What identification needs of a rule that follows a block policy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lowbit.check.operation import Bug, Rule
from lowbit.format.protocol import Scalar
from lowbit.policy.block import BlockPolicy


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
