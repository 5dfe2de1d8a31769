"""GGUF files: read as they were written, and refused where the header contradicts itself or the file."""

import struct
import time

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.gguf import TYPES, is_gguf, read_gguf, type_bytes, write_gguf
from lowbit.files.gguf_values import KINDS, Value
from lowbit.files.safetensors import DTYPES, Entry

GENERATOR = np.random.default_rng(3)
VALUES = {
    "general.architecture": Value("string", "llama"),
    "general.alignment": Value("uint32", 64),
    **{f"number.{kind}": Value(kind, 1) for kind in KINDS if kind not in ("string", "array")},
    "least": Value("int8", -128),
    "tokens": Value("array", ["a", "\ud8ff".encode("utf-8", "replace").decode(), "\udcff", ""], "string"),
    "scores": Value("array", np.array([0.5, -0.0, np.inf], np.float32), "float32"),
    "flags": Value("array", [True, False], "bool"),
    "none": Value("array", [], "uint64"),
    "nested": Value("array", [Value("array", [1, 2], "int32"), Value("array", ["b"], "string")], "array"),
}
TENSORS = {
    "half": GENERATOR.normal(size=(3, 5)).astype(np.float16),
    "brain": GENERATOR.normal(size=(2, 3, 4)).astype(ml_dtypes.bfloat16),
    "single": GENERATOR.normal(size=7).astype(np.float32),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 4), np.float32),
}
OF_DTYPE = {np.dtype(dtype): name for name, dtype in DTYPES.items() if name in TYPES}


def entries_of(tensors):
    return [Entry(name, OF_DTYPE[array.dtype], array.shape, 0, 0) for name, array in tensors.items()]


def plain(value):
    if isinstance(value, Value):
        return value.kind, value.of, plain(value.value)
    return [plain(item) for item in value] if isinstance(value, (list, np.ndarray)) else value


@pytest.mark.parametrize("version", [2, 3])
def test_files_are_read_as_they_were_written(tmp_path, version):
    path, again = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_gguf(path, entries_of(TENSORS), TENSORS.values(), VALUES, version=version)
    file = read_gguf(path)
    assert (is_gguf(path), file.version, list(file.entries)) == (True, version, list(TENSORS))
    assert {key: plain(value) for key, value in file.values.items()} == {k: plain(v) for k, v in VALUES.items()}
    for name, array in TENSORS.items():
        assert file.tensor(name).dtype == array.dtype
        assert np.array_equal(file.tensor(name), array)
        assert array.size == 0 or file.entries[name].start % 64 == 0
    write_gguf(again, file.entries.values(), map(file.raw, file.entries), file.values, version=version)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_comes_back(tmp_path, dtype):
    _, values, size = TYPES[dtype]
    data = GENERATOR.integers(256, size=6 * size, dtype=np.uint8)
    path = tmp_path / "a.gguf"
    write_gguf(path, [Entry("w", dtype, (3, 2 * values), 0, 0)], [data])
    file = read_gguf(path)
    assert (file.entries["w"].dtype, file.entries["w"].shape) == (dtype, (3, 2 * values))
    assert np.array_equal(file.raw("w"), data)
    if values > 1:
        with pytest.raises(InputError, match=f"not a multiple of the {values}"):
            type_bytes(dtype, (2, values + 1))
        with pytest.raises(InputError, match="cannot be read"):
            file.tensor("w")


def text(word):
    return struct.pack("<Q", len(word)) + word


def info(name=b"w", shape=(4,), dtype=0, offset=0):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, dtype, offset)


def gguf(infos=(), pairs=(), *, version=3, tensors=None, values=None, data=b""):
    counts = struct.pack(
        "<IQQ", version, len(infos) if tensors is None else tensors, len(pairs) if values is None else values
    )
    header = b"GGUF" + counts + b"".join(pairs) + b"".join(infos)
    return header + bytes(-len(header) % 32) + data


def pair(key, kind, content):
    return text(key) + struct.pack("<I", kind) + content


def aligned(number, kind=4, letter="I"):
    return pair(b"general.alignment", kind, struct.pack(f"<{letter}", number))


