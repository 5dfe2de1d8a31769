"""The compile cache: a second process hits it, an edited callee misses it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lowbit

pytestmark = pytest.mark.slow

# Counts what Numba loaded from its cache and what it compiled, over all kernels that one encode needs.
PROBE = """
import numba.core.event as event
import numpy

compiled = []
class Listener(event.Listener):
    def on_start(self, started):
        compiled.append(str(started.data.get("dispatcher")))
    def on_end(self, ended):
        pass

import lowbit
with event.install_listener("numba:compile", Listener()):
    codes = lowbit.encode(numpy.array([1.0, 1.0625, 500.0], numpy.float32), "float8_e4m3fn")
print(len(compiled), codes.tolist())
"""


def probe(package_parent, cache):
    environment = {**os.environ, "PYTHONPATH": str(package_parent), "LOWBIT_CACHE_DIR": str(cache)}
    environment.pop("NUMBA_CACHE_DIR", None)
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        cwd=cache,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    compiled, codes = result.stdout.split(" ", 1)
    return int(compiled), codes.strip()


def test_second_process_hits_and_an_edited_callee_misses(tmp_path):
    source = Path(lowbit.__file__).parent
    copy = tmp_path / "copy"
    shutil.copytree(source, copy / "lowbit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(source.parent / "formats", copy / "formats")
    cache = tmp_path / "cache"
    cache.mkdir()

    first, codes = probe(copy, cache)
    assert first > 0
    assert codes == "[56, 56, 126]"

    second, again = probe(copy, cache)
    assert second == 0
    assert again == codes

    for callee in ("lib/bits.py", "cast/project.py"):  # one that every kernel imports, and one in a folder of its own
        path = copy / "lowbit" / "kernels" / callee
        path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    third, still = probe(copy, cache)
    assert third > 0
    assert still == codes
