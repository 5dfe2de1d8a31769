"""The vocabulary of disagreement: how a value becomes a code of a format.

A :class:`Policy` is a record of choices. Each field is one axis on which real implementations differ; a named
preset is a policy plus the defects that the product is known to have, and a claim about that product and version
that a test in ``tests/cross`` proves. Nothing here computes: the oracle and ``lowbit.ops.cast.lowering`` read the
fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lowbit.errors import PolicyError
from lowbit.policy.cast_axes import AXES, CHOICES, ROUNDINGS, require_choice
from lowbit.policy.defects import DEFECTS, Defect

if TYPE_CHECKING:
    from lowbit.format.scalar import Format

__all__ = [
    "AXES",
    "DEFECTS",
    "PRESETS",
    "PRESET_OVERRIDES",
    "PRESET_SUMMARIES",
    "ROUNDINGS",
    "Defect",
    "Policy",
    "get_policy",
]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an exact value becomes a code of a scalar format: round, then decide overflow, then encode.

    Each attribute is one axis; ``lowbit.policy.cast.AXES`` says what it decides and ``Policy.choices(axis)`` lists its
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
        self._check_types()
        for axis, values in CHOICES.items():
            require_choice(axis, getattr(self, axis), values)
        for defect in self.defects:
            require_choice("defects", defect, DEFECTS)
        if self.stochastic and not 1 <= self.random_bits <= 32:
            raise PolicyError(
                f"rounding {self.rounding!r} needs random_bits, the number N of random bits, in 1..32; got "
                f"{self.random_bits!r}",
                hint="Policy(rounding='stochastic_a', random_bits=8)",
            )
        if not self.stochastic and self.random_bits:
            raise PolicyError(f"random_bits = {self.random_bits} is given, but rounding {self.rounding!r} uses none")

    def _check_types(self) -> None:
        """Of the axes without a closed set of values."""
        for axis in ("via", "name"):
            value = getattr(self, axis)
            if not isinstance(value, str):
                raise PolicyError(f"{axis} = {value!r} is not a string", hint="'' stands for none")
        count: object = self.random_bits
        if type(count) is not int:
            raise PolicyError(f"random_bits = {count!r} is not an integer", hint="random_bits=8, say")
        defects: object = self.defects
        if not isinstance(defects, tuple):
            one = f": Policy(defects=({defects!r},))" if isinstance(defects, str) else ""
            raise PolicyError(f"defects = {defects!r} is not a tuple of names", hint=f"give a tuple of names{one}")

    @property
    def stochastic(self) -> bool:
        """Whether rounding takes random bits."""
        return self.rounding.startswith("stochastic_")

    def choose(self, **axes: Any) -> Policy:
        """A copy with other choices on some axes; the preset's name is kept only if nothing changed."""
        unknown = set(axes) - {item.name for item in fields(self)}
        if unknown:
            require_choice("policy axis", min(unknown), AXES)
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
        require_choice("policy axis", axis, CHOICES)
        return tuple(CHOICES[axis])

    @staticmethod
    def meaning(axis: str, value: str) -> str:
        """What a value of an axis means, in words."""
        require_choice("policy axis", axis, CHOICES)
        require_choice(axis, value, CHOICES[axis])
        return CHOICES[axis][value]


_SATURATE = {"overflow": "saturate", "infinity": "saturate"}
_SATURATING = Policy(overflow="saturate", infinity="saturate", without_infinity="saturate")
_P3109 = Policy(
    without_infinity="saturate", nan="error", negative="by_direction", nan_sign="drop", negative_zero="positive"
)
_INTEGER = Policy(overflow="saturate", infinity="saturate", nan="zero")
_INTEGER_WRAP = _INTEGER.choose(rounding="toward_zero", overflow="wrap", infinity="nan")
_INTEGER_AWAY_WRAP = _INTEGER_WRAP.choose(rounding="nearest_away")
_CUDA = Policy(tie_without_mantissa="up", negative="absolute", nan_sign="drop_input", nan_code="all_ones")
_ML_DTYPES = Policy(
    tie_without_mantissa="up",
    nan="inverted_zero",
    zero="nan",
    defects=("double_rounding_via_float32", "e8m0_lowest_binade"),
)
_TORCH = Policy(
    tie_without_mantissa="up",
    nan_code="all_ones",
    negative="absolute",
    defects=("double_rounding_via_float32", "e8m0_lowest_binade"),
)
_ONNX_RUNTIME = Policy(
    tie_without_mantissa="up",
    defects=("double_rounding_via_float32", "e4m3fn_late_overflow", "e5m2_overflow_carry"),
)
_ONNX_RUNTIME_SATURATE = Policy(tie_without_mantissa="up", defects=("double_rounding_via_float32",)).choose(**_SATURATE)
_ONNX_1_18 = Policy(nan_code="all_ones")
_ONNX_1_22 = Policy(nan="inverted_zero")
_GFLOAT = Policy(nan="error", nan_sign="drop", nan_code="all_ones", zero="nan", underflow="nan")
_RISCV = Policy(nan_sign="drop", nan_code="all_ones")
_IEEE = Policy(nan_code="payload")


