"""The vocabulary of disagreement: how a value becomes a code of a format.

A :class:`Policy` is a record of choices. Each field is one axis on which real implementations differ; a named
preset is a policy plus the defects that the product is known to have, and a claim about that product and version
that a test in ``tests/cross`` proves. Nothing here computes: the oracle and ``lowbit.ops.cast.lowering`` read the
fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowbit.errors import PolicyError
from lowbit.policy.choices import Choices, axis, require_choice
from lowbit.policy.defects import DEFECTS, Defect
from lowbit.policy.presets import Presets

if TYPE_CHECKING:
    from lowbit.format.scalar import Format

__all__ = ["CAST_PRESETS", "DEFECTS", "ROUNDINGS", "Defect", "Policy", "get_policy"]

ROUNDINGS: Mapping[str, str] = {
    "nearest_even": "to nearest, a tie goes to the even code (IEEE 754-2019 4.3.1; P3109 NearestTiesToEven)",
    "nearest_away": "to nearest, a tie goes away from zero (IEEE 754-2019 4.3.1 roundTiesToAway)",
    "nearest_zero": "to nearest, a tie goes toward zero",
    "nearest_up": "to nearest, a tie goes toward +infinity",
    "nearest_down": "to nearest, a tie goes toward -infinity",
    "nearest_odd": "to nearest, a tie goes to the odd code",
    "toward_zero": "truncate (IEEE 754-2019 4.3.2)",
    "toward_positive": "toward +infinity (IEEE 754-2019 4.3.2)",
    "toward_negative": "toward -infinity (IEEE 754-2019 4.3.2)",
    "away_from_zero": "any inexact value goes to the neighbour of larger magnitude",
    "to_odd": "any inexact value goes to the neighbour with the odd code (von Neumann; P3109 ToOdd)",
    "stochastic_a": "up in magnitude if floor(v*2^N) + R >= 2^N, v the discarded fraction (P3109 StochasticA)",
    "stochastic_b": "up in magnitude if floor(v*2^(N+1)) + 2R + 1 >= 2^(N+1) (P3109 StochasticB)",
    "stochastic_c": "up in magnitude if nearest_even(v*2^N) + R >= 2^N (P3109 StochasticC)",
}
"""The choices of the axis ``rounding``."""


@dataclass(frozen=True, kw_only=True)
class Policy(Choices):
    """How an exact value becomes a code of a scalar format: round, then decide overflow, then encode.

    Each attribute is one axis; ``Policy.AXES`` says what it decides and ``Policy.choices(axis)`` lists its
    values. An axis that does not apply to a format is ignored there: ``negative`` for a signed format, say.

    Attributes
    ----------
    via : str
        Id of a format that the value is rounded to first ("float32" for products that round twice); "" for none.
        The intermediate step rounds to nearest even and overflows to infinity.
    random_bits : int
        N of the stochastic modes, 1 to 32; the random integers R, 0 <= R < 2**N, are an argument of ``encode``.
    defects : tuple of str
        Ids of known bugs (``lowbit.policy.cast.DEFECTS``) that ``encode`` reproduces and ``check`` reports by name.
    name : str
        Name of the preset, "" for a policy of one's own.

    Raises
    ------
    PolicyError
        An axis has an unknown value, or a stochastic mode has no number of random bits.
    """

    rounding: str = axis("nearest_even", "which neighbour an inexact value goes to", ROUNDINGS)
    tie_without_mantissa: str = axis(
        "even",
        "what an 'even' tie means in a format of powers of two",
        {
            "even": "the even code (P3109: exponent parity; gfloat)",
            "up": "the larger power of two (ml_dtypes, CUDA and ONNX for E8M0)",
        },
    )
    overflow: str = axis(
        "ieee",
        "a finite value that rounds beyond the largest one",
        {
            "ieee": "infinity or the largest finite value, as the rounding direction says (IEEE 754-2019 7.4)",
            "infinity": "infinity whatever the direction (OFP8 non-saturating)",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "wrap": "modulo 2^bits (integers and fixed point only)",
            "error": "raise",
        },
    )
    infinity: str = axis(
        "propagate",
        "an infinite input",
        {
            "propagate": "infinity stays infinity",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "error": "raise",
        },
    )
    without_infinity: str = axis(
        "nan",
        "what stands in for infinity where the format has none",
        {
            "nan": "NaN stands in for an infinity that the format lacks; the largest value where it lacks NaN too",
            "saturate": "the largest finite value stands in (P3109 v4.0 SatNone)",
        },
    )
    nan: str = axis(
        "maximum",
        "a NaN input where the format has no NaN",
        {
            "maximum": "the largest finite value, sign dropped (CUDA; ONNX up to 1.18)",
            "signed_maximum": "the largest finite value with the sign of the NaN",
            "minimum": "the lowest code (x86 conversions to integers)",
            "zero": "zero (saturating float-to-integer conversions of LLVM, Arm, WebAssembly)",
            "negative_zero": "the code of -0, zero where the format has none",
            "inverted_zero": "-0 for a positive NaN and +0 for a negative one (ml_dtypes FP4 and FP6)",
            "error": "raise",
        },
    )
    nan_sign: str = axis(
        "keep",
        "the sign of a NaN result",
        {
            "keep": "the sign of the NaN, or of the value that it stands for, is kept",
            "drop": "every NaN is positive",
            "drop_input": (
                "a NaN input gives a positive NaN; one that stands for an overflow or infinity keeps its sign (CUDA)"
            ),
        },
    )
    nan_code: str = axis(
        "canonical",
        "which NaN code",
        {
            "canonical": "the canonical NaN of the format",
            "all_ones": "the NaN with all mantissa bits set (CUDA's float path, RISC-V E5M2)",
            "payload": "the leading payload bits are kept and the quiet bit set (IEEE 754-2019 6.2.3)",
        },
    )
    negative: str = axis(
        "nan",
        "a negative value into an unsigned float format",
        {
            "nan": "NaN",
            "absolute": "the sign is dropped before rounding (CUDA E8M0 and UE5M3)",
            "zero": "the smallest code: zero, where the format has one",
            "by_direction": "NaN; the smallest code for a finite value rounded toward zero or up (P3109 v4.0 SatNone)",
            "error": "raise",
        },
    )
    negative_zero: str = axis(
        "keep",
        "the sign of a zero result, underflow included",
        {
            "keep": "-0 where the format has it",
            "positive": "every zero is +0",
        },
    )
    zero: str = axis(
        "minimum",
        "a zero input where the format has no zero",
        {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
    )
    underflow: str = axis(
        "minimum",
        "a nonzero value that rounds below the smallest one where the format has no zero",
        {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
    )
    flush_results: str = axis(
        "never",
        "subnormal results (FTZ)",
        {
            "never": "gradual underflow",
            "after_rounding": "a result that is subnormal after rounding becomes zero",
            "before_rounding": "a value below the smallest normal one becomes zero, even if it would round up to it",
        },
    )
    flush_inputs: str = axis(
        "never",
        "subnormal inputs (DAZ)",
        {
            "never": "subnormal inputs count",
            "always": "subnormal inputs are zero (DAZ)",
        },
    )
    via: str = axis("", "an intermediate format that the value is rounded to first, to nearest even")
    random_bits: int = axis(0, "N, the number of random bits of a stochastic mode")
    defects: tuple[str, ...] = ()
    name: str = ""

    AXIS = "policy axis"

    def __post_init__(self) -> None:
        if type(self.random_bits) is not int:
            raise PolicyError(f"random_bits = {self.random_bits!r} is not an integer", hint="random_bits=8, say")
        self.check_choices()
        self._check_defects()
        if self.stochastic and not 1 <= self.random_bits <= 32:
            raise PolicyError(
                f"rounding {self.rounding!r} needs random_bits, the number N of random bits, in 1..32; got "
                f"{self.random_bits!r}",
                hint="Policy(rounding='stochastic_a', random_bits=8)",
            )
        if not self.stochastic and self.random_bits:
            raise PolicyError(f"random_bits = {self.random_bits} is given, but rounding {self.rounding!r} uses none")

    def _check_defects(self) -> None:
        defects: object = self.defects
        if not isinstance(defects, tuple):
            one = f": Policy(defects=({defects!r},))" if isinstance(defects, str) else ""
            raise PolicyError(f"defects = {defects!r} is not a tuple of names", hint=f"give a tuple of names{one}")
        for defect in defects:
            require_choice("defects", defect, DEFECTS)

    @property
    def stochastic(self) -> bool:
        """Whether rounding takes random bits."""
        return self.rounding.startswith("stochastic_")

    @property
    def refusing(self) -> list[str]:
        """The axes by which some input is an error."""
        return [name for name in self.CHOICES if getattr(self, name) == "error"]

    def without_defects(self) -> Policy:
        """The choices alone, which ``check`` compares against."""
        return replace(self, defects=()) if self.defects else self

    def live_axes(self) -> list[str]:
        """The axes that say something: all but ``via`` and ``random_bits`` where there are none."""
        return [name for name in self.AXES if getattr(self, name)]

    @classmethod
    def option(cls, axis: str, choice: str) -> str:
        """How the command line spells a choice."""
        return f"--{axis} {choice}, or " if axis in {"rounding", "overflow"} else f"--choice {axis}={choice}, or "


CAST_PRESETS = Presets(Policy, "policy", "cast.toml", usual=("ieee", "integer", "ocp_sat", "p3109_v4_0"))
"""The named policies."""

PRESET_OVERRIDES: Mapping[str, Mapping[str, Policy]] = CAST_PRESETS.overrides
"""Where a product follows another rule for some targets: preset -> target id or kind -> the policy there."""

PRESET_SUMMARIES: Mapping[str, str] = CAST_PRESETS.summaries
"""What each preset claims, in a line."""


def get_policy(policy: Policy | str, target: Format | None = None) -> Policy:
    """A policy from itself or from a preset's name.

    Parameters
    ----------
    policy : Policy or str
        A Policy is returned as it is.
    target : Format, optional
        The format that is converted to. Some products follow other rules for some targets (PyTorch saturates into
        float8_e4m3fn only; ml_dtypes truncates into integers): ``PRESET_OVERRIDES`` lists them, by id and then by
        kind.

    Raises
    ------
    PolicyError
        The name is unknown, or the argument is neither.

    Examples
    --------
    >>> get_policy("ocp_sat").overflow
    'saturate'
    """
    if isinstance(policy, Policy):
        return policy
    preset = CAST_PRESETS.named(policy)
    if target is None:
        return preset
    overrides = PRESET_OVERRIDES.get(preset.name, {})
    return overrides.get(target.id) or overrides.get(target.kind) or preset
