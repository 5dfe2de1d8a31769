"""The vocabulary of disagreement: how a value becomes a code of a format.

A :class:`Policy` is a record of choices. Each field is one axis on which real implementations differ; a named
preset is a policy plus the defects that the product is known to have, and a claim about that product and version
that a test in ``tests/cross`` proves. Nothing here computes: the oracle and ``lowbit.lowering`` read the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from lowbit.dyadic import Exact, finite
from lowbit.errors import PolicyError

ROUNDINGS: Mapping[str, str] = MappingProxyType(
    {
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
)

_CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "rounding": ROUNDINGS,
        "tie_without_mantissa": {
            "even": "the even code (P3109: exponent parity; gfloat)",
            "up": "the larger power of two (ml_dtypes, CUDA and ONNX for E8M0)",
        },
        "overflow": {
            "ieee": "infinity or the largest finite value, as the rounding direction says (IEEE 754-2019 7.4)",
            "infinity": "infinity whatever the direction (OFP8 non-saturating)",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "wrap": "modulo 2^bits (integers and fixed point only)",
            "error": "raise",
        },
        "infinity": {
            "propagate": "infinity stays infinity",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "error": "raise",
        },
        "without_infinity": {
            "nan": "NaN stands in for an infinity that the format lacks; the largest value where it lacks NaN too",
            "saturate": "the largest finite value stands in (P3109 v4.0 SatNone)",
        },
        "nan": {
            "maximum": "the largest finite value, sign dropped (CUDA; ONNX up to 1.18)",
            "signed_maximum": "the largest finite value with the sign of the NaN",
            "minimum": "the lowest code (x86 conversions to integers)",
            "zero": "zero (saturating float-to-integer conversions of LLVM, Arm, WebAssembly)",
            "negative_zero": "the code of -0, zero where the format has none",
            "inverted_zero": "-0 for a positive NaN and +0 for a negative one (ml_dtypes FP4 and FP6)",
            "error": "raise",
        },
        "nan_sign": {"keep": "the sign of the NaN is kept", "drop": "every NaN is positive"},
        "nan_code": {
            "canonical": "the canonical NaN of the format",
            "all_ones": "the NaN with all mantissa bits set (CUDA's float path, RISC-V E5M2)",
            "payload": "the leading payload bits are kept and the quiet bit set (IEEE 754-2019 6.2.3)",
        },
        "negative": {
            "nan": "NaN",
            "absolute": "the sign is dropped before rounding (CUDA E8M0 and UE5M3)",
            "zero": "the smallest code: zero, where the format has one",
            "by_direction": "NaN; the smallest code for a finite value rounded toward zero or up (P3109 v4.0 SatNone)",
            "error": "raise",
        },
        "negative_zero": {"keep": "-0 where the format has it", "positive": "every zero is +0"},
        "zero": {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
        "underflow": {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
        "flush_results": {
            "never": "gradual underflow",
            "after_rounding": "a result that is subnormal after rounding becomes zero",
            "before_rounding": "a value below the smallest normal one becomes zero, even if it would round up to it",
        },
        "flush_inputs": {"never": "subnormal inputs count", "always": "subnormal inputs are zero (DAZ)"},
    }
)
"""Every axis with a closed set of values: axis -> value -> what it means."""

AXES: Mapping[str, str] = MappingProxyType(
    {
        "rounding": "which neighbour an inexact value goes to",
        "tie_without_mantissa": "what an 'even' tie means in a format of powers of two",
        "overflow": "a finite value that rounds beyond the largest one",
        "infinity": "an infinite input",
        "without_infinity": "what stands in for infinity where the format has none",
        "nan": "a NaN input where the format has no NaN",
        "nan_sign": "the sign of a NaN result",
        "nan_code": "which NaN code",
        "negative": "a negative value into an unsigned float format",
        "negative_zero": "the sign of a zero result, underflow included",
        "zero": "a zero input where the format has no zero",
        "underflow": "a nonzero value that rounds below the smallest one where the format has no zero",
        "flush_results": "subnormal results (FTZ)",
        "flush_inputs": "subnormal inputs (DAZ)",
        "via": "an intermediate format that the value is rounded to first, to nearest even",
        "random_bits": "N, the number of random bits of a stochastic mode",
    }
)
"""What each axis decides."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an exact value becomes a code of a scalar format: round, then decide overflow, then encode.

    Each attribute is one axis; ``lowbit.policy.AXES`` says what it decides and ``Policy.choices(axis)`` lists its
    values. An axis that does not apply to a format is ignored there: ``negative`` for a signed format, say.

    Attributes
    ----------
    via : str
        Id of a format that the value is rounded to first ("float32" for products that round twice); "" for none.
        The intermediate step rounds to nearest even and overflows to infinity.
    random_bits : int
        N of the stochastic modes, 1 to 32; the random integers R, 0 <= R < 2**N, are an argument of ``encode``.
    defects : tuple of str
        Ids of known bugs (``lowbit.policy.DEFECTS``) that ``encode`` reproduces and ``check`` reports by name.
    name : str
        Name of the preset, "" for a policy of one's own.

    Raises
    ------
    PolicyError
        An axis has an unknown value, or a stochastic mode has no number of random bits.
    """

    rounding: str = "nearest_even"
    tie_without_mantissa: str = "even"
    overflow: str = "ieee"
    infinity: str = "propagate"
    without_infinity: str = "nan"
    nan: str = "maximum"
    nan_sign: str = "keep"
    nan_code: str = "canonical"
    negative: str = "nan"
    negative_zero: str = "keep"
    zero: str = "minimum"
    underflow: str = "minimum"
    flush_results: str = "never"
    flush_inputs: str = "never"
    via: str = ""
    random_bits: int = 0
    defects: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        for axis, values in _CHOICES.items():
            _require_choice(axis, getattr(self, axis), values)
        for defect in self.defects:
            _require_choice("defects", defect, DEFECTS)
        if self.stochastic and not 1 <= self.random_bits <= 32:
            raise PolicyError(
                f"rounding {self.rounding!r} needs random_bits, the number N of random bits, in 1..32; got "
                f"{self.random_bits!r}",
                hint="Policy(rounding='stochastic_a', random_bits=8)",
            )
        if not self.stochastic and self.random_bits:
            raise PolicyError(f"random_bits = {self.random_bits} is given, but rounding {self.rounding!r} uses none")

    @property
    def stochastic(self) -> bool:
        """Whether rounding takes random bits."""
        return self.rounding.startswith("stochastic_")

    def choose(self, **axes: Any) -> Policy:
        """A copy with other choices on some axes; the preset's name is kept only if nothing changed."""
        unknown = set(axes) - {item.name for item in fields(self)}
        if unknown:
            _require_choice("policy axis", sorted(unknown)[0], AXES)
        changed = replace(self, **axes)
        return self if changed == self else replace(changed, name=axes.get("name", ""))

    def without_defects(self) -> Policy:
        """The choices alone, which ``check`` compares against."""
        return replace(self, defects=()) if self.defects else self

    def differences(self, other: Policy) -> dict[str, tuple[Any, Any]]:
        """The axes on which two policies differ: axis -> (own value, other value)."""
        pairs = {axis: (getattr(self, axis), getattr(other, axis)) for axis in (*AXES, "defects")}
        return {axis: pair for axis, pair in pairs.items() if pair[0] != pair[1]}

    @staticmethod
    def choices(axis: str) -> tuple[str, ...]:
        """The values that an axis with a closed set may take."""
        _require_choice("policy axis", axis, _CHOICES)
        return tuple(_CHOICES[axis])

    @staticmethod
    def meaning(axis: str, value: str) -> str:
        """What a value of an axis means, in words."""
        _require_choice("policy axis", axis, _CHOICES)
        _require_choice(axis, value, _CHOICES[axis])
        return _CHOICES[axis][value]