def _preset_table() -> dict[str, tuple[Policy, str]]:
    return {
        "ieee": (_IEEE, "IEEE 754-2019: nearest even, overflow to infinity, NaN payload kept"),
        "ocp_sat": (_SATURATING, "OFP8 and MX v1.0, saturating: overflow and infinity go to the largest value"),
        "ocp_nosat": (Policy(overflow="infinity"), "OFP8 non-saturating: overflow to infinity, or NaN without one"),
        "integer": (_INTEGER, "nearest even and saturating, NaN to 0 (LLVM fptosi.sat with rounding)"),
        "integer_wrap": (_INTEGER_WRAP, "C-like: truncate, then modulo 2^bits; NaN and infinity to 0"),
        "p3109_v4_0": (_P3109, "P3109 interim report v4.0, SatNone"),
        "p3109_v4_0_sat_finite": (_P3109.choose(negative="zero", **_SATURATE), "P3109 v4.0, SatFinite"),
        "p3109_v4_0_sat_propagate": (
            _P3109.choose(negative="zero", overflow="saturate"),
            "P3109 v4.0, SatPropagate",
        ),
        "p3109_2026_07": (
            _P3109.choose(without_infinity="nan"),
            "P3109 after v4.0 (formal specification of July 2026): SatNone gives NaN in a finite domain",
        ),
        "cuda": (_CUDA.choose(**_SATURATE), "CUDA 13.5 host conversions with __NV_SATFINITE and cudaRoundNearest"),
        "cuda_nosat": (_CUDA, "CUDA 13.5 host conversions with __NV_NOSAT and cudaRoundNearest"),
        "ml_dtypes": (_ML_DTYPES, "ml_dtypes 0.6.0 astype"),
        "numpy": (_IEEE, "NumPy 2.x float16, float32 and float64 astype"),
        "torch": (_TORCH, "PyTorch 2.13 Tensor.to on the CPU"),
        "onnxruntime": (_ONNX_RUNTIME_SATURATE, "ONNX Runtime 1.31 Cast on the CPU, saturate=1"),
        "onnxruntime_nosat": (_ONNX_RUNTIME, "ONNX Runtime 1.31 Cast on the CPU, saturate=0"),
        "onnx_1_18": (_ONNX_1_18.choose(**_SATURATE), "Cast node vectors of ONNX 1.18, saturate=1"),
        "onnx_1_18_nosat": (_ONNX_1_18, "Cast node vectors of ONNX 1.18, saturate=0"),
        "onnx_1_22": (_ONNX_1_22.choose(**_SATURATE), "Cast node vectors of ONNX 1.22, saturate=1"),
        "onnx_1_22_nosat": (_ONNX_1_22, "Cast node vectors of ONNX 1.22, saturate=0"),
        "gfloat": (_GFLOAT, "gfloat 0.5.2 round and encode, sat=False"),
        "gfloat_sat": (_GFLOAT.choose(**_SATURATE), "gfloat 0.5.2 round and encode, sat=True"),
        "riscv_zvfofp8min": (_RISCV, "RISC-V Zvfofp8min 0.2.1 vfncvt.f.f.q, vfncvtbf16.f.f.w"),
        "riscv_zvfofp8min_sat": (
            _RISCV.choose(**_SATURATE),
            "RISC-V Zvfofp8min 0.2.1 vfncvt.sat.f.f.q, vfncvtbf16.sat.f.f.w",
        ),
    }


