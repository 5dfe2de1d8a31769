"""Input that no sane person types, and streams that are not there: a sentence and an exit status, never a bug."""

import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import lowbit as library
from lowbit.allocate.sensitivity import measure
from lowbit.errors import InputError

LONG = "1" * 100_000
COMMAND = [sys.executable, "-m", "lowbit.cli"]


@pytest.mark.parametrize(
    "text",
    [f"bits = {'1' * 5000}", "a = " + "[" * 100_000, "bits = 0x" + "1" * 20_000, "a = '\udcff'", "[facts\n", "\0"],
    ids=["digits", "brackets", "hexadecimal", "bytes", "table", "zero"],
)
@pytest.mark.parametrize("reader", ["format", "costs", "traces", "manifest", "digests"])
def test_damaged_toml_names_its_file(lowbit, tmp_path, monkeypatch, repository, text, reader):
    file = tmp_path / "file.toml"
    words = ["allocate", file]
    if reader == "format":
        monkeypatch.setenv("LOWBIT_FORMATS", str(file))
        words = ["show", "nothing"]
    elif reader == "traces":
        words = ["sensitivity", model(tmp_path), "--formats", "int4", "--score", "hessian", "--traces", file]
    elif reader in ("manifest", "digests"):
        file = tmp_path / f"{reader}.toml"
        for name in ("manifest.toml", "digests_p3109.toml", "digests.toml"):
            shutil.copy(repository / "golden" / name, tmp_path)
        words = ["golden", "--directory", tmp_path, *(["list"] if reader == "manifest" else ["verify", "--digests"])]
        if reader == "digests":
            words += ["encode.float32.float8_e4m3fn.ocp_sat"]
            (tmp_path / "encode").symlink_to(repository / "golden" / "encode")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = lowbit(*words)
    assert result.status == 2, result.err
    assert str(file) in result.err
    assert len(result.err) < 1500


def model(tmp_path, name="w", shape=(4, 32)):
    data = np.ones(shape, np.float32).tobytes()
    header = f'{{"{name}":{{"dtype":"F32","shape":{list(shape)},"data_offsets":[0,{len(data)}]}}}}'.encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def test_a_digest_without_a_field_is_damaged(lowbit, tmp_path, repository):
    for name in ("manifest.toml", "digests_p3109.toml", "digests.toml"):
        shutil.copy(repository / "golden" / name, tmp_path)
    (tmp_path / "encode").symlink_to(repository / "golden" / "encode")
    whole = (tmp_path / "digests.toml").read_text()
    for word in ("policy", "sha256", "blocks"):
        start = whole.index(f"{word} = ")
        (tmp_path / "digests.toml").write_text(whole[:start] + "other" + whole[start:])
        words = ("--directory", tmp_path, "verify", "--digests", "encode.float32.float8_e4m3fn.ocp_sat")
        result = lowbit("golden", *words)
        assert result.status == 2
        assert "error[LB500]" in result.err


def test_a_name_of_any_length_is_unknown(lowbit):
    for name in ("a" * 300, "a" * 5000):
        result = lowbit("show", name)
        assert result.status == 2
        assert "error[LB201]" in result.err
        assert len(result.err) < 1000


@pytest.mark.parametrize(
    "words",
    [
        ["encode", "float8_e4m3fn", LONG],
        ["decode", "int4", LONG],
        ["explain", LONG],
        ["allocate", "--example", "hawq_v3_resnet18", "--budget", f"bytes={LONG}"],
        ["show", LONG],
        ["check", "encode", "--to", LONG],
        [LONG],
        ["show", "int4", f"--{LONG}"],
        ["gen", "gemm", "--a", LONG],
        ["list", LONG],
    ],
    ids=lambda words: words[0][:9],
)
def test_long_text_does_not_fill_the_terminal(lowbit, words):
    result = lowbit(*words)
    assert result.status == 2
    assert len(result.err) < 3000


