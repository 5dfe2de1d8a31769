"""How a sum of integer products is accumulated: width, overflow, order, and what happens before and after.

An exact dot product has one value; a register of finite width makes the order of the additions visible. An
:class:`Accumulator` is one choice on each axis on which real hardware differs, and the named ones are points of the
same space. Nothing here computes: ``lowbit.oracle.gemm.accumulate`` is the meaning, step by step, and
``lowbit.ops.gemm.accumulate`` the fast path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from lowbit.errors import PolicyError
from lowbit.policy.accumulator_axes import ACCUMULATOR_AXES, ACCUMULATOR_CHOICES
from lowbit.policy.cast_axes import require_choice

__all__ = [
    "ACCUMULATORS",
    "ACCUMULATOR_AXES",
    "ACCUMULATOR_CHOICES",
    "ACCUMULATOR_SUMMARIES",
    "Accumulator",
    "get_accumulator",
]

NARROWEST, WIDEST = 8, 64
"""Limits of the widths, in bits."""

MOST_LANES = 256
"""The bytes of four AVX-512 registers; more lanes than that are no single instruction's."""

OPERAND_BITS = 16
"""The widest operands."""


@dataclass(frozen=True, kw_only=True)
class Accumulator:
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
        See ``lowbit.policy.accumulator.ACCUMULATOR_CHOICES``.
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

    width: int = 32
    overflow: str = "wrap"
    combine: int = 1
    combine_width: int = 0
    combine_overflow: str = "wrap"
    order: str = "sequential"
    block: int = 0
    lanes: int = 0
    reduction: str = "sequential"
    spill_every: int = 0
    spill_width: int = 0
    spill_overflow: str = "wrap"
    dropped_bits: int = 0
    operands: str = "any"
    zero_points: str = "subtracted"
    bias: str = "added"
    name: str = ""

    def __post_init__(self) -> None:
        for axis, values in ACCUMULATOR_CHOICES.items():
            require_choice(axis, getattr(self, axis), values)
        self._check_numbers()
        self._check_order()
        self._check_spill()
        if self.dropped_bits and self.zero_points == "compensated":
            raise PolicyError(
                "dropped_bits with zero_points = 'compensated': the correction would need the bits that are dropped",
                hint="zero_points='subtracted'",
            )

    def _check_numbers(self) -> None:
        ranges = {
            "width": (NARROWEST, WIDEST),
            "combine": (1, MOST_LANES),
            "combine_width": (0, WIDEST),
            "block": (0, 1 << 31),
            "lanes": (0, MOST_LANES),
            "spill_every": (0, 1 << 31),
            "spill_width": (0, WIDEST),
            "dropped_bits": (0, OPERAND_BITS - 1),
        }
        for axis, (low, high) in ranges.items():
            value: object = getattr(self, axis)
            if type(value) is not int or not low <= value <= high:
                raise PolicyError(f"{axis} = {value!r} is not an integer from {low} to {high}")
            if axis in {"combine_width", "spill_width"} and 0 < value < NARROWEST:
                raise PolicyError(f"{axis} = {value} is below {NARROWEST} bits", hint="0 stands for none")
        if not isinstance(self.name, str):
            raise PolicyError(f"name = {self.name!r} is not a string", hint="'' stands for none")

    def _check_order(self) -> None:
        for axis, order in (("block", "blocked"), ("lanes", "lanes")):
            given, wanted = getattr(self, axis), self.order == order
            if wanted and not given:
                raise PolicyError(f"order = {order!r} needs {axis}", hint=f"Accumulator(order={order!r}, {axis}=16)")
            if given and not wanted:
                raise PolicyError(f"{axis} = {given} means nothing for order = {self.order!r}", hint=f"order={order!r}")
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

    def choose(self, **axes: Any) -> Accumulator:
        """A copy with other choices on some axes; the preset's name is kept only if nothing changed."""
        unknown = set(axes) - {item.name for item in fields(self)}
        if unknown:
            require_choice("accumulator axis", min(unknown), ACCUMULATOR_AXES)
        changed = replace(self, **axes)
        return self if changed == self else replace(changed, name=axes.get("name", ""))

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
        return [axis for axis in ACCUMULATOR_AXES if axis not in idle]

    def describe(self) -> list[tuple[str, str, str]]:
        """Each live axis, its value and what that means, in the order of ``ACCUMULATOR_AXES``."""
        rows = []
        for axis in self.live_axes():
            value = str(getattr(self, axis))
            words = ACCUMULATOR_CHOICES[axis][value] if axis in ACCUMULATOR_CHOICES else ACCUMULATOR_AXES[axis]
            rows.append((axis, value, words))
        return rows

    def differences(self, other: Accumulator) -> dict[str, tuple[Any, Any]]:
        """The axes on which two accumulators differ: axis -> (own value, other value)."""
        pairs = {axis: (getattr(self, axis), getattr(other, axis)) for axis in ACCUMULATOR_AXES}
        return {axis: pair for axis, pair in pairs.items() if pair[0] != pair[1]}


