"""All 2**32 binary32 inputs through a compiled C kernel, with the reference beside it, on two cores."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.measure import Table

KERNEL = r"""
#include <stddef.h>
#include <stdint.h>
/* binary32 to float8_e4m3fn: nearest even, saturating, infinity to the largest value */
static uint8_t one(uint32_t x) {
  uint32_t sign = x >> 24 & 0x80, u = x & 0x7fffffff;
  if (u > 0x7f800000) return (uint8_t)(sign | 0x7f);
  if (u >= 0x43e80000) return (uint8_t)(sign | 0x7e);
  if (u < 0x3c800000) {                 /* below 2^-6: multiples of 2^-9 */
    uint32_t m = (u & 0x7fffff) | 0x800000, shift = 141 - (u >> 23);
    if (shift > 25) return (uint8_t)sign;
    uint32_t half = 1u << (shift - 1), odd = m >> shift & 1;
    return (uint8_t)(sign | (m + half - 1 + odd) >> shift);
  }
  uint32_t r = (u + 0x7ffff + (u >> 20 & 1)) >> 20;
  return (uint8_t)(sign | (r - (120 << 3)));
}
void cast(const uint32_t *in, uint8_t *out, size_t n) { for (size_t i = 0; i < n; i++) out[i] = one(in[i]); }
"""

MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def test_every_float32(table: Table, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "cast.c", tmp_path / "cast.so"
    source.write_text(KERNEL)
    subprocess.run([compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source], check=True)
    arguments = [sys.executable, "-m", "lowbit.cli", "check", "encode", "--from", "float32", "--to", "float8_e4m3fn"]
    start = time.perf_counter()
    # in a process of its own: a child of this one would be counted with the arrays of the other benchmarks
    answer = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments, "--so", f"{library}:cast", "--set", "exhaustive"],
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "4,294,967,296" in answer.stdout
    assert table.limit("2^32 float32 inputs against a C kernel, two cores", seconds, 45.0)
    assert table.limit("  its largest process, in MiB", int(answer.stderr.split()[-1]) / 1024, 1024.0)
