"""Importance matrices of llama.cpp in both layouts, sound and damaged."""

import struct

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.gguf import write_gguf
from lowbit.files.importance import read_importance
from lowbit.files.safetensors import Entry, write_tensors
from tests.files.importance_files import METADATA, dat, write_importance

SQUARES = np.array([[3, 0.1, 7, 1e30], [0, 2, 5, 1]], np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "imatrix"


def test_gguf_divides_each_matrix_by_its_count(path):
    write_importance(path, {"a": ([3], SQUARES[:1]), "experts": ([7, 0], SQUARES), "old": ([7, 7], SQUARES)})
    importance = read_importance(path)
    assert np.array_equal(importance.rows("a", (9, 4)), SQUARES[:1] / np.float32(3))
    assert np.array_equal(importance.rows("experts", (2, 9, 4)), [SQUARES[0] / np.float32(7), [1, 1, 1, 1]])
    assert np.array_equal(importance.rows("old", (5, 8)), (SQUARES / np.float32(7)).reshape(1, 8))
    assert importance.rows("b", (9, 4)) is None


def test_a_count_for_all_matrices(path):
    write_importance(path, {"a": ([3], SQUARES)})
    assert np.array_equal(read_importance(path).rows("a", (2, 9, 4)), SQUARES / np.float32(3))


@pytest.mark.parametrize("end", [{}, {"text": None}, {"text": None, "chunks": None}, {"text": ""}])
def test_dat_divides_by_the_calls_if_there_were_any(path, end):
    path.write_bytes(dat({"a": (3, SQUARES[0]), "blk.é": (0, SQUARES), "c": (-1, SQUARES[1])}, **end))
    importance = read_importance(path)
    assert np.array_equal(importance.rows("a", (9, 4)), SQUARES[:1] / np.float32(3))
    assert np.array_equal(importance.rows("blk.é", (2, 9, 4)), SQUARES)
    assert np.array_equal(importance.rows("c", (9, 4)), SQUARES[1:])


@pytest.mark.parametrize("layout", ["dat", "gguf"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 5), "tensor 'a' has 4 inputs in the importance matrix, and in the model the shape (2, 5)"),
        ((2, 3, 4), "in the model the shape (2, 3, 4)"),
        ((1, 1, 1, 4), "in the model the shape (1, 1, 1, 4)"),
    ],
)
def test_other_lengths_are_refused(path, layout, shape, message):
    if layout == "dat":
        path.write_bytes(dat({"a": (1, SQUARES[0])}))
    else:
        write_importance(path, {"a": ([1], SQUARES[:1])})
    with pytest.raises(InputError) as error:
        read_importance(path).rows("a", shape)
    assert message in str(error.value)


@pytest.mark.parametrize("wrong", [-1, np.nan, np.inf])
def test_what_is_not_a_weight_is_refused(path, wrong):
    write_importance(path, {"a": ([2], [[1, wrong]])})
    with pytest.raises(InputError, match="tensor 'a' has the importance"):
        read_importance(path).rows("a", (1, 2))


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        ({"a": ([1, 1, 1], SQUARES)}, "has 8 sums of squares and 3 counts"),
        ({"a": ([-1], SQUARES)}, "has the count -1"),
        ({"a": ([np.nan], SQUARES)}, "has the count nan"),
        ({"a": ([0.5], SQUARES)}, r"has the count 0\.5"),
        ({"a": ([1e30], SQUARES)}, r"has the count 1\.00"),
        ({}, "says nothing of any tensor"),
    ],
)
def test_counts_that_lie_are_refused(path, sums, message):
    write_importance(path, sums)
    with pytest.raises(InputError, match=message):
        read_importance(path)


def test_gguf_files_of_other_kinds_are_refused(path):
    for lacking in ("imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"):
        write_importance(path, {"a": ([1], SQUARES)}, {key: METADATA[key] for key in METADATA if key != lacking})
        with pytest.raises(
            InputError, match=f"is a GGUF file, but not an importance matrix: its metadata lacks {lacking}"
        ):
            read_importance(path)
    write_gguf(path, [Entry("a.in_sum2", "F32", (1, 4), 0, 0)], [SQUARES[:1]], METADATA)
    with pytest.raises(InputError, match=r"a\.counts is missing"):
        read_importance(path)
    entries = [Entry("a.in_sum2", "F16", (1, 4), 0, 0), Entry("a.counts", "F32", (1, 1), 0, 0)]
    write_gguf(path, entries, [np.ones((1, 4), np.float16), np.ones((1, 1), np.float32)], METADATA)
    with pytest.raises(InputError, match=r"a\.in_sum2 is F16 \(1, 4\)"):
        read_importance(path)


def lie(at, number):
    """Another number at a place of a file of one tensor, ``a``."""
    data = bytearray(dat({"a": (1, SQUARES[0])}))
    data[at : at + 4] = struct.pack("<i", number)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0", "the number of tensors at byte 0 takes 4 bytes, and 1 are left"),
        (lie(0, 0), "the number of tensors at byte 0 is 0"),
        (lie(0, -5), "the number of tensors at byte 0 is -5"),
        (lie(0, 2), "of tensor 2 of 2"),
        (lie(0, 2**31 - 1), "of tensor 2 of 2,147,483,647"),
        (lie(4, -1), "the name of tensor 1 of 1 at byte 4 is -1"),
        (lie(4, 2**31 - 1), "the name of tensor 1 of 1 at byte 8 takes 2,147,483,647 bytes"),
        (lie(13, 0), "the number of sums of tensor 1 of 1 at byte 13 is 0"),
        (lie(13, 2**31 - 1), "sums of tensor 1 of 1 at byte 17 takes 8,589,934,588 bytes"),
        (lie(13, 1), "the name of the text at byte 29 takes"),
        (dat({"a": (1, SQUARES[0])})[:-1], "the name of the text"),
        (dat({"a": (1, SQUARES[0])}) + b"x", "the rest belongs to no tensor"),
        (b"\1\0\0\0\1\0\0\0\xff" + bytes(20), "is not UTF-8"),
    ],
)
def test_damaged_dat_files_are_refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read_importance(path)
    assert str(error.value).startswith(f"{path} is not an importance matrix, or a damaged one: ")
    assert message in str(error.value)


def test_an_empty_file_is_refused(path):
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is not an importance matrix, but an empty file"):
        read_importance(path)


def test_a_name_that_is_there_twice_is_refused(path):
    one = dat({"a": (1, SQUARES[0])}, chunks=None, text=None)
    path.write_bytes(struct.pack("<i", 2) + one[4:] * 2)
    with pytest.raises(InputError, match="tensor 'a' is there twice"):
        read_importance(path)


def test_what_is_not_there_and_what_is_another_file(path, tmp_path):
    for place in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_importance(place)
    write_tensors(path, [Entry("a", "F32", (2, 4), 0, 0)], [SQUARES])
    with pytest.raises(InputError, match="is not an importance matrix, but a safetensors file"):
        read_importance(path)
    path.write_bytes(b"this is a text of some sentences, and not an importance matrix")
    with pytest.raises(InputError, match="is not an importance matrix, but text"):
        read_importance(path)
