"""A language model from a GGUF file: text in, scores of the next token out, in binary32."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.special

from lowbit.errors import InputError
from lowbit.files.gguf import GgufFile, read_gguf
from lowbit.files.gguf_tensors import values_of
from lowbit.models.functions import replaced
from lowbit.models.hook import Apply, plainly
from lowbit.models.language.byte_pairs import BytePairs
from lowbit.models.llama import Llama
from lowbit.ops.arrays import Array
from lowbit.printable import counted, excerpt

CONTEXT = 512
"""Tokens of a window: what is seen of a text before a token must be foretold."""
ROTATIONS = "rope_freqs.weight"
"""Where Llama 3 has factors of the angles (gguf-py/gguf/constants.py, ``ROPE_FREQS``)."""
LARGEST_EXPONENT = 709.0
"""Of e in binary64."""
PART = 16
"""Tokens whose scores a cache holds."""
Window = tuple[int, ...]

PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""llama.cpp's names of the parts of a block (gguf-py, gguf/constants.py) -> Hugging Face's."""
OUTSIDE = {"token_embd": "embed_tokens", "output_norm": "norm", "output": "lm_head"}
CUTS = {"gpt-2": False, "default": False, "smollm": True}
"""llama.cpp's names of how text is cut into words (src/llama-vocab.cpp) -> whether digits stand alone."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A decoder, its parameters in binary32, and the pieces of its words.

    Attributes
    ----------
    decoder : Llama
    parameters : mapping of str to ndarray of float32
        By Hugging Face's names.
    pieces : BytePairs
    context : int
        Tokens of a window.
    cache : callable
        What stands around every operation, to keep keys and values in fewer bits: see :mod:`lowbit.models.hook`.
    """

    decoder: Llama
    parameters: Mapping[str, Array]
    pieces: BytePairs
    context: int = CONTEXT
    cache: Apply = plainly

    SAMPLE: ClassVar[str] = "window"
    DTYPE: ClassVar[type] = np.float32

    @classmethod
    def read(cls, path: str | Path) -> LanguageModel:
        """A model from a GGUF file of a Llama.

        Raises InputError: the file is broken, or holds another model.
        """
        file = read_gguf(path)
        heads = {"attn_q": _count(file, "attention.head_count")}
        heads["attn_k"] = _count(file, "attention.head_count_kv", heads["attn_q"])
        decoder = Llama(
            _count(file, "block_count"),
            heads["attn_q"],
            _positive(file, "rope.freq_base", 10_000.0),
            _positive(file, "attention.layer_norm_rms_epsilon"),
        )
        _require_rotation(file, decoder.heads)
        pieces = _pieces(file)
        _require_parts(file, decoder, heads["attn_k"], len(pieces.pieces))
        parameters = {}
        for name in file.entries:
            part = name.rsplit(".", 2)[-2] if name.count(".") >= 2 else ""
            array = np.asarray(values_of(file, name), np.float32)
            parameters[hugging_face_name(name)] = array if part not in heads else by_halves(array, heads[part])
        return cls(decoder, parameters, pieces)

    @property
    def linears(self) -> list[str]:
        """The names of the weights of the linear layers of all blocks, in the order of the pass."""
        inside = [part for part in PARTS.values() if not part.endswith("norm")]
        return [f"layers.{number}.{part}.weight" for number in range(self.decoder.layers) for part in inside]

    def samples(self, text: str, file: str = "the text") -> tuple[Window, ...]:
        """The tokens of a text in windows of the context, one after the other; the last one may be shorter.

        Raises InputError: no token is foretold by another one.
        """
        tokens = self.pieces.tokens(text)
        parts = [tuple(tokens[start : start + self.context]) for start in range(0, len(tokens), self.context)]
        kept = tuple(part for part in parts if len(part) > 1)
        if not kept:
            raise InputError(
                f"{file} has {counted(len(tokens), 'token')}, and none that another one foretells", hint="a longer text"
            )
        return kept

    def lengths(self, samples: Iterable[Window]) -> list[int]:
        """How many tokens each window has."""
        return list(map(len, samples))

    def log_probabilities(self, window: Sequence[int]) -> Array:
        """Logarithms of the probabilities of each next token, shape (tokens, words), in binary32."""
        with np.errstate(all="ignore"):  # parameters may be infinite
            scores = np.asarray(self.decoder.logits(self.parameters, np.asarray(window), self.cache))
            for start in range(0, len(scores), PART):
                scores[start : start + PART] = scipy.special.log_softmax(scores[start : start + PART], axis=-1)
        return scores

    def embed(self, samples: Iterable[Window]) -> Array:
        """The same of all windows, one below the other."""
        return np.concatenate([self.log_probabilities(window) for window in samples])

    def figures(self, samples: Sequence[Window], reference: Array) -> dict[str, float]:
        """How well the next tokens are foretold, and how far their probabilities are from others.

        Parameters
        ----------
        samples : sequence of window
        reference : ndarray, shape (tokens, words)
            What :meth:`embed` of another model is.

        Returns
        -------
        figures : dict of str to float
            ``perplexity``: the exponential of the mean negative log likelihood of a token, the first one of each window
            left out (Jelinek et al., "Perplexity", 1977; windows do not overlap, as in GPTQ's evaluation).
            ``divergence``: the mean Kullback-Leibler divergence of the probabilities from those of the reference, nats.
        """
        likelihoods, divergences, start = [], [], 0
        for window in samples:
            own, other = self.log_probabilities(window), reference[start : start + len(window)]
            likelihoods.append(own[np.arange(len(window) - 1), np.asarray(window[1:])].astype(np.float64))
            divergences.append((np.exp(other) * (other - own)).sum(axis=-1, dtype=np.float64))
            start += len(window)
        mean = -float(np.concatenate(likelihoods).mean())
        perplexity = math.inf if mean > LARGEST_EXPONENT else math.exp(mean)
        return {"perplexity": perplexity, "divergence": float(np.concatenate(divergences).mean())}

    def inputs(self, samples: Iterable[Window], names: Sequence[str] | None = None) -> dict[str, Array]:
        """What goes into linear layers, by the name of the weight; layers that read the same share an array."""
        wanted = set(self.linears if names is None else names)
        seen: list[dict[str, Array]] = []

        def look(kind: str, name: str, function: Any, *inputs: Any) -> Any:
            if kind == "linear" and f"{name}.weight" in wanted:
                seen[-1][f"{name}.weight"] = inputs[0]
            return self.cache(kind, name, function, *inputs)

        for window in samples:
            seen.append({})
            self.decoder.hidden(self.parameters, np.asarray(window), look)
        joined: dict[int, Array] = {}
        for name, array in seen[0].items() if seen else ():
            if id(array) not in joined:
                joined[id(array)] = np.concatenate([part[name] for part in seen])
        return {name: joined[id(array)] for name, array in (seen[0].items() if seen else ())}

    def readers(self) -> dict[str, tuple[str, ...]]:
        """For the weight of each linear layer those of all that read the same array, in the order of the pass."""
        groups: dict[int, list[str]] = {}
        for name, array in self.inputs([(0, 0)]).items():
            groups.setdefault(id(array), []).append(name)
        return {name: tuple(group) for group in groups.values() for name in group}

    def with_weights(self, weights: Mapping[str, Array]) -> LanguageModel:
        """The same model with some parameters replaced, in binary32.

        Raises InputError: the model lacks one, or it has another shape.
        """
        return replace(self, parameters=replaced(self.parameters, weights, self.DTYPE))

    def with_cache(self, cache: Apply) -> LanguageModel:
        """The same model with keys and values kept as ``cache`` has them: see :mod:`lowbit.models.language.cache`."""
        return replace(self, cache=cache)