_Presets = dict[str, tuple[Accumulator, str]]
_RAW: dict[str, Any] = {"zero_points": "compensated"}
_U8S8: dict[str, Any] = {"operands": "uint8_int8", **_RAW}
_DFP = "Das et al. 2018 (arXiv:1802.00930) on overflow of INT32: "


def _dynamic_fixed_point(mantissa: int, chain: int) -> Accumulator:
    """INT16 pairs into INT32, spilled after a chain. The paper spills to binary32; 64 bits hold every such sum."""
    return Accumulator(
        combine=2, spill_every=chain, spill_width=64, dropped_bits=OPERAND_BITS - mantissa, operands="int16_int16"
    )


def _plain_presets() -> _Presets:
    return {
        "int32": (Accumulator(), "32 bits, wrapping: what C, ONNX MatMulInteger and every BLAS for int8 compute"),
        "int32_saturate": (Accumulator(overflow="saturate"), "32 bits, saturating at each product"),
        "int64": (Accumulator(width=64), "64 bits, wrapping: exact for every matrix that fits into a memory"),
    }


def _x86_presets() -> _Presets:
    saturating_pairs: dict[str, Any] = {"combine": 2, "combine_width": 16, "combine_overflow": "saturate"}
    return {
        "x86_vpmaddubsw": (
            Accumulator(**saturating_pairs, **_U8S8),
            "vpmaddubsw, vpmaddwd by ones, vpaddd: u8 x s8 pairs saturate to 16 bits (Intel SDM volume 2, PMADDUBSW)",
        ),
        "x86_vpmaddubsw_int16": (
            Accumulator(width=16, overflow="saturate", **saturating_pairs, **_U8S8),
            "vpmaddubsw, vpaddsw: 16 bits throughout, saturating (Intel SDM volume 2, PMADDUBSW and PADDSW)",
        ),
        "fbgemm_acc16": (
            Accumulator(width=16, overflow="saturate", spill_every=256, spill_width=32, **saturating_pairs, **_U8S8),
            "FBGEMM 16-bit kernels: vpmaddubsw, vpaddsw, to int32 every KCB = 256 (GenerateKernelU8S8S32ACC16.cc)",
        ),
        "x86_vpdpbusd": (
            Accumulator(combine=4, **_U8S8),
            "VNNI vpdpbusd: four u8 x s8 products summed exactly, then added modulo 2^32 (Intel SDM volume 2)",
        ),
        "x86_vpdpbusds": (
            Accumulator(combine=4, overflow="saturate", **_U8S8),
            "VNNI vpdpbusds: four u8 x s8 products and the accumulator summed exactly, then saturated (Intel SDM)",
        ),
        "x86_vpdpwssd": (
            Accumulator(combine=2, operands="int16_int16", **_RAW),
            "VNNI vpdpwssd: two s16 x s16 products summed exactly, then added modulo 2^32 (Intel SDM volume 2)",
        ),
        "x86_vpdpwssds": (
            Accumulator(combine=2, overflow="saturate", operands="int16_int16", **_RAW),
            "VNNI vpdpwssds: two s16 x s16 products and the accumulator summed exactly, then saturated (Intel SDM)",
        ),
    }


