"""The plain requantisation kernels as Python: the same integers, and none that leaves 64 bits."""

import importlib
import itertools
import sys
from types import ModuleType

import numpy as np
import pytest

import lowbit
from lowbit.kernels import requantize_layout as at
from lowbit.multipliers import derive_multiplier
from lowbit.ops._requantize_lowering import Range, lower_constants, lower_parameters
from lowbit.requantization import arithmetic_name

SCHEMES = sorted({arithmetic_name(scheme) for scheme in lowbit.REQUANTIZE_SCHEMES.values()})
NAMES = [f"lowbit.kernels.{name}" for name in ("_jit", "project", "requantize")]


@pytest.fixture(scope="module")
def plain():
    """The kernels' module with decorators that do nothing."""
    package = importlib.import_module("lowbit.kernels")
    stand_in = ModuleType("lowbit.kernels._jit")
    stand_in.scalar = stand_in.kernel = lambda function: function
    stand_in.constants = lambda vector, size: tuple(vector[:size])
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    attributes = {name: vars(package).get(name) for name in ("_jit", "project", "requantize")}
    sys.modules[NAMES[0]] = stand_in
    try:
        return importlib.import_module(NAMES[2])
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        for name, module in attributes.items():
            if module is None:
                vars(package).pop(name, None)
            else:
                setattr(package, name, module)


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
