"""Safetensors files: read as they were written, and refused where the header contradicts itself or the file."""

import json
import struct
import time

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.safetensors import DTYPES, PACKED, Entry, read_header, write_tensors

GENERATOR = np.random.default_rng(11)
TENSORS = {
    "query.weight": GENERATOR.normal(size=(6, 8)).astype(np.float32),
    "key.weight": GENERATOR.normal(size=(6, 8)).astype(np.float16),
    "up.weight": GENERATOR.standard_t(2, size=(12, 8)).astype(ml_dtypes.bfloat16),
    "transposed": GENERATOR.normal(size=(3, 5)).astype(np.float64).T,
    "none": np.ones((0, 3), np.float32),
    "steps": np.array(7, np.int64),
}
KINDS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
}


def write_all(path, tensors=TENSORS):
    entries = [Entry(name, KINDS[array.dtype.name], array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values())
    return path


@pytest.fixture
def model(tmp_path):
    return write_all(tmp_path / "model.safetensors")


def test_files_are_read_as_they_were_written(model, tmp_path):
    file = read_header(model)
    assert list(file.entries) == list(TENSORS)
    for name, array in TENSORS.items():
        assert np.array_equal(file.tensor(name), array)
        assert file.tensor(name).dtype == array.dtype
    eight = np.arange(6, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).reshape(2, 3)
    again = read_header(write_all(tmp_path / "8", {"w": eight})).tensor("w")
    assert np.array_equal(again.view(np.uint8), eight.view(np.uint8))


SMALL = {
    **dict.fromkeys(["F8_E5M2", "F8_E4M3", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0"], 8),
    **dict.fromkeys(["F6_E2M3", "F6_E3M2"], 6),
    "F4": 4,
}


def small(dtype):
    """Every code of a dtype of at most 8 bits."""
    own = PACKED.get(dtype) or DTYPES[dtype]
    return np.arange(1 << SMALL[dtype], dtype=np.uint8).view(own).reshape(4, -1)


@pytest.mark.parametrize(("dtype", "bits"), SMALL.items())
def test_every_code_of_the_small_dtypes_comes_back(tmp_path, dtype, bits):
    array = small(dtype)
    path = tmp_path / "small"
    write_tensors(path, [Entry("w", dtype, array.shape, 0, 0)], [array])
    file = read_header(path)
    assert file.raw("w").size == array.size * bits // 8
    read = file.tensor("w")
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert np.array_equal(read.view(np.uint8), array.view(np.uint8))


def test_codes_of_less_than_a_byte_begin_at_the_lowest_bit(tmp_path):
    four = np.arange(8, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn)
    six = np.array([1, 2, 3, 4], np.uint8).view(ml_dtypes.float6_e2m3fn)
    entries = [Entry("four", "F4", (8,), 0, 0), Entry("six", "F6_E2M3", (4,), 0, 0)]
    write_tensors(tmp_path / "a", entries, [four, six])
    file = read_header(tmp_path / "a")
    assert file.raw("four").tolist() == [0x10, 0x32, 0x54, 0x76]
    assert file.raw("six").tolist() == [0b10000001, 0b00110000, 0b00010000]
    with pytest.raises(InputError, match="of 3 F4 numbers does not end at a byte"):
        write_tensors(tmp_path / "b", [Entry("odd", "F4", (3,), 0, 0)], [four[:3]])
    with pytest.raises(InputError, match="not F4"):
        write_tensors(tmp_path / "b", [Entry("four", "F4", (8,), 0, 0)], [six])
    assert not (tmp_path / "b").exists()


def test_the_safetensors_package_takes_the_small_dtypes(tmp_path):
    package = pytest.importorskip("safetensors", reason="safetensors is not installed")
    arrays = [small(dtype) for dtype in SMALL]
    entries = [Entry(dtype, dtype, array.shape, 0, 0) for dtype, array in zip(SMALL, arrays, strict=True)]
    write_tensors(tmp_path / "a", entries, arrays)
    theirs = dict(package.deserialize((tmp_path / "a").read_bytes()))
    for entry in entries:
        assert (theirs[entry.name]["dtype"], tuple(theirs[entry.name]["shape"])) == (entry.dtype, entry.shape)
        assert theirs[entry.name]["data"] == read_header(tmp_path / "a").raw(entry.name).tobytes()


def test_the_safetensors_package_reads_what_is_written(model):
    numpy_front_end = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    for name, array in numpy_front_end.load_file(model).items():
        assert np.array_equal(array, TENSORS[name])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "but an empty file"),
        (b"\xff" * 40, "truncated"),
        (struct.pack("<Q", 4) + b"nope", "not JSON"),
        (struct.pack("<Q", 2) + b"[]", "not a JSON object"),
        (struct.pack("<Q", 10) + b'{"a": {}} ', "lacks dtype"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "ends at byte"),
        (b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,0]}}', "does not fill"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}', "counts of bytes"),
    ],
)
def test_damaged_files_are_refused_in_words(tmp_path, content, message):
    path = tmp_path / "damaged"
    path.write_bytes(struct.pack("<Q", len(content)) + content if content.startswith(b"{") else content)
    with pytest.raises(InputError, match=message):
        read_header(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_header(tmp_path / "nowhere")


ENTRY = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def second(start, stop):
    return {**ENTRY, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        (b"[" * 200_000 + b"]" * 200_000, 0, "not JSON"),
        (b'{"a":1,"a":2}', 0, "'a' is there twice"),
        (json.dumps({"a": ENTRY}).encode("utf-16"), 8, "not JSON"),
        ({"a": ENTRY, "b": second(4, 12)}, 12, "overlaps"),
        ({"a": ENTRY, "b": second(16, 24)}, 24, "hole"),
        ({"a": ENTRY}, 9, "belongs to none"),
        ({"a": second(8, 0)}, 8, "before it starts"),
        ({"a": {**ENTRY, "shape": [1] * 65, "data_offsets": [0, 4]}}, 4, "65 axes"),
        ({"a\ud800": ENTRY}, 8, "not text"),
        ({"a": ENTRY, "__metadata__": {"format": 1}}, 8, "__metadata__"),
        ({"a": {**ENTRY, "shape": [2**63, 0], "data_offsets": [0, 0]}}, 0, "beyond 2\\^63 bytes"),
        ({"a": {**ENTRY, "shape": [2**40, 0, 2**40], "data_offsets": [0, 0]}}, 0, "beyond 2\\^63 bytes"),
        ({"a": {**ENTRY, "shape": "12"}}, 8, "counts of bytes"),
        ({"a" * 100_000: 7}, 8, r"'a{100}'... \(100,000 characters\) lacks"),
        ({"a": {**ENTRY, "dtype": "x" * 100_000, "shape": [-1]}}, 8, r"... \(100,0.. characters\) in the header"),
    ],
)
def test_contradictory_headers_are_refused(tmp_path, header, data, words):
    with pytest.raises(InputError, match=words):
        read_header(write(tmp_path / "model.safetensors", header, bytes(data)))


