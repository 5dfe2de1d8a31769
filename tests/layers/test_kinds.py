"""What the kinds of layers refuse, and how they say it."""

import numpy as np
import pytest

from lowbit.errors import InputError, LowbitError
from lowbit.layers import (
    Activation,
    Add,
    Attention,
    AveragePool,
    Conv,
    Embedding,
    Linear,
    MaxPool,
    Multiply,
    Nonlinearity,
    Norm,
    Positions,
    Quantity,
    Requantize,
    Rescale,
    Reshape,
    Rotary,
    Select,
    Silu,
    Sum,
    Table,
    rotary_tables,
)

INT8, INT32 = Quantity("int8", 0.1), Quantity("int32", 0.1)
HALF = Rescale.from_scale(0.5, "tflm", INT8)
WEIGHT = np.ones((4, 3, 3, 2), np.int8)
IMAGES = np.zeros((1, 5, 5, 2), np.int8)
TABLE = np.zeros((6, 4), np.int8)
SUM = Sum.from_scales(INT8, INT8, "hawq", INT8)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Conv(INT8, WEIGHT[0], HALF), r"conv: weight has shape \(3, 3, 2\), not \(any, any, any, any\)"),
        (lambda: Conv(INT8, WEIGHT, HALF, np.zeros(3, int)), r"conv: bias has shape \(3,\), not \(4\)"),
        (lambda: Conv(INT8, WEIGHT, HALF, groups=3), "conv: 4 outputs in 3 groups"),
        (lambda: Conv(INT8, WEIGHT, HALF, stride=(0, 1)), r"conv: stride = \(0, 1\)"),
        (lambda: Conv(INT8, WEIGHT, HALF, padding=((0, -1), (0, 0))), "conv: padding"),
        (lambda: Conv(INT8, WEIGHT, HALF)(IMAGES[..., :1]), "conv: input has 1 channels in shape .*, not 2"),
        (lambda: Conv(INT8, WEIGHT, HALF)(IMAGES[:, :2]), "conv: images of 2 x 5, padded, are smaller than windows"),
        (lambda: Conv(INT8, WEIGHT, HALF)(IMAGES[0, 0]), "conv: input has shape"),
        (lambda: MaxPool(INT8, (2, 2))(IMAGES[0, 0]), "max_pool: input has shape"),
        (lambda: AveragePool(INT8, "odd", (2, 2)), "average_pool: division = 'odd' is not a rounding"),
        (lambda: AveragePool(INT8, HALF, (2, 2), padding=((1, 0), (0, 0))), "average_pool: padding changes"),
        (lambda: Add(INT32, INT8, SUM), "add: an operand of int32"),
        (lambda: Add(INT8, INT8, SUM)(TABLE, TABLE[:, :3]), r"add: inputs of shapes \(6, 4\) and \(6, 3\) differ"),
        (lambda: Add(INT8, INT8, SUM)(TABLE), "add takes 2 inputs, not 1"),
        (lambda: Add(INT8, INT8, SUM)(TABLE, TABLE.astype(int)), "add: input 1 has dtype int64"),
        (lambda: Sum.from_scales(Quantity("int8", 1e30), INT8, "tflm", INT8), "scales are more than"),
        (lambda: Multiply(Quantity("uint16", 1.0), INT8, HALF), "multiply: an operand of uint16"),
        (lambda: Embedding(TABLE[0], INT8), "embedding: table has shape"),
        (lambda: Embedding(TABLE, INT8)(np.array([2, 6], np.int32)), "embedding: index 6 is not one of 6 rows"),
        (lambda: Embedding(TABLE, INT8)(np.array([-1], np.int32)), "embedding: index -1 is not one of 6 rows"),
        (lambda: Positions(INT8, TABLE, INT8, SUM)(IMAGES[0]), "positions: input has shape"),
        (lambda: Reshape(INT8, 2, (3,))(IMAGES), "reshape: input has shape"),
        (lambda: Select(INT8, 5)(IMAGES), "select: input has shape"),
    ],
)
def test_bad_parameters_and_codes_are_named(make, what):
    with pytest.raises(LowbitError, match=what):
        make()


