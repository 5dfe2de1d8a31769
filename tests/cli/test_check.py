"""The verb: exit statuses, forms of the report, and options."""

import html
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from lowbit.check import installed
from lowbit.check.report import json as report
from lowbit.cli import progress
from lowbit.format.registry import get_format
from lowbit.vectors.cast.boundary import boundary

DUT = Path(__file__).parents[1] / "dut" / "cast_kernel.c"
TO = ("check", "encode", "--from", "float32", "--to", "float8_e4m3fn")


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("kernels")
    for number, name in ((0, "right"), (1, "ties_away"), (3, "early_overflow")):
        command = [compiler, "-O2", "-w", "-shared", "-fPIC", f"-DBUG={number}", "-o", directory / f"{name}.so", DUT]
        subprocess.run(command, check=True)
    return directory


@pytest.fixture
def right(kernels):
    return f"{kernels}/right.so:cast"


@pytest.fixture
def ties_away(kernels):
    return f"{kernels}/ties_away.so:cast"


def test_right_kernel_exits_0(lowbit, right):
    result = lowbit(*TO, "--so", right)
    assert result.status == 0
    assert result.lines[-1].startswith("pass: ")


def test_bug_exits_1_and_is_named(lowbit, ties_away):
    result = lowbit(*TO, "--so", ties_away)
    assert result.status == 1
    assert "your kernel is round-ties-away, saturating, and is otherwise exact" in result.lines
    assert result.lines[-1].startswith("MISMATCH: 126 of ")


def test_last_line_is_a_command_that_explains_the_first_difference(lowbit, ties_away):
    command = lowbit(*TO, "--so", ties_away).lines[-1].split("the first one: ")[1]
    words = shlex.split(command)
    assert words[0] == "lowbit"
    explained = lowbit(*words[1:])
    assert explained.status == 0
    assert "tie" in explained.out


def test_command_reproduces_an_unusual_policy(lowbit, right):
    options = ("--policy", "cuda", "--rounding", "toward_zero", "--choice", "negative_zero=positive")
    result = lowbit(*TO, "--so", right, *options)
    assert result.status == 1
    words = shlex.split(result.lines[-1].split("the first one: ")[1])
    explained = lowbit(*words[1:-1], "--output-format", "json")
    assert explained.status == 0
    first = lowbit(*TO, "--so", right, *options, "--output-format", "json", "--max-errors", "all").json["results"][0]
    examples = [item for group in first["groups"] for item in group["examples"]]
    expected = {item["operands"]["codes"]: item["expected"] for item in examples}
    assert int(explained.json["results"][0]["code"], 16) == expected[int(words[3].split("@")[0], 16)]


@pytest.mark.parametrize(
    ("symbol", "status"),
    [("crash", 4), ("leaves_tail", 4), ("passes_end", 4), ("leaves", 4), ("no_such_symbol", 2)],
)
def test_bad_devices(lowbit, kernels, symbol, status):
    result = lowbit(*TO, "--so", f"{kernels}/right.so:{symbol}", "--timeout", "20")
    assert result.status == status
    assert "error[LB" in result.err


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e999", "1_0", "soon"])
def test_a_timeout_is_a_positive_number(lowbit, right, seconds):
    result = lowbit(*TO, "--so", right, "--timeout", seconds)
    assert result.status == 2
    assert f"{seconds!r} is not a positive number of seconds" in result.err


def test_hang_exits_4(lowbit, kernels):
    assert lowbit(*TO, "--so", f"{kernels}/right.so:hang", "--timeout", "0.3").status == 4


@pytest.mark.parametrize(
    "words",
    [
        ("check", "encode"),
        ("check", "convert", "--from", "float32", "--so", "x.so:f"),
        ("check", "encode", "--to", "e4m3", "--so", "x.so:f"),
        ("check", "--so", "x.so:f"),
        ("check", "--to", "float8_e4m3fn", "--so", "x.so:f"),
        ("check", "--to", "float9"),
        (*TO, "--so", "missing.so:f"),
        (*TO, "--python", "missing_module_of_nobody:f"),
        (*TO, "--results", "missing.hex"),
        (*TO, "--so", "x.so:f", "--rounding", "sideways"),
        (*TO, "--so", "x.so:f", "--choice", "negative_zero"),
        (*TO, "--so", "x.so:f", "--max-errors", "many"),
        (*TO, "--so", "x.so:f", "--n", "0"),
        (*TO, "--so", "x.so:f", "--policy", "ocp_sat", "--rounding", "stochastic_a"),
        (*TO, "--so", "x.so:f", "--python", "y:f"),
    ],
)
def test_wrong_usage_exits_2(lowbit, words):
    result = lowbit(*words)
    assert result.status == 2
    assert result.out == ""
    assert "error[LB" in result.err


