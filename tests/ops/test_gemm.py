"""Integer GEMM against NumPy's int64 matmul, wrapped: every path, dtype, layout, tail and zero point."""

import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowbit
from lowbit.errors import InputError, PolicyError
from lowbit.ops.gemm import paths as _gemm_paths
from tests.thinned import examples

PATHS = _gemm_paths.available()
DTYPES = (np.int8, np.uint8, np.int16)

# Sizes on both sides of what registers, tiles, panels and copied chunks hold.
EDGES = (1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 129, 191, 193)


def expected(a, b, a_zero=0, b_zero=0, bias=0, dtype=np.int32):
    """The definition, in int64: exact here, for no sum in these tests leaves 64 bits."""
    left = a.astype(np.int64) - np.reshape(np.asarray(a_zero, np.int64), (-1, 1))
    right = b.astype(np.int64) - np.reshape(np.asarray(b_zero, np.int64), (1, -1))
    if a.dtype.itemsize == b.dtype.itemsize == 1 and a.shape[-1] < 1 << 30:
        product = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)  # exact below 2**53, and faster
    else:
        product = left @ right
    return (product + bias).astype(dtype)


def random_codes(rng, shape, dtype):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape, dtype=dtype)


def laid_out(codes, layout):
    """The same codes in another place."""
    if layout == "fortran":
        return np.asfortranarray(codes)
    if layout == "strided":
        wide = np.zeros((2 * codes.shape[0], 3 * codes.shape[1]), codes.dtype)
        wide[::2, ::3] = codes
        return wide[::2, ::3]
    if layout == "rows apart":
        wide = np.zeros((codes.shape[0], codes.shape[1] + 5), codes.dtype)
        wide[:, 2:-3] = codes
        return wide[:, 2:-3]
    if layout == "reversed":
        return codes[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "misaligned":
        memory = np.zeros(codes.nbytes + 1, np.uint8)
        view = memory[1:].view(codes.dtype).reshape(codes.shape)
        view[...] = codes
        return view
    if layout == "read-only":
        codes = codes.copy()
        codes.flags.writeable = False
    return codes


LAYOUTS = ("plain", "fortran", "strided", "rows apart", "reversed", "misaligned", "read-only")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("a_dtype", DTYPES)
@pytest.mark.parametrize("b_dtype", DTYPES)
def test_every_pair_of_types_on_every_path(path, a_dtype, b_dtype):
    rng = np.random.default_rng(1)
    for m, k, n in [(7, 65, 17), (13, 130, 70), (1, 33, 40), (40, 31, 1), (200, 6, 66)]:
        a, b = random_codes(rng, (m, k), a_dtype), random_codes(rng, (k, n), b_dtype)
        assert np.array_equal(lowbit.gemm(a, b, path=path), expected(a, b)), (m, k, n)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "plain"])
def test_every_tail(path):
    rng = np.random.default_rng(2)
    a, b = random_codes(rng, (193, 193), np.int8), random_codes(rng, (193, 193), np.int8)
    for size in EDGES:
        for other in (1, 5, 64, 67):
            shapes = [(size, other, 19), (other, size, 23), (7, other, size)]
            for m, k, n in shapes:
                got = lowbit.gemm(a[:m, :k], b[:k, :n], path=path)
                assert np.array_equal(got, expected(a[:m, :k], b[:k, :n])), (m, k, n)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "plain"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("k", [40, 131, 388])
def test_every_number_of_rows(path, dtype, k):
    # Rows divide into tiles in many ways, and tiles pack the next panel if it is whole and their loop is long enough.
    rng = np.random.default_rng(17)
    a, b = random_codes(rng, (40, k), dtype), random_codes(rng, (k, 260), np.int8)
    options = {"a_zero_point": int(a[0, 0]), "b_zero_point": int(b[0, 0])}
    plain, with_zeros = expected(a, b), expected(a, b, a[0, 0], b[0, 0])
    for m in range(2, 41):
        for n in (64, 127, 128, 200, 260):
            assert np.array_equal(lowbit.gemm(a[:m], b[:, :n], path=path), plain[:m, :n]), (m, n)
        assert np.array_equal(lowbit.gemm(a[:m], b, path=path, **options), with_zeros[:m]), m