DAMAGED = [
    (b"", "is not a GGUF file, but an empty file"),
    (b"GGML" + bytes(40), "does not begin with GGUF"),
    (b"GGUF", "truncated"),
    (gguf(version=1), "version 1, and 2, 3 are read"),
    (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50,331,648"),
    (gguf(tensors=1 << 62), "header lies: a header of 4,611,"),
    (gguf(values=(1 << 64) - 1), "header lies"),
    (gguf([info()]), "truncated: tensor 'w'"),
    (gguf([info()], data=bytes(15)), "truncated: tensor 'w'"),
    (gguf([info()], data=bytes(33)), "the rest belongs to none"),
    (gguf([info(), info(offset=32)], data=bytes(64)), "is there twice"),
    (gguf([info(), info(b"v")], data=bytes(32)), "overlaps the one before: it should begin"),
    (gguf([info(), info(b"v", offset=16)], data=bytes(64)), "overlaps"),
    (gguf([info(), info(b"v", offset=64)], data=bytes(96)), "leaves a hole"),
    (gguf([info(offset=1 << 63)], data=bytes(32)), "leaves a hole"),
    (gguf([info(dtype=4)], data=bytes(32)), "type 4, which is unknown or was removed"),
    (gguf([info(dtype=1 << 31)], data=bytes(32)), "which is unknown"),
    (gguf([info(shape=(8,), dtype=2)], data=bytes(32)), "not a multiple of the 32"),
    (gguf([info(shape=(1,) * 5)], data=bytes(32)), "5 axes; GGUF has 4"),
    (gguf([info(shape=(1 << 40, 1 << 40))], data=bytes(32)), "beyond 2\\^63"),
    (gguf([info(shape=(0, 1 << 63))], data=bytes(32)), "beyond 2\\^63"),
    (gguf([info(b"\xff")], data=bytes(32)), "not UTF-8"),
    (gguf(pairs=[pair(b"a", 13, b"")]), "of type 13; GGUF has the types 0 to 12"),
    (gguf(pairs=[pair(b"a", 0, b"\0"), pair(b"a", 0, b"\0")]), "'a' twice"),
    (gguf(pairs=[pair(b"a", 7, b"\2")]), "neither true nor false"),
    (gguf(pairs=[pair(b"a", 8, struct.pack("<Q", 1 << 50))]), "header lies"),
    (gguf(pairs=[pair(b"a", 9, struct.pack("<IQ", 8, 1 << 50))]), "header lies"),
    (gguf(pairs=[pair(b"a", 9, struct.pack("<IQ", 10, 1 << 61))]), "header lies"),
    (gguf(pairs=[pair(b"a", 9, struct.pack("<IQ", 9, 1) * 40 + bytes(12))]), "arrays in arrays"),
    (gguf(pairs=[aligned(0)]), "not a power of two"),
    (gguf(pairs=[aligned(48)]), "not a power of two"),
    (gguf(pairs=[aligned(32, 10, "Q")]), "uint64 32, not a power of two of type uint32"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED)
def test_damaged_files_are_refused_in_words(tmp_path, content, message):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_gguf(path)


def test_what_is_not_a_file(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        assert not is_gguf(path)
        with pytest.raises(InputError, match="cannot be read"):
            read_gguf(path)


def test_the_last_tensor_needs_no_padding_and_the_first_no_place(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(gguf([info(b"v", offset=32), info()], data=bytes(48)))
    assert list(read_gguf(path).entries) == ["v", "w"]
    assert read_gguf(path).tensor("v").shape == (4,)


@pytest.mark.parametrize(
    ("entry", "array", "values", "message"),
    [
        (Entry("w", "F32", (4,), 0, 0), np.zeros(4, np.float16), {}, "not F32"),
        (Entry("w", "Q4_0", (32,), 0, 0), np.zeros(17, np.uint8), {}, "not Q4_0"),
        (Entry("w" * 64, "F32", (4,), 0, 0), np.zeros(4, np.float32), {}, "63 bytes"),
        (Entry("w", "U8", (4,), 0, 0), np.zeros(4, np.uint8), {}, "no type 'U8'"),
        (Entry("w", "F32", (4,), 0, 0), np.zeros(4, np.float32), {"a": Value("uint8", 256)}, "not of the type uint8"),
        (Entry("w", "F32", (4,), 0, 0), np.zeros(4, np.float32), {"a": Value("text", "")}, "of the type 'text'"),
        (Entry("w", "F32", (4,), 0, 0), np.zeros(4, np.float32), {"general.alignment": Value("uint32", 3)}, "power"),
    ],
)
def test_what_has_no_place_is_refused(tmp_path, entry, array, values, message):
    with pytest.raises(InputError) as refused:
        write_gguf(tmp_path / "a", [entry], [array], values)
    assert message in f"{refused.value.message} {refused.value.hint}"
    assert not (tmp_path / "a").exists()


def test_a_header_of_a_megabyte_is_read_in_time(tmp_path):
    count = 1 << 17
    many = pair(b"a", 9, struct.pack("<IQ", 8, count) + bytes(8 * count))
    path = tmp_path / "a"
    path.write_bytes(gguf(pairs=[many]))
    started = time.process_time()
    assert len(read_gguf(path).values["a"].value) == count
    assert time.process_time() - started < 5
