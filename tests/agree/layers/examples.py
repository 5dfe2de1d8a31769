"""Parameters for layers, and the same parameters as the oracle takes them."""

import numpy as np
from hypothesis import strategies as st

from lowbit.layers import Interval, Quantity, Rescale
from lowbit.oracle.layers.requantize import Rescaling
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, get_requantize_scheme

INTEGER_SCHEMES = sorted(
    name for name, scheme in REQUANTIZE_SCHEMES.items() if not scheme.takes_scale and not scheme.bounded
)


def codes(rng, shape, format="int8"):
    """Codes of a format, every third one at an end of its range."""
    low, high = (Quantity(format, 1.0).scalar.codes[place] for place in (0, -1))
    dtype = np.dtype(Quantity(format, 1.0).scalar.code_dtype)
    picked = rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.3, rng.choice(np.array([low, high], dtype), shape), picked)


def rescale(rng, scheme, channels, *, result="int8", zero_point=0, largest=2.0**-6):
    """A rescaling of one scale a channel, below ``largest``."""
    scales = largest * rng.uniform(0.1, 1.0, channels)
    return Rescale.from_scale(scales, scheme, Quantity(result, 1.0, zero_point))


def of_oracle(output):
    """A layer's output as the oracle takes it."""
    if isinstance(output, Quantity):
        return None
    ends = output.result.scalar.codes
    low = ends[0] if output.minimum is None else output.minimum
    high = ends[-1] if output.maximum is None else output.maximum
    scheme = get_requantize_scheme(output.scheme)
    pairs = output.multiplier.tolist(), output.shift.tolist()
    return Rescaling(scheme, *pairs, output.result.zero_point, low, high)


def within(layer, *codes_, fits=True):
    """Asserts that every intermediate of a call lies in its bounds, those of the formats and those of the codes.

    And that the result is the last of them, and that none leaves its width, unless told: beyond it nothing follows.
    """
    steps = {step.label: step for step in layer.intermediates(*codes_)}
    assert np.array_equal(layer(*codes_), list(steps.values())[-1].codes)
    whole = [quantity.interval for quantity in layer.inputs]
    narrow = [Interval.of(array.min(), array.max()) for array in codes_]
    for ranges in (whole, narrow):
        bounds = {bound.label: bound for bound in layer.bounds(*ranges)}
        assert list(steps)[-1] == list(bounds)[-1]
        assert all(bound.culprit is None for bound in bounds.values()) == fits
        if not fits:
            continue
        for label, step in steps.items():
            bound = bounds[label]
            assert (bound.bits, bound.signed) == (step.bits, step.signed), label
            assert (step.codes >= bound.low).all(), label
            assert (step.codes <= bound.high).all(), label


seeds = st.integers(0, 2**32 - 1)