@pytest.mark.parametrize("path", [path for path in PATHS if path != "plain"])
@pytest.mark.parametrize("shape", [(13, 200, 200), (197, 384, 320), (40, 1030, 129)])
def test_nothing_is_written_beside_the_result(path, shape):
    m, k, n = shape
    rng = np.random.default_rng(18)
    a, b = random_codes(rng, (m, k), np.uint8), random_codes(rng, (k, n), np.int8)
    memory = np.full((m + 8, n + 70), 123456789, np.int32)
    out = memory[4:-4, 35:-35]
    assert lowbit.gemm(a, b, path=path, out=out) is out
    assert np.array_equal(out, expected(a, b))
    out[...] = 123456789
    assert (memory == 123456789).all()


@pytest.mark.parametrize("a_dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("b_dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(2, 1, 2), (33, 70, 65), (300, 130, 260)])
def test_the_quick_way_gives_the_same(a_dtype, b_dtype, shape):
    m, k, n = shape
    rng = np.random.default_rng(19)
    a, b = random_codes(rng, (m, k), a_dtype), random_codes(rng, (k, n), b_dtype)
    wanted = expected(a, b)
    assert np.array_equal(lowbit.gemm(a, b, out=np.empty((m, n), np.int32)), wanted)
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b), lowbit.prepack(b, a_dtype=a_dtype), lowbit.prepack(b, a_dtype="int8")):
            got = lowbit.gemm(left, right)
            assert np.array_equal(got, wanted)
            assert got.dtype == np.int32
            assert got.flags.c_contiguous
            assert got.flags.writeable


def test_large_results_begin_with_a_cache_line():
    a, b = np.zeros((256, 3), np.int8), np.zeros((3, 256), np.int8)
    assert lowbit.gemm(a, b).ctypes.data % 64 == 0
    assert lowbit.prepack(b).right.array.ctypes.data % 64 == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_need_no_copy(path, layout, dtype):
    rng = np.random.default_rng(3)
    a, b = random_codes(rng, (21, 77), dtype), random_codes(rng, (77, 83), dtype)
    wanted = expected(a, b)
    assert np.array_equal(lowbit.gemm(laid_out(a, layout), b, path=path), wanted)
    assert np.array_equal(lowbit.gemm(a, laid_out(b, layout), path=path), wanted)
    assert np.array_equal(lowbit.gemm(a[:1], laid_out(b, layout), path=path), wanted[:1])
    assert np.array_equal(lowbit.gemm(laid_out(a, layout), b[:, :1], path=path), wanted[:, :1])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("a_value", [-128, 127, 0, 255])
@pytest.mark.parametrize("b_value", [-128, 127, 255])
def test_rails(path, a_value, b_value):
    # A saturating instruction (vpmaddubsw, vpdpbusds) or a wrong offset shows on the extreme codes.
    a = np.full((9, 1000), a_value, np.int8 if a_value < 128 else np.uint8)
    b = np.full((1000, 70), b_value, np.int8 if b_value < 128 else np.uint8)
    assert np.array_equal(lowbit.gemm(a, b, path=path), np.full((9, 70), 1000 * a_value * b_value))


@pytest.mark.parametrize("path", PATHS)
def test_sums_wrap(path):
    a, b = np.full((2, 8), -32768, np.int16), np.full((8, 3), -32768, np.int16)
    assert (lowbit.gemm(a[:, :2], b[:2], path=path) == -(2**31)).all()  # vpmaddwd's one pair that leaves 32 bits
    assert (lowbit.gemm(a, b, path=path) == 0).all()
    assert (lowbit.gemm(a, b, path=path, bias=-5) == -5).all()


