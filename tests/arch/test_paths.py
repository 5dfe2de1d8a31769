"""A cast finds its kernel in a few files, and every path of the list is the way of some cast."""

from __future__ import annotations

import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast import paths, tables
from lowbit.ops.cast.paths import PATHS, Cast
from lowbit.policy.cast import CAST_PRESETS, Policy

MOST_FILES = 14

TRACED = """
import importlib, pkgutil, sys
import numpy as np
import lowbit
from lowbit.kernels.cast import fast_binary32

for package in ("ops", "format", "policy", "kernels.cast"):
    place = importlib.import_module(f"lowbit.{package}")
    for module in pkgutil.walk_packages(place.__path__, f"{place.__name__}."):
        importlib.import_module(module.name)
values = np.ones(100, np.float32)
other = lowbit.Policy(overflow="saturate", infinity="saturate")
lowbit.encode(values, "float8_e4m3fn", policy=other)  # the kernel is compiled, formats and presets are read: no more
lowbit.get_policy("ocp_sat")
encode, root, files = lowbit.encode, lowbit.__path__[0], set()
ran = fast_binary32.encode_symmetric.signatures

def entered(frame, event, argument):
    file = frame.f_code.co_filename
    if file.startswith(root) and frame.f_code.co_name != "<module>":
        files.add(file[len(root) + 1 :])

sys.settrace(entered)
encode(values, "float8_e4m3fn")
sys.settrace(None)
assert ran
print(*sorted(files | {"kernels/cast/fast_binary32.py"}))
"""


def test_the_page_on_casts_lists_the_paths_in_their_order(repository):
    page = (repository / "docs/explanation/how-a-cast-finds-its-kernel.md").read_text(encoding="utf-8")
    listed = [row.split("`")[1].rpartition(".")[2] for row in page.splitlines() if row.startswith("| `")]
    assert listed == [path.applies.__name__ for path in PATHS]


def test_encode_reaches_its_kernel_in_few_files(run_python):
    files = run_python(TRACED).split()
    assert len(files) <= MOST_FILES, files
    assert {"ops/cast/cast.py", "ops/cast/paths.py", "ops/cast/lowering.py"} <= set(files)


SATURATING = CAST_PRESETS["ocp_sat"]
EXAMPLES = [  # source, target, policy, flags, many, the name of the module that makes it
    ("float8_e4m3fn", "float32", CAST_PRESETS["ieee"], False, False, "binary32"),
    ("float8_e4m3fn", "bfloat16", SATURATING, True, True, "tables"),
    ("float32", "float8_e4m3fn", SATURATING, False, False, "binary32"),
    ("float32", "nf4", SATURATING, False, False, "intervals"),
    ("float32", "nf4", SATURATING, True, False, "comparison"),
    ("float64", "nf4", SATURATING, False, False, "comparison"),
    ("float64", "float8_e4m3fn", SATURATING, False, False, "words"),
    ("bfloat16", "float8_e5m2", SATURATING, False, False, "words"),
    ("int32", "float8_e4m3fn", SATURATING, False, False, "words"),
    ("float32", "float8_e4m3fn", Policy(rounding="to_odd"), False, False, "lanes"),
    ("float64", "float32", Policy(), False, False, "lanes"),
    ("int32", "float64", Policy(), False, False, "lanes"),
    ("float32", "float8_e4m3fn", SATURATING, True, False, "unpacked"),
    ("float32", "int8", CAST_PRESETS["integer"], False, False, "unpacked"),
    ("uint64", "float64", Policy(), False, False, "unpacked"),
]


@pytest.mark.parametrize(("source", "target", "policy", "flags", "many", "module"), EXAMPLES)
def test_the_path_of_a_cast(source, target, policy, flags, many, module, monkeypatch):
    monkeypatch.setattr(tables, "registers_available", lambda: False)
    cast = Cast(get_format(source), get_format(target), policy, flags, many)
    first = next(path for path in PATHS if path.applies(cast) is not None)
    assert first.run.__module__ == f"lowbit.ops.cast.{module}"
    if cast.target.listed:
        assert PATHS[3].run is paths.comparison.run  # which makes all of these; kernels further on know fields only
    else:
        assert PATHS[-1].applies(cast) is not None  # the last one makes every other cast


def test_every_path_is_taken(monkeypatch):
    monkeypatch.setattr(tables, "registers_available", lambda: False)
    casts = [Cast(get_format(source), get_format(target), *rest) for source, target, *rest, _ in EXAMPLES]
    taken = {next(index for index, path in enumerate(PATHS) if path.applies(cast) is not None) for cast in casts}
    assert taken == set(range(len(PATHS)))
