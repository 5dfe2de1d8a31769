"""Checkpoints into GGUF files of ggml's blocks, and back."""

from functools import partial

import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.campaign.scan import clean_file, scan_file
from lowbit.errors import InputError
from lowbit.files.gguf import TYPES, read_gguf, write_gguf
from lowbit.files.gguf_tensors import format_of, type_of
from lowbit.files.gguf_values import Value
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.models.quantization import quantize_by_method
from lowbit.ops.block.structs import struct_size
from lowbit.ops.block.tensor import BlockTensor
from tests.campaign.test_scan import kinds_found

GENERATOR = np.random.default_rng(9)
WEIGHTS = GENERATOR.standard_t(4, size=(6, 512)).astype(np.float32)
ARRAYS = {
    "a.weight": WEIGHTS,
    "b.weight": WEIGHTS[:2, :100],
    "norm": WEIGHTS[0],
    "half": WEIGHTS[:, :64].astype(np.float16),
}
DTYPES = {"float32": "F32", "float16": "F16"}
FORMATS = ["ggml_q4_0", "ggml_q4_1", "ggml_q5_0", "ggml_q5_1", "ggml_q8_0", "ggml_mxfp4", "ggml_nvfp4", "ggml_tq2_0"]


def entries(arrays):
    return [Entry(name, DTYPES[array.dtype.name], array.shape, 0, 0) for name, array in arrays.items()]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, entries(ARRAYS), ARRAYS.values())
    return path


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "model.gguf"
    values = {"general.architecture": Value("string", "llama"), "general.file_type": Value("uint32", 0)}
    write_gguf(path, entries(ARRAYS), ARRAYS.values(), values)
    return path


def test_the_sizes_of_blocks_are_those_of_the_structs():
    known = {name: format_of(name) for name in TYPES if format_of(name) is not None}
    assert len(known) == 20
    for name, fmt in known.items():
        assert (fmt.block[0], struct_size(fmt)) == TYPES[name][1:]
        assert type_of(fmt) == name
    assert type_of(lowbit.get_format("mxfp4")) is None


@pytest.mark.parametrize("fmt", FORMATS)
def test_there_and_back(model, tmp_path, fmt):
    path, values = tmp_path / "q.gguf", tmp_path / "values"
    converted = quantize_file(model, path, fmt)
    names = [tensor.name for tensor in converted.tensors]
    assert names[0] == "a.weight"
    file = read_gguf(path)
    tensor = lowbit.quantize(WEIGHTS, fmt)
    assert file.raw("a.weight").tobytes() == tensor.to_bytes(layout="ggml")
    assert np.array_equal(file.tensor("norm"), WEIGHTS[0])
    assert np.array_equal(file.tensor("b.weight"), WEIGHTS[:2, :100])
    assert any("1 tensor" in note or "2 tensors" in note for note in converted.notes)
    dequantize_file(path, values, dtype="float32")
    assert np.array_equal(read_header(values).tensor("a.weight"), lowbit.dequantize(tensor, dtype=np.float32))
    scan = scan_file(path)
    assert scan.groups[0].format == fmt.removeprefix("ggml_").upper()
    assert set(kinds_found(scan)) <= {"negative_zero", "mixed_lineage"}


def test_bytes_of_tq1_0_that_mean_the_same(tmp_path):
    """Every byte at every place of a block: two of them are alike if the block decodes to the same codes."""
    fmt = lowbit.get_format("ggml_tq1_0")
    path = tmp_path / "a.gguf"
    blocks = np.zeros((256, 54), np.uint8)
    blocks[:, -2:] = [0, 0x3C]
    # zero is 0 and 1 as the five digits of a byte, and 0 to 3 as the four digits of the last bytes
    for place, others in ((3, 47 * 1 + 4 * 2), (50, 48 * 1 + 3 * 2)):
        several = blocks.copy()
        several[:, place] = np.arange(256)
        tensor = BlockTensor.from_bytes(several.tobytes(), fmt, (256, 256), layout="ggml")
        worth = [row.tobytes() for row in tensor.codes]
        alike = np.array([worth.count(one) for one in worth])
        clean = np.frombuffer(tensor.to_bytes(layout="ggml"), np.uint8).reshape(256, 54)
        write_gguf(path, [Entry("w", "TQ1_0", (256, 256), 0, 0)], [several.reshape(-1)])
        count, _, bits = kinds_found(scan_file(path))["second_code"]
        assert count == np.count_nonzero((clean != several).any(axis=1))
        assert bits == pytest.approx(np.log2(alike).sum() + 256 * others)
        clean_file(path, tmp_path / "b.gguf")
        assert read_gguf(tmp_path / "b.gguf").raw("w").tobytes() == clean.tobytes()
        assert kinds_found(scan_file(tmp_path / "b.gguf")) == {}


