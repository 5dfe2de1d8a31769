"""The kinds of answers that identification goes through, and the axes that decide each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.vectors.flags import block as f

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Stage:
    """One kind of answers, and the axes that decide them; ``element.rounding`` is one of the elements' policy."""

    name: str  # as a claim says it, to follow "of"
    flags: frozenset[int] | None  # of its cases; None for all that no other stage has
    scales_only: bool
    axes: Sequence[Axes]  # products of choices, one after the other


ROUNDINGS = (
    *("nearest_even", "nearest_away", "nearest_zero", "nearest_up", "nearest_down"),
    *("toward_zero", "away_from_zero", "toward_positive", "toward_negative", "to_odd"),
)
_STEPS: Axes = {
    "scale_rule": BlockPolicy.choices("scale_rule"),
    "arithmetic": BlockPolicy.choices("arithmetic"),
    "scale_steps": BlockPolicy.choices("scale_steps"),
    "tensor_steps": BlockPolicy.choices("tensor_steps"),
}
_RANGES: Axes = {
    "arithmetic": _STEPS["arithmetic"],
    "value_range": BlockPolicy.choices("value_range"),
    "range_steps": BlockPolicy.choices("range_steps"),
    "zero_point_steps": BlockPolicy.choices("zero_point_steps"),
}
"""Of blocks with a zero point."""
QUOTIENT_FORMATS = tuple(dict.fromkeys(policy.quotient_format for policy in BLOCK_PRESETS.values()))
"""Intermediate formats of quotients, as products have them."""
NAN_BECOMES = ("maximum", "signed_maximum", "minimum", "zero", "negative_zero")
STAGES = (
    Stage(
        "scales of ordinary blocks",
        None,
        True,
        (
            _STEPS,
            {"scale.rounding": ROUNDINGS, "scale_rule": ("amax_over_max",), "arithmetic": _STEPS["arithmetic"]},
            {
                **{axis: values for axis, values in _STEPS.items() if axis != "scale_rule"},
                "search": BlockPolicy.choices("search"),
                "scale_maximum": (0, 256),
            },
            {
                "smallest_scale": BlockPolicy.choices("smallest_scale"),
                "zero_scale": BlockPolicy.choices("zero_scale"),
                "arithmetic": _STEPS["arithmetic"],
            },
            {"tensor.rounding": ROUNDINGS},
            _RANGES,
            {**_RANGES, "element.rounding": ROUNDINGS},
            {**_RANGES, "scale.rounding": ROUNDINGS},
            {
                "nested": ("", "bitsandbytes_8bit"),
                "arithmetic": _STEPS["arithmetic"],
                "scale_steps": ("divide", "reciprocal"),
            },
            {"nested": ("", *BLOCK_PRESETS)},
        ),
    ),
    Stage(
        "codes of ordinary blocks",
        None,
        False,
        (
            {"quotient_bins": BlockPolicy.choices("quotient_bins")},
            {
                "quotient_steps": BlockPolicy.choices("quotient_steps"),
                "quotient_scale": BlockPolicy.choices("quotient_scale"),
                "element.rounding": ROUNDINGS,
                "element.negative_zero": ("keep", "positive"),
            },
            {
                "quotient_steps": ("divide", "reciprocal"),
                "quotient_scale": BlockPolicy.choices("quotient_scale"),
                "zero_point_place": BlockPolicy.choices("zero_point_place"),
                "element.rounding": ROUNDINGS,
            },
            {
                "quotient_bins": BlockPolicy.choices("quotient_bins"),
                "quotient_steps": ("divide", "reciprocal"),
                "element.rounding": ROUNDINGS,
            },
            {
                "rounding_steps": BlockPolicy.choices("rounding_steps"),
                "quotient_steps": ("divide", "reciprocal"),
                "quotient_scale": BlockPolicy.choices("quotient_scale"),
            },
            {"element.overflow": ("saturate", "infinity", "nan", "wrap"), "element.rounding": ROUNDINGS},
            {"element.via": ("float16", "bfloat16"), "element.rounding": ("nearest_even", "nearest_away")},
            {"element.flush_results": ("after_rounding", "before_rounding")},
            {"quotient_format": QUOTIENT_FORMATS, "element.rounding": ROUNDINGS},
        ),
    ),
    Stage(
        "blocks with very small or very large maxima",
        frozenset({f.ZERO_BLOCK, f.RANGE_OF_SCALE}),
        False,
        (
            {
                "zero_block": BlockPolicy.choices("zero_block"),
                "smallest_scale": BlockPolicy.choices("smallest_scale"),
                "zero_scale": BlockPolicy.choices("zero_scale"),
                "scale.overflow": ("saturate", "infinity", "nan"),
            },
            {
                "zero_block": BlockPolicy.choices("zero_block"),
                "scale.flush_results": ("after_rounding", "before_rounding"),
                "element.flush_inputs": ("never", "always"),
            },
        ),
    ),
    Stage(
        "tensors with NaN",
        frozenset({f.NAN_IN_BLOCK}),
        False,
        ({"nan": ("propagate", "ignore"), "element.nan": NAN_BECOMES},),
    ),
    Stage(
        "tensors with infinities",
        frozenset({f.INFINITY_IN_BLOCK}),
        False,
        (
            {
                "infinity": ("propagate", "nan", "ignore"),
                "element.infinity": ("propagate", "saturate", "nan"),
                "scale.infinity": ("propagate", "saturate", "nan"),
                "element.nan": NAN_BECOMES,
            },
        ),
    ),
    Stage("tails", frozenset({f.SHORT_TAIL}), False, ()),
)

LINEAR_STAGES = (
    Stage(
        "ordinary values",
        None,
        False,
        (
            {
                "arithmetic": BlockPolicy.choices("arithmetic"),
                "quotient_steps": ("divide", "reciprocal"),
                "zero_point_place": BlockPolicy.choices("zero_point_place"),
                "element.rounding": ROUNDINGS,
            },
        ),
    ),
    Stage("very large and very small quotients", frozenset({f.RANGE_OF_SCALE}), False, ({"element.nan": NAN_BECOMES},)),
    Stage("NaN", frozenset({f.NAN_IN_BLOCK}), False, ({"element.nan": NAN_BECOMES},)),
    Stage("infinities", frozenset({f.INFINITY_IN_BLOCK}), False, ({"element.infinity": ("saturate", "nan")},)),
)
"""Of QuantizeLinear."""
ANSWERS = (Stage("values", None, False, ()),)
"""Of an operation that no axis decides."""


def choices_of(stages: Sequence[Stage]) -> Axes:
    """Every axis that some stage changes, with its choices."""
    every = [axes for stage in stages for axes in stage.axes]
    return {axis: values for axes in reversed(every) for axis, values in axes.items()}
