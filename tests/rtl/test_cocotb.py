"""A cocotb scoreboard in Icarus Verilog, with lowbit as its reference, passes the right unit and fails a wrong one."""

from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("cocotb", minversion="2.0", reason="cocotb >= 2.0 is not installed")
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent


def outcome(folder, bug, monkeypatch):
    """(failures, the message of the first) of the scoreboard for a unit with this bug."""
    monkeypatch.syspath_prepend(str(HERE))  # the runner hands sys.path on to the simulator's Python
    runner = get_runner("icarus")
    runner.build(
        sources=[HERE / "float_encode.v"], hdl_toplevel="float_encode", parameters={"BUG": bug}, build_dir=folder
    )
    results = folder / "results.xml"
    with suppress(SystemExit):  # the runner leaves with an exit code where a test fails
        runner.test(
            hdl_toplevel="float_encode",
            test_module="cocotb_scoreboard",
            build_dir=folder,
            test_dir=folder,
            results_xml=str(results),
        )
    cases = ET.parse(results).findall(".//testcase")
    assert [case.get("name") for case in cases] == ["casts_like_lowbit"]
    return [failure.get("error_msg") or failure.get("message") or "" for failure in cases[0].findall("failure")]


@pytest.mark.rtl
def test_the_scoreboard_passes_the_right_unit(icarus, tmp_path, monkeypatch):
    assert outcome(tmp_path, 0, monkeypatch) == []


@pytest.mark.rtl
def test_the_scoreboard_fails_ties_away(icarus, tmp_path, monkeypatch):
    (message,) = outcome(tmp_path, 1, monkeypatch)
    assert "differ" in message
