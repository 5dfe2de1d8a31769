"""The three schemes of "Give Me BF16 or Give Me Death", as compressed-tensors computes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.quantizers.clip import fitted
from lowbit.quantizers.hessian import REPORT
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.gptq import gptq
from lowbit.quantizers.options import Option
from lowbit.quantizers.weight import QuantizedWeight


class Scheme(NamedTuple):
    """Formats but for the scales', and whether weights that come with activations are rounded by GPTQ."""

    weights: str
    activations: str | None
    feedback: bool


SCHEMES = {
    "w4a16_int": Scheme("int4.g128", None, feedback=True),
    "w8a8_int": Scheme("int8.channel", "int8.channel", feedback=True),
    "w8a8_fp": Scheme("float8_e4m3fn.channel", "float8_e4m3fn.channel", feedback=False),
}
"""In compressed-tensors: W4A16, W8A8 and FP8_DYNAMIC."""

POLICIES = {"bfloat16": "compressed_tensors_bfloat16", "float32": "compressed_tensors"}
"""By the dtype that a model's weights, its scales and its arithmetic have."""

OBSERVERS = {"minmax": "range", "mse": "llm_compressor"}
"""llm-compressor's names of the ranges of weights."""


def compressed_tensors(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike | None = None,
    variant: str = "w4a16_int",
    dtype: str = "bfloat16",
    observer: str = "minmax",
    damping: float = 0.01,
    threads: int = 1,
) -> QuantizedWeight:
    """Quantise the weights of a scheme, and say how its activations are quantised when it runs.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        For GPTQ in the integer schemes, which otherwise round to nearest; "w8a8_fp" always does.
    to : str or BlockFormat, optional
        In place of the scheme's format of weights.

    Returns
    -------
    QuantizedWeight
        ``report["activations"]`` is the format of activations, None where they stay as they are: one scale a row, made
        anew for each. ``report["policy"]`` is the block policy of both: ``lowbit.quantize(rows, report["activations"],
        policy=report["policy"])``.

    Raises
    ------
    InputError
        As for round_to_nearest or gptq.
    PolicyError
        The variant or the dtype is unknown.

    Notes
    -----
    Symmetric scales are amax over half of the range of the codes: 7.5, 127.5, 448. GPTQ has static groups and takes
    the level that is nearest in binary64; its official counterpart in llm-compressor computes in binary32. The paper's
    4-bit models have the MSE observer, which compares errors in the dtype there and in binary64 here: in binary32 they
    find the same ranges. SmoothQuant, which it adds at 70B, is a step of its own.
    Source: Kurtic et al., "Give Me BF16 or Give Me Death" (arXiv 2411.02355), section 3; compressed-tensors 0.20.1,
    quantization/quant_scheme.py and quantization/utils/helpers.py.

    Examples
    --------
    >>> result = compressed_tensors([[0.5, -1.0, 0.25, 0.125]], variant="w8a8_int")
    >>> result.tensor.codes.tolist(), result.report["activations"]
    ([[64, -127, 32, 16]], 'int8.channel.bfloat16')
    """
    scheme, policy, ranges = SCHEMES[variant], POLICIES[dtype], OBSERVERS[observer]
    matrix = weight_matrix(weights)
    fmt = weight_format(f"{scheme.weights}.{dtype}" if to is None else to, matrix.shape[1], METHOD.name)
    report: dict[str, Any] = {
        "activations": None if scheme.activations is None else f"{scheme.activations}.{dtype}",
        "policy": policy,
    }
    if activations is None or not scheme.feedback:
        return QuantizedWeight(fitted(matrix, fmt, ranges, policy), report=report)
    options: dict[str, Any] = {"order": "static", "ranges": ranges, "damping": damping, "threads": threads}
    spread = gptq(matrix, activations, to=fmt, policy=policy, **options)
    return QuantizedWeight(spread.tensor, report={**report, **spread.report})


METHOD = Method(
    name="compressed_tensors",
    quantize=compressed_tensors,
    title="the schemes of 'Give Me BF16 or Give Me Death', bfloat16 arithmetic included",
    source="Kurtic et al. (arXiv 2411.02355); vllm-project/compressed-tensors 0.20.1",
    variants={
        "w4a16_int": "int4 weights in groups of 128, activations as they are (W4A16)",
        "w8a8_int": "int8 weights and activations, a scale an output and a token (W8A8)",
        "w8a8_fp": "float8_e4m3fn weights and activations, a scale an output and a token (FP8_DYNAMIC)",
    },
    needs_activations=False,
    to="int4.g128.bfloat16",
    own={
        "observer": Option(
            "what the range of a block is found by",
            choices={"minmax": "the whole of it", "mse": "a search of twenty narrower ones"},
        ),
        "dtype": Option(
            "of the scales and of every step of the arithmetic",
            choices={"bfloat16": "that of models as they are published", "float32": "of models in binary32"},
        ),
    },
    report={
        "activations": "the format that activations are brought into when the scheme runs",
        "policy": "the block policy that it has",
        **REPORT,
    },
)