def _override_table() -> dict[str, dict[str, Policy]]:
    e8m0, small = "float8_e8m0fnu", ("int4", "uint4", "int2", "uint2")
    # Only the low-precision targets are reached through float32; the wide ones are NumPy's or the compiler's own.
    # None of them has a saturate attribute, and float16 and bfloat16 have none either.
    wide = dict.fromkeys(("float32", "float64"), _IEEE)
    onnx_wide = dict.fromkeys(("float16", "float32", "float64"), Policy(nan_sign="drop"))
    runtime = {"integer": _INTEGER_WRAP, **dict.fromkeys(small, _INTEGER_AWAY_WRAP), **wide}
    e8m0_saturate = {"rounding": "away_from_zero", "negative": "zero"}
    e8m0_nosat = {**e8m0_saturate, "negative": "nan", "zero": "nan", "underflow": "nan"}
    e8m0_defects = ("double_rounding_via_float32", "e8m0_tiny_is_nan", "e8m0_early_overflow")
    onnx_1_18 = {**onnx_wide, "integer": _INTEGER, "bfloat16": Policy(rounding="toward_zero")}
    onnx_1_22 = {"integer": _INTEGER_WRAP, **dict.fromkeys((*onnx_wide, "bfloat16"), _ONNX_1_22)}
    # gfloat raises where neither infinity nor NaN can stand for an overflow.
    gfloat = _GFLOAT.choose(overflow="error", infinity="error")
    onnx_e8m0 = _ONNX_1_22.choose(rounding="away_from_zero")
    return {
        "ml_dtypes": {"integer": _INTEGER_WRAP, **dict.fromkeys(wide, _ML_DTYPES.without_defects())},
        "torch": {
            **wide,
            "float8_e4m3fn": _TORCH.choose(without_infinity="saturate"),
            "float16": _TORCH.choose(nan_code="payload"),
            "bfloat16": _TORCH.choose(nan_code="canonical", nan_sign="drop"),
        },
        "onnxruntime": {
            **runtime,
            **dict.fromkeys(("float16", "bfloat16"), _ONNX_RUNTIME),
            "float8_e5m2": _ONNX_RUNTIME_SATURATE.choose(nan_code="all_ones"),
            e8m0: _ONNX_RUNTIME_SATURATE.choose(**e8m0_saturate),
        },
        "onnxruntime_nosat": {
            **runtime,
            "float8_e5m2": _ONNX_RUNTIME.choose(nan_code="all_ones"),
            e8m0: _ONNX_RUNTIME.choose(**e8m0_nosat, defects=e8m0_defects),
        },
        "onnx_1_18": onnx_1_18,
        "onnx_1_18_nosat": onnx_1_18,
        "onnx_1_22": {**onnx_1_22, e8m0: onnx_e8m0.choose(**_SATURATE)},
        "onnx_1_22_nosat": {**onnx_1_22, e8m0: onnx_e8m0},
        "gfloat": dict.fromkeys(("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"), gfloat),
    }


PRESETS: Mapping[str, Policy] = MappingProxyType(
    {name: replace(policy, name=name) for name, (policy, _) in _preset_table().items()}
)
"""The named policies."""

PRESET_OVERRIDES: Mapping[str, Mapping[str, Policy]] = MappingProxyType(
    {
        name: MappingProxyType({target: replace(policy, name=name) for target, policy in overrides.items()})
        for name, overrides in _override_table().items()
    }
)
"""Where a product follows another rule for some targets: preset -> target id or kind -> the policy there."""

PRESET_SUMMARIES: Mapping[str, str] = MappingProxyType({name: text for name, (_, text) in _preset_table().items()})
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
    """
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, str):
        raise PolicyError(f"a policy is a Policy or the name of a preset, not {type(policy).__name__}")
    name = policy.lower()
    require_choice("policy", name, PRESETS)
    if target is None:
        return PRESETS[name]
    overrides = PRESET_OVERRIDES.get(name, {})
    return overrides.get(target.id) or overrides.get(target.kind) or PRESETS[name]
