"""ml_dtypes against the preset ``ml_dtypes``: the values of all codes, and every cast it has.

Sources of at most 16 bits are tried on all their codes, wider ones near every rounding boundary of the target. The
casts are compared twice: under the preset, whose defects (double rounding, the lowest binade of float8_e8m0fnu) are
then reproduced, and under its choices alone, where each defect must be a row of published_differences.toml.
"""

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.cast import get_policy

ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

measured = pytest.mark.skipif(
    not ml_dtypes.__version__.startswith("0.6."), reason=f"measured on ml_dtypes 0.6, not {ml_dtypes.__version__}"
)

FLOATS = [
    "bfloat16",
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
]
INTEGERS = ["int1", "int2", "int4", "uint1", "uint2", "uint4"]
WIDE = ["float16", "float32", "float64"]


@measured
def test_no_dtype_is_forgotten():
    known = {name for name in dir(ml_dtypes) if isinstance(getattr(ml_dtypes, name), type)}
    assert known - {"finfo", "iinfo", "complex32", "bcomplex32"} == {*FLOATS, *INTEGERS}


@pytest.mark.parametrize("name", FLOATS)
def test_float_codes_have_the_same_values(name):
    fmt = get_format(name)
    codes = np.arange(1 << fmt.bits).astype(fmt.code_dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs of bfloat16
        theirs = codes.view(getattr(ml_dtypes, name)).astype(np.float64)
    ours = decode(codes, fmt, dtype=np.float64)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    numbers = ~np.isnan(ours)
    assert np.array_equal(ours[numbers].view(np.uint64), theirs[numbers].view(np.uint64))


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_codes_have_the_same_values(name):
    fmt = get_format(name)
    codes = np.arange(fmt.min_code, fmt.max_code + 1).astype(fmt.code_dtype)
    theirs = codes.astype(getattr(ml_dtypes, name)).astype(np.float64)
    assert np.array_equal(decode(codes, fmt, dtype=np.float64), theirs)


@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, *WIDE])
def test_every_cast_follows_the_preset(target, check_casts):
    check_casts("ml_dtypes", target)


@measured
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float6_e2m3fn", "float4_e2m1fn", "bfloat16"])
def test_the_double_rounding_of_float64_is_reproduced(name):
    """2^-40 above each tie between neighbours: correct is up, through float32 it is the tie again."""
    fmt = get_format(name)
    codes = np.arange(min(fmt.max_code, 512)).astype(fmt.code_dtype)
    values = decode(codes, fmt, dtype=np.float64)
    ties = (values + decode(codes + 1, fmt, dtype=np.float64)) / 2 * (1 + 2.0**-40)
    theirs = ties.astype(getattr(ml_dtypes, name)).view(fmt.code_dtype)
    policy = get_policy("ml_dtypes", fmt)
    assert np.array_equal(encode(ties, fmt, policy=policy), theirs)
    correct = encode(ties, fmt, policy=policy.without_defects())
    assert np.array_equal(correct, codes + 1)
    assert np.array_equal(correct != theirs, codes % 2 == 0)