def test_long_sums():
    # More than 2**17 products of 128 * 128 leave 32 bits.
    for k in ((1 << 17) - 1, 1 << 17, (1 << 17) + 3):
        a, b = np.full((2, k), -128, np.int8), np.full((k, 2), -128, np.int8)
        wanted = (k * 128 * 128 + 2**31) % 2**32 - 2**31
        assert (lowbit.gemm(a, b) == wanted).all()
        assert (lowbit.gemm(a[:1], b) == wanted).all()
        assert (lowbit.gemm(a, b, accumulator="int64") == k * 128 * 128).all()


@pytest.mark.parametrize("shape", [(5000, 9, 70), (9, 5000, 70), (6, 20, 9000), (200, 2500, 300)])
@pytest.mark.parametrize("orders", ["CC", "FC", "CF", "FF"])
def test_more_than_one_block(shape, orders):
    m, k, n = shape
    rng = np.random.default_rng(4)
    a = np.asarray(random_codes(rng, (m, k), np.int8), order=orders[0])
    b = np.asarray(random_codes(rng, (k, n), np.int8), order=orders[1])
    bias = rng.integers(-(2**31), 2**31, n)
    got = lowbit.gemm(a, b, a_zero_point=-7, b_zero_point=11, bias=bias)
    assert np.array_equal(got, expected(a, b, -7, 11, bias))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prepacked", [False, True])
@pytest.mark.parametrize("dtypes", [(np.int8, np.int8), (np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.uint8),
                                    (np.int16, np.int16)])  # fmt: skip
def test_zero_points(path, prepacked, dtypes):
    rng = np.random.default_rng(5)
    a, b = random_codes(rng, (14, 50), dtypes[0]), random_codes(rng, (50, 75), dtypes[1])
    # Packed for the other signedness too: the left operand is flipped then.
    others = {np.int8: np.uint8, np.uint8: np.int8, np.int16: np.int16}
    rights = [b]
    if prepacked:
        rights = [lowbit.prepack(b, a_dtype=kind, path=path) for kind in (dtypes[0], others[dtypes[0]])]
    bias = rng.integers(-(2**31), 2**31, 75)
    a_zeros = [0, int(np.iinfo(dtypes[0]).min), 3, random_codes(rng, 14, dtypes[0])]
    b_zeros = [0, int(np.iinfo(dtypes[1]).max), 5, random_codes(rng, 75, dtypes[1])]
    for right in rights:
        for a_zero in a_zeros:
            for b_zero in b_zeros:
                got = lowbit.gemm(a, right, a_zero_point=a_zero, b_zero_point=b_zero, bias=bias, path=path)
                assert np.array_equal(got, expected(a, b, a_zero, b_zero, bias)), (a_zero, b_zero)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtypes", [(np.int8, np.uint8), (np.int16, np.int16), (np.uint8, np.int16)])
def test_int64_is_exact(path, dtypes):
    rng = np.random.default_rng(6)
    a, b = random_codes(rng, (5, 3000), dtypes[0]), random_codes(rng, (3000, 9), dtypes[1])
    a[0], b[:, 0] = np.iinfo(dtypes[0]).min, np.iinfo(dtypes[1]).min
    options = {"a_zero_point": rng.integers(0, 100, 5), "b_zero_point": 99, "bias": 2**40}
    got = lowbit.gemm(a, b, accumulator="int64", path=path, **options)
    assert got.dtype == np.int64
    wanted = expected(a, b, options["a_zero_point"], 99, 2**40, np.int64)
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("shape", [(300, 200, 400), (1000, 300, 30)])
def test_threads_give_the_same_bits(threads, shape):
    m, k, n = shape
    rng = np.random.default_rng(7)
    a, b = random_codes(rng, (m, k), np.uint8), random_codes(rng, (k, n), np.int8)
    options = {"a_zero_point": 128, "bias": np.arange(n)}
    wanted = expected(a, b, 128, 0, np.arange(n))
    for right in (b, lowbit.prepack(b)):
        assert np.array_equal(lowbit.gemm(a, right, threads=threads, **options), wanted)


def test_callers_may_have_threads_of_their_own():
    rng = np.random.default_rng(8)
    a, b = random_codes(rng, (90, 300), np.int8), random_codes(rng, (300, 200), np.int8)
    results = [None] * 6

    def work(index):
        results[index] = lowbit.gemm(a[index:], b)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(results))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, result in enumerate(results):
        assert np.array_equal(result, expected(a[index:], b))


