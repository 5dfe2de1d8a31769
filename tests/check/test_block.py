"""Kernels that quantise into blocks: planted bugs are named, and the axes of block policies are found."""

import re
from argparse import ArgumentParser
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import split

import numpy as np
import pytest

import lowbit
from lowbit.check.block.dequantize import NAN, DequantizeOperation
from lowbit.check.block.operation import QuantizeOperation
from lowbit.check.operation import UNDEFINED
from lowbit.check.report.sentence import example_text, sentence
from lowbit.cli.block_codes import chosen_block_policy
from lowbit.cli.verbs.encode import add_policy_options
from lowbit.dut.python import PythonDevice
from lowbit.dut.results_archive import ResultsArchive
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError
from lowbit.policy.block import get_block_policy
from tests.check.answers import checked as check_cases
from tests.check.answers import concluded
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "block_kernel.c"
OTHERWISE = ", and is otherwise exact"
MXFP4 = {
    "SIGNED_MAXIMUM": "takes the largest value for the largest magnitude",
    "NOT_FIRST": "leaves the first value of a block out of its maximum",
    "NOT_LAST": "leaves the last value of a block out of its maximum",
    "FIRST_HALF": "takes the maximum of the first half of a block only",
    "WHOLE_ROWS": "takes the maximum of the whole row for each block",
    "SCALE_UP": "has scales a binade too large",
    "STORED_DOWN": "stores scales a binade below those it divides by",
    "NOT_SUBTRACTED": "does not subtract the largest element's exponent",
    "SHIFTED_GROUP": "by the scale of the next one (blocks off by one)",
    "PREVIOUS_GROUP": "divides a block by the scale of the one before it",
    "FIRST_GROUP": "divides a row by the scale of its first block",
    "ROW_STRIDE": "reads the values column by column",
    "SCALES_TRANSPOSED": "writes the scales column by column (transposed)",
    "SWIZZLED": "in cuBLAS's tiles of 128 x 4 (swizzled)",
    "SWIZZLED_BACK": "out of cuBLAS's tiles of 128 x 4 (the swizzle transposed)",
    "OTHER_AXIS": "has its blocks along the other axis (down the columns)",
    "OTHER_AXIS_TURNED": "has its blocks along the other axis (down the columns)",
    "SWAPPED_NIBBLES": "(swapped nibbles)",
    "SIGN_DROPPED": "drops the sign of the values",
    "TIES_AWAY": "elements: rounding = 'nearest_away'",
    "TRUNCATES": "elements: rounding = 'toward_zero'",
    "RCEIL": "scale_rule = 'rceil'",
    "CEIL": "scale_rule = 'ceil'",
    "EVEN": "scale_rule = 'even'",
    "NEAREST": "scale_rule = 'nearest'",
    "TOSA": "or 'tosa'",
    "NAN_DROPPED": "nan = 'ignore'",
    "INFINITY_DROPPED": "infinity = 'ignore'",
    "ZERO_ONE": "zero_block = 'one'",
    "NO_NEGATIVE_ZERO": "elements: negative_zero = 'positive'",
    "LOG_FLOOR": "scale_rule = 'floor_log2'",
    "LOG_CEIL": "from log2 in binary32, which is rounded to a whole number beside powers of two",
    "LOG_RCEIL": "from log2 in binary32, which is rounded to a whole number beside powers of two",
    "RCEIL_RECIPROCAL": "scale_rule = 'rceil'",  # that it multiplies by 1/6 shows nowhere
    "ZERO_BLOCK_POSITIVE": "codes every 0 and -0 of a block of zeros as 0",
    "ZERO_BLOCK_NEGATIVE": "codes every 0 and -0 of a block of zeros as -0",
    "ZEROS_NEGATIVE": "codes every 0 and -0 as -0",
    "LEAST_MAXIMUM": "raises the maximum of a block to 1e-08 where it is less",
    "LEAST_SCALE": "raises the maximum over the largest element to 1e-12 where it is less",
}
FP8 = {"RECIPROCAL": "quotient_steps = 'reciprocal'", "SCALE_RECIPROCAL": "scale_steps = 'reciprocal'"}
NVFP4 = {
    "TENSOR_RECIPROCAL": "stores the reciprocal of the tensor's scale",
    "NO_TENSOR": "makes the blocks' scales without the tensor's",
    "FIRST_ROW": "makes the tensor's scale from the first row only",
    "SCALE_TRUNCATED": "scales: rounding = 'toward_zero'",
    "SMALLEST_NORMAL": "smallest_scale = 'normal'",
    "ZERO_INFINITE": "zero_scale = 'infinite'",
    "ZERO_EIGHTH": "zero_scale = 'eighth'",
    "MAXIMUM_256": "scale_maximum = 256",
    "TENSOR_TRUNCATED": "the tensor's scale: rounding = 'toward_zero'",
    "SIGN_DROPPED": "drops the sign of the values",
}
BINARY32 = {
    "RIGHT": "arithmetic = 'binary32'",
    "RECIPROCAL": "quotient_steps = 'reciprocal'",
    "UNROUNDED": "quotient_scale = 'unrounded'",
    "FOLDED": "scale_steps = 'folded'",
    "TENSOR_STEPS": "tensor_steps = 'reciprocal'",
}
UNNAMED = ("WRONG_EVERYWHERE", "ONE_BLOCK_WRONG", "WRAPS")


