"""The searches of ggml as a user meets them: axes, threads, importance, and what is refused."""

import numpy as np
import pytest

import lowbit
from lowbit.ops.block.ggml_searches import SEARCHES

VALUES = np.random.default_rng(1).standard_normal((8, 512)).astype(np.float32)
WEIGHTS = np.random.default_rng(2).exponential(size=512).astype(np.float32)


def same(left, right):
    assert (left.codes == right.codes).all()
    for name in left.scales:
        assert (left.scale_codes(name) == right.scale_codes(name)).all(), name


@pytest.mark.parametrize("name", SEARCHES)
def test_values_come_back(name):
    tensor = lowbit.quantize(VALUES, name)
    error = lowbit.dequantize(tensor) - VALUES
    assert (error**2).mean() < (VALUES**2).mean() * 0.15 ** (tensor.format.element.bits / 2)


@pytest.mark.parametrize("name", ["ggml_q4_k", "ggml_q6_k", "ggml_iq4_nl"])
def test_importance_lowers_the_error_it_weighs(name):
    def error(tensor):
        return (WEIGHTS * (lowbit.dequantize(tensor) - VALUES) ** 2).sum()

    with_it = lowbit.quantize(VALUES, name, importance=WEIGHTS)
    assert error(with_it) < error(lowbit.quantize(VALUES, name))
    same(with_it, lowbit.quantize(VALUES, name, importance=WEIGHTS.astype(np.float64).tolist()))


def test_along_another_axis():
    along = lowbit.quantize(VALUES, "ggml_q4_k", importance=WEIGHTS)
    down = lowbit.quantize(VALUES.T, "ggml_q4_k", importance=WEIGHTS, axis=0)
    assert (along.codes == down.codes.T).all()
    assert all((along.scale_codes(name) == down.scale_codes(name).T).all() for name in along.scales)
    assert (lowbit.dequantize(along) == lowbit.dequantize(down).T).all()


@pytest.mark.parametrize("weights", [None, np.resize(WEIGHTS, 1280)])
def test_any_number_of_threads(weights):
    values = np.ldexp(np.resize(VALUES, (300, 1280)), np.arange(-150, 150)[:, None] // 2).astype(np.float32)
    same(*(lowbit.quantize(values, "ggml_q3_k", importance=weights, threads=threads) for threads in (1, 3)))


def test_no_values():
    assert lowbit.quantize(np.zeros((0, 256), np.float32), "ggml_q5_k").codes.shape == (0, 256)


def test_binary64_is_rounded_to_binary32_first():
    wide = VALUES.astype(np.float64) * (1 + 2.0**-30)
    same(lowbit.quantize(wide, "ggml_q2_k"), lowbit.quantize(wide.astype(np.float32), "ggml_q2_k"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_not_finite_is_refused(value):
    values = VALUES.astype(np.float64)
    values[3, 7] = value
    with pytest.raises(lowbit.InputError, match=r"at \(3, 7\)"):
        lowbit.quantize(values, "ggml_q4_k")


@pytest.mark.parametrize(
    ("name", "policy", "weights", "message"),
    [
        ("ggml_q4_k", None, WEIGHTS[:-1], "shape"),
        ("ggml_q4_k", None, -WEIGHTS, r"importance\[0\]"),
        ("ggml_q4_k", None, np.where(np.arange(512) == 5, np.nan, 1), r"importance\[5\]"),
        ("ggml_q8_k", None, WEIGHTS, "importance"),
        ("ggml_iq4_nl", "ggml_iq4_nl_row", WEIGHTS, "importance"),
        ("mxfp4", None, WEIGHTS, "importance"),
        ("int4.g32", None, WEIGHTS, "importance"),
        ("mxfp4", "ggml_search", None, "search"),
        ("ggml_q4_k", "ggml_iq4_nl_row", None, "search"),
    ],
)
def test_what_is_refused(name, policy, weights, message):
    with pytest.raises(lowbit.InputError, match=message):
        lowbit.quantize(VALUES, name, policy=policy, importance=weights)


def test_rows_that_are_not_whole_super_blocks_are_refused():
    with pytest.raises(lowbit.InputError, match="blocks of 256"):
        lowbit.quantize(VALUES[:, :300], "ggml_q6_k")


@pytest.mark.parametrize("name", ["ggml_q4_k", "ggml_iq4_nl"])
def test_a_short_last_block_of_a_search_is_refused(name):
    policy = lowbit.get_block_policy("ggml_search").choose(tail="short")
    with pytest.raises(lowbit.InputError, match=r"which do not divide an axis of 300") as error:
        lowbit.quantize(VALUES[:, :300], name, policy=policy)
    assert "tail" not in error.value.hint


def test_what_is_possible_instead_of_a_short_block():
    with pytest.raises(lowbit.InputError) as error:
        lowbit.quantize(VALUES[:, :320], "ggml_q4_k")
    instead = "pad the axis to 512, or take ggml_q8_0, whose blocks have 32"
    assert error.value.hint == f"ggml has whole blocks alone: {instead}"
    assert lowbit.quantize(VALUES[:, :320], "ggml_q8_0").codes.shape == (8, 320)
    with pytest.raises(lowbit.InputError) as error:
        lowbit.quantize(VALUES[:, :300], "ggml_q8_0")
    assert error.value.hint == "ggml has whole blocks alone: pad the axis to 320"


@pytest.mark.parametrize(
    ("name", "policy", "hint"),
    [
        ("ggml_q4_k", "ggml_q4_0", "policies for it: ggml_search"),
        ("ggml_q6_k", "nearest", "policies for it: ggml_search, hqq"),
        ("ggml_mxfp4", "ggml_q4_0", "policies for it: ggml_mxfp4, or others of `lowbit list policies`"),
        ("mxfp4", "ggml_search", "policies for it: ocp_mx, or others"),
        ("ggml_q4_0", "ggml_search", "policies for it: ggml_q4_0, or others"),
    ],
)
def test_policies_that_make_a_format_are_named(name, policy, hint):
    with pytest.raises(lowbit.InputError, match=f"block policy '{policy}' is not for {name}: ") as error:
        lowbit.quantize(VALUES[:1], name, policy=policy)
    assert error.value.hint.startswith(hint)


def test_policies_that_are_named_make_the_format():
    with pytest.raises(lowbit.InputError) as error:
        lowbit.quantize(VALUES[:1], "ggml_iq4_xs", policy="ocp_mx")
    names = error.value.hint.removeprefix("policies for it: ").split(", ")
    assert len(names) > 1
    for name in names:
        assert lowbit.quantize(VALUES[:1], "ggml_iq4_xs", policy=name).codes.shape == (1, 512)