def test_stacks_broadcast():
    rng = np.random.default_rng(9)
    a, b = random_codes(rng, (3, 1, 6, 20), np.int8), random_codes(rng, (2, 20, 9), np.int8)
    got = lowbit.gemm(a, b, b_zero_point=2)
    assert got.shape == (3, 2, 6, 9)
    for i in range(3):
        for j in range(2):
            assert np.array_equal(got[i, j], expected(a[i, 0], b[j], 0, 2))
    weights = b[0]
    assert np.array_equal(lowbit.gemm(a, lowbit.prepack(weights)), lowbit.gemm(a, weights))


@pytest.mark.parametrize("accumulator", ["int32", "int64"])
def test_nothing_to_sum_or_to_return(accumulator):
    empty = lowbit.gemm(np.zeros((3, 0), np.int8), np.zeros((0, 2), np.int8), accumulator=accumulator)
    assert empty.tolist() == [[0, 0]] * 3
    biased = lowbit.gemm(np.zeros((3, 0), np.int8), np.zeros((0, 2), np.int8), bias=[4, -5], accumulator=accumulator)
    assert biased.tolist() == [[4, -5]] * 3
    for m, k, n in [(0, 3, 2), (3, 4, 0), (0, 0, 0)]:
        got = lowbit.gemm(np.zeros((m, k), np.int8), np.zeros((k, n), np.uint8), accumulator=accumulator)
        assert got.shape == (m, n)
        assert got.dtype == np.dtype(accumulator)
    stack = lowbit.gemm(np.zeros((0, 2, 3), np.int8), np.zeros((3, 2), np.int8))
    assert stack.shape == (0, 2, 2)
    packed = lowbit.prepack(np.zeros((0, 2), np.int8))
    assert lowbit.gemm(np.zeros((3, 0), np.int8), packed).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2", "uint2"])
def test_ml_dtypes(dtype):
    kind = np.dtype(getattr(ml_dtypes, dtype))
    low, high = int(ml_dtypes.iinfo(kind).min), int(ml_dtypes.iinfo(kind).max)
    rng = np.random.default_rng(10)
    codes = rng.integers(low, high + 1, (12, 34))
    b = random_codes(rng, (34, 20), np.int8)
    typed = codes.astype(np.int8 if low else np.uint8).astype(kind)
    wanted = expected(codes, b, high)
    assert np.array_equal(lowbit.gemm(typed, b, a_zero_point=high), wanted)
    with pytest.raises(InputError, match=f"a_zero_point = {high + 1}"):
        lowbit.gemm(typed, b, a_zero_point=high + 1)
    with pytest.raises(InputError, match="is not a code of the operand"):
        lowbit.gemm(typed, b, a_zero_point=10**30)


NIBBLES = [(fmt, layout) for fmt in ("int4", "uint4") for layout in ("low_nibble_first", "high_nibble_first")]
ANY_WIDTH = [(fmt, "lsb_first") for fmt in ("int4", "uint4", "int2", "int3", "uint5", "int7")]


@pytest.mark.parametrize(("fmt", "layout"), [*NIBBLES, *ANY_WIDTH, ("int5", "one_per_byte")])
def test_packed_codes(fmt, layout):
    bits = int(fmt[-1])
    low = 0 if fmt.startswith("u") else -(1 << bits - 1)
    rng = np.random.default_rng(11)
    a = random_codes(rng, (8, 30), np.int8)
    codes = rng.integers(low, low + (1 << bits), (30, 24)).astype(np.int8 if low else np.uint8)
    along_n = lowbit.PackedCodes(lowbit.pack(codes, fmt, layout=layout), fmt, layout, count=24)
    along_k = lowbit.PackedCodes(lowbit.pack(codes.T, fmt, layout=layout), fmt, layout, count=30).T
    wanted = expected(a, codes)
    for operand in (along_n, along_k):
        assert np.array_equal(lowbit.gemm(a, operand), wanted)
        assert np.array_equal(lowbit.gemm(a, lowbit.prepack(operand)), wanted)
    assert np.array_equal(lowbit.gemm(along_k.T, a.T), wanted.T)