def operation(name, policy=None):
    fmt = lowbit.get_format(name)
    return QuantizeOperation(fmt, get_block_policy(policy or fmt.default_policy))


@pytest.fixture
def compiled(build_kernel):
    return partial(build_kernel, SOURCE)


def check(path, symbol, checked):
    with SharedObjectDevice(f"{path}:{symbol}", checked.prototype) as kernel:
        return check_cases(kernel, checked, checked.cases("directed", 0, 0), max_errors=1)


def test_wrong_code_is_explained(compiled):
    result = check(compiled("TIES_AWAY"), "mxfp4", operation("mxfp4"))
    group = next(group for group in result.groups if group.name == "ScaledTie")
    text = example_text(group.examples[0], result)
    assert "scale block" in text
    assert "expected" in text
    assert "ties between elements after scaling" in group.catches


def test_right_kernels_pass(compiled):
    path = compiled("RIGHT")
    assert check(path, "mxfp4", operation("mxfp4")).verdict == "pass"
    assert check(path, "nvfp4", operation("nvfp4")).verdict == "pass"


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("ocp_mx", {}),
        ("torchao_rceil", {}),
        ("ocp_mx", {"scale_rule": "rceil", "tail": "short"}),
        ("ocp_mx", {"element": "ocp_sat:rounding=nearest_away"}),
    ],
)
def test_the_command_of_a_case_gives_its_policy(preset, changes):
    """Read as the command line reads it, be it under whatever preset."""
    policy = get_block_policy(preset).choose(**changes)
    checked = QuantizeOperation(lowbit.get_format("mxfp4"), policy)
    case = checked.cases("directed", 0, 0)[0]
    words = split(checked.command(case, (0,)))
    assert (words[:5], words[-2:]) == (["lowbit", "gen", "quantize", "--to", "mxfp4"], ["--case", case.name])
    parser = ArgumentParser()
    add_policy_options(parser)
    assert not chosen_block_policy(parser.parse_args(words[5:-2]), "ocp_mx").differences(policy)


def named(compiled, symbol, bug, words, *definitions):
    """Whether the sentence about a planted bug has the words, and says that all else is right."""
    name = "fp8_1x128" if symbol == "fp8" else symbol
    result = check(compiled(bug, *definitions), symbol, operation(name))
    assert result.verdict == "MISMATCH", bug
    assert result.command.startswith(f"lowbit gen quantize --to {name} --case ")
    return words in sentence(result) and OTHERWISE in sentence(result)


