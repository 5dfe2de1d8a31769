"""What a checkpoint holds: every container, planted defects, and a copy without them and with the same values."""

import json

import numpy as np
import pytest

from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.campaign.scan import clean_file, scan_file
from lowbit.errors import InputError
from lowbit.files.audit import Tally
from lowbit.files.gguf import read_gguf, write_gguf
from lowbit.files.gguf_tensors import values_of
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.files.sharded import INDEX
from lowbit.format.registry import get_format
from tests.files.test_fuzzed_files import mutated

GENERATOR = np.random.default_rng(6)
WEIGHTS = GENERATOR.normal(size=(8, 96)).astype(np.float32)
WEIGHTS[0, :8] = [-0.0, 0.0, -1e-30, 1e-30, 0, 0, 0, 0]


def kinds_found(scan):
    """What is found anywhere."""
    return Tally().join([scan.tally, *(group.tally for group in scan.groups)]).found


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    norm = np.ones(96, np.float32)
    write_tensors(path, [Entry("a.weight", "F32", (8, 96), 0, 0), Entry("norm", "F32", (96,), 0, 0)], [WEIGHTS, norm])
    return path


@pytest.mark.parametrize(
    ("fmt", "container", "bits", "packing"),
    [
        ("nvfp4", "compressed-tensors", 4.5, "float4_e2m1fn, lsb_first in U8; nvfp4-pack-quantized"),
        ("int3.g32.asymmetric", "compressed-tensors", 3.5, "int3, compressed_tensors in I32; pack-quantized"),
        ("mxfp8_e4m3", "compressed-tensors", 8.25, "float8_e4m3fn, a code in each F8_E4M3; mxfp8-quantized"),
        ("nf4.g32", "lowbit", 4.5, "nf4, lsb_first in U8; lowbit's own"),
    ],
)
def test_containers_and_the_copy(model, tmp_path, fmt, container, bits, packing):
    quantised, clean = tmp_path / "q", tmp_path / "clean"
    quantize_file(model, quantised, fmt, container="lowbit" if container == "lowbit" else None)
    scan = scan_file(quantised)
    group, plain = scan.groups
    assert (scan.container, group.packing, group.names) == (container, packing, ["a.weight"])
    assert group.bits_per_weight == pytest.approx(bits, abs=0.3)
    assert (plain.format, plain.names, plain.bits_per_weight) == ("F32", ["norm"], 32)
    clean_file(quantised, clean)
    assert kinds_found(scan_file(clean)) == {}
    assert scan_file(clean).capacity == 0
    values = []
    for source in (quantised, clean):
        dequantize_file(source, tmp_path / "values", dtype="float32")
        values.append(np.array(read_header(tmp_path / "values").tensor("a.weight")))
    assert np.array_equal(*values)


