"""What the kinds of layers refuse, and how they say it."""

import numpy as np
import pytest

from lowbit.errors import LowbitError
from lowbit.layers import (
    Add,
    AveragePool,
    Conv,
    Embedding,
    MaxPool,
    Multiply,
    Positions,
    Quantity,
    Rescale,
    Reshape,
    Select,
    Sum,
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
