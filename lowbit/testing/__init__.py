"""For users' own tests: Hypothesis strategies that shrink to small exact values, ``assert_bits_equal``, and synthetic
``activations``.

>>> from hypothesis import given, settings
>>> from lowbit import testing
>>> @settings(deadline=None)
... @given(testing.value_arrays("float8_e4m3fn", 16))
... def test_my_cast(values):
...     expected = lowbit.encode(values, "float8_e4m3fn")
...     testing.assert_bits_equal(my_cast(values), expected, "float8_e4m3fn", inputs=values)
"""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ImportError(
        "lowbit.testing needs Hypothesis, which is not installed: `pip install hypothesis`, or "
        "`pip install 'lowbit[testing]'`",
        name="hypothesis",
    )

from lowbit.testing.assertions import assert_bits_equal
from lowbit.testing.block_strategies import block_arrays, block_formats, block_policies, block_tensors
from lowbit.testing.format_strategies import formats, policies
from lowbit.testing.strategies import code_arrays, codes, near_overflow, ties, value_arrays, values
from lowbit.testing.synthetic import activations

__all__ = [
    "activations",
    "assert_bits_equal",
    "block_arrays",
    "block_formats",
    "block_policies",
    "block_tensors",
    "code_arrays",
    "codes",
    "formats",
    "near_overflow",
    "policies",
    "ties",
    "value_arrays",
    "values",
]
