"""Tensors of GGUF files in ggml's blocks: the values that llama.cpp gives them."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.files.gguf import read_gguf, write_gguf
from lowbit.files.gguf_tensors import values_of
from lowbit.files.safetensors import Entry

WEIGHTS = np.random.default_rng(2).normal(size=(3, 64)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    coded = lowbit.quantize(WEIGHTS, "ggml_q8_0")
    raw = np.frombuffer(coded.to_bytes(layout="ggml"), np.uint8)
    halves = WEIGHTS.astype(np.float16)
    grids = np.zeros(3 * 66, np.uint8)
    entries = [
        Entry("coded", "Q8_0", WEIGHTS.shape, 0, 0),
        Entry("plain", "F16", WEIGHTS.shape, 0, 0),
        Entry("grids", "IQ2_XXS", (3, 256), 0, 0),
    ]
    write_gguf(tmp_path / "a.gguf", entries, [raw, halves, grids])
    return read_gguf(tmp_path / "a.gguf")


def test_values_are_scale_times_code_in_binary32(file):
    structs = np.asarray(file.raw("coded")).reshape(-1, 34)
    scales = structs[:, :2].copy().view(np.float16).astype(np.float32)
    wanted = (structs[:, 2:].view(np.int8) * scales).reshape(3, 64)
    assert np.array_equal(values_of(file, "coded"), wanted)
    assert np.array_equal(values_of(file, "plain"), WEIGHTS.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("name", "told"), [("grids", "is IQ2_XXS, which is not decoded here"), ("other", "'other'")])
def test_what_is_not_there_or_cannot_be_decoded_is_told(file, name, told):
    with pytest.raises(InputError, match=told):
        values_of(file, name)
