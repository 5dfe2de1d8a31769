"""Files of another kind than is wanted: the reader says which, and outputs are not named for another kind."""

import pickle

import numpy as np
import pytest

from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.campaign.scan import clean_file
from lowbit.errors import InputError
from lowbit.files.arrays import read_arrays
from lowbit.files.gguf import read_gguf, write_gguf
from lowbit.files.kinds import kind_of
from lowbit.files.npz import npz_names
from lowbit.files.onnx_model import cast_model
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.files.sharded import read_checkpoint

WEIGHTS = np.ones((2, 32), np.float32)
ENTRIES = [Entry("a.weight", "F32", (2, 32), 0, 0)]


def torch_checkpoint(path):
    """As ``torch.save`` writes it: a ZIP archive with a pickle (torch/serialization.py)."""
    from zipfile import ZipFile

    with ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))


def write_arrays(path, suffix):
    """As NumPy writes them, which adds the ending to a name."""
    written = path.with_name(path.name + suffix)
    np.save(written, WEIGHTS) if suffix == ".npy" else np.savez(written, a=WEIGHTS)
    written.rename(path)


def onnx(path):
    path.write_bytes(cast_model("float32", "float16", opset=21, ir_version=10))


WRITERS = {
    "a safetensors file": lambda path: write_tensors(path, ENTRIES, [WEIGHTS]),
    "a GGUF file": lambda path: write_gguf(path, ENTRIES, [WEIGHTS]),
    "a .npz file": lambda path: write_arrays(path, ".npz"),
    "a .npy file": lambda path: write_arrays(path, ".npy"),
    "a PyTorch checkpoint": torch_checkpoint,
    "a Python pickle, as PyTorch's are": lambda path: path.write_bytes(pickle.dumps({"a": WEIGHTS}, protocol=2)),
    "an ONNX model": onnx,
    "an HDF5 file": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "a gzip file": lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(100)),
    "a pointer of Git LFS to the file": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "text": lambda path: path.write_text("some words and\nsome more of them\n"),
}
READERS = {
    "a safetensors file": read_header,
    "a GGUF file": read_gguf,
    "a .npz file": npz_names,
    "a .npy file": lambda path: read_arrays(path.rename(path.with_suffix(".npy"))),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_reader_names_other_kinds(tmp_path, kind):
    for wanted, read in READERS.items():
        path = tmp_path / wanted.split()[1]
        WRITERS[kind](path)
        assert kind_of(path) == kind
        if wanted == kind:
            read(path)
            continue
        with pytest.raises(InputError, match=f"is not {wanted}, but {kind}"):
            read(path)


@pytest.mark.parametrize("kind", ["a PyTorch checkpoint", "a .npz file"])
def test_the_hint_says_how_to_get_safetensors(tmp_path, kind):
    WRITERS[kind](tmp_path / "model")
    with pytest.raises(InputError) as error:
        read_checkpoint(tmp_path / "model")
    assert "save_file" in error.value.hint


def test_an_empty_file_is_told_so(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(InputError, match="is not a safetensors file, but an empty file"):
        read_header(tmp_path / "a")


def test_what_is_of_no_known_kind(tmp_path):
    assert kind_of(tmp_path / "nothing") == kind_of(tmp_path) == ""
    (tmp_path / "a").write_bytes(b"\x00\x01\xfe")
    assert kind_of(tmp_path / "a") == ""
    with pytest.raises(InputError, match="is not a safetensors file, or a damaged one: its first eight bytes"):
        read_header(tmp_path / "a")


def test_a_truncated_archive_is_told_so(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=WEIGHTS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="or a damaged one: it is truncated: its end, which lists its arrays") as error:
        npz_names(path)
    assert error.value.hint == "copy it again"


@pytest.mark.parametrize(
    ("name", "promised"), [("a.npz", "a .npz file"), ("a.onnx", "an ONNX model"), ("a.PT", "a PyTorch checkpoint")]
)
def test_names_that_promise_another_kind_are_refused(tmp_path, name, promised):
    model, small, out = tmp_path / "m", tmp_path / "small.gguf", tmp_path / name
    write_tensors(model, ENTRIES, [WEIGHTS])
    quantize_file(model, small, "ggml_q4_0")
    for work in (
        lambda: quantize_file(model, out, "mxfp4"),
        lambda: dequantize_file(small, out),
        lambda: clean_file(model, out),
    ):
        with pytest.raises(
            InputError, match=f"the name is that of {promised}, and a safetensors file is written"
        ) as error:
            work()
        assert error.value.hint == "name it NAME.safetensors"
    with pytest.raises(InputError, match=f"the name is that of {promised}, and a GGUF file is written") as error:
        quantize_file(model, out, "ggml_q4_0", container="gguf")
    assert error.value.hint == "name it NAME.gguf"
    assert not out.exists()


def test_gguf_names_are_for_gguf_files(tmp_path):
    model, small = tmp_path / "m", tmp_path / "small"
    write_tensors(model, ENTRIES, [WEIGHTS])
    quantize_file(model, small, "mxfp4")
    with pytest.raises(InputError, match="the name is that of a GGUF file, and a safetensors file is written"):
        dequantize_file(small, tmp_path / "out.gguf")