def huge(tmp_path):
    """A .npy file that announces 10^12 elements."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    path = tmp_path / "huge.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100))
    return path


@pytest.mark.parametrize(
    "words",
    [
        "check encode --to float8_e4m3fn --results {}",
        "check encode --to float8_e4m3fn --results {} --inputs {}",
        "prove --weights {}",
        "gen encode --to float8_e4m3fn --set random --n 99999999999999",
        "gen encode --from float16 --to float8_e4m3fn --reach 99999999999",
    ],
)
def test_what_does_not_fit_the_memory_is_refused(lowbit, tmp_path, words):
    result = lowbit(*words.format(huge(tmp_path), huge(tmp_path)).split())
    assert result.status == 2
    assert "internal error" not in result.err


def test_no_memory_is_no_bug(lowbit, monkeypatch):
    def fail(arguments):
        raise MemoryError("Unable to allocate 745. GiB")

    monkeypatch.setattr("lowbit.cli.verbs.decode.run", fail)
    result = lowbit("decode", "int4", "1")
    assert result.status == 2
    assert result.err.startswith("error[LB103]: there is not enough memory: Unable to allocate 745. GiB")


def shell(line, **options):
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {line}', "sh", *COMMAND, *options.pop("words")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_streams_that_are_closed():
    closed = shell(">&-", words=["decode", "int4", "1"])
    assert closed.returncode == 2
    assert closed.stderr.startswith("error[LB101]: standard output: cannot be written: ")
    assert shell("2>&-", words=["decode", "int4", "1"]).returncode == 0
    assert shell("2>&-", words=["nosuch"]).returncode == 2
    assert shell(">&- 2>&-", words=["decode", "int4", "1"]).returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_lost_message_does_not_change_the_status():
    assert shell("2>/dev/full", words=["nosuch"]).returncode == 2
    assert shell("2>/dev/full", words=["decode", "int4", "1"]).returncode == 0
    assert shell(">/dev/full 2>/dev/full", words=["decode", "int4", "1"]).returncode == 2


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("check --bits 8", "`lowbit check` has no option --bits"),
        ("check encode --two int8", "did you mean --to?"),
        ("golden list --opp encode", "did you mean --op?"),
        ("gen gemm --a float8_e4m3fn", "float8_e4m3fn is not an integer format"),
        ("gen gemm --b float4_e2m1fn", "float4_e2m1fn is not an integer format"),
        ("gen gemm --a e4m3", "ambiguous"),
    ],
)
def test_the_message_names_what_is_wrong(lowbit, words, part):
    result = lowbit(*words.split())
    assert result.status == 2
    assert part in result.err


def test_a_model_where_costs_belong(lowbit, tmp_path):
    result = lowbit("allocate", model(tmp_path))
    assert result.status == 2
    assert "a model is given as --model FILE" in result.err


def test_arguments_of_the_library():
    with pytest.raises(InputError, match="a_zero_point: not an array"):
        library.gemm(np.ones((2, 2), np.int8), np.ones((2, 2), np.int8), a_zero_point=[[1, 2], [3]])
    with pytest.raises(InputError, match="not integers") as caught:
        library.softmax(np.float32([[1.0]]), scale=0.1)
    assert "quantize_linear" not in caught.value.hint
    weights = np.ones((2, 4), np.float32)
    assert measure(weights, "int4") == measure(weights, library.get_format("int4"))


def test_functions_that_hints_name_are_there(repository):
    """A hint such as lowbit.quantize_linear must exist."""
    import re

    for path in (repository / "lowbit").rglob("*.py"):
        for hint in re.findall(r"hint=f?\"([^\"]*)\"", path.read_text(encoding="utf-8")):
            for name in re.findall(r"\blowbit\.([a-z_]+)\(", hint):
                assert hasattr(library, name), (path, name)


def test_a_compilation_is_said_at_once(tmp_path):
    """On the first run of a machine: what is found in the cache is not spoken of."""
    program = (
        "import numba\nfrom lowbit.cli.progress import compilation_said\n"
        "with compilation_said():\n    print(numba.njit(lambda x: x + 1)(1))\n"
        "with compilation_said():\n    pass\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    first, last = ended.stderr.splitlines()
    assert first.startswith("compiling kernels: once on this machine")
    assert last.startswith("compiled 1 kernels in ")


@pytest.mark.parametrize(
    "words",
    [
        ("quantize", "none", "--to", "mxfp4", "-o", "new"),
        ("dequantize", "none", "-o", "new"),
        ("quantize", "none", "--plan", "none", "-o", "new"),
        ("sensitivity", "none"),
        ("allocate", "--model", "none"),
        ("golden", "--directory", "none", "verify"),
    ],
)
def test_a_file_that_is_not_there_has_an_error_of_its_own(lowbit, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    result = lowbit(*words)
    assert result.status == 2
    assert "error[LB104]: none" in result.err
    assert "cannot be read: No such file or directory" in result.err
    assert not list(tmp_path.iterdir())
