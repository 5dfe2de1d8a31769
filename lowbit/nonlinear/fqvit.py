"""FQ-ViT: declared widths of log-int-softmax and of the LayerNorm with power-of-two factors.

Source: FQ-ViT, arXiv 2111.13824; github.com/megvii-research/FQ-ViT at 5daf591, models/ptq/layers.py ``QIntSoftmax`` and
``QIntLayerNorm``. The exponential is I-BERT's i-exp (see ``nonlinear/ibert.py``), without its requantisation.
"""

from __future__ import annotations

from lowbit.nonlinear.widths import UNLIMITED, Intermediate, Widths, signed, unsigned

VARIANTS = ("code", "paper")
"""Log-int-softmax: the code gives probability 0 where the logarithm does not fit, the paper clips it."""
SOFTMAX_BITS = 4
NORM_BITS = 8
"""``bit`` of QIntLayerNorm.get_MN."""
LARGEST_SHIFT = 31
LARGEST_FACTOR = 3
"""Exponents of the power-of-two factors, PtfObserver: 1, 2, 4, 8."""

_SIMULATED = "the code computes in binary32 and sets no width"


def softmax_widths(variant: str, bits: int = SOFTMAX_BITS) -> Widths:
    """Of log-int-softmax: results of ``bits`` bits, one more in the code for the probability 0."""
    steps = (
        *signed(
            UNLIMITED,
            *("difference", "quotient", "remainder", "polynomial", "exponential", "sum", "ratio"),
            note=_SIMULATED,
        ),
        Intermediate("result", bits + (variant == "code"), False, "-log2 of the probability; 2^bits stands for 0"),
    )
    return Widths("softmax", "fqvit", variant, steps)


def layernorm_widths() -> Widths:
    """Of the LayerNorm with power-of-two factors."""
    steps = (
        *signed(32, "shifted", note="code << factor"),
        *signed(UNLIMITED, "sum", "sum_of_squares", "variance", note=_SIMULATED),
        *unsigned(NORM_BITS, "multiplier", note="M of get_MN"),
        *signed(UNLIMITED, "bias", "product", note=_SIMULATED),
        *signed(32, "result", note="a code at the result's scale, not clamped yet"),
    )
    return Widths("layernorm", "fqvit", "", steps)
