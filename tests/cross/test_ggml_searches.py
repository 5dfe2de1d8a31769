"""ggml's own C library, through ctypes: the searches for K-quants, IQ4 and Q8_K, struct for struct."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import quantize_file
from lowbit.files.gguf import TYPES, read_gguf
from lowbit.files.gguf_tensors import formats
from lowbit.files.safetensors import Entry, write_tensors
from lowbit.ops.block.ggml_searches import ROW_SEARCHES, SEARCHES
from lowbit.ops.block.structs import struct_size
from tests.files.importance_files import dat, write_importance

libggml = pytest.importorskip("libggml", reason="libggml-python is not installed")
WEIGHTED = [name for name in (*SEARCHES, *ROW_SEARCHES) if name != "ggml_q8_k"]
LENGTH = 512


@pytest.fixture(scope="session")
def ggml():
    """The library with the reference functions."""
    return ctypes.CDLL(str(Path(libggml.__file__).parent / "lib64" / "libggml-base.so"))


def structs(ggml, values, name, importance=None):
    """What C makes of rows: ``quantize_q4_K``, or for activations ``quantize_row_q8_K_ref``."""
    spelled = name.removeprefix("ggml_").replace("_k", "_K")
    result = np.zeros(values.size // lowbit.get_format(name).block[0] * struct_size(lowbit.get_format(name)), np.uint8)
    if name == "ggml_q8_k":
        pointers = ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(result.ctypes.data)
        ggml.quantize_row_q8_K_ref(*pointers, ctypes.c_int64(values.size))
    else:
        function = getattr(ggml, f"quantize_{spelled}")
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        function.restype = ctypes.c_size_t
        weights = None if importance is None else importance.ctypes.data
        assert function(values.ctypes.data, result.ctypes.data, *values.shape, weights) == result.size
    return result.tobytes()


def kinds(seed):
    """Rows of every kind, each at most one array of them."""
    drawn = np.random.default_rng(seed)
    normal = drawn.standard_normal((20, 6, LENGTH))
    powers = 10.0 ** drawn.integers(-44, 38, (3, 6, LENGTH))
    outliers = normal[6].copy()
    outliers[:, ::97] *= 1000
    constants = [0, -0.0, 1, -7, 1e-10, 1e-14, 1e-16, -1e-40, 1e-30, 65504, 1e10, 1e30, 3e38, -3e38]
    return {
        "normal": normal[0],
        "sizes": normal[1] * drawn.choice([1e-6, 1e-3, 1, 100], (6, 1)),
        "heavy tails": drawn.standard_t(2, (6, LENGTH)),
        "positive": np.abs(normal[2]) + 5,
        "negative": -np.abs(normal[3]),
        "far from zero": normal[4] * 1e-6 - 1,
        "sorted": np.sort(normal[5]),
        "outliers": outliers,
        "blocks of zeros": normal[7] * np.repeat(drawn.integers(0, 2, (6, LENGTH // 16)), 16, axis=1),
        "one number": np.where(drawn.integers(0, LENGTH, (6, LENGTH)) == 0, 1, 0),
        "constant": np.repeat(np.array(constants)[:, None], LENGTH, axis=1),
        "integers": drawn.integers(-8, 8, (6, LENGTH)),
        "ties": np.round(normal[8] * 4) / 4,
        "signs": drawn.choice([-1.0, 1.0], (6, LENGTH)),
        "subnormal": normal[9] * 1e-40,
        "below the smallest": normal[10] * 1e-15,
        "factors that binary16 does not hold": normal[11] * 3e-8,
        "scales of many sizes": normal[12]
        * np.exp(4 * np.repeat(drawn.standard_normal((6, LENGTH // 16)), 16, axis=1)),
        "cubes beyond binary32": normal[13] * 1e13,
        "squares beyond binary32": normal[14] * 1e19,
        "rows of any size": normal[15] * powers[0, :, :1],
        "values of any size": np.clip(normal[16] * powers[1], -3.4e38, 3.4e38),
        "largest numbers": drawn.choice([-3.4e38, 0, 3.4e38], (6, LENGTH)),
        "a range beyond binary32": np.clip(normal[17], -1, 1) * np.finfo(np.float32).max,
        "one largest number": np.where(np.arange(LENGTH) % 256 == 77, -np.finfo(np.float32).max, normal[18]),
        "subnormal powers": drawn.choice([-1, 0, 1], (6, LENGTH)) * np.exp2(drawn.integers(-149, -126, (6, LENGTH))),
        "zeros of both signs": np.where(normal[19] < 0, -0.0, np.abs(normal[0]) * drawn.integers(0, 2, (6, 1))),
    }


def weights(seed):
    """Importance: usual, over many powers of two, with zeros, and of zeros alone."""
    drawn = np.random.default_rng(seed)
    normal = drawn.standard_normal(LENGTH)
    every = np.exp(normal), np.exp(30 * normal), drawn.integers(0, 2, LENGTH), np.zeros(LENGTH)
    return [each.astype(np.float32) for each in every]


def require_equal(ggml, name, importance=None):
    for kind, values in kinds(11).items():
        rows = np.ascontiguousarray(values, np.float32)
        tensor = lowbit.quantize(rows, name, importance=importance)
        assert tensor.to_bytes(layout="ggml") == structs(ggml, rows, name, importance), kind


@pytest.mark.parametrize("name", SEARCHES)
def test_without_importance(ggml, name):
    require_equal(ggml, name)


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("name", WEIGHTED)
def test_with_importance(ggml, name, which):
    require_equal(ggml, name, weights(12)[which])


@pytest.mark.parametrize("layout", ["dat", "gguf"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_checkpoints_by_an_importance_matrix(ggml, name, layout, tmp_path):
    """`lowbit quantize --importance` beside ``ggml_quantize_chunk`` given the rows that ``llama-quantize`` makes."""
    drawn = np.random.default_rng(15)
    values, squares = drawn.standard_t(4, (2, 5, LENGTH)), drawn.chisquare(1, (2, LENGTH)).astype(np.float32) * 77
    values, counts = values.astype(np.float32), np.float32([7, 7] if layout == "dat" else [7, 11])
    sums = {"w": (7, squares)} if layout == "dat" else {"w": (counts, squares)}
    path = tmp_path / "imatrix"
    path.write_bytes(dat(sums)) if layout == "dat" else write_importance(path, sums)
    write_tensors(tmp_path / "m", [Entry("w", "F32", values.shape, 0, 0)], [values])
    quantize_file(tmp_path / "m", tmp_path / "q.gguf", name, importance=path)
    theirs = [chunk(ggml, name, matrix, row) for matrix, row in zip(values, squares / counts[:, None], strict=True)]
    assert read_gguf(tmp_path / "q.gguf").raw("w").tobytes() == b"".join(theirs)


def chunk(ggml, name, values, importance):
    """``ggml_quantize_chunk``, which is what ``llama-quantize`` calls."""
    function = ggml.ggml_quantize_chunk
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    function.restype = ctypes.c_size_t
    number, length, size = TYPES[name.removeprefix("ggml_").upper()]
    result = np.zeros(values.size // length * size, np.uint8)
    arguments = values.ctypes.data, result.ctypes.data, 0, *values.shape, importance.ctypes.data
    assert function(number, *arguments) == result.size
    return result.tobytes()


@pytest.mark.parametrize("name", [fmt.id for fmt in formats()])
def test_which_formats_importance_changes(ggml, name):
    """Those that are weighed here, and no other ones."""
    if name in ("ggml_q8_k", "ggml_q8_1"):
        pytest.skip("weights are not quantised into it")
    rows = kinds(16)["heavy tails"].astype(np.float32)
    row = weights(12)[0]
    changed = chunk(ggml, name, rows, row) != chunk(ggml, name, rows, np.ones_like(row))
    assert changed == (name in WEIGHTED)


@pytest.mark.parametrize("name", SEARCHES)
def test_many_rows(ggml, name):
    rows = np.random.default_rng(13).standard_normal((200, 2048)).astype(np.float32)
    assert lowbit.quantize(rows, name).to_bytes(layout="ggml") == structs(ggml, rows, name)


def test_iq4_nl_of_activations(ggml):
    # A block of zeros keeps the codes of the block before it in C, under the scale 0: left out here.
    for kind, values in kinds(14).items():
        rows = np.ascontiguousarray(values, np.float32)
        rows = rows[(np.abs(rows).reshape(len(rows), -1, 32).max(axis=2) >= 1e-15).all(axis=1)]
        result = np.zeros(rows.size // 32 * 18, np.uint8)
        pointers = ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(result.ctypes.data)
        ggml.quantize_row_iq4_nl_ref(*pointers, ctypes.c_int64(rows.size))
        tensor = lowbit.quantize(rows, "ggml_iq4_nl", policy="ggml_iq4_nl_row")
        assert tensor.to_bytes(layout="ggml") == result.tobytes(), kind


def test_what_c_leaves_unwritten(ggml):
    zeros, filled = np.zeros(256, np.float32), np.full(292, 0xAB, np.uint8)
    pointers = ctypes.c_void_p(zeros.ctypes.data), ctypes.c_void_p(filled.ctypes.data)
    ggml.quantize_row_q8_K_ref(*pointers, ctypes.c_int64(256))
    assert not filled[:260].any()
    assert (filled[260:] == 0xAB).all(), "C writes the sums of a block of zeros now"
    assert not any(lowbit.quantize(zeros, "ggml_q8_k").to_bytes(layout="ggml"))


def test_scales_below_zero_wrap_in_q4_k_of_ggml_alone(ggml, tmp_path):
    drawn, importance = np.random.default_rng(2), np.zeros((1, 256), np.float32)
    values = (drawn.integers(-20, 21, (24, 256)) / 4).astype(np.float32)
    importance[0, drawn.choice(256, 12, replace=False)] = drawn.random(12)
    write_tensors(tmp_path / "model", [Entry("w", "F32", values.shape, 0, 0)], [values])
    write_importance(tmp_path / "importance", {"w": ([1], importance)})
    found = {}
    for name in ("ggml_q4_k", "ggml_q5_k"):
        quantize_file(tmp_path / "model", tmp_path / "q.gguf", name, importance=tmp_path / "importance")
        both = read_gguf(tmp_path / "q.gguf").raw("w").tobytes(), structs(ggml, values, name, importance)
        found[name] = [lowbit.BlockTensor.from_bytes(one, name, values.shape, layout="ggml") for one in both]
    ours, theirs = (tensor.scale_codes("block") for tensor in found["ggml_q5_k"])
    np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (tensor.scale_codes("block") for tensor in found["ggml_q4_k"])
    rows, columns = np.nonzero(ours != theirs)
    assert [(int(ours[at]), int(theirs[at])) for at in zip(rows, columns, strict=True)] == [(63, 14), (63, 61), (2, 50)]
    assert columns[2] == columns[1] + 4  # whose upper bits are beside it
