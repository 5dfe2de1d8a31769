"""The x86 presets are what the instructions do: a compiled loop over each of them, on a processor that has it."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.ops.gemm.accumulate import accumulate
from lowbit.policy.accumulator import ACCUMULATORS

COMPILER = shutil.which("cc") or shutil.which("gcc")
CPU_FLAGS = Path("/proc/cpuinfo")
FLAGS = set(CPU_FLAGS.read_text(encoding="utf-8").split()) if CPU_FLAGS.exists() else set()
LANES = 16

SOURCE = r"""
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
/* One row of a times 16 columns. b is packed: GROUP neighbours of k beside one another for each column. */
#define WORDS(a) _mm512_set1_epi32(((const int32_t *)(a))[i])
#define NEXT(b) _mm512_loadu_si512((const char *)(b) + 64 * i)
#define LOOP(NAME, STEP)                                                            \
  void NAME(const void *a, const void *b, int words, int32_t *out) {                \
    __m512i sum = _mm512_setzero_si512(), one = _mm512_set1_epi16(1);               \
    (void)one;                                                                      \
    for (int i = 0; i < words; i++) sum = STEP;                                     \
    _mm512_storeu_si512(out, sum);                                                  \
  }
LOOP(x86_vpdpbusd, _mm512_dpbusd_epi32(sum, WORDS(a), NEXT(b)))
LOOP(x86_vpdpbusds, _mm512_dpbusds_epi32(sum, WORDS(a), NEXT(b)))
LOOP(x86_vpdpwssd, _mm512_dpwssd_epi32(sum, WORDS(a), NEXT(b)))
LOOP(x86_vpdpwssds, _mm512_dpwssds_epi32(sum, WORDS(a), NEXT(b)))
LOOP(x86_vpmaddubsw, _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(WORDS(a), NEXT(b)), one)))

/* 16-bit lanes: two neighbours of k for each of 16 columns in the lower half of a register. */
static __m256i pairs(const uint8_t *a, const int8_t *b, int i) {
  int16_t pair;
  memcpy(&pair, a + 2 * i, 2);
  return _mm256_maddubs_epi16(_mm256_set1_epi16(pair), _mm256_loadu_si256((const __m256i *)(b + 32 * i)));
}
static void acc16(const uint8_t *a, const int8_t *b, int count, int chunk, int32_t *out) {
  __m512i wide = _mm512_setzero_si512();
  __m256i sum = _mm256_setzero_si256();
  for (int i = 0; i < count; i++) {
    sum = _mm256_adds_epi16(sum, pairs(a, b, i));
    if ((i + 1) % chunk == 0 || i + 1 == count) {
      wide = _mm512_add_epi32(wide, _mm512_cvtepi16_epi32(sum));
      sum = _mm256_setzero_si256();
    }
  }
  _mm512_storeu_si512(out, wide);
}
void x86_vpmaddubsw_int16(const void *a, const void *b, int count, int32_t *out) { acc16(a, b, count, 1 << 30, out); }
void fbgemm_acc16(const void *a, const void *b, int count, int32_t *out) { acc16(a, b, count, 128, out); }
"""

GROUPS = {
    "x86_vpmaddubsw": 4,
    "x86_vpmaddubsw_int16": 2,
    "fbgemm_acc16": 2,
    "x86_vpdpbusd": 4,
    "x86_vpdpbusds": 4,
    "x86_vpdpwssd": 2,
    "x86_vpdpwssds": 2,
}
"""Neighbours of k that lie side by side."""

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
    pytest.mark.skipif(not {"avx512_vnni", "avx512bw"} <= FLAGS, reason="this processor has no AVX-512 VNNI"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructions")
    (folder / "dot.c").write_text(SOURCE)
    flags = ["-O2", "-shared", "-fPIC", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"]
    subprocess.run([COMPILER, *flags, str(folder / "dot.c"), "-o", str(folder / "dot.so")], check=True, timeout=120)
    return ctypes.CDLL(str(folder / "dot.so"))


def run(library, name, a, b):
    """One row times 16 columns by the instruction; k is filled up with zeros."""
    group, products = GROUPS[name], a.shape[0]
    count = -(-products // group)
    row, columns = np.zeros(count * group, a.dtype), np.zeros((count * group, LANES), b.dtype)
    row[:products], columns[:products] = a, b
    packed = np.ascontiguousarray(columns.reshape(count, group, LANES).transpose(0, 2, 1))
    out = np.zeros(LANES, np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (row, packed, out)]
    getattr(library, name)(pointers[0], pointers[1], count, pointers[2])
    return out


def test_what_claims_to_be_run_is_run():
    assert {name for name, claim in ACCUMULATORS.claims.items() if claim.evidence == "run"} <= set(GROUPS)


@pytest.mark.parametrize("products", [1, 2, 3, 4, 7, 64, 255, 256, 257, 600])
@pytest.mark.parametrize("name", GROUPS)
def test_instruction(library, name, products):
    random = np.random.default_rng(products)
    left, right = (np.dtype(kind) for kind in ACCUMULATORS[name].operands.split("_"))
    overflows = 0
    for trial in range(12):
        ends = [np.iinfo(dtype) for dtype in (left, right)]
        a = random.integers(ends[0].min, ends[0].max, products, endpoint=True).astype(left)
        b = random.integers(ends[1].min, ends[1].max, (products, LANES), endpoint=True).astype(right)
        if trial % 3:
            a = random.choice([ends[0].min, ends[0].max], products).astype(left)
            b = random.choice([ends[1].min, ends[1].max], (products, LANES)).astype(right)
        if trial % 3 == 2:
            a[:], b[:] = ends[0].max, b[0]
        values, counts = accumulate(a[None], b, name, return_counts=True)
        assert np.array_equal(values[0], run(library, name, a, b))
        overflows += counts["overflows"]
    assert overflows > 0 or products < 4 or name in {"x86_vpdpbusd", "x86_vpdpbusds"}  # those have a test of their own


@pytest.mark.parametrize("name", ["x86_vpdpbusd", "x86_vpdpbusds"])
@pytest.mark.parametrize("products", [65_792, 65_800, 70_001, 140_000])
def test_long_chains(library, name, products):
    """Bytes need more than 65,793 products to leave 32 bits."""
    a, b = np.full(products, 255, np.uint8), np.full((products, LANES), -128, np.int8)
    b[:, ::3] = 127
    b[-9:, 1] = 100
    assert np.array_equal(accumulate(a[None], b, name)[0], run(library, name, a, b))
