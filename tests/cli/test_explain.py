"""``lowbit explain`` and ``lowbit doctor``."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

import lowbit
from lowbit.cli import VERBS
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.terminal import Terminal
from lowbit.cli.topics import ERROR_TOPICS, GROUPS, OPTIONS_OF_SCHEMES, VARIANTS, WORDS, parsers
from lowbit.cli.verbs import explain
from lowbit.cli.verbs.check import SETS
from lowbit.nonlinear.scheme import OPERATIONS, schemes
from lowbit.nonlinear.widths import OVERFLOWS
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, ROUNDINGS, Policy
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme


def test_every_error_code_in_the_sources_is_explained(repository):
    used = set()
    for path in (repository / "lowbit").rglob("*.py"):
        used |= set(re.findall(r"(?:code=|default_code = |error\[)\"?(LB\d{3})", path.read_text(encoding="utf-8")))
    assert used
    assert used <= set(ERROR_TOPICS)


def test_groups(lowbit):
    listed = {line.split()[2] for line in lowbit("explain").lines}
    assert listed == {*GROUPS, "TOPIC"}
    for line in lowbit("explain").lines[:-1]:
        _, _, group, count, noun = line.split()
        assert int(count) == len(GROUPS[group].topics()), line
        assert noun == ("topic" if count == "1" else "topics"), line


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_all_its_topics(lowbit, group):
    result = lowbit("explain", group)
    firsts = {line.split("  ")[0] for line in result.lines if line and not line.startswith(" ")}
    assert firsts == set(GROUPS[group].topics())


@pytest.mark.parametrize(
    "topic",
    [*ERROR_TOPICS, *ROUNDINGS, *CAST_PRESETS, *Policy.AXES, *DEFECTS, "TieEven", "tieeven", "130"],
)
def test_every_topic_has_words(lowbit, topic):
    result = lowbit("explain", topic)
    assert result.status == 0, result.err
    assert result.lines[0].split()[0].lower() == topic.lower()
    assert len(result.lines) >= 2


def test_a_preset_shows_its_choices(lowbit):
    out = lowbit("explain", "cuda").out
    for axis in ("rounding", "overflow", "negative", "nan_sign"):
        assert re.search(rf"{axis} +{getattr(CAST_PRESETS['cuda'], axis)} ", out)


def test_an_axis_shows_its_values(lowbit):
    out = lowbit("explain", "flush_results").out
    for choice in Policy.choices("flush_results"):
        assert choice in out


def test_unknown_topics_suggest(lowbit):
    result = lowbit("explain", "nearest_evn")
    assert result.status == 2
    assert "did you mean nearest_even" in result.err


@pytest.mark.parametrize("name", ["float8_e4m3fn", "E4M3", "int4"])
def test_a_format_is_shown_and_not_explained(lowbit, name):
    result = lowbit("explain", name)
    assert result.status == 2
    assert f"`lowbit show {name}`" in result.err


def test_doctor(lowbit, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    report = lowbit("doctor", "--output-format", "json").json
    assert report["packages"]["numpy"][0].isdigit()
    assert "missing" not in report["packages"].values()
    assert report["processor"]["threads"][0].isdigit()
    text = lowbit("doctor").out
    for title in ("lowbit", "python", "packages", "optional packages", "tools", "processor", "compile cache"):
        assert f"{title}\n" in text


def test_verbs_say_that_numba_is_told_not_to_compile(tmp_path):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    said = "NUMBA_DISABLE_JIT is set, and lowbit's kernels give their bits only when they are compiled"
    (file := tmp_path / "zeros.py").write_text("def f(codes):\n    return codes * 0\n")
    checked = ("check", "encode", "--to", "int8", "--python", f"{file}:f")
    for words, status in ((("doctor",), 0), (checked, 2)):
        command = [sys.executable, "-m", "lowbit.cli", *words]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == status, result.stderr
        text = " ".join((result.stdout + result.stderr).split())
        assert said in text
        assert "unset NUMBA_DISABLE_JIT" in text


@pytest.mark.slow
def test_doctor_where_the_locale_is_ascii_and_the_cache_nowhere(tmp_path):
    # PEP 538 and PEP 540 would make UTF-8 of the C locale.
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LOWBIT_CACHE_DIR": "relative"}
    command = [sys.executable, "-m", "lowbit.cli", "doctor", "--output-format", "json"]
    environment = {**os.environ, **ascii_only}
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["compile cache"] == {
        "root": "none, every process compiles its kernels anew: LOWBIT_CACHE_DIR is 'relative'; compiled code is kept "
        "under an absolute path only"
    }
    assert not list(tmp_path.iterdir())


def explained():
    return {name.lower() for group in GROUPS.values() for name in group.topics()}


def names_of_schemes():
    records = [record for operation in OPERATIONS for record in schemes(operation).values()]
    for record in records:
        yield from (record.id, record.operation, *record.variants, *record.options, *record.operands)


def names_of_quantizers():
    """Methods, their variants, options and the words of these, and the keys of their reports."""
    from lowbit.quantizers import METHODS

    for name, method in METHODS.items():
        yield from (name, *method.variants, *method.options, *method.report)
        yield from (word for option in method.options.values() for word in option.choices)


def names_of_options():
    """Every option of every verb, read off the pages of help."""
    for verb, parser in parsers().items():
        yield from re.findall(r"(?<![\w-])--?[a-z][a-z-]*", f"{verb} {parser.format_usage()}")


def names_of_choices():
    for kind in (Policy, BlockPolicy, Accumulator, RequantizeScheme):
        yield from kind.AXES
        yield from (value for values in kind.CHOICES.values() for value in values)
    yield from OVERFLOWS


def test_every_name_that_is_printed_is_a_topic():
    """Schemes, variants, options, flags, axes and their choices, presets, verbs: a new one comes with words."""
    from lowbit.allocate import METHODS
    from lowbit.check.result import KNOWN, MISMATCH, PASS
    from lowbit.proof.nonlinear.result import VERDICTS
    from lowbit.vectors.flags.cast import FLAGS

    printed = {*names_of_schemes(), *names_of_options(), *names_of_choices(), *(flag.name for flag in FLAGS.values())}
    printed |= {
        *CAST_PRESETS,
        *BLOCK_PRESETS,
        *ACCUMULATORS,
        *REQUANTIZE_SCHEMES,
        *DEFECTS,
        *ERROR_TOPICS,
        *VERBS,
        *METHODS,
        *VERDICTS,
        *names_of_quantizers(),
    }
    printed |= {PASS, KNOWN, MISMATCH, *(str(code.value) for code in ExitCode)}
    assert len(printed) > 350
    assert sorted(name for name in printed - {"", "-h"} if name.lower() not in explained()) == []


NAMES_OF_OTHERS = re.compile(
    "ANSI|ARM|CMSIS-NN|ECMA|IBM|IEEE|JSON|LLVM|MB|ONNX|PMADDUBSW|README|RISC-V|SDM|SGR|SIGINT|SIGPIPE|SIGTERM|TOML|TOSA|TVM|UTF"
    "|XNNPACK"
)
"""Standards, products, instructions: not words of lowbit."""
PLACEHOLDERS = re.compile(
    r"FILE|NAME|LOW|HIGH|VALUE|VERB|NUMBER|FORMAT|ID|FUNCTION|SECONDS|ROWS|LIMIT|AXIS|CODE|TABLE|SYMBOL|MODULE|MODEL|TEXT|"
    r"OPTION|LAYER|LABEL|DUMP|IN"
)


def test_every_abbreviation_in_a_message_is_a_topic():
    found = set()
    for folder in ("check", "cli", "dut", "proof", "vectors/flags"):
        for path in (lowbit_folder() / folder).rglob("*.py"):
            for text in messages(path):
                found |= set(re.findall(r"\b[A-Z]{2}[A-Z-]*\b", text))
    words = {word for name in found if not NAMES_OF_OTHERS.fullmatch(word := name.strip("-"))}
    assert len(words) > 5
    assert sorted(word for word in words if word.lower() not in explained() and not PLACEHOLDERS.fullmatch(word)) == []


def lowbit_folder():
    from pathlib import Path

    return Path(lowbit.__file__).parent


def messages(path):
    """The text in a module, docstrings apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in strings if id(node) not in alone and " " in node.value]


