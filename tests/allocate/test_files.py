"""What cannot be written is said in words, and a picture is XML whatever the names."""

import xml.etree.ElementTree as ET

import pytest

from lowbit.allocate import Problem, picture, solve, write_costs, write_lp, write_mps
from lowbit.errors import InputError

PROBLEM = Problem.from_arrays([[2, 1]] * 2, ["int4", "int8"], costs={"k": [[1, 2]] * 2}, limits={"k": 3})


@pytest.mark.parametrize("write", [write_mps, write_lp, write_costs])
def test_where_no_file_can_be(tmp_path, write):
    there = tmp_path / "there"
    there.write_text("before")
    for path in (tmp_path, tmp_path / "none" / "file", there / "file", tmp_path / ("x" * 300), "nul\0"):
        with pytest.raises(InputError, match="cannot be written") as caught:
            write(PROBLEM, path)
        assert caught.value.code == "LB101"
    assert list(tmp_path.iterdir()) == [there]


def test_names_with_controls_make_a_picture_that_is_xml():
    name = "a\x1b[31m\x00<\n\ufffe\ud800"
    problem = Problem.from_arrays([[2, 1]] * 2, ["int4", name], layers=[name, "b"], name=name)
    text = picture(solve(problem))
    ET.fromstring(text.encode("utf-8"))
    assert r"a\x1b[31m\x00&lt;\n\ufffe\ud800: a\x1b" in text
    assert not set(text) & {"\x1b", "\x00", "\ufffe"}
