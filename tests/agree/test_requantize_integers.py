"""The plain requantisation kernels as Python: the same integers, and none that leaves 64 bits."""

import itertools

import numpy as np
import pytest

import lowbit
from lowbit.kernels.requantize import layout as at
from lowbit.ops.requantize.lowering import Range, lower_constants, lower_parameters
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.requantize import arithmetic_name
from tests import uncompiled

SCHEMES = sorted({arithmetic_name(scheme) for scheme in lowbit.REQUANTIZE_SCHEMES.values()})


@pytest.fixture(scope="module")
def plain():
    """The kernels' module with decorators that do nothing."""
    return uncompiled.load("requantize.requantize")[0]


def values(scheme, shift):
    low, high = scheme.accumulator_range(shift)
    rng = np.random.default_rng(3)
    spread = [rng.integers(-(1 << bits), 1 << bits, 12).tolist() for bits in (4, 10, 20, 31, 47)]
    return [x for x in (low, low + 1, -1, 0, 1, high - 1, high, *itertools.chain(*spread)) if low <= x <= high]


@pytest.mark.parametrize("scale", [0.0123, 0.5, 0.9999999, 2.0**-20])
@pytest.mark.parametrize("name", SCHEMES)
def test_python_integers(plain, checked, name, scale):
    scheme = lowbit.get_requantize_scheme(name)
    if scheme.zero_point == "before_rounding":
        pytest.skip("NumPy's arithmetic computes this scheme, no integer kernel")
    multiplier, shift = derive_multiplier(scale, scheme)
    fmt = lowbit.get_format("int8")
    v = [checked(x) for x in lower_constants(scheme, Range(3, -128, 127), fmt).tolist()]
    if scheme.takes_scale:
        missing = 53 - multiplier.bit_length()
        columns = np.array([[multiplier << missing], [shift + missing]])
    else:
        columns = np.array([[multiplier], [shift]])
    rows = lower_parameters(scheme, columns[0], columns[1])[:, 0].tolist()
    parameters = [checked(x) for x in rows[: at.PARAMETERS]]
    codes = []
    for x in values(scheme, shift):
        if scheme.takes_scale:
            significand, exponent = plain.binary_product(checked(x), parameters[0], parameters[3], v)
            half_added = scheme.tie == "up_binary32"
            step = plain.floor_half_added if half_added else plain.nearest_integer
            rounded = step(significand, exponent, x < 0, v)
        else:
            rounded, _ = plain.integer_product(checked(x), *parameters, v)
        codes.append(int(plain.finish(rounded, v)[0]))
    given = {"scale": scale} if scheme.takes_scale else {"multiplier": multiplier, "shift": shift}
    array = np.array(values(scheme, shift))
    assert lowbit.requantize(array, scheme=scheme, zero_point=3, **given).tolist() == codes