def pairs_that_are_printed():
    """How policies, reports and golden sets spell what was chosen."""
    for kind in (Policy, BlockPolicy, Accumulator, RequantizeScheme):
        yield from (f"{axis}={value}" for axis, values in kind.CHOICES.items() for value in values)
    yield from (f"overflow={value}" for value in OVERFLOWS)
    yield from (f"variant={name}" for name in VARIANTS)
    yield from ("variant=duo_scaling", "order=static")


@pytest.mark.parametrize("topic", ["scale_rule=floor", "overflow=trap", "OVERFLOW=Saturate", "variant=torch"])
def test_a_choice_with_its_axis_is_explained(lowbit, topic):
    result = lowbit("explain", topic)
    assert result.status == 0, result.err
    assert result.lines[0] == topic.lower()
    assert len(result.lines) > 1


def test_every_choice_with_its_axis_is_explained(capsys):
    page = Terminal()
    printed = list(pairs_that_are_printed())
    assert len(printed) > 100
    assert [pair for pair in printed if not explain.write_pair(page, *pair.split("="))] == []
    assert "the largest power of two up to amax" in capsys.readouterr().out


def test_a_choice_that_an_axis_has_not(lowbit):
    result = lowbit("explain", "scale_rule=flor")
    assert result.status == 2
    assert "'flor' is not a choice of scale_rule" in result.err
    assert "floor" in result.err