def _require_choice(axis: str, value: object, values: Mapping[str, Any]) -> None:
    if value in values:
        return
    close = get_close_matches(str(value), list(values), n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    raise PolicyError(f"{axis} = {value!r} is unknown", hint=f"{suggestion}one of {', '.join(values)}")


@dataclass(frozen=True)
class Defect:
    """A known bug of a product: an interval of inputs that it sends to a wrong code, or a step it should not take.

    Attributes
    ----------
    summary : str
        What happens, and the public thread about it.
    via : str
        The intermediate format of a double rounding; "" where the defect is an interval.
    sources : tuple of str
        Ids of the source formats that are affected, () for all.
    target : str
        Id of the only target affected, "" for all.
    above, below : Exact or None
        The magnitudes strictly between them get ``code``.
    code : int
        The wrong code.
    """

    summary: str
    via: str = ""
    sources: tuple[str, ...] = ()
    target: str = ""
    above: Exact | None = None
    below: Exact | None = None
    code: int = 0

    def applies(self, source: str, target: str) -> bool:
        """Whether a conversion between these formats meets the defect."""
        return (not self.sources or source in self.sources) and self.target in ("", target)


WIDER_THAN_FLOAT32 = ("float64", "int32", "uint32", "int64", "uint64")

DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {
        "double_rounding_via_float32": Defect(
            "sources with more than 24 significant bits are rounded to float32 first (ml_dtypes PR #401)",
            via="float32",
            sources=WIDER_THAN_FLOAT32,
        ),
        "e8m0_lowest_binade": Defect(
            "every value between 2^-127 and 3/2*2^-127 becomes 2^-126 instead of the nearer 2^-127",
            target="float8_e8m0fnu",
            above=finite(1, -127),
            below=finite(3, -128),
            code=1,
        ),
    }
)

