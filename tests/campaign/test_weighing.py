"""Checkpoints that are quantised by an importance matrix."""

import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import quantize_file
from lowbit.errors import InputError
from lowbit.files.gguf import read_gguf
from lowbit.files.safetensors import Entry, read_header, write_tensors
from tests.files.importance_files import dat, write_importance

RANDOM = np.random.default_rng(21)
ARRAYS = {
    "blk.0.a.weight": RANDOM.standard_normal((3, 512)),
    "blk.0.experts.weight": RANDOM.standard_normal((2, 3, 256)),
    "blk.0.small.weight": RANDOM.standard_normal((3, 256)),
}
SUMS = {
    "blk.0.a.weight": ([5], RANDOM.chisquare(1, (1, 512))),
    "blk.0.experts.weight": ([3, 4], RANDOM.chisquare(1, (2, 256))),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model"
    entries = [Entry(name, "F32", array.shape, 0, 0) for name, array in ARRAYS.items()]
    write_tensors(path, entries, [array.astype(np.float32) for array in ARRAYS.values()])
    return path


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "imatrix.gguf"
    write_importance(path, SUMS)
    return path


def structs(name, fmt):
    """Of a tensor by the library alone, matrix by matrix."""
    values = ARRAYS[name].astype(np.float32)
    matrices = values.reshape(-1, *values.shape[-2:])
    counts, squares = SUMS.get(name, ([1], None))
    rows = [None] * len(matrices) if squares is None else squares.astype(np.float32) / np.float32(counts)[:, None]
    tensors = [lowbit.quantize(matrix, fmt, importance=row) for matrix, row in zip(matrices, rows, strict=True)]
    return b"".join(tensor.to_bytes(layout="ggml") for tensor in tensors)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fmt", ["ggml_q4_k", "ggml_q6_k", "ggml_iq4_nl", "ggml_q4_0", "ggml_q5_1"])
def test_every_matrix_is_weighed_by_its_own_columns(model, matrix, tmp_path, fmt, threads):
    out = tmp_path / "q.gguf"
    converted = quantize_file(model, out, fmt, importance=matrix, threads=threads)
    for name in ARRAYS:
        assert read_gguf(out).raw(name).tobytes() == structs(name, fmt), name
    assert converted.notes[-2:] == (
        f"2 tensors weighed by {matrix}",
        "it says nothing of blk.0.small.weight: all columns count alike",
    )
    assert structs("blk.0.a.weight", fmt) != lowbit.quantize(ARRAYS["blk.0.a.weight"], fmt).to_bytes(layout="ggml")


def test_both_layouts_give_the_same(model, matrix, tmp_path):
    old = tmp_path / "imatrix.dat"
    (count,), squares = SUMS["blk.0.a.weight"]
    old.write_bytes(dat({"blk.0.a.weight": (count, squares)}))
    outputs = []
    for path in (old, matrix):
        quantize_file(model, tmp_path / "q", "ggml_q5_k", importance=path, include="a.weight", container="lowbit")
        outputs.append(read_header(tmp_path / "q").raw("blk.0.a.weight.codes").tobytes())
    assert outputs[0] == outputs[1]


def said(output):
    """What the metadata says of the matrix: kinds and values by the last part of the key."""
    values = {key: value for key, value in read_gguf(output).values.items() if key.startswith("quantize.imatrix.")}
    return {key.rpartition(".")[2]: (value.kind, value.value) for key, value in values.items()}


@pytest.mark.parametrize(
    ("end", "keys"),
    [
        ({}, ["dataset", "entries_count", "chunks_count"]),
        ({"text": None}, ["entries_count", "chunks_count"]),
        ({"text": None, "chunks": None}, ["entries_count"]),
    ],
)
def test_the_metadata_says_which_matrix(model, matrix, tmp_path, end, keys):
    old = tmp_path / f"{'é' * 100}.dat"
    old.write_bytes(dat({name: (counts[0], squares) for name, (counts, squares) in SUMS.items()}, **end))
    outputs = []
    for path in (matrix, old):
        quantize_file(model, tmp_path / "q.gguf", "ggml_q5_k", importance=path, include="a.weight")
        outputs.append(said(tmp_path / "q.gguf"))
    counts = {"entries_count": ("uint32", 2), "chunks_count": ("uint32", 3)}
    assert outputs[0] == {"file": ("string", str(matrix)[:127]), "dataset": ("string", "wiki.txt"), **counts}
    file = outputs[1].pop("file")[1]
    assert str(old).startswith(file)
    assert len(file.encode()) in (126, 127)
    assert outputs[1] == {key: outputs[0][key] for key in keys}


def test_formats_without_importance_are_told(model, matrix, tmp_path):
    formats = {"blk.0.a.weight": "ggml_q4_k", "blk.0.small.weight": "ggml_q8_0"}
    notes = quantize_file(model, tmp_path / "q.gguf", formats, importance=matrix).notes
    assert "importance does not change blk.0.small.weight: the formats are made without" in notes


@pytest.mark.parametrize(
    ("fmt", "include", "message"),
    [
        ("ggml_q8_0", "", "importance is for ggml's K-quants, IQ4, and Q4_0 to Q5_1, and ggml_q8_0 is made without"),
        (
            "ggml_q4_k",
            "small",
            "says nothing of any of the 1 tensor that could be weighed by it; it has blk.0.a.weight",
        ),
    ],
)
def test_what_is_refused_of_importance(model, matrix, tmp_path, fmt, include, message):
    with pytest.raises(InputError) as error:
        quantize_file(model, tmp_path / "q.gguf", fmt, importance=matrix, include=include)
    assert message in str(error.value)
    assert not (tmp_path / "q.gguf").exists()


def test_rows_of_another_model_are_refused(model, tmp_path):
    write_importance(tmp_path / "other", {"blk.0.a.weight": ([1], np.ones((1, 256)))})
    with pytest.raises(InputError, match="has 256 inputs in the importance matrix, and in the model the shape"):
        quantize_file(model, tmp_path / "q.gguf", "ggml_q4_k", importance=tmp_path / "other")


@pytest.mark.parametrize("fmt", ["ggml_q4_k", "ggml_q4_0"])
@pytest.mark.parametrize("container", ["gguf", "lowbit"])
def test_an_importance_beyond_binary32_is_told_as_such(model, tmp_path, fmt, container):
    write_importance(tmp_path / "huge", {"blk.0.a.weight": ([1], np.full((1, 512), 1e38))})
    with pytest.raises(InputError, match=r"by an importance of up to 1e\+38, and finite without it") as error:
        quantize_file(model, tmp_path / "q", fmt, importance=tmp_path / "huge", container=container)
    assert error.value.hint.startswith("is the importance matrix damaged?")
    assert not (tmp_path / "q").exists()


def test_a_policy_of_the_searches_of_rows_needs_importance(model, matrix, tmp_path):
    quantize_file(model, tmp_path / "q.gguf", "ggml_q4_0", importance=matrix, policy="ggml_search", include="a.weight")
    assert read_gguf(tmp_path / "q.gguf").raw("blk.0.a.weight").tobytes() == structs("blk.0.a.weight", "ggml_q4_0")
    with pytest.raises(InputError, match="search = 'ggml' is not for this format without importance"):
        quantize_file(model, tmp_path / "q.gguf", "ggml_q4_0", policy="ggml_search")