LAYERNORM = Nonlinearity("layernorm", "lowbit")
SOFTMAX = Nonlinearity("softmax", "ivit", bits=8)
ATTENTION = Attention(INT8, INT8, INT8, 2, 2, HALF, SOFTMAX, HALF, 1, causal=True, longest=5)
ROTARY = Rotary.from_tables(INT8, rotary_tables(3, 4), "tflm", INT8)
LOGISTIC = Nonlinearity("logistic", "tflite_int8")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Nonlinearity("sine", "ivit"), "unknown operation: 'sine'"),
        (lambda: Nonlinearity("softmax", "nosuch"), "unknown softmax scheme: 'nosuch'"),
        (lambda: Nonlinearity("softmax", "ivit", "nosuch"), "no variant 'nosuch'"),
        (lambda: Nonlinearity("softmax", "ivit", bits=99), "bits = 99"),
        (lambda: Nonlinearity("softmax", "ivit", options={"odd": 1}), "unknown argument .*'odd'"),
        (lambda: Activation(INT8, SOFTMAX, INT32), "activation: results are int8 with zero point 0, not int32"),
        (lambda: Activation(INT8, Nonlinearity("softmax", "fqvit"), HALF), "gives no codes of a scale"),
        (lambda: Silu(INT8, SOFTMAX, HALF), "silu: function = 'softmax' is not the logistic one"),
        (lambda: Table(INT8, np.zeros(255, np.int8), INT8), r"table: table has shape \(255,\), not \(256\)"),
        (lambda: Table(INT32, np.zeros(255, np.int8), INT8), "table: input has format int32"),
        (
            lambda: Table.from_function(lambda x: x * np.nan, INT8, INT8),
            "table: the function of code -128 is not a number",
        ),
        (lambda: Norm(INT8, SOFTMAX, 4, HALF), "norm: function = 'softmax' is not a normalisation"),
        (lambda: Norm(INT8, LAYERNORM, 4, HALF, np.zeros(3, int)), r"norm: bias has shape \(3,\), not \(4\)"),
        (lambda: Norm(INT8, LAYERNORM, 4, HALF)(TABLE[:, :3]), r"norm: input has shape \(6, 3\), not \(\.\.\., 4\)"),
        (
            lambda: Norm(INT8, Nonlinearity("layernorm", "lowbit", options={"gamma": 1}), 4, HALF),
            "norm: gamma and beta",
        ),
        (lambda: Attention(INT8, INT8, INT8, 3, 2, HALF, SOFTMAX, HALF, 2), "attention: 3 heads on 2"),
        (lambda: Attention(INT8, INT8, INT8, 2, 2, HALF, LAYERNORM, HALF), "attention: softmax = 'layernorm'"),
        (
            lambda: Attention(INT8, INT8, INT8, 2, 2, HALF, Nonlinearity("softmax", "ibert", bits=16), HALF),
            "attention: probabilities have 16 bits",
        ),
        (lambda: ATTENTION(TABLE, TABLE[:, :2], TABLE[:, :2]), "attention: 6 keys, and longest = 5"),
        (lambda: ATTENTION(TABLE[:2], TABLE[:2], TABLE[:2]), r"attention: .* their last axes have lengths \[4, 2, 2\]"),
        (lambda: ATTENTION(TABLE[:2], TABLE[:2, :2], TABLE[:3, :2]), "attention: shapes of .* do not meet"),
        (lambda: ATTENTION(TABLE[:3], TABLE[:2, :2], TABLE[:2, :2]), "attention: 3 queries and 2 keys"),
        (lambda: ROTARY(TABLE), r"rotary: input has shape \(6, 4\), not \(\.\.\., at most 3, heads \* 4\)"),
        (lambda: Rotary(INT8, np.full((2, 2), 20000), np.zeros((2, 2), int), HALF), "rotary: cosines are beyond"),
        (lambda: rotary_tables(3, 5), "size = 5 is not even"),
    ],
)
def test_bad_nonlinear_layers_are_named(make, what):
    with pytest.raises(LowbitError, match=what):
        make()


ONES, IVIT = np.ones((2, 3, 3, 1), np.int8), Nonlinearity("softmax", "ivit")


