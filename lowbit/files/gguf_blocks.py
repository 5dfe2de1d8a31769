"""Values of tensors of GGUF files, from ggml's blocks or plain numbers."""

import numpy as np


def values_of(file, name):
    e = file.entries[name]
    if e.dtype in ("F32", "F16"):
        return file.tensor(name)
    raw = np.asarray(file.raw(name))
    if e.dtype == "Q8_0":
        b = raw.reshape(-1, 34)
        d = b[:, :2].copy().view(np.float16).astype(np.float32)
        return (b[:, 2:].view(np.int8) * d).reshape(e.shape)
    b = raw.reshape(-1, 20)
    d = b[:, :2].copy().view(np.float16).astype(np.float32)
    m = b[:, 2:4].copy().view(np.float16).astype(np.float32)
    q = np.concatenate([b[:, 4:] & 15, b[:, 4:] >> 4], 1).astype(np.float32)
    return (q * d + m).reshape(e.shape)
