"""How a sum of integer products is accumulated: width, overflow, order, and what happens before and after.

An exact dot product has one value; a register of finite width makes the order of the additions visible. An
:class:`Accumulator` is one choice on each axis on which real hardware differs, and the named ones are points of the
same space. Nothing here computes: ``lowbit.oracle.gemm.accumulate`` is the meaning, step by step, and
``lowbit.ops.gemm.accumulate`` the fast path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lowbit.errors import PolicyError
from lowbit.policy.choices import Choices, axis
from lowbit.policy.presets import Presets

NARROWEST, WIDEST = 8, 64
"""Limits of the widths, in bits."""

MOST_LANES = 256
"""The bytes of four AVX-512 registers; no single instruction has more lanes."""

MOST_PRODUCTS = 1 << 31
"""Of a block or a chunk."""

OPERAND_BITS = 16
"""The widest operands."""

_OVERFLOW = {
    "wrap": "modulo 2^width, two's complement",
    "saturate": "the largest or the lowest value of the width, at each step: later additions go on from there",
}


@dataclass(frozen=True, kw_only=True)
class Accumulator(Choices):
    """How integer products become a sum; ``lowbit.ACCUMULATORS`` has named ones.

    The products of a result are taken in the order of k. ``combine`` neighbours make a term; terms are added to the
    accumulator in the given order; every ``spill_every`` products its content moves to a wider accumulator. Each
    addition is a step, and an overflow is decided at each step.

    Attributes
    ----------
    width, overflow : int, str
        The accumulator: bits, 8 to 64, and "wrap" or "saturate".
    combine, combine_width, combine_overflow : int, int, str
        Products summed exactly into one term, and the width that the term is cut to (0: none).
    order, block, lanes, reduction : str, int, int, str
        "sequential", "pairwise", "blocked" (needs ``block``) or "lanes" (needs ``lanes``; ``reduction`` adds them).
        Within a spill chunk, terms are counted from its start.
    spill_every, spill_width, spill_overflow : int, int, str
        Products between spills and the wider accumulator; 0 for none.
    dropped_bits : int
        Low bits of each operand given up.
    operands, zero_points, bias : str
        See ``Accumulator.AXES`` and ``Accumulator.choices(axis)``.
    name : str
        Name of the preset, "" for one's own.

    Raises
    ------
    PolicyError
        An axis has an unknown value, or two of them contradict each other.

    Examples
    --------
    >>> Accumulator(width=24, overflow="saturate", order="pairwise").result_width
    24
    """

    width: int = axis(32, "bits of the accumulator, 8 to 64, two's complement", range(NARROWEST, WIDEST + 1))
    overflow: str = axis("wrap", "a sum outside the accumulator's range, at each step", _OVERFLOW)
    combine: int = axis(
        1,
        "how many neighbouring products are summed exactly before they reach the accumulator; that sum is the term "
        "which a step adds",
        range(1, MOST_LANES + 1),
    )
    combine_width: int = axis(
        0, "bits that such a term is cut to before it is added; 0: it stays exact", range(WIDEST + 1)
    )
    combine_overflow: str = axis("wrap", "a term outside that width", _OVERFLOW)
    order: str = axis(
        "sequential",
        "the order in which terms are added",
        {
            "sequential": "one register, terms added in the order of k",
            "pairwise": "a tree: neighbours are added, then neighbouring sums, an odd one passes up (adder tree)",
            "blocked": "each block of `block` products from zero, in the order of k; block sums added one by one",
            "lanes": "term i goes to lane i mod `lanes`; the lanes are added at the end (SIMD along k)",
        },
    )
    block: int = axis(0, "products in a block, for order 'blocked'", range(MOST_PRODUCTS + 1))
    lanes: int = axis(0, "number of lanes, for order 'lanes'", range(MOST_LANES + 1))
    reduction: str = axis(
        "sequential",
        "how the lanes are added at the end",
        {
            "sequential": "lane 1 to lane 0, then lane 2, and so on",
            "adjacent": "neighbouring lanes, then neighbouring sums (horizontal adds)",
            "halves": "the upper half of the lanes onto the lower half, until one is left (shuffle and add)",
            "widening": "one lane after another straight into the wider accumulator",
        },
    )
    spill_every: int = axis(
        0,
        "after this many products the accumulator is added to a wider one and cleared; 0: never",
        range(MOST_PRODUCTS + 1),
    )
    spill_width: int = axis(0, "bits of the wider accumulator", range(WIDEST + 1))
    spill_overflow: str = axis("wrap", "a sum outside the wider accumulator's range", _OVERFLOW)
    dropped_bits: int = axis(
        0,
        "low bits of each operand given up before the multiplication (arithmetic shift right); the result counts units "
        "of 2^(2*dropped_bits)",
        range(OPERAND_BITS),
    )
    operands: str = axis(
        "any",
        "the operands that the instruction takes",
        {
            "any": "integers of up to 16 bits",
            "uint8_int8": "one operand unsigned, the other signed, 8 bits each",
            "int8_int8": "both signed, 8 bits",
            "uint8_uint8": "both unsigned, 8 bits",
            "int16_int16": "both signed, 16 bits",
        },
    )
    zero_points: str = axis(
        "subtracted",
        "when zero points are taken into account",
        {
            "subtracted": "zero points are subtracted from the operands before they are multiplied",
            "compensated": "raw codes are multiplied; the exact correction by row and column sums is one more step at "
            "the end",
        },
    )
    bias: str = axis(
        "added",
        "when the bias is added",
        {
            "added": "the bias is one more step after everything else",
            "preloaded": "the accumulator (the wider one, if it spills; lane 0 of lanes) starts at the bias",
        },
    )
    name: str = ""

    AXIS = "accumulator axis"

    def __post_init__(self) -> None:
        self.check_choices()
        for name in ("combine_width", "spill_width"):
            if 0 < getattr(self, name) < NARROWEST:
                raise PolicyError(f"{name} = {getattr(self, name)} is below {NARROWEST} bits", hint="0 stands for none")
        self._check_order()
        self._check_spill()
        if self.dropped_bits and self.zero_points == "compensated":
            raise PolicyError(
                "dropped_bits with zero_points = 'compensated': the correction would need the bits that are dropped",
                hint="zero_points='subtracted'",
            )

    def _check_order(self) -> None:
        for name, order in (("block", "blocked"), ("lanes", "lanes")):
            number, wanted = getattr(self, name), self.order == order
            if wanted and not number:
                raise PolicyError(f"order = {order!r} needs {name}", hint=f"Accumulator(order={order!r}, {name}=16)")
            if number and not wanted:
                what = f"{name} = {number} means nothing for order = {self.order!r}"
                raise PolicyError(what, hint=f"order={order!r}")
        if self.block % self.combine:
            raise PolicyError(
                f"block = {self.block} cuts a term of combine = {self.combine} products in two",
                hint="block is a multiple of combine",
            )
        if self.reduction != "sequential" and self.order != "lanes":
            raise PolicyError(f"reduction = {self.reduction!r} means nothing for order = {self.order!r}")
        if self.bias == "preloaded" and self.order in {"pairwise", "blocked"} and not self.spill_every:
            raise PolicyError(
                f"bias = 'preloaded' means nothing for order = {self.order!r}: no register is there from the start",
                hint="bias='added'",
            )

    def _check_spill(self) -> None:
        if bool(self.spill_every) != bool(self.spill_width):
            raise PolicyError(
                f"spill_every = {self.spill_every} and spill_width = {self.spill_width}: one needs the other",
                hint="Accumulator(width=16, spill_every=64, spill_width=32)",
            )
        if self.spill_every % self.combine:
            raise PolicyError(
                f"spill_every = {self.spill_every} cuts a term of combine = {self.combine} products in two",
                hint="spill_every is a multiple of combine",
            )
        if self.spill_width and self.spill_width < self.width:
            raise PolicyError(f"spill_width = {self.spill_width} is narrower than width = {self.width}")
        if self.reduction == "widening" and not self.spill_every:
            raise PolicyError("reduction = 'widening' needs a wider accumulator", hint="spill_every and spill_width")

    @property
    def result_width(self) -> int:
        """Bits of the register that holds the result."""
        return self.spill_width or self.width

    @property
    def result_overflow(self) -> str:
        """What the register that holds the result does at an overflow."""
        return self.spill_overflow if self.spill_width else self.overflow

    @property
    def saturates(self) -> bool:
        """Whether any step saturates."""
        combining = self.combine_width > 0 and self.combine_overflow == "saturate"
        return combining or self.overflow == "saturate" or self.result_overflow == "saturate"

    @property
    def is_modular(self) -> bool:
        """Whether every result is the exact sum modulo 2^result_width, whatever the order.

        So it is where nothing saturates and nothing is cut to fewer bits than the result has.
        """
        cut = min(self.width, self.combine_width or self.width)
        return not self.saturates and cut >= self.result_width

    def live_axes(self) -> list[str]:
        """The axes that say something about this accumulator; the others are switched off."""
        idle = set()
        if self.combine == 1:
            idle.add("combine")
        if not self.combine_width:
            idle |= {"combine_width", "combine_overflow"}
        if not self.spill_every:
            idle |= {"spill_every", "spill_width", "spill_overflow"}
        idle |= {axis for axis in ("block", "lanes", "dropped_bits") if not getattr(self, axis)}
        if self.order != "lanes":
            idle.add("reduction")
        return [axis for axis in self.AXES if axis not in idle]


ACCUMULATORS = Presets(
    Accumulator, "accumulator", "accumulator.toml", also=", or int8 to int64, or int8_saturate to int64_saturate"
)
"""The named accumulators."""

_PLAIN = re.compile(r"int([1-9]\d?)(_saturate)?", re.ASCII)


def get_accumulator(accumulator: Accumulator | str) -> Accumulator:
    """An accumulator from itself or from a name.

    Parameters
    ----------
    accumulator : Accumulator or str
        An Accumulator is returned as it is. A name is one of ``ACCUMULATORS``, or ``int8`` to ``int64`` for a plain
        sequential one of that width, with ``_saturate`` for a saturating one.

    Raises
    ------
    PolicyError
        The name is unknown, or the argument is neither.

    Examples
    --------
    >>> get_accumulator("int20_saturate").width
    20
    """
    name = accumulator.lower() if isinstance(accumulator, str) else ""
    plain = _PLAIN.fullmatch(name)
    if plain and name not in ACCUMULATORS and NARROWEST <= int(plain[1]) <= WIDEST:
        return Accumulator(width=int(plain[1]), overflow="saturate" if plain[2] else "wrap", name=name)
    return ACCUMULATORS.named(accumulator)
