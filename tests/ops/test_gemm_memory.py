"""Integer GEMM touches nothing but its operands: they lie between pages that end the process if they are touched."""

import sys

import pytest

from tests.thinned import thinned

SCRIPT = """
import ctypes, mmap
import numpy as np
import lowbit
from lowbit.ops.gemm import paths

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE, SIZE = mmap.PAGESIZE, 1 << 21

def guarded():
    allowed, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    at = libc.mmap(None, SIZE + 2 * PAGE, allowed, kind, -1, 0)
    for page in (at, at + PAGE + SIZE):
        assert libc.mprotect(page, PAGE, 0) == 0
    return np.frombuffer((ctypes.c_uint8 * SIZE).from_address(at + PAGE), np.uint8)

memories = [guarded() for _ in range(3)]
rng = np.random.default_rng(SEED)

def placed(memory, values, order):
    raw = memory[:values.nbytes] if rng.integers(2) else memory[SIZE - values.nbytes:]
    place = raw.view(values.dtype).reshape(values.shape if order == "C" else values.shape[::-1])
    place = place if order == "C" else place.T
    place[...] = values
    return place

for case in range(120):
    m, k = int(rng.integers(1, 60)), int(rng.choice([1, 2, 3, 5, 63, 64, 65, 127, 128, 130, 131, 388, 511, 512, 2050]))
    n = int(rng.choice([1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 192, 200, 256, 260]))
    dtypes, orders = rng.choice(["int8", "uint8", "int16"], 2), rng.choice(["C", "F"], 2)
    if case % 4 == 0:  # panels that are packed while others are multiplied, the last one partial
        m, k, n = int(rng.integers(6, 60)), 4 * int(rng.integers(32, 150)), int(rng.integers(65, 260))
        dtypes, orders = rng.choice(["int8", "uint8"], 2), ("C", "C")
    a, b = (rng.integers(-128, 128, shape).astype(dtype) for shape, dtype in zip([(m, k), (k, n)], dtypes))
    zeros = {"a_zero_point": int(a[0, 0]), "b_zero_point": int(b[0, 0])} if rng.integers(2) else {}
    wanted = [array.astype(np.float64) - zero for array, zero in zip((a, b), zeros.values() or (0, 0))]
    wanted = (wanted[0] @ wanted[1]).astype(np.int64).astype(np.int32)
    a, b = placed(memories[0], a, orders[0]), placed(memories[1], b, orders[1])
    out = placed(memories[2], np.zeros((m, n), np.int32), "C")
    path = str(rng.choice([path for path in paths.available() if path != "plain"]))
    for right in (b, lowbit.prepack(b, a_dtype=dtypes[0], path=path)):
        out[...] = 0
        lowbit.gemm(a, right, out=out, path=path, **zeros)
        assert np.array_equal(out, wanted), (m, k, n, path, dtypes, orders, zeros)
    if not zeros:
        assert np.array_equal(lowbit.gemm(a, b), wanted), (m, k, n, dtypes, orders)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
@pytest.mark.parametrize("seed", thinned(range(3), 1))
def test_nothing_is_touched_beside_the_operands(run_python, seed):
    run_python(SCRIPT.replace("SEED", str(seed)))
