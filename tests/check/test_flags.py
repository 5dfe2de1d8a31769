"""A flag and the hypothesis that it is made to catch are one record: neither can be without the other."""

from lowbit.check.block.bugs import block_bugs
from lowbit.check.cast.bugs import CAST_BUGS
from lowbit.check.gemm.bugs import gemm_bugs
from lowbit.check.nonlinear.bugs import nonlinear_bugs
from lowbit.check.requantize.bugs import REQUANTIZE_BUGS
from lowbit.format.registry import get_format
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.nonlinear.rule import chosen


def hypotheses():
    """The ids of the bugs of each operation, and the numbers of its flags."""
    softmax, softmax_source, _ = chosen("softmax", "ivit", scale=0.05, target="int8")
    layernorm, layernorm_source, _ = chosen("layernorm", "ivit", scale=0.05)
    rows = [*nonlinear_bugs(softmax, softmax_source), *nonlinear_bugs(layernorm, layernorm_source)]
    products = gemm_bugs(Operands(get_format("int4"), get_format("int4"), True))
    return [
        (range(0x40), {bug.name for bug in CAST_BUGS}),
        (range(0x40, 0x60), {bug.name for bug in products}),
        (range(0x60, 0x80), {bug.name for bug in REQUANTIZE_BUGS}),
        (range(0x80, 0xA0), {bug.name for bug in rows}),
        (range(0xA0, 0xC0), {bug.name for bug in block_bugs(get_format("nvfp4"))}),
    ]


def test_every_bug_that_a_flag_names_is_a_hypothesis():
    for numbers, names in hypotheses():
        for number, flag in FLAGS.items():
            if number in numbers:
                assert set(flag.bugs) <= names, flag.name


def test_every_hypothesis_of_a_table_is_caught_by_a_flag():
    caught = {name for flag in FLAGS.values() for name in flag.bugs}
    assert {bug.name for bug in (*CAST_BUGS, *REQUANTIZE_BUGS)} <= caught