def _require_parts(file: GgufFile, decoder: Llama, key_heads: int, words: int) -> None:
    """Refuse a file that lacks a layer, or has one of another shape than its metadata asks for."""
    width, middle = (_count(file, key) for key in ("embedding_length", "feed_forward_length"))
    if width % (2 * decoder.heads) or decoder.heads % key_heads:
        what = f"{file.path}: a width of {width}, {decoder.heads} heads and {key_heads} heads of keys do not meet"
        raise InputError(what, hint="heads of whole pairs of channels, shared by whole groups")
    shapes = {hugging_face_name(name): entry.shape for name, entry in file.entries.items()}
    told = replace(decoder, layers=min(decoder.layers, len(shapes)))  # one more than there can be
    for name, wanted in told.shapes(words, width, middle, key_heads, tied="lm_head.weight" not in shapes).items():
        if shapes.get(name) != wanted:
            what = f"has {name!r} of shape {shapes[name]}" if name in shapes else f"does not have {name!r}"
            raise InputError(f"{file.path} {what}: its metadata asks for {wanted}")


def hugging_face_name(name: str) -> str:
    """The name of a parameter of a Llama in GGUF, as Hugging Face's checkpoints have it, without their ``model.``."""
    if "." not in name:
        return name
    *place, part, kind = name.split(".")
    if len(place) == 2 and place[0] == "blk" and part in PARTS:
        return f"layers.{place[1]}.{PARTS[part]}.{kind}"
    return f"{OUTSIDE[part]}.{kind}" if not place and part in OUTSIDE else name