@pytest.mark.parametrize("bug", ["SWAPPED_NIBBLES", "RCEIL", "OTHER_AXIS", "LOG_FLOOR"])
def test_bug_is_named(compiled, bug):
    assert named(compiled, "mxfp4", bug, MXFP4[bug])


def test_bug_of_two_levels_of_scales_is_named(compiled):
    assert named(compiled, "nvfp4", "TENSOR_RECIPROCAL", NVFP4["TENSOR_RECIPROCAL"])


@pytest.mark.slow
def test_planted_bugs_are_found_and_named(compiled):
    planted = [("mxfp4", bug, words) for bug, words in MXFP4.items()]
    planted += [("nvfp4", bug, words) for bug, words in NVFP4.items()]
    planted += [("fp8", bug, words) for bug, words in FP8.items()]
    missed = [(symbol, bug) for symbol, bug, words in planted if not named(compiled, symbol, bug, words)]
    binary32 = BINARY32.items()
    missed += [("binary32", bug) for bug, words in binary32 if not named(compiled, "nvfp4", bug, words, "-DBINARY32")]
    total = len(planted) + len(BINARY32)
    print(f"{total} bugs planted, all found, {total - len(missed)} named; not named: {missed}")
    assert not missed


@pytest.mark.slow
def test_rules_that_nothing_tells_apart_are_all_named(compiled):
    """What torchao's rule makes of infinity is an axis of blocks and one of scales; a kernel may differ on either."""
    words = sentence(check(compiled("RCEIL"), "mxfp4", operation("mxfp4", "torchao_rceil")))
    assert "their formats), has scales: infinity = 'nan' (NaN) or has infinity = 'nan' (as a NaN), and" in words


def test_packed_codes_are_told(compiled, tmp_path):
    checked = operation("mxfp4")
    case = next(case for case in checked.cases("directed", 0, 0) if case.name == "MaximumAtRule.0")
    kernel = SharedObjectDevice(f"{compiled('PACKED')}:mxfp4", checked.prototype)
    with kernel, pytest.raises(DeviceError, match=r"codes \(3, 64\) was never written") as error:
        kernel.run(case)
    assert "unpack them" in error.value.hint
    file = tmp_path / "device.py"
    file.write_text(
        "import lowbit\n"
        "def packs(values):\n"
        "    tensor = lowbit.quantize(values, 'mxfp4')\n"
        "    return tensor.codes[:, ::2] | tensor.codes[:, 1::2] << 4, tensor.scales['block']\n"
    )
    device, shapes = PythonDevice(f"{file}:packs", checked.prototype), r"\(7, 64\) as codes where \(7, 128\) was"
    with device, pytest.raises(DeviceError, match=f"returned an array of shape {shapes} expected") as error:
        device.run(case)
    assert "unpack them" in error.value.hint


@pytest.mark.parametrize("bug", thinned(UNNAMED, 1))
def test_bug_without_a_name_is_found(compiled, bug):
    result = check(compiled(bug), "mxfp4", operation("mxfp4"))
    assert result.verdict == "MISMATCH"
    assert "follow no rule that lowbit knows" in sentence(result)


def test_all_of_a_kind_are_called_all(compiled):
    words = sentence(check(compiled("ONE_BLOCK_WRONG"), "mxfp4", operation("mxfp4")))
    assert re.search(r"but all [\d,]+ codes of ordinary blocks follow no rule", words)


BACK = {
    1: "(swapped nibbles)",
    2: "takes its scales a binade too small",
    4: "drops the sign of the values",
    5: "takes a scale that is NaN for 2^128",
}


def back(path, name):
    checked = DequantizeOperation(lowbit.get_format(name))
    with SharedObjectDevice(f"{path}:{name}_back", checked.prototype) as kernel:
        return check_cases(kernel, checked, checked.cases("directed", 0, 0))


@pytest.mark.parametrize("number", thinned(BACK, 2))
def test_bug_of_the_way_back_is_named(compiled, number):
    words = sentence(back(compiled("RIGHT", f"-DBACK={number}"), "mxfp4"))
    assert BACK[number] in words
    assert OTHERWISE in words