def test_a_tensor_that_is_not_there_or_of_no_known_dtype(tmp_path):
    file = read_header(write(tmp_path / "model", {"a": {**ENTRY, "dtype": "U4"}}, bytes(8)))
    assert file.raw("a").tobytes() == bytes(8)
    with pytest.raises(InputError, match="of dtype 'U4', which cannot be read"):
        file.tensor("a")
    for read in (file.raw, file.tensor):
        with pytest.raises(InputError, match="has no tensor 'b'"):
            read("b")


def test_one_of_many_names_that_is_there_twice_is_told_quickly(tmp_path):
    names = [f'"{number}":0' for number in range(300_000)]
    path = write(tmp_path / "model", ("{" + ",".join([*names, names[-1]]) + "}").encode())
    start = time.process_time()
    with pytest.raises(InputError, match="'299999' is there twice"):
        read_header(path)
    assert time.process_time() - start < 20  # a list that is searched for each takes hours


def test_a_tensor_other_than_announced_is_not_written(tmp_path):
    path = tmp_path / "model"
    for tensor in (np.ones(3, np.float64), np.ones(4, np.float32), np.ones(12, np.uint8)[::1].reshape(3, 4)):
        with pytest.raises(InputError, match=r"tensor 'a' is .*, not F32 \(3,\) as announced"):
            write_tensors(path, [Entry("a", "F32", (3,), 0, 0)], [tensor])
    assert not path.exists()
