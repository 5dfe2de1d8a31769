"""How far results are from what they stand for: errors of quantised values, and distances in units in the last place.

Values are any arrays of numbers, ml_dtypes' included; sums are over all of them, in binary64.
"""

from lowbit.metrics.error import (
    cosine_similarity,
    largest_error,
    quantization_kernel,
    relative_squared_error,
    signal_to_quantization_noise,
    squared_error,
)
from lowbit.metrics.ulps import ulp_histogram

__all__ = [
    "cosine_similarity",
    "largest_error",
    "quantization_kernel",
    "relative_squared_error",
    "signal_to_quantization_noise",
    "squared_error",
    "ulp_histogram",
]