def test_json_follows_its_schema(lowbit, right, ties_away):
    schema = json.loads(Path(report.__file__).with_name("report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for device in (right, ties_away):
        document = lowbit(*TO, "--so", device, "--output-format", "json").json
        jsonschema.validate(document, schema)
        assert document["schema"] == report.SCHEMA
        assert document["arguments"]["so"] == device
    assert document["verdict"] == "MISMATCH"
    assert document["results"][0]["choices"]["rounding"] == ["nearest_away"]


def test_max_errors(lowbit, ties_away):
    def examples(count):
        groups = lowbit(*TO, "--so", ties_away, "--output-format", "json", "--max-errors", count).json["results"][0][
            "groups"
        ]
        return [len(group["examples"]) for group in groups], sum(group["differences"] for group in groups)

    assert set(examples(0)[0]) == {0}
    assert max(examples(2)[0]) == 2
    shown, differences = examples("all")
    assert sum(shown) == differences == 126


def test_junit_is_xml_with_a_failure(lowbit, ties_away):
    suite = ET.fromstring(lowbit(*TO, "--so", ties_away, "--output-format", "junit").out)
    assert suite.attrib["tests"] == suite.attrib["failures"] == "1"
    assert "round-ties-away" in suite.find("testcase/failure").attrib["message"]


def test_github_annotations(lowbit, ties_away):
    lines = lowbit(*TO, "--so", ties_away, "--output-format", "github").lines
    assert lines[0].startswith("::error title=")
    assert "round-ties-away" in lines[0]
    assert lines[-1].startswith("::notice ")


@pytest.fixture
def steering(kernels):
    """A kernel whose file name clears the screen, forges a line and is no UTF-8."""
    name = "\x1b[2Jties\npass all\x9b7m\udc80"
    shutil.copy(kernels / "ties_away.so", kernels / f"{name}.so")
    return f"{kernels}/{name}.so:cast"


@pytest.mark.parametrize("form", ["text", "junit", "github", "html"])
@pytest.mark.parametrize("color", ["never", "always"])
def test_names_of_devices_do_not_steer_the_terminal(lowbit, steering, form, color):
    printed = lowbit(*TO, "--so", steering, "--output-format", form, "--color", color).out
    printed = re.sub(r"\x1b\[[0-9;]*m", "", printed)  # the report's own colours
    assert r"/\x1b[2Jties\npass all\x9b7m\udc80.so" in printed
    assert not {"\x1b", "\x9b", "\udc80"} & set(printed)
    if form == "junit":
        ET.fromstring(printed)


def test_json_keeps_names_of_devices(lowbit, steering):
    assert lowbit(*TO, "--so", steering, "--output-format", "json").json["results"][0]["kernel"] == steering


def test_html_is_one_page(lowbit, ties_away):
    page = lowbit(*TO, "--so", ties_away, "--output-format", "html").out
    assert page.startswith("<!doctype html>")
    assert "round-ties-away" in page
    assert "<td>rounding</td><td>nearest_away</td><td>nearest_even</td>" in page
    assert page.count("this tie") == 1 + 1  # one of 124 TieEven, one of the Underflow ones
    assert lowbit(*TO, "--so", ties_away, "--output-format", "html", "--max-errors", "3").out.count("this tie") == 3 + 2
    assert lowbit(*TO, "--so", ties_away, "--output-format", "html", "--max-errors", "all").out.count("this tie") == 126


def test_table_of_choices(lowbit, kernels, ties_away):
    lines = lowbit(*TO, "--so", ties_away).lines
    start = lines.index("what agrees with every answer:")
    assert [line.split() for line in lines[start + 1 : start + 3]] == [
        ["rounding", "nearest_away", "(asked", "for:", "nearest_even)"],
        ["overflow", "ieee|infinity|saturate"],
    ]
    assert lines[start + 3] == "  a|b: cannot be told apart by these vectors"
    assert lines[start + 4] == ""
    assert lines[1].startswith("your kernel is round-ties-away")
    wrong = lowbit(*TO, "--so", f"{kernels}/early_overflow.so:cast")
    assert "every answer" not in wrong.out
    assert "decides overflow before rounding, and is otherwise exact" in wrong.out


def test_python_device(lowbit, tmp_path):
    file = tmp_path / "user.py"
    file.write_text(
        "import ml_dtypes\n"
        "def good(values):\n    return values.astype(ml_dtypes.float8_e5m2)\n"
        "def bad(values):\n    raise ValueError('no table')\n"
    )
    words = ("check", "encode", "--to", "float8_e5m2", "--values", "--policy", "ocp_nosat", "--python")
    assert lowbit(*words, f"{file}:good").status == 0
    failed = lowbit(*words, f"{file}:bad")
    assert failed.status == 4
    assert "ValueError: no table" in failed.err


def test_decode_and_convert(lowbit, tmp_path):
    file = tmp_path / "user.py"
    file.write_text(
        "import ml_dtypes, numpy as np\n"
        "def decode(codes):\n    return codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32).view(np.uint32)\n"
        "def narrow(codes):\n    return codes.view(ml_dtypes.float8_e5m2).astype(ml_dtypes.float4_e2m1fn)\n"
    )
    assert lowbit("check", "decode", "--from", "float8_e4m3fn", "--python", f"{file}:decode").status == 0
    words = ("check", "convert", "--from", "float8_e5m2", "--to", "float4_e2m1fn", "--python", f"{file}:narrow")
    assert lowbit(*words, "--policy", "ml_dtypes").status == 0
    assert lowbit(*words, "--policy", "cuda").status == 1


def test_exhaustive_of_a_small_source(lowbit, tmp_path):
    file = tmp_path / "user.py"
    file.write_text("import ml_dtypes\ndef f(c):\n    return c.view('float16').astype(ml_dtypes.float8_e5m2)\n")
    words = (
        "check",
        "convert",
        "--from",
        "float16",
        "--to",
        "float8_e5m2",
        "--policy",
        "ocp_nosat",
        "--set",
        "exhaustive",
    )
    result = lowbit(*words, "--python", f"{file}:f")
    assert result.status == 0
    assert result.lines[-1] == "pass: 65,536 vectors"


def test_exhaustive_of_a_wide_source_is_refused(lowbit, kernels):
    words = ("check", "encode", "--from", "float64", "--to", "float8_e4m3fn", "--set", "exhaustive")
    result = lowbit(*words, "--so", f"{kernels}/right.so:cast")
    assert result.status == 2
    assert "2^64" in result.err


def test_exhaustive_looks_at_the_memory_of_the_kernel(lowbit, hostile):
    result = lowbit(*TO, "--so", hostile("clears_input"), "--set", "exhaustive")
    assert result.status == 4
    assert "overwrote its input" in result.err


def test_interrupt_of_an_exhaustive_check(hostile):
    words = (*TO, "--so", hostile("announces"), "--set", "exhaustive")
    command = [sys.executable, "-m", "lowbit.cli", *words]
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of a background job would ignore it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    signal.signal(signal.SIGINT, previous)
    try:
        assert process.stderr.readline() == b"sweeping\n"
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: the whole foreground group of the terminal
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == b""
    assert err.replace(b"sweeping\n", b"") == b"\ninterrupted\n"


@pytest.mark.exhaustive
def test_all_float32_inputs(lowbit, right, ties_away):
    assert lowbit(*TO, "--so", right, "--set", "exhaustive").lines[-1] == "pass: 4,294,967,296 vectors"
    wrong = lowbit(*TO, "--so", ties_away, "--set", "exhaustive")
    assert wrong.lines[-1].startswith("MISMATCH: 126 of 4,294,967,296 vectors differ")
    assert "round-ties-away" in wrong.out


def test_results_from_a_file(lowbit, tmp_path, right):
    source, target = get_format("float16"), get_format("float8_e5m2")
    codes = np.asarray(boundary(source, target).codes).astype(np.uint16)
    import ml_dtypes

    with np.errstate(all="ignore"):
        results = codes.view(np.float16).astype(ml_dtypes.float8_e5m2).view(np.uint8)
    np.save(tmp_path / "results.npy", results)
    np.save(tmp_path / "short.npy", results[:-1])
    (tmp_path / "inputs.hex").write_text("3c00\n3c80\n")
    (tmp_path / "results.hex").write_text("3c\n3c\n")
    words = ("check", "convert", "--from", "float16", "--to", "float8_e5m2", "--policy", "ocp_nosat", "--results")
    assert lowbit(*words, tmp_path / "results.npy").status == 0
    assert lowbit(*words, tmp_path / "short.npy").status == 4
    assert lowbit(*words, tmp_path / "results.hex", "--inputs", tmp_path / "inputs.hex").status == 0
    (tmp_path / "results.npy").write_bytes((tmp_path / "results.npy").read_bytes()[:-5])
    assert lowbit(*words, tmp_path / "results.npy").status == 2


def test_no_inputs_exits_5(lowbit, tmp_path):
    (tmp_path / "none.hex").write_text("// nothing\n")
    words = ("check", "convert", "--from", "float16", "--to", "float8_e5m2")
    files = ("--results", tmp_path / "none.hex", "--inputs", tmp_path / "none.hex")
    result = lowbit(*words, *files)
    assert result.status == 5
    assert result.lines[-1] == "nothing compared"


def test_installed_kernels_in_a_table(lowbit):
    result = lowbit("check", "--library", "numpy", "--library", "ml_dtypes", "--verbose")
    assert result.lines[0].split() == ["kernel", "conversion", "policy", "vectors", "differences", "verdict"]
    assert any("-> float8_e4m3fn" in line for line in result.lines)
    assert result.status == (1 if "MISMATCH" in result.lines[-1] else 0)
    if "known differences:" in result.lines:
        assert any("] double_rounding_via_float32 (ml_dtypes" in line for line in result.lines)


def test_installed_kernels_in_ten_lines(lowbit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = lowbit("check", "--library", "numpy", "--library", "ml_dtypes")
    assert 3 <= len(result.lines) <= 10
    assert re.match(r"numpy \S+: [\d,]+ conversions, [\d,]+ vectors", result.lines[0])
    assert any("--verbose" in line for line in result.lines)


@pytest.mark.parametrize("columns", ["80", "50"])
def test_report_is_no_wider_than_the_terminal(lowbit, kernels, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for name in ("ties_away", "early_overflow"):
        lines = lowbit(*TO, "--so", f"{kernels}/{name}.so:cast").lines
        wide = [line for line in lines if len(line) > int(columns)]
        assert all(str(kernels) in line or line.strip().startswith("lowbit encode") for line in wide)
        assert any(line.startswith("your kernel is round-ties") for line in lines[:4])  # the verdict comes first


def test_a_device_is_told_of_in_colour(lowbit, ties_away):
    lines = lowbit("--color", "always", *TO, "--so", ties_away).lines
    painted = [line for line in lines if line.startswith("\x1b[")]
    assert [line for line in painted if "MISMATCH" in line]
    assert [line for line in painted if "your kernel" in line]
    assert "\x1b" not in lowbit("--color", "never", *TO, "--so", ties_away).out


def test_what_the_verdict_explains_is_folded(lowbit, ties_away):
    once = lowbit(*TO, "--so", ties_away).lines
    assert sum("made for:" in line for line in once) == 1
    assert "folded (--max-errors 2 shows them): Underflow 2 of 68" in once
    twice = lowbit(*TO, "--so", ties_away, "--max-errors", "2").lines
    assert sum("made for:" in line for line in twice) == 2


def test_coloured_table(lowbit):
    result = lowbit("--color", "always", "check", "--library", "numpy", "--verbose")
    assert "float16" in result.out
    assert "pass" in result.out


def test_rich_is_loaded_for_a_coloured_table_only():
    modules = "lowbit.cli.verbs.check, lowbit.check.run, lowbit.check.installed"
    program = f"import sys, {modules}; print('rich' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


def test_every_form_gives_the_reason_of_a_published_difference(lowbit):
    words = ("check", "--library", "ml_dtypes")
    document = json.loads(lowbit(*words, "--output-format", "json").out)
    jsonschema.validate(document, json.loads(Path(report.__file__).with_name("report.schema.json").read_text()))
    met = {name for result in document["results"] for name in result["known"]}
    assert met == {entry["id"] for entry in document["known"]}
    text, page = lowbit(*words, "--verbose").out, html.unescape(lowbit(*words, "--output-format", "html").out)
    assert document["known"]
    for number, entry in enumerate(document["known"], 1):
        assert (
            f"  [{number}] {entry['id']} (ml_dtypes, seen in {entry['seen']}): {entry['why']} {entry['link']}\n" in text
        )
        assert f'): {entry["why"]} <a href="{entry["link"]}">' in page


@pytest.mark.parametrize(
    "device",
    [("--so", "missing.so:f"), ("--python", "missing_module_of_nobody:f"), ("--results", "missing.hex"), ("--so", "x")],
)
def test_what_cannot_be_loaded_has_a_code_of_its_own(lowbit, device):
    result = lowbit(*TO, *device)
    assert result.status == 2
    assert "error[LB606]" in result.err


def test_stray_bits_are_a_mismatch_by_every_route(lowbit, tmp_path):
    (tmp_path / "user.py").write_text("def f(codes):\n    return (codes >> 24) & 0x80\n")
    (tmp_path / "cast.c").write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "void f(const uint32_t *in, uint8_t *out, size_t n) { while (n--) *out++ = *in++ >> 24 & 0x80; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "cast.so", tmp_path / "cast.c"], check=True)
    (tmp_path / "in.hex").write_text("00000000\n80000000\n")
    (tmp_path / "out.hex").write_text("0\n80\n")
    words = ("check", "encode", "--to", "float4_e2m1fn", "--inputs", tmp_path / "in.hex")
    for device in (
        ("--so", f"{tmp_path}/cast.so:f"),
        ("--python", f"{tmp_path}/user.py:f"),
        ("--results", tmp_path / "out.hex"),
    ):
        result = lowbit(*words, *device)
        assert result.status == 1
        assert "got       0x80 is not a code of float4_e2m1fn: upper bits are not zero" in result.out
        assert "1 of 2 answers are not codes of float4_e2m1fn" in result.out


@pytest.mark.slow
def test_a_wrong_width_is_suspected_where_most_results_differ(lowbit, right):
    result = lowbit("check", "encode", "--to", "float8_e5m2", "--so", right)
    assert "do --from float32 and --to float8_e5m2 name the kernel's types?" in result.out
    assert "void cast(const uint32_t *codes, uint8_t *out, size_t n)" in result.out


def test_prototype_is_told_where_no_device_is_given(lowbit):
    assert "void cast(const uint32_t *codes, int8_t *out, size_t n)" in lowbit("check", "encode", "--to", "int4").err


def test_help_and_topics_name_the_containers(lowbit):
    for words in (("check", "--help"), ("explain", "so"), ("explain", "python"), ("explain", "results")):
        text = " ".join(lowbit(*words).out.split())
        assert re.search("uint16_t (for|floats of) 9 to 16 bits", text)
        assert re.search(
            "sign-extended in int8_t|int8_t signed integers and fixed point of up to 8 bits, sign-extended", text
        )


def test_installed_kernels_of_some_formats(lowbit):
    words = ("check", "--library", "ml_dtypes", "--output-format", "json")
    results = lowbit(*words, "--to", "e4m3fn").json["results"]
    assert {result["target"] for result in results} == {"float8_e4m3fn"}
    assert len(results) > 10
    [result] = lowbit(*words, "--to", "float8_e4m3fn", "--from", "float32").json["results"]
    assert (result["source"], result["verdict"]) == ("float32", "pass")
    one = lowbit("check", "--library", "ml_dtypes", "--from", "float64", "--to", "float8_e4m3fn")
    assert one.lines[0].split()[0] == "kernel"
    none = lowbit("check", "--library", "numpy", "--to", "float8_e4m3fn")
    assert none.lines[0] == "skipped numpy: offers no conversion from any format to float8_e4m3fn"
    assert none.status == 5


def test_a_product_that_is_missing_has_no_table(lowbit, monkeypatch):
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    monkeypatch.setattr(installed, "library_version", missing)
    result = lowbit("check", "--library", "torch")
    assert result.lines == ["skipped torch: not installed", "nothing compared"]
    assert result.status == 5


def missing(product):
    raise ImportError(product)


class TerminalStream(io.StringIO):
    def isatty(self):
        return True


def test_progress_bar_on_a_terminal_only(monkeypatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "BAR_AFTER_SECONDS", 0.0)
    for stream, shown in ((TerminalStream(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.Bar() as bar:
            bar.update(3, "numpy: float32 -> float16")
        assert ("numpy: float32 -> float16" in stream.getvalue()) == shown
