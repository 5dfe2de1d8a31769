"""The declared width of every intermediate of an integer-only nonlinearity, and what happens beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lowbit.errors import InputError

OVERFLOWS = {
    "wrap": "modulo 2^bits, as an adder or a register of that width does",
    "saturate": "to the nearest value of that width",
    "trap": "an error that names the first intermediate that overflows, with its operands",
}
"""What an intermediate beyond its declared width becomes."""

UNLIMITED = 64
"""Bits declared for what a source computes without a width of its own (a floating-point simulation, say)."""
SIMULATED = "the code computes in binary32 and sets no width"


class Intermediate(NamedTuple):
    """One named intermediate."""

    name: str
    bits: int  # declared width, the sign bit included where there is one
    signed: bool = True
    note: str = ""  # where the width comes from, if that is not obvious

    @property
    def low(self) -> int:
        """The smallest value that fits."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest value that fits."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def container(self) -> str:
        """NumPy's name of the smallest integer that holds every value: of the unsigned ones if there is no sign."""
        bits = max(8, 1 << (self.bits - 1).bit_length())
        return f"int{bits}" if self.signed else f"uint{bits}"

    def holds(self, value: int) -> bool:
        """Whether a value fits."""
        return self.low <= value <= self.high

    def wrapped(self, value: int) -> int:
        """The value modulo 2^bits, in this range."""
        return ((value - self.low) & (self.high - self.low)) + self.low


@dataclass(frozen=True)
class Widths:
    """The intermediates of one operation under one scheme and variant, in the order in which they arise."""

    operation: str
    scheme: str
    variant: str
    steps: tuple[Intermediate, ...]  # at least one; the last one is what the operation returns

    def index(self, name: str) -> int:
        """The place of an intermediate; raises InputError for a name that is not one."""
        for place, step in enumerate(self.steps):
            if step.name == name:
                return place
        known = ", ".join(step.name for step in self.steps)
        raise InputError(f"{self.operation} under {self.scheme} has no intermediate {name!r}", hint=f"one of: {known}")

    def __getitem__(self, name: str) -> Intermediate:
        return self.steps[self.index(name)]

    def limits(self) -> list[tuple[int, int]]:
        """The smallest and largest value of each intermediate, as the kernels take them."""
        return [(step.low, step.high) for step in self.steps]


def signed(bits: int, *names: str, note: str = "") -> tuple[Intermediate, ...]:
    """Several signed intermediates of one width."""
    return tuple(Intermediate(name, bits, True, note) for name in names)


def unsigned(bits: int, *names: str, note: str = "") -> tuple[Intermediate, ...]:
    """Several unsigned intermediates of one width."""
    return tuple(Intermediate(name, bits, False, note) for name in names)
