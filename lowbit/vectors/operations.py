"""The operations that vector sets are of, and what makes a set of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import NONLINEARITIES
from lowbit.vectors.block.sets import dequantize_set, quantize_set
from lowbit.vectors.cast.sets import conversion_set
from lowbit.vectors.gemm.sets import dot_set
from lowbit.vectors.nonlinear.sets import nonlinear_set
from lowbit.vectors.pack.sets import pack_set
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.requantize.layer_sets import conv_set, linear_set
from lowbit.vectors.requantize.sets import requantize_set
from lowbit.vectors.vec import VectorFile

CONVERSIONS = ("encode", "decode", "convert")
OPERATIONS: Mapping[str, Callable[[Recipe], VectorFile]] = {
    **dict.fromkeys(CONVERSIONS, conversion_set),
    "gemm": dot_set,
    "requantize": requantize_set,
    "linear": linear_set,
    "conv": conv_set,
    "quantize": quantize_set,
    "dequantize": dequantize_set,
    "pack": pack_set,
    **dict.fromkeys(NONLINEARITIES, nonlinear_set),
}


def generate(recipe: Recipe) -> VectorFile:
    """Make a set. The oracle gives its expected bits, so that no error of a kernel can reach a golden file."""
    if recipe.op not in OPERATIONS:
        raise InputError(f"there are no sets of {recipe.op!r}", hint=f"one of {', '.join(OPERATIONS)}")
    return OPERATIONS[recipe.op](recipe)
