"""FQ-ViT: log-int-softmax and the LayerNorm with power-of-two factors.

The exponential is I-BERT's i-exp (see ``nonlinear/ibert.py``), without its requantisation.

Source: FQ-ViT, arXiv 2111.13824; github.com/megvii-research/FQ-ViT at 5daf591, models/ptq/layers.py ``QIntSoftmax`` and
``QIntLayerNorm``.
"""

from __future__ import annotations

from lowbit.nonlinear.ibert import exp_steps
from lowbit.nonlinear.scheme import Example, Parameters, Scheme
from lowbit.nonlinear.widths import SIMULATED, UNLIMITED, Intermediate, signed, unsigned

VARIANTS = ("code", "paper")
"""Log-int-softmax: the code gives probability 0 where the logarithm does not fit, the paper clips it."""
SOFTMAX_BITS = 4
NORM_BITS = 8
"""``bit`` of QIntLayerNorm.get_MN."""
LARGEST_FACTOR = 3
"""Exponents of the power-of-two factors, PtfObserver: 1, 2, 4, 8."""


def _softmax_steps(call: Parameters) -> tuple[Intermediate, ...]:
    """Results of ``bits`` bits, one more in the code for the probability 0."""
    bits = call.result_bits + (call.variant == "code")
    return (
        *signed(UNLIMITED, "difference", note=SIMULATED),
        *exp_steps("code"),
        *signed(UNLIMITED, "sum", "ratio", note=SIMULATED),
        *unsigned(bits, "result", note="-log2 of the probability; 2^bits stands for 0"),
    )


def _layernorm_steps(_: Parameters) -> tuple[Intermediate, ...]:
    return (
        *signed(32, "shifted", note="code << factor"),
        *signed(UNLIMITED, "sum", "sum_of_squares", "variance", note=SIMULATED),
        *unsigned(NORM_BITS, "multiplier", note="M of get_MN"),
        *signed(UNLIMITED, "bias", "product", note=SIMULATED),
        *signed(32, "result", note="a code at the result's scale, not clamped yet"),
    )


SCHEMES = (
    Scheme(
        "softmax",
        "fqvit",
        "log-int-softmax: code k stands for the probability 2^-k",
        _softmax_steps,
        variants=VARIANTS,
        own_bits=SOFTMAX_BITS,
        bits=range(2, 9),
    ),
    Scheme(
        "layernorm",
        "fqvit",
        "power-of-two factors and 8-bit multipliers; in units of ``result_scale``",
        _layernorm_steps,
        options=("gamma", "beta", "factors", "result_scale"),
        takes_scale=False,
        audited=False,
        examples=(Example({"result_scale": 0.05}),),
    ),
)
