"""What accumulate takes and refuses: layouts, small dtypes, stacks, empty products, errors in words."""

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.ops.gemm.accumulate import accumulate
from lowbit.policy.accumulator import get_accumulator

NAME = "fpga_20_saturate"


@pytest.fixture
def operands():
    random = np.random.default_rng(11)
    return random.integers(-128, 128, (6, 90)).astype(np.int8), random.integers(-128, 128, (90, 20)).astype(np.int8)


def misaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def test_layouts(operands):
    a, b = operands
    expected = accumulate(a, b, NAME)
    read_only = a.copy()
    read_only.setflags(write=False)
    assert np.array_equal(accumulate(read_only, b, NAME), expected)
    assert np.array_equal(accumulate(np.asfortranarray(a), np.ascontiguousarray(b.T).T, NAME), expected)
    assert np.array_equal(accumulate(np.repeat(a, 2, axis=1)[:, ::2], b, NAME), expected)
    assert np.array_equal(accumulate(a[::-1], b[:, ::-1], NAME), expected[::-1, ::-1])
    wide = a.astype(np.int16)
    assert np.array_equal(accumulate(misaligned(wide), b, NAME), expected)
    assert np.array_equal(accumulate(wide.astype(">i2"), b, NAME), expected)


def test_small_types(operands):
    a = (operands[0] >> 4).astype(ml_dtypes.int4)
    b = (operands[1].view(np.uint8) >> 6).astype(ml_dtypes.uint2)
    accumulator = get_accumulator("int8_saturate")
    expected = accumulate(a.astype(np.int8), b.astype(np.uint8), accumulator)
    assert np.array_equal(accumulate(a, b, accumulator), expected)
    assert expected.max() == 127 or expected.min() == -128


def test_stacks(operands):
    a, b = operands
    stack = np.stack([a, -1 - a, a // 2])
    many, counts = accumulate(stack[:, None], np.stack([b, b[::-1]]), NAME, return_counts=True)
    assert many.shape == (3, 2, 6, 20)
    total = 0
    for i, left in enumerate(stack):
        for j, right in enumerate((b, b[::-1])):
            one, own = accumulate(left, right, NAME, return_counts=True)
            assert np.array_equal(many[i, j], one)
            total += own["overflows"]
    assert counts["overflows"] == total


@pytest.mark.parametrize("name", ["int32", "int32_saturate", "fbgemm_acc16", "dfp16_15bit", "x86_vpdpbusds"])
def test_empty(name):
    kinds = get_accumulator(name).operands.split("_")
    left, right = (np.int8, np.int8) if kinds == ["any"] else (np.dtype(kind) for kind in kinds)
    made, counts = accumulate(np.zeros((2, 0), left), np.zeros((0, 3), right), name, bias=[1, 2, 3], return_counts=True)
    assert made.tolist() == [[1, 2, 3]] * 2
    assert counts == {"overflows": 0, "results": 0, "first": None}
    assert accumulate(np.zeros((0, 4), left), np.zeros((4, 3), right), name).shape == (0, 3)
    assert accumulate(np.zeros((5, 2, 4), left)[:0], np.zeros((4, 3), right), name).shape == (0, 2, 3)


def test_long_products():
    """Beyond 2^17 products of the lowest codes, 32 bits end."""
    count = (1 << 17) + 5
    a, b = np.full((1, count), -128, np.int8), np.full((count, 2), -128, np.int8)
    assert accumulate(a, b, "int32_saturate").tolist() == [[(1 << 31) - 1] * 2]
    assert accumulate(a, b, "int32").tolist() == [[count * (1 << 14) - (1 << 32)] * 2]
    values, counts = accumulate(a, b, "int32_saturate", return_counts=True)
    assert values.tolist() == [[(1 << 31) - 1] * 2]
    assert counts == {"overflows": 12, "results": 2, "first": (0, 0, (1 << 17) - 1)}


def test_result_types(operands):
    assert accumulate(*operands, "int32").dtype == np.int32
    assert accumulate(*operands, "int8").dtype == np.int32
    assert accumulate(*operands, "int33").dtype == np.int64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda a, b: (a, b.T), "differ"),
        (lambda a, b: (a[0], b), "at least two axes"),
        (lambda a, b: (a.astype(np.int32), b), "int32"),
        (lambda a, b: (a.astype(float), b), "float64"),
        (lambda a, b: (a, b.view(bool)), "bool"),
        (lambda a, b: (np.stack([a] * 2), np.stack([b] * 3)), "do not broadcast"),
    ],
)
def test_bad_operands(operands, arguments, words):
    with pytest.raises(InputError, match=words):
        accumulate(*arguments(*operands), NAME)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"a_zero_point": 128}, "-128 to 127"),
        ({"a_zero_point": [1, 2]}, "6 rows"),
        ({"b_zero_point": 0.5}, "integers"),
        ({"b_zero_point": np.zeros((2, 10), int)}, "20 columns"),
        ({"bias": 1.5}, "bias"),
        ({"bias": np.zeros((2, 20), int)}, "20 columns"),
        ({"bias": np.uint64(1 << 63)}, "does not fit int32"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_options(operands, options, words):
    with pytest.raises(InputError, match=words):
        accumulate(*operands, NAME, **options)


def test_operands_of_an_instruction(operands):
    a, b = operands
    with pytest.raises(InputError, match="multiplies uint8 and int8, not int8 and int8") as error:
        accumulate(a, b, "x86_vpmaddubsw")
    assert "a_zero_point=128" in error.value.hint
    offset = accumulate(a.view(np.uint8) ^ 0x80, b, "x86_vpdpbusd", a_zero_point=128)
    assert np.array_equal(offset, accumulate(a, b, "int32"))  # what the hint says is right
    with pytest.raises(InputError, match="uint8 and uint8"):
        accumulate(a.view(np.uint8), b.view(np.uint8), "arm_sdot")
    with pytest.raises(PolicyError, match="unknown"):
        accumulate(a, b, "arm_dot8")