def _arm_presets() -> _Presets:
    return {
        "arm_sdot": (
            Accumulator(combine=4, operands="int8_int8", **_RAW),
            "Arm SDOT: four s8 x s8 products added modulo 2^32 (Arm ARM DDI 0487, SDOT)",
        ),
        "arm_udot": (
            Accumulator(combine=4, operands="uint8_uint8", **_RAW),
            "Arm UDOT: four u8 x u8 products added modulo 2^32; read as int32 here (Arm ARM DDI 0487, UDOT)",
        ),
        "arm_usdot": (
            Accumulator(combine=4, **_U8S8),
            "Arm USDOT: four u8 x s8 products added modulo 2^32 (Arm ARM DDI 0487, USDOT)",
        ),
        "arm_smlal": (
            Accumulator(combine=2, combine_width=16, operands="int8_int8", **_RAW),
            "Arm SMULL, SMLAL, SADALP: two s8 x s8 products wrap in 16 bits (the packing says which two), then 32 bits",
        ),
    }


def _other_presets() -> _Presets:
    presets = {}
    for mantissa, chain in ((16, 2), (15, 8), (14, 32), (13, 128), (12, 512)):
        name = f"dfp16_{mantissa}bit"
        claim = f"{_DFP}{mantissa}-bit mantissas, int32 spilled every {chain} products (to int64 here, not binary32)"
        presets[name] = (_dynamic_fixed_point(mantissa, chain), claim)
    for width, products in ((24, 511), (20, 31)):
        room = f"room for {products} products of s8 x s8 in the worst case (-128 * -128)"
        wrapping, saturating = Accumulator(width=width), Accumulator(width=width, overflow="saturate")
        presets[f"fpga_{width}"] = wrapping, f"{width}-bit register in logic, wrapping: {room}"
        presets[f"fpga_{width}_saturate"] = saturating, f"{width}-bit register in logic, saturating: {room}"
    presets["fpga_dsp48"] = (Accumulator(width=48), "AMD DSP48E2 slice: 48 bits, wrapping (UG579, 'ALU')")
    return presets


_PRESETS = _plain_presets() | _x86_presets() | _arm_presets() | _other_presets()

ACCUMULATORS: Mapping[str, Accumulator] = MappingProxyType(
    {name: replace(accumulator, name=name) for name, (accumulator, _) in _PRESETS.items()}
)
"""The named accumulators."""

ACCUMULATOR_SUMMARIES: Mapping[str, str] = MappingProxyType({name: summary for name, (_, summary) in _PRESETS.items()})
"""What each of them claims, in a line."""

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
    """
    if isinstance(accumulator, Accumulator):
        return accumulator
    if not isinstance(accumulator, str):
        raise PolicyError(f"an accumulator is an Accumulator or a name, not {type(accumulator).__name__}")
    name = accumulator.lower()
    if name in ACCUMULATORS:
        return ACCUMULATORS[name]
    plain = _PLAIN.fullmatch(name)
    if plain and NARROWEST <= int(plain[1]) <= WIDEST:
        return Accumulator(width=int(plain[1]), overflow="saturate" if plain[2] else "wrap", name=name)
    close = get_close_matches(name, list(ACCUMULATORS), n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    raise PolicyError(
        f"accumulator = {accumulator!r} is unknown",
        hint=f"{suggestion}one of {', '.join(ACCUMULATORS)}, or int8 to int64, or int8_saturate to int64_saturate",
    )