def attention(heads=2, size=4, **rest):
    return Attention(INT8, INT8, INT8, heads, size, HALF, IVIT, HALF, **rest)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (lambda value=value: Conv(INT8, ONES, HALF, stride=value), "conv: stride = ")
            for value in (2, 0, (0, 1), (1 << 16, 1), (1,), (1.0, 1))
        ),
        *(
            (lambda value=value: Conv(INT8, ONES, HALF, padding=value), "conv: padding = ")
            for value in (1, (1, 1), ((10**7, 0), (0, 0)), ((0, -1), (0, 0)), ((1, 1),))
        ),
        (lambda: Conv(INT8, ONES, HALF, groups="2"), "conv: groups = '2'"),
        (lambda: Conv(INT8, ONES, HALF, groups=True), "conv: groups = True"),
        (lambda: Conv(None, ONES, HALF), "conv: input is of NoneType"),
        (lambda: Rescale("hawq", np.array([1]), np.array([1]), None), "rescale: result is of NoneType"),
        (lambda: Sum(HALF, HALF, None), "sum: output is of NoneType"),
        (lambda: Add(INT8, INT8, HALF), "add: sum is of Rescale"),
        (lambda: Multiply(INT8, INT8, INT8), "multiply: rescale is of Quantity"),
        (lambda: Requantize(INT8, None), "requantize: rescale is of NoneType"),
        (lambda: Silu(INT8, None, HALF), "silu: function is of NoneType"),
        (lambda: Rotary(INT8, *rotary_tables(4, 2), None), "rotary: output is of NoneType"),
        (lambda: Select(INT8, 0.5), "select: index = 0.5"),
        (lambda: Nonlinearity(["gelu"], "ibert"), r"nonlinearity: function = \['gelu'\]"),
        (lambda: Nonlinearity("gelu", "ibert", options=None), "nonlinearity: options is of NoneType"),
        (lambda: attention(mask=HALF), "attention: mask is of Rescale"),
        (lambda: attention(causal=np.array([True, False])), "attention: causal is of ndarray"),
        (lambda: Conv(INT8, ONES[:, :0], HALF), r"conv: weight has shape \(2, 0, 3, 1\): it is empty"),
        (lambda: Conv(INT8, ONES, HALF, weight_format="float16"), "conv: weight has the format float16"),
        *(
            (lambda value=value: MaxPool(INT8, value), "max_pool: size = ")
            for value in (2, (0, 0), (-1, 1), (1 << 16, 1))
        ),
        (
            lambda: MaxPool(INT8, (2, 2), padding=((2, 0), (0, 0))),
            r"max_pool: padding = .*rows from 0 to 1 and columns from 0 to 1",
        ),
        (lambda: AveragePool(INT8, "away", (1, 1), padding=((1, 1), (1, 1))), "average_pool: padding = "),
        (lambda: AveragePool(Quantity("uint8", 1.0, 255), HALF, (4096, 4096)), "the zero points add up to"),
        (lambda: attention(key_value_heads=0), "attention: 2 heads on 0"),
        (lambda: attention(key_value_heads=-1), "attention: 2 heads on -1"),
        (lambda: attention(heads=0), "attention: heads = 0"),
        (lambda: attention(size=0), "attention: size = 0"),
        (lambda: attention(longest=1 << 40), "attention: longest = 1099511627776"),
        (lambda: Linear(INT8, np.zeros((3, 0), np.int8), HALF), r"linear: weight has shape \(3, 0\): it is empty"),
        (lambda: Linear(INT8, np.zeros((0, 3), np.int8), HALF), r"linear: weight has shape \(0, 3\): it is empty"),
        (lambda: Linear(INT8, ONES[:, 0, :, 0], None), "linear: output is of NoneType"),
        (
            lambda: Linear(INT8, ONES[:, 0, :, 0], HALF, weight_format="float16"),
            "linear: weight has the format float16",
        ),
        (lambda: Activation(INT8, Nonlinearity("gelu", "ibert"), None), "activation: output is of NoneType"),
        (lambda: Norm(INT8, Nonlinearity("layernorm", "lowbit"), 1 << 40, HALF), "norm: length = 1099511627776"),
        (lambda: Embedding(np.zeros((0, 4), np.int8), INT8), r"embedding: table has shape \(0, 4\): it is empty"),
        (lambda: Reshape(INT8, 1, (-1, -1)), r"reshape: shape = \(-1, -1\)"),
        (lambda: Reshape(INT8, 1, 4), "reshape: shape = 4"),
        (lambda: Reshape(INT8, -1, (4,)), "reshape: axes = -1"),
        (lambda: Sum(HALF, HALF, INT8, left_shift=10**6), "left_shift = 1000000"),
        (lambda: Sum(HALF, HALF, INT8, minimum=-129), "minimum = -129 is outside -128 to 127"),
        (lambda: Quantity("int8", 1.0, "0"), "zero_point = '0' is not a code of int8"),
        (lambda: Rescale("tflite_double", np.array([1 << 30]), np.array([-2000]), INT8), "shift -2000 is out of range"),
        (lambda: Rescale("float32_even", np.array([1]), np.array([-2000]), INT8), "scale is inf"),
        (lambda: Quantity("int8", 1.0, None), "zero_point = None is not a code of int8"),
    ],
)
def test_what_no_layer_can_be_is_refused_before_a_code_comes(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("batch", "queries"), [(0, 3), (1, 0)])
def test_nothing_in_gives_nothing_out(causal, batch, queries):
    keys = np.zeros((batch, 3, 8), np.int8)
    assert attention(causal=causal)(np.zeros((batch, queries, 8), np.int8), keys, keys).shape == (batch, queries, 8)
    rotary = Rotary(INT8, *rotary_tables(3, 4), HALF)
    assert rotary(keys[:, :queries]).shape == (batch, queries, 8)
    depthwise = Conv(INT8, ONES, HALF, groups=2)
    assert depthwise(np.zeros((0, 4, 4, 2), np.int8)).shape == (0, 2, 2, 2)
