"""Kernels of block formats whose elements are vectors: right ones pass, planted bugs are found and named."""

import numpy as np
import pytest

import lowbit
from lowbit.check.block.dequantize import DequantizeOperation
from lowbit.check.block.operation import QuantizeOperation
from lowbit.check.report.sentence import example_text, sentence
from lowbit.policy.block import get_block_policy
from tests.check.answers import checked
from tests.thinned import thinned

TABLE = np.array([[0, 0], [1, 0.5], [-1, 2], [0.25, -0.75], [-1.5, -1.5], [2, 1], [0, -2], [1.5, 2], [-2, 0.5]])
PAIRS = lowbit.block_format(
    lowbit.vector_format(TABLE, id="nine_pairs"), block=8, scale="float8_e8m0fnu", default_policy="ocp_mx"
)


class Kernel:
    """A kernel in NumPy: powers of two for scales, then the nearest vectors of a table."""

    name = "kernel"

    def __init__(self, change="", back=False):
        self.change, self.back = change, back

    def run(self, case):
        return self.values(case) if self.back else self.codes(case)

    def codes(self, case):
        values = case.arrays["values"].astype(np.float64)
        blocks = values.reshape(len(values), -1, 8)
        with np.errstate(all="ignore"):
            amax = np.abs(blocks).max(axis=2)
            power = np.floor(np.frexp(amax)[1] - 1.0) - 1 + (self.change == "SCALE_UP")
            scales = np.where(np.isfinite(amax), np.clip(power, -127, 127) + 127, 255)
            scales = np.where(amax == 0, 0, scales)
            unscaled = np.where(scales == 255, np.nan, np.exp2(scales - 127))
            quotients = np.nan_to_num(blocks / unscaled[..., None], nan=2.0).reshape(len(values), -1)
        if self.change == "APART":
            quotients = quotients.reshape(len(values), 2, -1).swapaxes(1, 2)
        rows = quotients.reshape(-1, 1, 2)[..., :: -1 if self.change == "REVERSED" else 1]
        measure = ((rows - TABLE) ** 2).sum(axis=2)
        if self.change == "PRODUCT":
            measure = -(rows * TABLE).sum(axis=2)
        if self.change == "MAGNITUDES":
            measure = np.abs(rows - TABLE).sum(axis=2)
        if self.change == "DIFFERENCE":
            measure = np.abs(rows - TABLE).max(axis=2)
        codes = measure.argmin(axis=1)
        if self.change == "LAST":
            codes = 8 - measure[:, ::-1].argmin(axis=1)
        codes = np.where(codes == 8, 0, codes) if self.change == "LOST" else codes
        if self.change == "STORED_DOWN":
            scales = np.where(scales == 255, scales, np.maximum(scales - 1, 0))
        return np.concatenate([codes, scales.reshape(-1).astype(np.int64)])

    def values(self, case):
        codes, scales = case.arrays["codes"], case.arrays["block"]
        values = TABLE[codes.astype(int)]
        if self.change == "REVERSED":
            values = values[..., ::-1]
        worth = np.where(scales == 255, np.nan, np.exp2(scales.astype(float) - 127))
        with np.errstate(all="ignore"):
            result = values * np.repeat(worth, 4, axis=1)[..., None]
        result = (result.swapaxes(1, 2) if self.change == "APART" else result).reshape(len(codes), -1)
        with np.errstate(over="ignore"):
            result = result.astype(np.float32)
        return np.where(np.isnan(result), 0x7FC00000, result.view(np.uint32).astype(np.int64))


QUANTIZE = QuantizeOperation(PAIRS, get_block_policy("ocp_mx"))
BUGS = {
    "PRODUCT": "takes the vector of the largest inner product, without its squared length",
    "MAGNITUDES": "takes the vector of the least sum of differences",
    "DIFFERENCE": "takes the vector whose largest difference is the least",
    "LAST": "takes the highest code of vectors that are equally near",
    "REVERSED": "reads the values of a vector in the opposite order",
    "APART": "planes, not neighbours",
    "SCALE_UP": "has scales a binade too large",
    "STORED_DOWN": "stores scales a binade below those it divides by",
}


def run(kernel, operation):
    return checked(kernel, operation, operation.cases("directed", 0, 0), max_errors=1)


def test_a_right_kernel_passes():
    result = run(Kernel(), QUANTIZE)
    assert result.verdict == "pass", [
        example_text(group.examples[0], result) for group in result.groups if group.examples
    ]


@pytest.mark.parametrize("bug", thinned(BUGS, 2))
def test_bugs_are_named(bug):
    result = run(Kernel(bug), QUANTIZE)
    assert result.verdict == "MISMATCH"
    assert BUGS[bug] in sentence(result)


def test_an_unknown_bug_is_shown_with_its_vector():
    result = run(Kernel("LOST"), QUANTIZE)
    text = example_text(next(group for group in result.groups if group.examples).examples[0], result)
    assert "expected       0x8 = [-2, 0.5]" in text
    assert "got            0x0 = [0, 0]" in text


DEQUANTIZE = DequantizeOperation(PAIRS)


def test_the_way_back():
    assert run(Kernel(back=True), DEQUANTIZE).verdict == "pass"
    for bug, words in (("REVERSED", "writes the values of a vector in the opposite order"), ("APART", "planes")):
        assert words in sentence(run(Kernel(bug, back=True), DEQUANTIZE))


def test_directed_blocks_have_every_vector_and_ties():
    cases = QUANTIZE.cases("directed", 0, 0)
    codes = {int(code) for case in cases for code in lowbit.quantize(case.arrays["values"], PAIRS).codes.ravel()}
    assert codes == set(range(9))
    last = run(Kernel("LAST"), QUANTIZE)
    assert {group.name for group in last.groups if group.examples} >= {"ScaledTie"}
