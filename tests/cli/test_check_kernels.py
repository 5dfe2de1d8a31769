"""``lowbit check gemm|requantize`` and ``lowbit gen`` of the same, end to end."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import lowbit.check
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.operation_options import OPERATIONS
from tests.thinned import thinned

DEVICES = Path(__file__).parents[1] / "dut"
PYTHON = """
import numpy as np
def gemm(a, b):
    return a.astype(np.int32) @ b.astype(np.int32)
def swapped(a, b):
    return (b.T.astype(np.int32) @ a.T.astype(np.int32)).T + (a.shape[1] % 16 == 3)
def with_zero_points(a, b, a_zero_point, b_zero_point):
    return (a.astype(np.int32) - a_zero_point) @ (b.astype(np.int32) - b_zero_point)
def away(x, scale, zero_point):
    y = x.astype(np.float64) * scale
    return np.clip(np.copysign(np.floor(np.abs(y) + 0.5), y) + zero_point, -128, 127).astype(np.int8)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("kernels")
    for bug in ("RIGHT", "BITS_16_SATURATING", "CRASHES"):
        command = [compiler, "-O2", "-w", "-shared", "-fPIC", f"-DBUG={bug}", "-o", directory / f"{bug}.so"]
        subprocess.run([*command, DEVICES / "gemm_kernel.c"], check=True)
    (directory / "device.py").write_text(PYTHON)
    return directory


def test_status_of_right_wrong_and_crashing_kernels(lowbit, kernel):
    assert lowbit("check", "gemm", "--so", f"{kernel}/RIGHT.so:gemm", "--set", "random").status == 0
    wrong = lowbit("check", "gemm", "--so", f"{kernel}/BITS_16_SATURATING.so:gemm", "--max-errors", "1")
    assert wrong.status == 1
    assert "your kernel accumulates in 16 bits, saturating at each product, and is otherwise exact" in wrong.out
    assert "asked for: 32" in wrong.out
    crash = lowbit("check", "gemm", "--so", f"{kernel}/CRASHES.so:gemm")
    assert crash.status == 4
    assert "SIGABRT" in crash.err
    assert "k=17" in crash.err
    assert lowbit("check", "gemm", "--so", f"{kernel}/RIGHT.so:none").status == 2


def test_other_accumulator_is_asked_for(lowbit, kernel):
    result = lowbit("check", "gemm", "--so", f"{kernel}/BITS_16_SATURATING.so:gemm", "--accumulator", "int16_saturate")
    assert result.status == 0
    assert "under accumulator int16_saturate" in result.out


def test_python_functions(lowbit, kernel):
    options = ("--set", "random", "--n", "20")
    assert lowbit("check", "gemm", "--python", f"{kernel}/device.py:gemm", *options).status == 0
    zero = lowbit("check", "gemm", "--zero-points", "--python", f"{kernel}/device.py:with_zero_points", *options)
    assert zero.status == 0
    assert lowbit("check", "gemm", "--python", f"{kernel}/device.py:swapped", "--set", "random").status == 1


@pytest.mark.parametrize("form", thinned(["json", "junit", "github", "html"], 2))
def test_forms_of_the_report(lowbit, kernel, tmp_path, form):
    dots = tmp_path / "dots.vec"
    assert lowbit("gen", "gemm", "--length", "24", "-o", dots).status == 0
    device = f"{kernel}/BITS_16_SATURATING.so:gemm"
    result = lowbit("check", "gemm", "--so", device, "--inputs", dots, "--output-format", form)
    assert result.status == 1
    assert "accumulates in 16 bits" in result.out
    if form == "json":
        schema = Path(lowbit_check_directory(), "report/report.schema.json").read_text()
        jsonschema.validate(result.json, json.loads(schema))
        assert result.json["results"][0]["choices"]["width"] == [16]
        assert result.json["results"][0]["asked"]["width"] == 32


def lowbit_check_directory():
    return Path(lowbit.check.__file__).parent


def test_results_of_a_device_elsewhere(lowbit, tmp_path):
    cases = tmp_path / "cases.npz"
    assert lowbit("gen", "gemm", "--set", "random", "--n", "7", "--seed", "3", "-o", cases).status == 0
    with np.load(cases) as arrays:
        names = [name.removesuffix(".a") for name in arrays.files if name.endswith(".a")]
        products = [arrays[f"{name}.a"].astype(int) @ arrays[f"{name}.b"].astype(int) for name in names]
        assert all(np.array_equal(arrays[f"{name}.expected"], c) for name, c in zip(names, products, strict=True))
    results = tmp_path / "c.npy"
    np.save(results, np.concatenate([product.reshape(-1) for product in products]).astype(np.int32))
    given = ("--set", "random", "--n", "7", "--seed", "3", "--results", results)
    assert lowbit("check", "gemm", *given).status == 0
    assert lowbit("check", "gemm", "--set", "random", "--n", "6", "--seed", "3", "--results", results).status == 4