def by_halves(matrix: Array, heads: int) -> Array:
    """Rows of queries or keys in the order of Hugging Face: channels of a pair are half a head apart, not neighbours.

    llama.cpp stores them side by side (convert_hf_to_gguf.py, ``LlamaModel.permute``).
    """
    return np.ascontiguousarray(matrix.reshape(heads, -1, 2, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape))


def _value(file: GgufFile, key: str, otherwise: Any = None) -> Any:
    if key in file.values:
        return file.values[key].value
    if otherwise is None:
        raise InputError(
            f"{file.path} does not say {excerpt(key)}", hint="the GGUF file of a Llama, as llama.cpp writes it"
        )
    return otherwise


def _count(file: GgufFile, key: str, otherwise: int | None = None) -> int:
    """A number of the metadata of a Llama, which is at least 1."""
    architecture = _value(file, "general.architecture")
    if architecture != "llama":
        raise InputError(f"{file.path} holds a model of the kind {excerpt(str(architecture))}", hint="a Llama is read")
    number = _value(file, f"llama.{key}", otherwise)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"{file.path}: llama.{key} is {excerpt(str(number))}, not a whole number of at least 1")
    return number


def _positive(file: GgufFile, key: str, otherwise: float | None = None) -> float:
    """A number of the metadata of a Llama, which is finite and above 0."""
    number = _value(file, f"llama.{key}", otherwise)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise InputError(f"{file.path}: llama.{key} is {excerpt(str(number))}, not a number above 0")
    return float(number)


def _require_rotation(file: GgufFile, heads: int) -> None:
    """Refuse rotations of keys and queries other than of all channels of a head by the base's own angles."""
    channels, scaling = _count(file, "embedding_length") // heads, "llama.rope.scaling.type"
    turned, kind = _count(file, "rope.dimension_count", channels), str(_value(file, scaling, "none"))
    what = f"llama.rope.dimension_count is {turned}, of {channels} channels of a head" * (turned != channels)
    what = what or f"{scaling} is {excerpt(kind)}" * (kind != "none")
    what = what or f"it has {ROTATIONS!r}, factors of the angles" * (ROTATIONS in file.entries)
    if what:
        raise InputError(f"{file.path}: {what}", hint="a Llama whose positions are rotated without scaling is read")


def _pieces(file: GgufFile) -> BytePairs:
    kind, cut = (str(_value(file, f"tokenizer.ggml.{key}", "default")) for key in ("model", "pre"))
    if kind != "gpt2" or cut not in CUTS:
        what = f"{file.path}: text is cut by {excerpt(kind)}, words by {excerpt(cut)}"
        raise InputError(what, hint=f"gpt2, and one of {', '.join(CUTS)}")
    pieces, merges = (list(_value(file, f"tokenizer.ggml.{key}")) for key in ("tokens", "merges"))
    other = next((each for each in (*pieces, *merges) if not isinstance(each, str)), None)
    if other is not None:
        raise InputError(f"{file.path}: a token or a merge is {excerpt(str(other))}, not text")
    pairs = [tuple(merge.split(" ")) for merge in merges]
    broken = next((merge for merge, pair in zip(merges, pairs, strict=True) if len(pair) != 2), None)
    if broken is not None:
        raise InputError(f"{file.path}: the merge {excerpt(broken)} is not two pieces with a space between them")
    return BytePairs(pieces, [(first, second) for first, second in pairs], CUTS[cut])