_SATURATING = Policy(overflow="saturate", infinity="saturate", without_infinity="saturate")
_P3109 = Policy(
    without_infinity="saturate", nan="error", negative="by_direction", nan_sign="drop", negative_zero="positive"
)
_ML_DTYPES = Policy(
    tie_without_mantissa="up",
    nan="inverted_zero",
    zero="nan",
    defects=("double_rounding_via_float32", "e8m0_lowest_binade"),
)
_INTEGER = Policy(overflow="saturate", infinity="saturate", nan="zero")
_CUDA = Policy(tie_without_mantissa="up", negative="absolute", nan_sign="drop", nan_code="all_ones")


def _preset_table() -> dict[str, tuple[Policy, str]]:
    saturate = {"overflow": "saturate", "infinity": "saturate"}
    return {
        "ieee": (Policy(nan_code="payload"), "IEEE 754-2019: nearest even, overflow to infinity, NaN payload kept"),
        "ocp_sat": (_SATURATING, "OFP8 and MX v1.0, saturating: overflow and infinity go to the largest value"),
        "ocp_nosat": (Policy(overflow="infinity"), "OFP8 non-saturating: overflow to infinity, or NaN without one"),
        "integer": (_INTEGER, "nearest even and saturating, NaN to 0 (LLVM fptosi.sat with rounding)"),
        "integer_wrap": (
            _INTEGER.choose(rounding="toward_zero", overflow="wrap", infinity="nan"),
            "C-like: truncate, then modulo 2^bits; NaN and infinity to 0",
        ),
        "p3109_v4_0": (_P3109, "P3109 interim report v4.0, SatNone"),
        "p3109_v4_0_sat_finite": (_P3109.choose(negative="zero", **saturate), "P3109 v4.0, SatFinite"),
        "p3109_v4_0_sat_propagate": (
            _P3109.choose(negative="zero", overflow="saturate"),
            "P3109 v4.0, SatPropagate",
        ),
        "p3109_2026_07": (
            _P3109.choose(without_infinity="nan"),
            "P3109 after v4.0 (formal specification of July 2026): SatNone gives NaN in a finite domain",
        ),
        "cuda": (_CUDA.choose(**saturate), "CUDA 13.5 host conversions with __NV_SATFINITE"),
        "cuda_nosat": (_CUDA, "CUDA 13.5 host conversions with __NV_NOSAT"),
        "ml_dtypes": (_ML_DTYPES, "ml_dtypes 0.6.0 astype"),
        "numpy": (Policy(nan_code="payload"), "NumPy 2.x float16, float32 and float64 astype"),
    }


PRESETS: Mapping[str, Policy] = MappingProxyType(
    {name: replace(policy, name=name) for name, (policy, _) in _preset_table().items()}
)
"""The named policies."""

PRESET_SUMMARIES: Mapping[str, str] = MappingProxyType({name: text for name, (_, text) in _preset_table().items()})
"""What each preset claims, in a line."""


def get_policy(policy: Policy | str) -> Policy:
    """A policy from itself or from a preset's name.

    Raises
    ------
    PolicyError
        The name is unknown, or the argument is neither.
    """
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, str):
        raise PolicyError(f"a policy is a Policy or the name of a preset, not {type(policy).__name__}")
    _require_choice("policy", policy.lower(), PRESETS)
    return PRESETS[policy.lower()]