def test_one_case_alone(lowbit, tmp_path):
    path = tmp_path / "case.npz"
    assert lowbit("gen", "gemm", "--case", "KTail.16", "-o", path).status == 0
    with np.load(path) as arrays:
        assert sorted(arrays.files) == ["KTail.16.a", "KTail.16.b", "KTail.16.expected"]
        assert arrays["KTail.16.a"].shape == (3, 17)
    assert lowbit("gen", "gemm", "--case", "KTail.1600", "-o", path).status == 2


def test_requantize(lowbit, kernel, tmp_path):
    device = f"{kernel}/device.py:away"
    right = lowbit("check", "requantize", "--scheme", "float64_away", "--python", device)
    assert right.status == 0
    wrong = lowbit("check", "requantize", "--scheme", "float64_even", "--python", device, "--max-errors", "1")
    assert wrong.status == 1
    assert "your kernel follows float64_away" in wrong.out
    file = tmp_path / "rows.vec"
    assert lowbit("gen", "requantize", "--scheme", "float64_even", "--n", "200", "-o", file).status == 0
    given = ("--scheme", "float64_even", "--python", device, "--inputs", file)
    assert "float64_away" in lowbit("check", "requantize", *given).out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("gemm", "--from", "int8"), "--from is for conversions"),
        (("gemm", "--set", "exhaustive", "--python", "m:f"), "`check gemm` has no set 'exhaustive'"),
        (("encode", "--to", "int8", "--set", "exhaustive", "--from", "float64", "--python", "m:f"), "2^64"),
        (("gemm", "--a", "float32", "--python", "m:f"), "float32"),
        (("gemm", "--a", "uint16", "--python", "m:f"), "not an operand"),
        (("gemm", "--accumulator", "int99", "--python", "m:f"), "int99"),
        (("gemm", "--accumulator", "x86_vpmaddubsw", "--python", "m:f"), "takes uint8 x int8, not int8 x int8"),
        (("gemm", "--scheme", "tflm", "--python", "m:f"), "not for `check gemm`"),
        (("gemm", "--inputs", "x.vec"), "no kernel"),
        (("gemm", "--n", "0", "--set", "random", "--python", "m:f"), "--n 0"),
        (("requantize",), "no kernel is given"),
        (("requantize", "--scheme", "tflite", "--python", "m:f"), "tflite"),
        (("requantize", "--to", "float8_e4m3fn", "--python", "m:f"), "not a format of a requantisation"),
        (
            ("requantize", "--a", "int8", "--python", "m:f"),
            "--a is for gemm, linear and conv, not for `check requantize`",
        ),
        (("linear", "--groups", "any", "--python", "m:f"), "--groups is for conv, not for `check linear`"),
        (("encode", "--to", "int8", "--accumulator", "int32", "--python", "m:f"), "--accumulator is for"),
    ],
)
def test_usage_errors(lowbit, words, what):
    result = lowbit("check", *words)
    assert result.status == 2
    assert what in result.err


def test_explain_tells_the_prototypes(lowbit):
    text = " ".join(lowbit("explain", "so").out.split())
    assert "void f(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k)" in text
    assert "int32_t multiplier, int32_t shift, int32_t zero_point" in text
    assert "f(a, b, a_zero_point, b_zero_point)" in " ".join(lowbit("explain", "python").out.split())
    assert "saturation that stays" in " ".join(lowbit("explain", "Swamping").out.split())


CLIP = "import numpy as np\n\n\ndef cast(values):\n    return np.clip(np.round(values), -8, 7)\n"


def test_inputs_that_are_nan_may_be_left_out(lowbit, tmp_path):
    """A function over values that gives NaN for NaN has no code for it in int4: the rest can be compared."""
    file = tmp_path / "clip.py"
    file.write_text(CLIP)
    words = ("check", "encode", "--to", "int4", "--values", "--python", f"{file}:cast")
    assert lowbit(*words).status == 4
    less = lowbit(*words, "--no-nan")
    assert less.status == 0, less.out + less.err
    inputs = lowbit("gen", "encode", "--to", "int4", "--layout", "csv").lines
    assert 0 < int(less.out.split("pass: ")[1].split()[0].replace(",", "")) < len(inputs) - 1
    assert lowbit(*words, "--no-nan", "--set", "random", "--n", "1000").status == 0
    refused = lowbit(*words, "--no-nan", "--set", "exhaustive")
    assert refused.status == 2
    assert "--no-nan is not for --set exhaustive" in refused.err
    assert "--no-nan is for conversions" in lowbit("check", "gemm", "--no-nan").err