def test_packed_codes_of_odd_count():
    packed = lowbit.PackedCodes(lowbit.pack([[1, 2, -3], [4, 5, 6]], "int4"), "int4", count=3)
    assert lowbit.gemm(packed, np.eye(3, dtype=np.int8)).tolist() == [[1, 2, -3], [4, 5, 6]]
    damaged = lowbit.PackedCodes(packed.packed | 0x80, "int4", count=3)
    with pytest.raises(InputError, match="something other than zeros"):
        damaged.unpack()


def test_out():
    rng = np.random.default_rng(12)
    a, b = random_codes(rng, (6, 9), np.int8), random_codes(rng, (9, 5), np.int8)
    wanted = expected(a, b)
    for out in (np.empty((6, 5), np.int32), np.empty((6, 10), np.int32)[:, ::2], np.empty((5, 6), np.int32).T,
                np.empty((6, 9), np.int32)[:, 2:7]):  # fmt: skip
        assert lowbit.gemm(a, b, out=out) is out
        assert np.array_equal(out, wanted)
    memory = np.zeros((6, 36), np.int8)
    memory[:, :9] = a
    shared = memory[:, :20].view(np.int32)
    assert np.array_equal(lowbit.gemm(memory[:, :9], b, out=shared), wanted)


def test_other_accumulators_are_reached():
    a, b = np.array([[255, 255]], np.uint8), np.array([[127], [127]], np.int8)
    assert lowbit.gemm(a, b, accumulator="x86_vpmaddubsw").tolist() == [[32767]]
    values, counts = lowbit.gemm(a, b, return_counts=True)
    assert values.tolist() == [[64770]]
    assert counts["overflows"] == 0
    with pytest.raises(PolicyError, match="int33x"):
        lowbit.gemm(a, b, accumulator="int33x")


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.zeros((2, 3), np.float32), np.zeros((3, 2), np.int8)), {}, "a has dtype float32"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int64)), {}, "b has dtype int64"),
        ((np.zeros((2, 3), np.uint16), np.zeros((3, 2), np.int8)), {}, "a has dtype uint16"),
        ((np.zeros((2, 3), bool), np.zeros((3, 2), np.int8)), {}, "a has dtype bool"),
        ((np.zeros((2, 3), np.int8), np.zeros((2, 3), np.int8)), {}, "a has shape \\(2, 3\\) and b \\(2, 3\\)"),
        ((np.zeros(3, np.int8), np.zeros((3, 2), np.int8)), {}, "a has shape \\(3,\\)"),
        ((np.zeros((), np.int8), np.zeros((3, 2), np.int8)), {}, "a has shape \\(\\)"),
        ((np.zeros((2, 3), np.int8), np.zeros(3, np.int8)), {}, "b has shape \\(3,\\)"),
        ((np.zeros((2, 3), np.int8), lowbit.prepack(np.zeros((2, 4), np.int8))), {}, "a has shape \\(2, 3\\) and b"),
        ((np.zeros((2, 2, 3), np.int8), np.zeros((3, 3, 2), np.int8)), {}, "do not broadcast"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"a_zero_point": 128}, "a_zero_point = 128"),
        ((np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.int8)), {"a_zero_point": -1}, "a_zero_point = -1"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.uint8)), {"b_zero_point": 256}, "b_zero_point = 256"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"b_zero_point": [1, 2, 3]}, "each of 2 columns"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"a_zero_point": 1.0}, "zero points are integers"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"bias": [1, 2, 3]}, "bias has shape"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"bias": 0.5}, "bias has dtype float64"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"bias": 2**31}, "bias = 2147483648 does not fit"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"threads": 0}, "threads = 0"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"path": "amx"}, "path 'amx' is unknown"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"out": np.zeros((2, 2))}, "out must be an int32"),
        ((np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)), {"out": np.zeros((2, 3), np.int32)}, "out must be"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(arguments, options, words):
    with pytest.raises(InputError, match=words):
        lowbit.gemm(*arguments, **options)