@pytest.mark.parametrize("coder", ["huffman", "rans"])
def test_a_copy_keeps_what_is_coded_coded(tmp_path, coder):
    model, quantised, clean = tmp_path / "model", tmp_path / "q", tmp_path / "clean"
    weights = GENERATOR.normal(size=(64, 192)).astype(np.float32) ** 5
    write_tensors(model, [Entry("a.weight", "F32", weights.shape, 0, 0)], [weights])
    quantize_file(model, quantised, "mxfp4", entropy=coder)
    assert read_header(quantised).coders == {"a.weight.codes": coder}
    assert scan_file(quantised).capacity > 0
    clean_file(quantised, clean)
    assert read_header(clean).coders == {"a.weight.codes": coder}
    assert scan_file(clean).capacity == 0
    assert clean.stat().st_size < quantised.stat().st_size
    values = []
    for source in (quantised, clean):
        dequantize_file(source, tmp_path / "values", dtype="float32")
        values.append(np.array(read_header(tmp_path / "values").tensor("a.weight")))
    assert np.array_equal(*values)
    clean_file(clean, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == clean.read_bytes()


def test_signs_of_zeros_are_what_nvfp4_has_to_hide(model, tmp_path):
    quantize_file(model, tmp_path / "q", "nvfp4")
    found = kinds_found(scan_file(tmp_path / "q"))
    assert list(found) == ["negative_zero"]
    count, zeros, bits = found["negative_zero"]
    assert 0 < count < zeros == bits


@pytest.mark.parametrize("fmt", ["int3.channel", "uint3.channel", "nf4.channel"])
def test_pad_bits(model, tmp_path, fmt):
    path = tmp_path / "q"
    write_tensors(model, [Entry("a.weight", "F32", (8, 9), 0, 0)], [WEIGHTS[:, 8:17]])
    quantize_file(model, path, fmt, container="lowbit")
    entry = read_header(path).entries["a.weight.codes"]
    data = bytearray(path.read_bytes())
    data[entry.stop - 1] |= 0b1010_0000
    path.write_bytes(data)
    pads = 8 * (8 * entry.shape[1] - 9 * (4 if "4" in fmt else 3))
    assert kinds_found(scan_file(path)) == {"pad_bit": (2, pads, pads)}
    with pytest.raises(InputError, match="zero"):
        dequantize_file(path, tmp_path / "values")
    clean_file(path, tmp_path / "clean")
    assert kinds_found(scan_file(tmp_path / "clean")) == {}


def test_lineages(tmp_path, model):
    words = WEIGHTS.view(np.uint32) & 0xFFFF0000
    words[3, 10:12] |= 5
    write_tensors(model, [Entry("a.weight", "F32", (8, 96), 0, 0)], [words.view(np.float32)])
    assert kinds_found(scan_file(model))["mixed_lineage"] == (2, 768, 0)
    found = kinds_found(scan_file(model, lineage="bfloat16"))
    assert found["lineage"] == (2, 768, 768 * 16)
    (tmp_path / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16"}))
    assert kinds_found(scan_file(model))["lineage"] == found["lineage"]
    clean_file(model, tmp_path / "clean", lineage="bfloat16")
    assert scan_file(tmp_path / "clean", lineage="bfloat16").capacity == 0
    (tmp_path / "config.json").write_text("{}")
    clean_file(model, tmp_path / "kept")
    assert np.array_equal(read_header(tmp_path / "kept").tensor("a.weight"), words.view(np.float32))
    with pytest.raises(InputError, match="lineage 'int8' is unknown"):
        scan_file(model, lineage="int8")


def test_orders_of_the_inputs(tmp_path):
    path = tmp_path / "gptq"
    for order, wrong in (([0, 0, 1, 1], 0), ([1, 0, 0, 1], 0), ([0, 0, 1, 1, 1], 1), ([0, 0, 0, 1], 0)):
        write_tensors(path, [Entry("a.g_idx", "I32", (len(order),), 0, 0)], [np.array(order, np.int32)])
        assert scan_file(path).groups[0].tally.counts["order"][0] == wrong


def test_folders(model, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    quantize_file(model, folder / "model.safetensors", "mxfp4")
    names = dict.fromkeys(read_header(folder / "model.safetensors").entries, "model.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    before = scan_file(folder)
    clean_file(folder, tmp_path / "clean")
    after = scan_file(tmp_path / "clean")
    assert [(group.format, group.names) for group in after.groups] == [(g.format, g.names) for g in before.groups]
    assert (after.container, after.capacity) == ("compressed-tensors", 0)


def test_gguf(tmp_path):
    path = tmp_path / "a.gguf"
    entries = [Entry("half", "F16", (3, 1), 0, 0), Entry("codes", "Q4_0", (2, 32), 0, 0)]
    write_gguf(path, entries, [np.array([[-0.0], [0], [1]], np.float16), np.zeros(36, np.uint8)])
    data = bytearray(path.read_bytes())
    data[-1] = 7
    path.write_bytes(data)
    scan = scan_file(path)
    assert scan.container == "GGUF"
    assert [(group.format, group.bits_per_weight) for group in scan.groups] == [("Q4_0", 4.5), ("F16", 16)]
    assert scan.groups[0].tally.found == {"code_under_zero_scale": (64, 64, 256.0)}
    assert scan.groups[1].tally.found == {"negative_zero": (1, 2, 2.0)}
    assert scan.tally.found["padding_byte"][0] == 1
    assert scan.groups[0].packing == "blocks of 32 values in 18 bytes"
    clean_file(path, tmp_path / "b.gguf")
    assert read_gguf(tmp_path / "b.gguf").raw("codes").tolist() == 2 * [0, 0, *[0x88] * 16]
    assert kinds_found(scan_file(tmp_path / "b.gguf")) == {}


def test_the_lowest_code_of_q8_0_is_one_that_no_quantiser_gives(model, tmp_path):
    path = tmp_path / "a.gguf"
    quantize_file(model, path, "ggml_q8_0", include="a.weight")
    assert "restricted_code" not in kinds_found(scan_file(path))
    data = bytearray(path.read_bytes())
    data[read_gguf(path).entries["a.weight"].start + 5] = 0x80
    path.write_bytes(data)
    assert kinds_found(scan_file(path, threads=2))["restricted_code"] == (1, 768, 0)


@pytest.mark.parametrize(
    "count", [100, pytest.param(20_000, marks=pytest.mark.exhaustive)], ids=["some", "twenty thousand"]
)
@pytest.mark.parametrize("fmt", ["ggml_q4_0", "ggml_mxfp4", "nvfp4", "int4.g32.asymmetric", "nf4.g32"])
def test_mutated_checkpoints_are_scanned_and_dequantised_or_refused(model, tmp_path, fmt, count):
    path, random = tmp_path / "mutated", np.random.default_rng(count)
    quantize_file(model, path, fmt, include="a.weight", container="gguf" if fmt.startswith("ggml") else None)
    content, outcomes = path.read_bytes(), {True: 0, False: 0}
    for _ in range(count):
        path.write_bytes(mutated(content, random))
        try:
            scan_file(path)
            clean_file(path, tmp_path / "clean")
            assert scan_file(tmp_path / "clean").capacity == 0
            dequantize_file(path, tmp_path / "values")
        except InputError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > count // 20


def test_other_quantisations_are_said_not_to_be_decoded(model, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))
    scan = scan_file(model)
    assert scan.notes == ("quant_method 'gptq' is not decoded here: its tensors are listed by their dtypes",)


def test_the_checkpoint_and_its_config_are_not_written_over(model, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for place in (model, tmp_path / "config.json"):
        with pytest.raises(InputError, match="itself"):
            clean_file(model, place)


def test_a_copy_of_a_gguf_file_is_not_named_safetensors(tmp_path):
    write_gguf(tmp_path / "a.gguf", [Entry("a", "F32", (2, 32), 0, 0)], [np.ones((2, 32), np.float32)])
    with pytest.raises(
        InputError, match=r"the name is that of a safetensors file, and a GGUF file is written"
    ) as error:
        clean_file(tmp_path / "a.gguf", tmp_path / "clean.safetensors")
    assert error.value.hint == "name it NAME.gguf"
    assert not (tmp_path / "clean.safetensors").exists()


def test_a_scale_of_zero_with_an_offset_scales_its_elements(tmp_path):
    """(block * super + offset) * element: where the first is 0 the elements still count."""
    weights = GENERATOR.normal(size=(4, 256)).astype(np.float32)
    write_tensors(tmp_path / "m", [Entry("a.weight", "F32", weights.shape, 0, 0)], [weights])
    quantize_file(tmp_path / "m", tmp_path / "q", "nf4.g64.nested")
    file = read_header(tmp_path / "q")
    field = get_format("nf4.g64.nested").scales[0].format
    zero = next(code for code in field.codes if field.classify(code) == "zero")
    arrays = {name: np.array(file.raw(name)) for name in file.entries}
    arrays["a.weight.scales.block"].reshape(-1)[:4] = zero
    write_tensors(tmp_path / "q", list(file.entries.values()), list(arrays.values()), file.metadata)
    assert scan_file(tmp_path / "q").capacity == 0
    clean_file(tmp_path / "q", tmp_path / "clean")
    values = []
    for name in ("q", "clean"):
        dequantize_file(tmp_path / name, tmp_path / "values", dtype="float32")
        values.append(np.array(read_header(tmp_path / "values").tensor("a.weight")))
    assert (values[0] == values[1]).all()
    assert values[0][0].any()


@pytest.mark.parametrize(
    ("fmt", "field", "scale", "codes"),
    [
        ("mxfp8_e4m3", "block", 0xFF, [0] * 32),  # NaN times zeros
        ("ggml_q8_0", "block", 0x7C00, [0] * 32),  # infinity times zeros
        ("float8_e5m2.g32", "block", 0, [0x7F, 0xFC, 0x7C, 0x01] * 8),  # zero times NaN, infinities and a number
    ],
)
def test_what_is_not_finite_under_a_scale_stays(tmp_path, fmt, field, scale, codes):
    write_tensors(tmp_path / "m", [Entry("a.weight", "F32", (2, 64), 0, 0)], [np.ones((2, 64), np.float32)])
    quantize_file(tmp_path / "m", tmp_path / "q", fmt, container="lowbit")
    file = read_header(tmp_path / "q")
    arrays = {name: np.array(file.raw(name)) for name in file.entries}
    width = get_format(fmt).scales[0].format.bits // 8
    arrays[f"a.weight.scales.{field}"].view(f"<u{width}").reshape(-1)[0] = scale
    arrays["a.weight.codes"].view(np.uint8).reshape(-1)[:32] = codes
    write_tensors(tmp_path / "q", list(file.entries.values()), list(arrays.values()), file.metadata)
    clean_file(tmp_path / "q", tmp_path / "clean")
    values = []
    for name in ("q", "clean"):
        dequantize_file(tmp_path / name, tmp_path / "values", dtype="float32")
        values.append(np.array(read_header(tmp_path / "values").tensor("a.weight")))
    assert np.array_equal(*values, equal_nan=True)
    assert np.isnan(values[0]).any()
    assert scan_file(tmp_path / "clean").capacity == 0


def test_signalling_nans_and_large_numbers_do_not_warn(tmp_path, recwarn):
    write_gguf(tmp_path / "a.gguf", [Entry("a.weight", "F64", (1, 32), 0, 0)], [np.full((1, 32), 1e300)])
    assert np.isinf(values_of(read_gguf(tmp_path / "a.gguf"), "a.weight")).all()
    write_gguf(
        tmp_path / "b.gguf",
        [Entry("b.weight", "Q8_K", (1, 256), 0, 0)],
        [np.full(292, 0xFFA00001, "<u4").view(np.uint8)[:292]],
    )
    scan_file(tmp_path / "b.gguf")
    assert not [str(warning.message) for warning in recwarn]