def test_every_group_has_a_title():
    assert all(group.title for group in GROUPS.values())


def test_words_of_schemes_are_those_in_use():
    records = [record for operation in OPERATIONS for record in schemes(operation).values()]
    assert {name for record in records for name in record.variants if name} == set(VARIANTS)
    assert {name for record in records for name in (*record.options, *record.operands)} == set(OPTIONS_OF_SCHEMES)


@pytest.mark.parametrize(
    "topic",
    [
        *("ivit", "tflite_int8", "lowbit", "softmax", "FTZ", "ftz", "MISMATCH", "beta", "torch"),
        *("duo_scaling", "tie_margin", "damping", "static", "gptq"),
    ],
)
def test_what_a_newcomer_asks_for(lowbit, topic):
    result = lowbit("explain", topic)
    assert result.status == 0, result.err
    assert result.lines[0].lower().startswith(topic.lower())


def test_a_scheme_says_its_operations_variants_options_and_needs(lowbit):
    out = lowbit("explain", "tflite_int8").out
    for operation in ("softmax", "logistic", "tanh", "l2norm"):
        assert f"\n{operation}: " in out
    for part in ("--option beta=", "--scale is needed", "double_rounding, single_rounding", "lowbit prove softmax"):
        assert part in out


def test_an_option_is_a_topic_with_and_without_dashes(lowbit):
    assert lowbit("explain", "--solver").out == lowbit("explain", "solver").out.replace("solvers", "solver")
    out = lowbit("explain", "--to").out
    assert "option of gen, golden, check, quantize, dequantize, evaluate, prove" in out
    assert "the format of the results" in out
    assert "--help" in lowbit("explain", "--help").out  # the options of the verb itself stay what they are


def test_a_policy_of_block_formats_is_told_where_it_is_taken(lowbit):
    told = " ".join(lowbit("explain", "--policy").out.split())
    assert "a block format has those of `lowbit list policies --op block` (default: the format's own)" in told
    assert "lowbit list policies --op block" in " ".join(lowbit("check", "--help").out.split())
    assert "ocp_mx" in lowbit("list", "policies", "--op", "block").out


def test_explain_so_is_a_table_of_prototypes(lowbit, monkeypatch):
    out = lowbit("explain", "so").out
    assert re.search(r"  encode +void f\(const uint32_t \*codes, uint8_t \*out, size_t n\)\n", out)
    for operation in (
        "decode",
        "gemm",
        "requantize",
        "softmax",
        "gelu",
        "layernorm",
        "logistic",
        "tanh",
        "exp",
        "l2norm",
    ):
        assert re.search(rf"\n  {operation} +void f\(", out)
    assert "`lowbit export prototypes`" in out


@pytest.mark.parametrize("columns", ["60", "80", "200"])
@pytest.mark.parametrize("topic", ["so", "LB601", "flags", "words", "ivit", "torch", "--to"])
def test_prose_is_as_wide_as_the_terminal(lowbit, monkeypatch, columns, topic):
    monkeypatch.setenv("COLUMNS", columns)
    wide = [line for line in lowbit("explain", topic).lines if len(line) > int(columns) and "http" not in line]
    assert [line for line in wide if len(line.split()) > 1] == []  # but a path that is longer


def test_an_old_topic_names_the_new_one(lowbit):
    result = lowbit("explain", "devices")
    assert result.status == 2
    assert "`lowbit explain kernels`" in result.err


def test_the_words_are_sentences():
    assert all(text.endswith(".") for text in WORDS.values())
    assert set(SETS) <= {"boundary", "directed", "random", "exhaustive"}


@pytest.mark.parametrize(
    "word",
    [
        "input",
        "expected",
        "got",
        "below",
        "above",
        "midpoint",
        "rule",
        "folded",
        "made_for",
        "asked_for",
        "row",
        "exact_product",
        "high_half",
        "rounded",
        "before_clamping",
        "closest",
        "published_differences",
        "verdict",
    ],
)
def test_what_a_report_prints_is_explained(lowbit, word):
    word = word.replace("_", " ")
    result = lowbit("explain", word)
    assert result.status == 0, result.err
    assert result.lines[0].startswith(word)