@pytest.mark.parametrize("threads", [1.0, True, 0, -1, "1", None, np.float64(1), [1]])
@pytest.mark.parametrize("accumulator", ["int32", "int64", "x86_vpdpbusds"])
def test_threads_are_whole_numbers_on_every_way(threads, accumulator):
    a, b = np.ones((2, 3), np.uint8 if accumulator.startswith("x86") else np.int8), np.ones((3, 2), np.int8)
    with pytest.raises(InputError, match="is not a positive whole number\nhelp: 1 for the thread that calls"):
        lowbit.gemm(a, b, accumulator=accumulator, threads=threads)
    assert (lowbit.gemm(a, b, accumulator=accumulator, threads=np.int64(1)) == 3).all()


@pytest.mark.parametrize("options", [{}, {"accumulator": "int64"}, {"accumulator": "int20"}, {"return_counts": True}])
def test_a_path_is_looked_at_on_every_way(options):
    a, b = np.ones((2, 3), np.int8), np.ones((3, 2), np.int8)
    for path, words in (("nope", "path 'nope' is unknown"), (5, "path = 5 is not a name"), (["vnni"], "is not a name")):
        with pytest.raises(InputError, match=words):
            lowbit.gemm(a, b, path=path, **options)
    lowbit.gemm(a, b, path="plain", **options)


@pytest.mark.parametrize("accumulator", ["int32", "int20", "saturating", "counted"])
def test_a_bias_that_does_not_fit_is_refused_by_every_narrow_accumulator(accumulator):
    a, b = np.ones((2, 3), np.int8), np.ones((3, 2), np.int8)
    options = {"accumulator": accumulator}
    if accumulator == "saturating":
        options = {"accumulator": lowbit.Accumulator(overflow="saturate")}
    elif accumulator == "counted":
        options = {"return_counts": True}
    for bias in (2**31, [0, -(2**31) - 1]):
        with pytest.raises(InputError, match=r"bias = -?214748364\d does not fit int32"):
            lowbit.gemm(a, b, bias=bias, **options)
    lowbit.gemm(a, b, bias=[2**31 - 1, -(2**31)], **options)
    wide = lowbit.gemm(a, b, bias=2**31, accumulator=lowbit.Accumulator(width=40))
    assert (wide == 2**31 + 3).all()


@pytest.mark.parametrize("accumulator", ["int32", "int64", "int20"])
def test_zero_points_have_one_axis(accumulator):
    a, b = np.ones((2, 3), np.int8), np.ones((3, 2), np.int8)
    for role in ("a_zero_point", "b_zero_point"):
        for shape in ((1, 2), (2, 1), (1, 1)):
            with pytest.raises(InputError, match=role + r" has shape \(\d, \d\): one number, or one for each of 2"):
                lowbit.gemm(a, b, accumulator=accumulator, **{role: np.ones(shape, np.int8)})
        for shape in ((), (1,), (2,)):
            assert not lowbit.gemm(a, b, accumulator=accumulator, **{role: np.ones(shape, np.int8)}).any()