@pytest.mark.parametrize(
    ("bug", "words"),
    [("SWIZZLED", "reads the scales in cuBLAS's tiles"), ("SWIZZLED_BACK", "puts the scales into cuBLAS's tiles")],
)
def test_scales_of_the_way_back_are_swizzled(compiled, bug, words):
    assert words in sentence(back(compiled(bug), "mxfp4"))


def test_the_way_back_of_two_levels(compiled):
    assert back(compiled("RIGHT"), "nvfp4").verdict == "pass"
    assert "does not multiply by the tensor's scale" in sentence(back(compiled("RIGHT", "-DBACK=3"), "nvfp4"))
    assert "follow no rule that lowbit knows" in sentence(back(compiled("RIGHT", "-DBACK=6"), "nvfp4"))


@pytest.mark.parametrize(
    "name",
    thinned(["float4_e2m1fn.g32.by_sign.float32", "int8.g32.asymmetric.float32", "int8.tensor", "nf4.g64.nested"], 1),
)
def test_every_bug_of_the_way_back_is_told_by_its_words(name):
    """Answers that have the bug; where another one gives the same, that is named, too."""
    checked = DequantizeOperation(lowbit.get_format(name))
    cases = checked.cases("directed", 0, 0)
    for bug in checked.rule.bugs():
        answers = [replace(checked.rule, bug=bug).run(case) for case in cases]
        if all((answer == UNDEFINED).all() for answer in answers):
            continue  # offsets of scales have no values in binary64
        result = concluded(checked, cases, answers)
        assert result.verdict == "pass" or bug.words in sentence(result)
    wrong = [np.roll(checked.expected(case).reshape(-1), 1).reshape(case.shape) for case in cases]
    assert "follow no rule that lowbit knows" in sentence(concluded(checked, cases, wrong))


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mxfp8_e4m3", "fp8_1x128"])
def test_cases_of_the_way_back_are_defined(name):
    checked = DequantizeOperation(lowbit.get_format(name))
    cases = checked.cases("directed", 0, 0)
    assert len(cases) > 15
    assert all((checked.expected(case) != UNDEFINED).all() for case in cases)
    assert any((checked.expected(case) == NAN).any() for case in cases)


def test_results_of_an_archive(tmp_path):
    checked = operation("nvfp4")
    cases = checked.cases("directed", 0, 0)[:3]
    arrays = {}
    for case in cases:
        tensor = lowbit.quantize(case.arrays["values"], "nvfp4")
        parts = {"codes": tensor.codes, **tensor.scales}
        arrays |= {f"{case.name}.{name}": array for name, array in parts.items()}
    path = tmp_path / "results.npz"
    np.savez(path, **arrays)
    with ResultsArchive(str(path), checked.prototype, cases) as device:
        assert check_cases(device, checked, cases).verdict == "pass"
    np.savez(path, **dict(list(arrays.items())[:-1]))
    with pytest.raises(DeviceError, match=r"has no array '.*tensor'"):
        ResultsArchive(str(path), checked.prototype, cases).open()


@pytest.mark.slow
def test_tails(compiled):
    checked = operation("fp8_1x128")
    assert check(compiled("RIGHT"), "fp8", checked).verdict == "pass"
    assert "reads past the end of a row in the last block of it" in sentence(
        check(compiled("TAIL_NEXT_ROW"), "fp8", checked)
    )
    with pytest.raises(DeviceError, match="depends on what stands around its operands"):
        check(compiled("PAST_THE_ROW"), "fp8", checked)