@pytest.mark.parametrize(
    ("option", "part"),
    [("bits=8", "--to is the option"), ("scheme=1", "--scheme is the option"), ("threads=2", "it takes none")],
)
@pytest.mark.parametrize("verb", ["check", "prove", "gen"])
def test_options_of_a_scheme_are_its_own(lowbit, verb, option, part):
    result = lowbit(verb, "gelu", "--scheme", "lowbit", "--scale", "0.05", "--option", option)
    assert result.status == 2
    assert f"--option {option.split('=')[0]}: gelu under lowbit has no such parameter" in result.err
    assert part in result.err


def test_the_command_of_a_report_shows_its_case(lowbit):
    """Operands and results to read; a requantisation with what is rounded."""
    product = lowbit("gen", "gemm", "--a", "uint8", "--b", "int8", "--case", "Shape.3")
    assert product.status == 0, product.err
    assert product.lines[0] == "gemm, case Shape.3 (m=1 n=15 k=15), accumulator int32"
    assert [line for line in product.lines if line.endswith("=")] == ["a =", "b =", "expected ="]
    given = ("--scheme", "tflite_double", "--to", "int8", "--case", "TieOfPower.1")
    heading, head, *rows = lowbit("gen", "requantize", *given).lines
    assert "multiplier=1073741824 shift=-1 zero_point=0" in heading
    assert head.split("  ")[-1].strip() == "expected"
    (tie,) = [row.split() for row in rows if row.split()[0] == "-510"]
    assert tie == ["-510", "-127.5", "-255", "-128", "-128"]  # the high half, and what it is rounded to
    codes = lowbit("gen", "logistic", "--scheme", "tflite_int8", "--scale", "0.05", "--case", "EveryCode.0")
    assert codes.lines[1].split() == ["codes", "expected"]
    assert "no case" in lowbit("gen", "gemm", "--case", "Shape.99999").err


def test_a_report_names_a_command_that_works(lowbit, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    file = tmp_path / "double.py"
    file.write_text("import numpy as np\n\n\ndef f(a, b):\n    return 2 * (a.astype('i4') @ b.astype('i4'))\n")
    report = lowbit("check", "gemm", "--python", f"{file}:f").out
    (command,) = re.findall(r"lowbit (gen gemm [^\n]*)", report)
    shown = lowbit(*command.split())
    assert shown.status == 0, shown.err
    assert "expected =" in shown.out


@pytest.mark.parametrize(
    ("operation", "dtype", "options"),
    [
        ("gemm", "i4", ("--a", "uint8", "--b", "int8", "--zero-points")),
        ("requantize", "i1", ("--scheme", "single_up")),
        ("softmax", "i1", ("--scheme", "ivit", "--scale", "0.0123456789", "--to", "int8")),
        ("quantize_linear", "i1", ("--to", "int8")),
    ],
)
def test_the_command_of_random_cases_makes_them_again(lowbit, tmp_path, operation, dtype, options):
    file = tmp_path / "constant.py"
    shape = "(len(args[0]), args[1].shape[1])" if operation == "gemm" else "args[0].shape"
    file.write_text(f"import numpy as np\n\n\ndef f(*args):\n    return np.full({shape}, 3, '{dtype}')\n")
    words = ("check", operation, *options, "--set", "random", "--n", "7", "--seed", "20", "--python", f"{file}:f")
    (result,) = lowbit(*words, "--output-format", "json").json["results"]
    assert result["command"].endswith("--set random --n 7 --seed 20")
    archive = tmp_path / "case.npz"
    again = lowbit(*result["command"].split()[1:], "--output", archive)
    assert again.status == 0, again.err
    arrays = np.load(archive)
    named = {name.rpartition(".")[0] for name in arrays}
    examples = [example for group in result["groups"] for example in group["examples"]]
    told = [example for example in examples if {example["case"]} == named]
    assert told
    for example in told:
        assert arrays[f"{example['case']}.expected"][tuple(example["index"])] == example["expected"]


def test_a_kernel_without_an_operation_is_told_all_that_there_are(lowbit):
    result = lowbit("check", "--so", "cast.so:cast")
    assert result.status == ExitCode.USAGE
    assert f"no operation: one of {', '.join(OPERATIONS)}\n" in result.err
