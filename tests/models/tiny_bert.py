"""A BERT with random weights, small enough for tests, and the folder that holds it."""

import json

import numpy as np

from lowbit.files.safetensors import Entry, write_tensors

WIDTH, HEADS, LAYERS = 8, 2, 2
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "!", "cafe", "a"]


def tiny_parameters(width=WIDTH):
    random = np.random.default_rng(5)
    shapes = {
        f"embeddings.{kind}_embeddings.weight": (rows, width)
        for kind, rows in (("word", len(WORDS)), ("position", 16), ("token_type", 2))
    }
    norms, dense = ["embeddings.LayerNorm"], {}
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        dense |= {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        dense |= {f"{layer}.attention.output.dense": (width, width)}
        dense |= {f"{layer}.intermediate.dense": (3 * width, width), f"{layer}.output.dense": (width, 3 * width)}
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: random.normal(size=shape) for name, shape in shapes.items()}


def folder(path, parameters, dtype=np.float64):
    """Write it; the weights are in ``model.safetensors``."""
    config = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "layer_norm_eps": 1e-12}
    (path / "config.json").write_text(json.dumps(config))
    (path / "vocab.txt").write_text("\n".join(WORDS))
    name = f"F{8 * np.dtype(dtype).itemsize}"
    entries = [Entry(label, name, array.shape, 0, 0) for label, array in parameters.items()]
    write_tensors(path / "model.safetensors", entries, [array.astype(dtype) for array in parameters.values()])
    return path
