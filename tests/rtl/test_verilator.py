"""The same vectors under Verilator, and a Verilated unit as a device of `lowbit check encode --so`."""

import json
from pathlib import Path

import pytest

from lowbit.cli import ExitCode, main

pytestmark = pytest.mark.rtl  # each model is C++ that has to be compiled: 10 s and more

HERE = Path(__file__).resolve().parent
QUICK_BUILD = ["-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0"]


def test_units_follow_the_golden_vectors(verilator, unit, sources, plusargs, judge, run, tmp_path):
    parameters = [f"-G{name}={value}" for name, value in unit.parameters.items()]
    bench = ["--binary", "-Wno-fatal", "--top-module", "vector_bench", "--Mdir", tmp_path]
    run(*verilator, *bench, *QUICK_BUILD, *parameters, *sources)
    judge(run(tmp_path / "Vvector_bench", *plusargs))


@pytest.fixture(scope="module")
def shared_object(verilator, run, tmp_path_factory):
    """Build float_encode.v with one bug, as the documentation says."""

    def build(bug):
        folder = tmp_path_factory.mktemp("verilated")
        model = ["--cc", "--exe", "--build", "--top-module", "float_encode", f"-GBUG={bug}", "--Mdir", folder]
        linking = ["-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", "-o", "cast.so"]
        run(*verilator, *model, *linking, *QUICK_BUILD, HERE / "float_encode.v", HERE / "verilated_cast.cpp")
        return folder / "cast.so"

    return build


def check(library, capfd, *more):
    arguments = ["check", "encode", "--from", "float32", "--to", "float8_e4m3fn", "--policy", "ocp_sat"]
    status = main([*arguments, "--so", f"{library}:cast", "--output-format", "json", *more])
    (result,) = json.loads(capfd.readouterr().out)["results"]
    return status, result


def test_a_verilated_unit_passes_the_check(shared_object, capfd):
    status, result = check(shared_object(0), capfd)
    assert status == ExitCode.EQUAL
    assert result["differences"] == 0
    assert result["vectors"] >= 4840


def test_the_check_names_the_rule_that_a_verilated_unit_follows(shared_object, capfd):
    status, result = check(shared_object(1), capfd)
    assert status == ExitCode.MISMATCH
    assert "round-ties-away" in result["words"]
