"""How a tensor is brought into a block format: from which statistic scales are made, how, and how elements follow.

A :class:`BlockPolicy` is a record of choices, one for each axis on which products differ; a preset is such a record
with a name and a claim. Rounding and special values of each field are the business of its own scalar
:class:`~lowbit.policy.cast.Policy`, spelled in one word: ``"ocp_sat"``, ``"ocp_sat:rounding=nearest_away"``, or ``""``
for the default of the field's format. Nothing here computes: ``lowbit.oracle.block`` is the meaning,
``lowbit.ops.block`` the fast path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lowbit.errors import InputError, PolicyError
from lowbit.exact import finite, floor_log2
from lowbit.policy.cast import Policy, get_policy
from lowbit.policy.choices import Choices, axis
from lowbit.policy.presets import Presets

if TYPE_CHECKING:
    from lowbit.format.block import BlockFormat
    from lowbit.format.common import Format

POWER_RULES = ("floor", "floor_log2", "ceil", "rceil", "even", "nearest", "tosa")
"""The scale rules that give a power of two."""

RATIO_RULES = ("rceil", "nearest")
"""Those that look at amax over the largest element, and not at amax."""

BINARY32_STEPS = ("sum", "fused_sum", "least_error", "mean", "uniform_65536", "ggml", "ggml_first")
"""Choices of steps that are rounded to binary32."""

HELD = {"exact": (51, 450), "binary32": (24, 127), "bfloat16": (24, 127)}
"""The bits and the largest exponent of numbers in an arithmetic; exact steps, in binary64 to odd, hold less than it."""

PRODUCT_BITS = 53
"""An exact product of two numbers is one in binary64."""

SEPARATOR = ":"
"""Between the preset and the choices of a policy that is spelled in one word."""


@dataclass(frozen=True, kw_only=True)
class BlockPolicy(Choices):
    """How values become the codes and scales of a block format.

    The scales are made from the coarsest field to the finest, each from the statistic of its block and the scales above
    it; then every element is divided by its scales and projected. ``BlockPolicy.AXES`` says what an axis decides,
    ``BlockPolicy.choices(axis)`` lists its values.

    Attributes
    ----------
    scale_maximum : int
        What the finer scales are to reach where a coarser scale is made; 0 for the largest value of their format.
    quotient_format : str
        "sm2.6:ocp_sat:rounding=nearest_away", say; "" for none.
    nested : str
        The preset by which scales that have scales themselves are made: from those that the elements are divided by,
        less their mean where there is an offset; "" is "nearest".
    scale, tensor, element : str
        Policies of the finest scales, of the coarser ones, and of the elements: a preset, or a preset and choices with
        colons between them; "" is the default of the field's format.
    name : str
        Name of the preset, "" for one's own.

    Raises
    ------
    PolicyError
        An axis has an unknown value, or a policy is spelled wrongly.
    """

    scale_rule: str = axis(
        "amax_over_max",
        "how a scale follows from the largest magnitude of its block, amax",
        {
            "amax_over_max": "amax over the largest element, rounded into the scale's format",
            "amax_over_half_range": "amax over half of the distance from the lowest element to the largest one",
            "signed_amax": "the value of that magnitude, the first one, with its sign, over the lowest element",
            "amax": "amax itself",
            "mean": "the mean of the magnitudes, which are added one after the other, where steps are rounded",
            "floor": "the largest power of two up to amax, over that of the largest element (OCP MX v1.0 6.3)",
            "floor_log2": "floor, by a logarithm that is rounded to binary32: 2^k from a little below it on",
            "ceil": "the smallest power of two from amax on, over that of the largest element",
            "rceil": "the smallest power of two from amax over the largest element on, so that nothing saturates",
            "even": "floor, of an amax that is first rounded to the precision of the elements",
            "nearest": "the power of two nearest to amax over the largest element, a tie to the larger one",
            "tosa": "floor, and one more where amax would be rounded beyond the largest element (TOSA 1.1)",
        },
    )
    arithmetic: str = axis(
        "exact",
        "what the steps from amax to the scale and from a value to its quotient are rounded to",
        {
            "exact": "nothing: scale and element are rounded once, into their formats",
            "binary32": "every step is rounded to binary32",
            "bfloat16": "every step is rounded to bfloat16",
        },
    )
    scale_steps: str = axis(
        "divide",
        "the steps to a scale, where steps are rounded; S is the scale above it, R the reciprocal of S",
        {
            "divide": "(amax / maximum) / S",
            "divide_by_product": "amax / (maximum * S)",
            "reciprocal": "(amax * (1 / maximum)) / S",
            "multiply": "(amax / maximum) * R",
            "folded": "amax * (R * (1 / maximum))",
        },
    )
    tensor_steps: str = axis(
        "divide",
        "the steps to the coarsest scale S where steps are rounded",
        {
            "divide": "S = amax / maximum, R = 1 / S",
            "reciprocal": "R = maximum / amax, S = 1 / R; R at most the largest binary32 number, and 1 where it is 0",
        },
    )
    quotient_steps: str = axis(
        "divide",
        "the steps from a value x to its quotient, where steps are rounded; s is the finest scale",
        {
            "divide": "x / (s * S)",
            "reciprocal": "x * (1 / (s * S)), the reciprocal at most the largest binary32 number",
            "divide_by_ratio": "x / (s / R)",
            "reciprocal_exact": "x * (1 / (s * S)) with an exact product",
            "multiply_by_ratio": "x * (R / s)",
            "maximum_over_amax": "x * (maximum / amax), with no scale above",
            "sign": "1 from 0 on, and -1 below",
        },
    )
    quotient_scale: str = axis(
        "stored",
        "the scale that values are divided by",
        {
            "stored": "the one that is stored",
            "unrounded": "the one before it is rounded into its format",
        },
    )
    quotient_bins: str = axis(
        "none",
        "what becomes of a quotient before it is rounded to an element, where steps are rounded to binary32",
        {
            "none": "nothing",
            "uniform_65536": "the middle of one of 65,536 bins over [-1, 1], that of the number (q + 1) / 2 * 65535",
        },
    )
    rounding_steps: str = axis(
        "none",
        "how a quotient becomes an element, where steps are rounded to binary32",
        {
            "none": "by the policy of the elements",
            "sum": "the quotient plus 1/2 less the lowest element is cut to an integer",
            "fused_sum": "as sum, but from the exact product where x is multiplied: a fused multiply-add",
            "least_error": "no quotient: the first element, by its code, whose product with the scales is nearest to x",
        },
    )
    quotient_format: str = axis(
        "",
        "an intermediate format that a quotient is rounded to first, and its policy, with a colon between them",
    )
    search: str = axis(
        "none",
        "which of several scales a block takes, where steps are rounded and there is a scale above",
        {
            "none": "the one that the rule gives",
            "four_over_six_squared": "that or 3/2 of it, by the sum of squares of ((q * s) * amax) / maximum - x",
            "four_over_six_absolute": "that or 3/2 of it, by the sum of magnitudes of these errors",
            "ggml": "the whole way of ggml-quants.c for its K-quants, IQ4 and Q8_K; no other axis counts",
            "ggml_first": "as ggml, IQ4_NL without a second trial (quantize_row_iq4_nl_ref)",
        },
    )
    nan: str = axis(
        "propagate",
        "a NaN in a block",
        {
            "propagate": "the scale is NaN, or what its policy makes of NaN",
            "ignore": "the scale is made from the other values",
            "error": "raise",
        },
    )
    infinity: str = axis(
        "propagate",
        "an infinity in a block",
        {
            "propagate": "the scale is infinite, or what its policy makes of infinity",
            "nan": "as a NaN",
            "ignore": "the scale is made from the other values",
            "error": "raise",
        },
    )
    zero_block: str = axis(
        "one",
        "the scale of a block of zeros",
        {
            "one": "1",
            "project": "what its policy makes of 0: the smallest one, or zero",
        },
    )
    smallest_scale: str = axis(
        "positive",
        "a scale that would be rounded to less than this is this instead",
        {
            "any": "no limit: a scale may be 0",
            "positive": "the smallest positive value of its format",
            "normal": "the smallest normal value of its format",
        },
    )
    zero_scale: str = axis(
        "zero",
        "a scale that is rounded to 0",
        {
            "zero": "the quotients are 0",
            "infinite": "the quotients are infinite, and NaN for 0 / 0 (IEEE 754)",
            "largest": "the quotients are x times the largest binary32 number",
            "eighth": "the scale becomes 1/8",
            "lowest": "the quotients are -infinity: the elements are the lowest ones where infinity saturates",
        },
    )
    tail: str = axis(
        "error",
        "an axis that the blocks do not divide",
        {
            "error": "raise",
            "short": "the last block is shorter",
        },
    )
    value_range: str = axis(
        "with_zero",
        "the range of a block that has a zero point",
        {
            "with_zero": "from its lowest to its highest value, extended to 0, so that 0 has a code",
            "minmax": "from its lowest to its highest value; the zero point saturates",
        },
    )
    range_steps: str = axis(
        "divide",
        "the steps of a block that has a zero point, where steps are rounded; width is that of its range",
        {
            "divide": "s = width / codes; the lowest value and every x are divided by s as the other axes say",
            "reciprocal": "R = codes / width, s = 1 / R; the lowest value and every x are multiplied by R",
        },
    )
    zero_point_steps: str = axis(
        "sum",
        "how a zero point becomes an integer",
        {
            "sum": "the lowest code minus the lowest value over the scale, rounded",
            "quotient": "the lowest code minus the rounded quotient of the lowest value by the scale",
        },
    )
    zero_point_place: str = axis(
        "after_rounding",
        "when the zero point is added",
        {
            "after_rounding": "to the rounded quotient",
            "before_rounding": "to the quotient, which is rounded then",
            "fused": "as before_rounding, but to the exact product where x is multiplied: a fused multiply-add",
        },
    )
    scale_maximum: int = axis(
        0, "what the scales below a coarser one are to reach, 0 for the largest value of their format", range(1 << 31)
    )
    nested: str = axis("", "the block policy, a preset, by which scales are brought into blocks of their own")
    scale: str = axis("", "the policy of the finest scales")
    tensor: str = axis("", "the policy of the coarser scales")
    element: str = axis("", "the policy of the elements")
    name: str = ""

    AXIS = "block policy axis"

    def __post_init__(self) -> None:
        self.check_choices()
        if self.quotient_scale == "unrounded" and self.arithmetic == "exact":
            what = "quotient_scale = 'unrounded' needs rounded steps: before them an exact scale may be any fraction"
            raise PolicyError(what, hint="arithmetic='binary32'")
        if self.search != "none" and self.arithmetic == "exact":
            raise PolicyError(f"search = {self.search!r} needs rounded steps", hint="arithmetic='binary32'")
        if self.search != "none" and self.quotient_scale != "stored":
            what = f"search = {self.search!r} compares scales that are stored, not {self.quotient_scale} ones"
            raise PolicyError(what, hint="quotient_scale='stored'")
        for name in ("quotient_bins", "rounding_steps", "scale_rule", "search"):
            if self.arithmetic != "binary32" and (choice := getattr(self, name)) in BINARY32_STEPS:
                what = f"{name} = {choice!r} is made of steps in binary32, not {self.arithmetic!r} ones"
                raise PolicyError(what, hint="arithmetic='binary32'")
        for text in (self.scale, self.tensor, self.element, self.intermediate[1]):
            spelled(text)

    @property
    def of_ggml(self) -> bool:
        """Whether scales and codes are those of a search of ggml."""
        return self.search.startswith("ggml")

    @property
    def intermediate(self) -> tuple[str, str]:
        """The intermediate format of quotients and its policy, as it is spelled; "" for none."""
        name, _, policy = self.quotient_format.partition(SEPARATOR)
        return name, policy

    def policy(self, field: str, fmt: Format) -> Policy:
        """The policy of a field ("scale", "tensor" or "element") whose format is known."""
        return spelled(getattr(self, field) or fmt.default_policy, fmt)

    def zero_point_policy(self, fmt: Format) -> Policy:
        """The policy of zero points: that of the elements, to nearest even where these are rounded stochastically."""
        policy = self.policy("element", fmt)
        return policy.choose(rounding="nearest_even", random_bits=0) if policy.stochastic else policy

    def require_held(self, fmt: BlockFormat) -> None:
        """Refuse a format whose elements or scales are not numbers of the arithmetic that makes them: InputError."""
        element, factors = fmt.number, fmt.of_role("multiply", "by_sign", "divide")
        largest, (bits, most) = element.max, HELD[self.arithmetic]
        if largest.fraction() <= 0:
            what = f"{fmt.id}: {element.id} has no positive value that a largest magnitude could become"
            raise InputError(what, hint="int2, say")
        if self.rounding_steps == "least_error" and (not element.listed or fmt.lower_exponents):
            raise InputError(f"{fmt.id}: rounding_steps = 'least_error' tries a table's values", hint="ggml_mxfp4, say")
        if self.rounding_steps.endswith("sum") and not (element.wraps and element.smallest_exponent == 0):
            what = f"{fmt.id}: rounding_steps = {self.rounding_steps!r} cuts to integers, and {element.id} is not one"
            raise InputError(what, hint="rounding_steps='none', or int4.g32, say")
        if fmt.element.dimension > 1:
            self._require_nearest(fmt)
        parts = [element, *(field.format for field in factors)]
        held = {part.id: (part.precision, part.max_exponent) for part in parts[1:]}
        held[fmt.element.id] = element.precision, element.max_exponent
        if factors and len(factors) > 1 + fmt.by_sign:
            reach = finite(self.scale_maximum) if self.scale_maximum else factors[0].format.max
            product = finite(largest.significand * reach.significand, largest.exponent + reach.exponent).reduced()
            held["largest element times largest scale"] = product.significand.bit_length(), floor_log2(product)
            pairs = zip(parts, (*parts[1:], element), strict=True)
            if self.arithmetic == "exact" and any(a.precision + b.precision > PRODUCT_BITS for a, b in pairs):
                held["a product of its scales"] = PRODUCT_BITS + 1, 0
        for what, (precision, exponent) in held.items():
            if precision > bits or exponent > most:
                listed = fmt.element.dimension > 1 or element.kind == "table"
                rounded = f"numbers of the table that have at most {bits} significant bits, those of binary32, say"
                raise InputError(
                    f"{fmt.id}: {what} is not held by the arithmetic of the policy, {self.arithmetic!r}",
                    hint=rounded
                    if listed and what == fmt.element.id
                    else "a narrower format, another arithmetic, or a scale_maximum",
                )

    def _require_nearest(self, fmt: BlockFormat) -> None:
        """Refuse what says more of a vector than that it is the nearest one."""
        rounding = self.policy("element", fmt.number).rounding
        for name, choice, usual in (("rounding", rounding, "nearest"), ("search", self.search, "none")):
            if not choice.startswith(usual):
                what = f"{fmt.id}: a code is that of the nearest vector, and the policy says {name} = {choice!r}"
                raise InputError(what, hint="a policy of elements that rounds to nearest, and search = 'none'")

    def live_axes(self) -> list[str]:
        """The axes that say something; the steps only where they are rounded."""
        if self.of_ggml:
            return ["arithmetic", "search"]
        exact = ("scale_steps", "tensor_steps", "quotient_steps", "range_steps") if self.arithmetic == "exact" else ()
        return [name for name in self.AXES if name not in exact and getattr(self, name) != ""]


@lru_cache(maxsize=256)
def spelled(text: str, target: Format | None = None) -> Policy:
    """The scalar policy that a word spells, ``preset:axis=choice:axis=choice``.

    Raises
    ------
    PolicyError
    """
    preset, _, choices = text.partition(SEPARATOR)
    if "=" in preset:
        what = f"policy {text!r} does not begin with a preset"
        raise PolicyError(what, hint=f"nearest even, say: ieee{SEPARATOR}{text}")
    return Policy.parse(choices.replace(SEPARATOR, " "), get_policy(preset, target) if preset else Policy())


_USUAL = (
    *("nearest", "ocp_mx", "nvfp4", "deepseek_v3", "compressed_tensors_nvfp4"),
    *("shared_exponent", "dynamic_fixed_point", "tenstorrent_host", "hifloat4", "bitsandbytes_nested"),
    *("ggml_q4_0", "ggml_q4_1", "ggml_q8_0", "ggml_ternary", "ggml_q1_0", "ggml_mxfp4", "ggml_nvfp4", "ggml_search"),
)
"""The default policies of formats."""

BLOCK_PRESETS = Presets(BlockPolicy, "block policy", "block.toml", usual=_USUAL)
"""The named block policies."""


def get_block_policy(policy: BlockPolicy | str) -> BlockPolicy:
    """A block policy from itself or from a preset's name.

    Raises
    ------
    PolicyError
        The name is unknown, or the argument is neither.

    Examples
    --------
    >>> get_block_policy("ocp_mx").scale_rule
    'floor'
    """
    return BLOCK_PRESETS.named(policy)
