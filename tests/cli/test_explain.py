"""``lowbit explain`` and ``lowbit doctor``."""

import json
import os
import re
import subprocess
import sys

import pytest

from lowbit.cli.error_topics import ERROR_TOPICS
from lowbit.cli.verbs.explain import GROUPS
from lowbit.policy.cast import DEFECTS, PRESETS, ROUNDINGS, Policy


def test_every_error_code_in_the_sources_is_explained(repository):
    used = set()
    for path in (repository / "lowbit").rglob("*.py"):
        used |= set(re.findall(r"(?:code=|default_code = |error\[)\"?(LB\d{3})", path.read_text(encoding="utf-8")))
    assert used
    assert used <= set(ERROR_TOPICS)


def test_groups(lowbit):
    listed = {line.split()[2] for line in lowbit("explain").lines}
    assert listed == {*GROUPS, "TOPIC"}


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_all_its_topics(lowbit, group):
    result = lowbit("explain", group)
    firsts = {line.split()[0] for line in result.lines if line and not line.startswith(" ")}
    assert firsts == set(GROUPS[group]())


@pytest.mark.parametrize(
    "topic",
    [*ERROR_TOPICS, *ROUNDINGS, *PRESETS, *Policy.AXES, *DEFECTS, "TieEven", "tieeven", "130"],
)
def test_every_topic_has_words(lowbit, topic):
    result = lowbit("explain", topic)
    assert result.status == 0, result.err
    assert result.lines[0].split()[0].lower() == topic.lower()
    assert len(result.lines) >= 2


def test_a_preset_shows_its_choices(lowbit):
    out = lowbit("explain", "cuda").out
    for axis in ("rounding", "overflow", "negative", "nan_sign"):
        assert re.search(rf"{axis} +{getattr(PRESETS['cuda'], axis)} ", out)


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