def test_python_functions_return_a_tuple_or_a_dict(tmp_path):
    file = tmp_path / "device.py"
    file.write_text(
        "import lowbit\n"
        "def several(values):\n"
        "    tensor = lowbit.quantize(values, 'nvfp4')\n"
        "    return tensor.codes, tensor.scales['block'], tensor.scales['tensor']\n"
        "def named(values):\n"
        "    return dict(zip(('codes', 'block', 'tensor'), several(values)))\n"
        "def rceil(values):\n"
        "    tensor = lowbit.quantize(values, 'mxfp4', policy='torchao_rceil')\n"
        "    return tensor.codes, tensor.scales['block']\n"
        "def alone(values):\n"
        "    return several(values)[0]\n"
    )
    checked = operation("nvfp4")
    cases = checked.cases("directed", 0, 0)[:4]
    for name in ("several", "named"):
        with PythonDevice(f"{file}:{name}", checked.prototype) as device:
            assert check_cases(device, checked, cases).verdict == "pass"
    with PythonDevice(f"{file}:alone", checked.prototype) as device, pytest.raises(DeviceError, match="one ndarray"):
        device.run(cases[0])
    other = operation("mxfp4")
    with PythonDevice(f"{file}:rceil", other.prototype) as device:
        words = sentence(check_cases(device, other, other.cases("directed", 0, 0)))
    assert "scale_rule = 'rceil'" in words
    assert "(as the preset torchao_rceil" in words


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mxfp8_e4m3", "fp8_1x128", "nvfp4_16x16", "int4.g64.asymmetric"])
def test_directed_tensors_have_results_in_order(name):
    checked = operation(name)
    cases = checked.cases("directed", 0, 0)
    for case in cases:
        parts = checked.prototype.split(checked.expected(case), case)
        assert list(parts) == list(case.shapes)
        assert np.array_equal(np.concatenate([part.reshape(-1) for part in parts.values()]), checked.expected(case))
    assert len({case.name for case in cases}) == len(cases) > 20


@pytest.mark.parametrize("name", ["int4.g32", "int8.tensor.float32", "float4_e2m1fn.g16.bfloat16", "hifloat4"])
def test_scales_are_given_as_the_prototype_says(name):
    """Binary16 ones as patterns: as numbers they would become whole ones on their way into an array of uint16."""
    checked = DequantizeOperation(lowbit.get_format(name))
    types = {parameter.name: parameter.dtype for parameter in checked.prototype.inputs}
    for case in checked.cases("random", 2, 0):
        assert {name: array.dtype.name for name, array in case.arrays.items()} == types


@pytest.mark.parametrize(
    ("name", "change"),
    thinned([("int8.tensor", "codes = np.roll(codes, 1, 1)"), ("hifloat4", "parts['fours'] = parts['fours'] * 0")], 1),
)
def test_wrong_kernels_of_formats_with_scales_of_other_kinds_are_told(tmp_path, name, change):
    file = tmp_path / "device.py"
    file.write_text(
        "import lowbit\nimport numpy as np\n"
        "def wrong(values):\n"
        f"    tensor = lowbit.quantize(values, {name!r})\n"
        "    codes, parts = tensor.codes, {name: tensor.scale_codes(name) for name in tensor.scales}\n"
        f"    {change}\n"
        "    return {'codes': codes, **parts}\n"
    )
    checked = operation(name)
    with PythonDevice(f"{file}:wrong", checked.prototype) as device:
        report = check_cases(device, checked, checked.cases("directed", 0, 0))
    assert report.verdict == "MISMATCH"
    assert sentence(report)


@pytest.mark.slow
def test_bins_of_quotients_are_found(tmp_path):
    # bitsandbytes' way into its 8-bit maps, where the elements have 4 bits.
    file = tmp_path / "device.py"
    file.write_text(
        "import lowbit\n"
        "policy = lowbit.get_block_policy('bitsandbytes').choose(quotient_bins='uniform_65536')\n"
        "def binned(values):\n"
        "    tensor = lowbit.quantize(values, 'nf4.g16.float32', policy=policy)\n"
        "    return tensor.codes, tensor.scales['block']\n"
    )
    checked = operation("nf4.g16.float32", "bitsandbytes")
    with PythonDevice(f"{file}:binned", checked.prototype) as device:
        words = sentence(check_cases(device, checked, checked.cases("directed", 0, 0)))
    assert "quotient_bins = 'uniform_65536'" in words