def test_errors_of_prepacked_operands():
    a, b = np.zeros((2, 4), np.int8), np.ones((4, 3), np.int8)
    packed = lowbit.prepack(b)
    with pytest.raises(InputError, match="a is a PackedMatrix, and only b may be prepacked"):
        lowbit.gemm(lowbit.prepack(b), b)
    with pytest.raises(InputError, match="not the one for return_counts") as caught:
        lowbit.gemm(a, packed, return_counts=True)
    assert "pass b itself" in str(caught.value)
    with pytest.raises(InputError, match="not the one for the accumulator int20"):
        lowbit.gemm(a, packed, accumulator="int20")
    if packed.path != "plain":
        with pytest.raises(InputError, match="a prepacked b is for int32"):
            lowbit.gemm(a, packed, accumulator="int64")
    with pytest.raises(InputError, match="a has shape"):
        lowbit.gemm(np.zeros((2, 5), np.int8), packed)
    with pytest.raises(InputError, match="packed for path"):
        lowbit.gemm(a, packed, path="plain")
    with pytest.raises(InputError, match="prepacked"):
        lowbit.gemm(a, packed, accumulator="x86_vpdpbusds")
    with pytest.raises(InputError, match="two axes"):
        lowbit.prepack(np.zeros((2, 3, 4), np.int8))
    with pytest.raises(InputError, match="a_dtype = float32"):
        lowbit.prepack(b, a_dtype=np.float32)
    with pytest.raises(lowbit.UnknownFormatError, match="'byte4' is unknown"):
        lowbit.prepack(b, a_dtype="byte4")
    if packed.path == "vnni":
        with pytest.raises(InputError, match="a_dtype='int16'"):
            lowbit.gemm(a.astype(np.int16), packed)
    wide = lowbit.prepack(b, a_dtype="int16")
    assert (lowbit.gemm(np.ones((2, 4), np.int16), wide) == 4).all()
    assert (lowbit.gemm(np.ones((2, 4), np.int8), wide) == 4).all()


def test_out_is_read_only():
    out = np.zeros((2, 2), np.int32)
    out.flags.writeable = False
    with pytest.raises(InputError, match="read-only"):
        lowbit.gemm(np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8), out=out)


def test_a_prepacked_matrix_says_what_it_holds():
    codes = np.array([[1, -2], [3, 4], [5, 6]], np.int8)
    packed = lowbit.prepack(codes)
    codes[...] = 0  # it keeps no view
    assert packed.shape == (3, 2)
    assert packed.dtype == np.int8
    assert packed.column_sums.tolist() == [9, 8]
    assert packed.nbytes > 0
    assert lowbit.gemm(np.array([[1, 1, 1]], np.int8), packed).tolist() == [[9, 8]]


@pytest.mark.parametrize("path", [path for path in PATHS if path != "plain"])
def test_the_environment_chooses(path, run_python):
    code = (
        f"import os; os.environ['LOWBIT_GEMM_PATH'] = {path!r}\n"
        "from lowbit.ops.gemm.paths import chosen; print(chosen())"
    )
    assert run_python(code).strip() == path


@settings(max_examples=examples(150))
@given(st.data())
def test_any_call(data):
    m, k, n = (data.draw(st.integers(0, 90)) for _ in range(3))
    a_dtype, b_dtype = (data.draw(st.sampled_from(DTYPES)) for _ in range(2))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a, b = random_codes(rng, (m, k), a_dtype), random_codes(rng, (k, n), b_dtype)
    a_zero = data.draw(st.integers(int(np.iinfo(a_dtype).min), int(np.iinfo(a_dtype).max)))
    b_zero = random_codes(rng, n, b_dtype)
    path = data.draw(st.sampled_from(PATHS))
    accumulator = data.draw(st.sampled_from(("int32", "int64")))
    layouts = [data.draw(st.sampled_from(LAYOUTS if array.size else ("plain",))) for array in (a, b)]
    got = lowbit.gemm(
        laid_out(a, layouts[0]),
        laid_out(b, layouts[1]),
        a_zero_point=a_zero,
        b_zero_point=b_zero,
        path=path,
        accumulator=accumulator,
    )
    assert np.array_equal(got, expected(a, b, a_zero, b_zero, 0, np.dtype(accumulator)))


@pytest.mark.parametrize("width", [32, 64])
def test_a_nameless_plain_accumulator_is_the_plain_product(width):
    rng = np.random.default_rng(13)
    a, b = random_codes(rng, (3, 8), np.int16), random_codes(rng, (8, 5), np.int16)
    wanted = lowbit.gemm(a, b, accumulator=f"int{width}")
    assert np.array_equal(lowbit.gemm(a, b, accumulator=lowbit.Accumulator(width=width)), wanted)
    if width == 32:
        assert np.array_equal(lowbit.gemm(a, lowbit.prepack(b), accumulator=lowbit.Accumulator()), wanted)
