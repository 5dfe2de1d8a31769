"""The command line as a whole: verbs, errors, exit statuses, streams, colour, start-up."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lowbit.cli
from lowbit.cli import VERBS, main
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.terminal import Terminal
from lowbit.errors import DeviceError
from lowbit.printable import columns


def command(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "lowbit.cli", *words], capture_output=True, text=True, check=False, timeout=60, **options
    )


def test_exit_codes_are_the_published_ones():
    published = {
        "EQUAL": 0,
        "MISMATCH": 1,
        "USAGE": 2,
        "INTERNAL": 3,
        "DEVICE": 4,
        "NOTHING_COMPARED": 5,
        "INFEASIBLE": 6,
    }
    assert {code.name: code.value for code in ExitCode if code.value < 10} == published
    assert all(code.meaning for code in ExitCode)


def test_help_lists_every_verb_and_status(lowbit):
    result = lowbit("--help")
    assert result.status == 0
    for verb in VERBS:
        assert f"\n    {verb} " in result.out
    for code in ExitCode:
        assert code.meaning in result.out


def test_no_arguments_is_help(lowbit):
    assert lowbit().out == lowbit("--help").out


def test_version(lowbit):
    assert lowbit("--version").out.split() == ["lowbit", lowbit_version()]


def lowbit_version():
    from lowbit._version import __version__

    return __version__


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(lowbit, verb):
    result = lowbit(verb, "--help")
    assert result.status == 0
    assert f"usage: lowbit {verb}" in result.out
    assert "--color" in result.out


def test_unknown_verb_suggests(lowbit):
    result = lowbit("shwo", "int4")
    assert result.status == 2
    assert result.out == ""
    assert "error[LB100]: unknown verb 'shwo'" in result.err
    assert "did you mean `lowbit show`?" in result.err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["show", "e4m3"], "LB202", "float8_e4m3fnuz"),
        (["show", "float9"], "LB201", "'float9' is unknown"),
        (["show"], "LB100", "FORMAT"),
        (["show", "int4", "--nonsense"], "LB100", "--nonsense"),
        (["encode", "float8_e5m2", "1", "--policy", "ocp"], "LB300", "policy = 'ocp' is unknown"),
        (["encode", "float8_e5m2", "1", "--rounding", "stochastic_a"], "LB300", "needs random_bits"),
        (["encode", "float4_e2m1fn", "nan", "--choice", "nan=error"], "LB400", "NaN"),
        (["decode", "float8_e5m2", "0x100"], "LB400", "0x100 is not a code of float8_e5m2"),
        (["explain", "LB999"], "LB100", "'LB999'"),
    ],
)
def test_errors_say_what_and_how_to_mend(lowbit, words, code, part):
    result = lowbit(*words)
    assert result.status == 2
    assert result.out == ""
    assert f"error[{code}]: " in result.err
    assert part in result.err
    assert result.err.splitlines()[-1].startswith("help: ")
    assert f"`lowbit explain {code}`" in result.err
    assert "Traceback" not in result.err


def test_a_device_error_is_status_4(lowbit, monkeypatch):
    def fail(arguments):
        raise DeviceError("the kernel crashed")

    monkeypatch.setattr("lowbit.cli.verbs.decode.run", fail)
    result = lowbit("decode", "int4", "1")
    assert result.status == 4
    assert "error[LB600]: the kernel crashed" in result.err


def test_an_internal_error_is_status_3(lowbit, monkeypatch):
    def fail(arguments):
        return {}["nothing"]

    monkeypatch.setattr("lowbit.cli.verbs.decode.run", fail)
    quiet = lowbit("decode", "int4", "1")
    assert quiet.status == 3
    assert "please report it" in quiet.err
    assert "Traceback" not in quiet.err
    assert "Traceback" in lowbit("decode", "int4", "1", "--debug").err


def test_interrupt_is_status_130(lowbit, monkeypatch):
    def fail(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("lowbit.cli.verbs.decode.run", fail)
    result = lowbit("decode", "int4", "1")
    assert (result.status, result.err) == (130, "\ninterrupted\n")


def test_a_closed_pipe_is_quiet():
    # 16 bits, all codes: far more than a pipe holds, and `head` leaves after one line.
    words = [sys.executable, "-m", "lowbit.cli", "show", "float16", "--range", "0x0:0x7fff"]
    producer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    producer.stdout.readline()
    producer.stdout.close()
    errors = producer.stderr.read()
    producer.stderr.close()
    assert producer.wait(timeout=60) == ExitCode.BROKEN_PIPE
    assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["decode", "int4", "1"], ["show", "float16", "--range", "0x0:0x3fff"]])
def test_a_full_disk_is_no_bug(words):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "lowbit.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error[LB101]: standard output: cannot be written: No space left")
    assert len(ended.stderr.splitlines()) == 2


def test_an_error_of_the_system_elsewhere_is_a_bug(lowbit, monkeypatch):
    def fail(arguments):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("lowbit.cli.verbs.decode.run", fail)
    assert lowbit("decode", "int4", "1").status == 3


def test_color_on_request_only(lowbit):
    plain = lowbit("show", "float8_e5m2").out
    assert "\x1b[" not in plain
    colored = lowbit("show", "float8_e5m2", "--color", "always").out
    assert "\x1b[1mfloat8_e5m2\x1b[0m" in colored
    assert "\x1b[" in lowbit("--color=always", "show", "float8_e5m2").out
    assert "\x1b[1;31merror[LB201]" in lowbit("show", "nothing", "--color", "always").err


def test_auto_color_follows_the_terminal(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Terminal("auto", Screen()).color
    assert not Terminal("auto", io.StringIO()).color
    assert not Terminal("never", Screen()).color
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Terminal("auto", Screen()).color
    assert Terminal("always", Screen()).color


def test_ascii_terminals_get_ascii_boxes():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = command("show", "float8_e5m2", env=environment)
    assert result.returncode == 0, result.stderr
    assert "+------+" in result.stdout


def test_columns():
    assert columns([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]
    assert columns([("a", "bb"), ("ccc", "d")], right=frozenset({0})) == ["  a  bb", "ccc  d"]
    assert columns([]) == []


def test_only_the_verb_asked_for_is_imported(modules_after):
    loaded = modules_after("from lowbit.cli import main; main(['show', 'float8_e4m3fn'])")
    assert "lowbit.cli.verbs.show" in loaded
    assert not loaded & {"numpy", "numba", "scipy", "rich", "ml_dtypes"}
    assert not loaded & {"lowbit.cli.verbs.check", "lowbit.cli.verbs.gen", "lowbit.cli.verbs.doctor"}


def test_show_starts_fast(run_python):
    # The promise is 0.4 s on an idle machine, interpreter included: processor time of that process alone.
    code = "import time; from lowbit.cli import main; main(['show', 'float8_e4m3fn']); print(time.process_time())"
    seconds = [float(run_python(code).splitlines()[-1]) for _ in range(3)]
    assert 0 < min(seconds) < 0.4


def test_main_reads_sys_argv(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lowbit", "decode", "int4", "7"])
    assert main() == 0
    assert capsys.readouterr().out.split()[-1] == "7"


def test_verbs_are_modules_of_their_name():
    directory = Path(lowbit.cli.__file__).parent / "verbs"
    assert {f"{verb}.py" for verb in VERBS} <= {path.name for path in directory.iterdir()}
