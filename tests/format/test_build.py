import pytest

import lowbit
from lowbit.errors import FormatError
from lowbit.format.registry import get_format


@pytest.mark.parametrize(
    ("arguments", "options", "like"),
    [
        ((4, 3), {}, "float8_e4m3"),
        ((4, 3), {"specials": "fn"}, "float8_e4m3fn"),
        ((4, 3), {"specials": "fnuz"}, "float8_e4m3fnuz"),
        ((4, 3), {"specials": "fnuz", "bias": 11}, "float8_e4m3b11fnuz"),
        ((5, 2), {"default_policy": "ocp_sat"}, "float8_e5m2"),
        ((5, 3), {"specials": "fn", "signed": False}, "float8_e5m3fnu"),
        ((2, 1), {"specials": "none"}, "float4_e2m1fn"),
        ((1, 2), {"specials": "none", "bias": 1}, "float4_e1m2"),
        ((3, 0), {"specials": "none"}, "float4_e3m0"),
        ((0, 3), {"specials": "none"}, "float4_e0m3"),
        ((8, 23), {}, "float32"),
    ],
)
def test_float_format_makes_the_known_ones(arguments, options, like):
    fmt = lowbit.float_format(*arguments, **options)
    known = get_format(like)
    primary = ("bits", "signed", "exponent_bits", "mantissa_bits", "bias", "zero", "subnormals", "infinity", "nan")
    primary += ("nan_at_negative_zero", "canonical_nan", "default_policy")
    assert {name: getattr(fmt, name) for name in primary} == {name: getattr(known, name) for name in primary}
    assert fmt.id.startswith("custom_e")


def test_float_format_names():
    assert lowbit.float_format(4, 3, bias=9, specials="fn").id == "custom_e4m3b9fn"
    assert lowbit.float_format(5, 3, specials="fn", signed=False).id == "custom_e5m3fnu"
    assert lowbit.float_format(3, 2, id="mine", default_policy="cuda").default_policy == "cuda"


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((4, 3), {"specials": "posit"}, "specials = 'posit' is unknown"),
        ((3, 0), {"specials": "ieee"}, "needs an exponent and a mantissa"),
        ((-1, 3), {}, "negative width"),
        ((4, 3), {"specials": "fnuz", "signed": False}, "no negative zero"),
        ((3, 2), {"id": "my fmt"}, "'my fmt' is not an id"),
        ((3, 2), {"id": "Mine"}, "lower-case letters"),
        ((3, 2), {"id": ""}, "is not an id"),
        ((4, 3), {"id": "float8_e4m3fn"}, "belongs to another format"),
        ((4, 60), {}, "outside 2..64|more than binary64"),
        ((2.0, 3), {}, "exponent_bits = 2.0 is not an integer"),
        (("a", 1), {}, "exponent_bits = 'a' is not an integer"),
        ((4, True), {}, "mantissa_bits = True is not an integer"),
        ((1 << 40, 3), {}, "exponent_bits = 1099511627776 is more than the 64 bits"),
        ((12, 52), {"signed": False}, "64 bits together, more than 63"),
        ((4, 3), {"bias": "7"}, "bias = '7' is not an integer"),
        ((4, 3), {"signed": 1}, "signed = 1 is neither True nor False"),
        ((4, 3), {"specials": ["fn"]}, r"specials = \['fn'\] is unknown"),
        ((4, 3), {"id": 7}, "7 is not an id"),
        ((4, 3), {"default_policy": "nope"}, "default_policy = 'nope' is not a preset"),
        ((4, 3), {"default_policy": ["ieee"]}, "is not a preset"),
    ],
)
def test_float_format_refuses(arguments, options, match):
    with pytest.raises(FormatError, match=match):
        lowbit.float_format(*arguments, **options)