def test_metadata_is_kept_from_gguf_to_gguf(gguf, tmp_path):
    quantize_file(gguf, tmp_path / "q.gguf", {"a.weight": "ggml_q8_0", "half": "ggml_q4_0"})
    file = read_gguf(tmp_path / "q.gguf")
    assert {key: value.value for key, value in file.values.items()} == {
        "general.architecture": "llama",
        "general.quantization_version": 2,
    }
    assert [entry.dtype for entry in file.entries.values()] == ["Q8_0", "F32", "F32", "Q4_0"]
    dequantize_file(tmp_path / "q.gguf", tmp_path / "v.gguf", dtype="float16")
    file = read_gguf(tmp_path / "v.gguf")
    assert [entry.dtype for entry in file.entries.values()] == ["F16", "F32", "F32", "F16"]
    assert "general.architecture" in file.values
    assert file.tensor("a.weight").shape == (6, 512)


def test_plain_gguf_files_go_into_safetensors(gguf, tmp_path):
    quantize_file(gguf, tmp_path / "q", "mxfp4", include="a.weight")
    assert "a.weight_packed" in read_header(tmp_path / "q").entries


def test_what_is_refused(model, gguf, tmp_path):
    out = tmp_path / "out.gguf"
    for path, fmt, message in (
        (model, "int4.g32", "GGUF has no type for 'int4.g32'"),
        (model, {"b.weight": "ggml_q4_0"}, "a row of 100 values is not a multiple of the 32"),
        (model, {"norm": "ggml_q4_0"}, "'norm', which has a format, is not a weight"),
    ):
        with pytest.raises(InputError, match=message):
            quantize_file(path, out, fmt)
    with pytest.raises(InputError, match="none of its 4 tensors is quantised"):
        dequantize_file(gguf, tmp_path / "v")
    with pytest.raises(InputError, match="the checkpoint"):
        quantize_file(gguf, gguf, "ggml_q8_0")
    quantize_file(gguf, out, "ggml_q8_0")
    for again in (quantize_file, partial(quantize_by_method, method="mofq")):
        with pytest.raises(InputError, match="quantised already"):
            again(out, tmp_path / "x", "ggml_q4_0")
    write_tensors(
        model,
        [Entry("a", "F32", (1, 32), 0, 0), Entry("b", "U8", (1,), 0, 0)],
        [WEIGHTS[:1, :32], np.zeros(1, np.uint8)],
    )
    with pytest.raises(InputError, match="is U8, for which GGUF has no type"):
        quantize_file(model, out, "ggml_q4_0")
    write_tensors(model, [Entry("a", "F32", (1, 32), 0, 0)], [np.full((1, 32), np.nan, np.float32)])
    with pytest.raises(InputError, match="tensor 'a': a block has NaN"):
        quantize_file(model, out, "ggml_q4_0")
    write_gguf(gguf, [Entry("a", "IQ2_XS", (256,), 0, 0)], [np.zeros(74, np.uint8)])
    with pytest.raises(InputError, match="IQ2_XS, which is not decoded here"):
        dequantize_file(gguf, tmp_path / "v")
    assert scan_file(gguf).notes == ("not audited: IQ2_XS, which cannot be read",)


@pytest.mark.parametrize(("fmt", "field"), [("ggml_q4_k", "super"), ("ggml_q8_0", "block")])
def test_scales_beyond_their_format_are_refused(tmp_path, fmt, field):
    path = tmp_path / "huge.safetensors"
    write_tensors(path, entries({"w": WEIGHTS * 1e30}), [(WEIGHTS * 1e30).astype(np.float32)])
    with pytest.raises(InputError, match=f"tensor 'w': a scale '{field}' is NaN or infinite"):
        quantize_file(path, tmp_path / "q.gguf", fmt)
    assert not (tmp_path / "q.gguf").exists()
