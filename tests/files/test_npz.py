"""Archives of arrays: read, or refused in words, whatever is in them."""

import io

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.npz import npz_array, npz_names

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "layer.0.weight": np.ones((3, 8), np.float32)}


def saved(compressed=False, **arrays):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def read_all(path):
    return {name: npz_array(path, name) for name in npz_names(path)}


@pytest.mark.parametrize("compressed", [False, True])
def test_what_numpy_writes_is_read(tmp_path, compressed):
    path = tmp_path / "a.npz"
    path.write_bytes(saved(compressed, **ARRAYS))
    arrays = read_all(path)
    assert list(arrays) == list(ARRAYS)
    assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def npy(header):
    """An archive whose one array has this header."""
    plain = saved(a=np.zeros(1, np.int8))
    start = plain.index(b"{'descr'")
    end = plain.index(b"\n", start)
    return plain[:start] + header.ljust(end - start) + plain[end:]


HUGE = b"{'descr': '|i1', 'fortran_order': False, 'shape': (10**15,), }".replace(b"10**15", b"1" + b"0" * 15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a .npz file"),
        (b"PK\x03\x04", "is not a .npz file"),
        (saved(a=np.array([None], object)), "is damaged: Object arrays cannot be loaded"),
        (npy(HUGE), "is (damaged|not a .npz file)"),
        (npy(b"[" * 60), "is (damaged|not a .npz file)"),
    ],
)
def test_what_is_not_an_archive_of_numbers_is_refused(tmp_path, content, message):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_all(path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        npz_names(tmp_path / "none.npz")
    (tmp_path / "a.npz").write_bytes(saved(a=1))
    with pytest.raises(InputError, match=r"is damaged: .*no item named 'b.npy'"):
        npz_array(tmp_path / "a.npz", "b")


def test_no_damage_is_another_error(tmp_path):
    # Every kind of exception that NumPy and zipfile have for damage has one name here.
    generator = np.random.default_rng(5)
    path = tmp_path / "a.npz"
    refused = 0
    for number in range(600):
        content = bytearray(saved(bool(number % 2), **ARRAYS))
        for _ in range(generator.integers(1, 4)):
            content[generator.integers(len(content))] = generator.integers(256)
        path.write_bytes(content[: generator.integers(len(content))] if number % 7 == 0 else content)
        try:
            read_all(path)
        except InputError:
            refused += 1
    assert refused > 300
