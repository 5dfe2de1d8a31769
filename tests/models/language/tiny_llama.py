"""A Llama with random weights and a small vocabulary, small enough for tests, and the GGUF file that holds it."""

import numpy as np

from lowbit.files.gguf import write_gguf
from lowbit.files.gguf_values import Value
from lowbit.files.safetensors import Entry
from lowbit.models.language.byte_pairs import LETTERS

LAYERS, WIDTH, MIDDLE, HEADS, KEY_HEADS = 2, 32, 64, 4, 2
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("a", "n"), ("Ġ", "a"), ("Ġa", "n"), ("e", "r")]
PIECES = [*LETTERS.values(), *("".join(pair) for pair in MERGES)]

PARTS = {
    "attn_norm": (WIDTH,),
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (WIDTH // HEADS * KEY_HEADS, WIDTH),
    "attn_v": (WIDTH // HEADS * KEY_HEADS, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_norm": (WIDTH,),
    "ffn_gate": (MIDDLE, WIDTH),
    "ffn_up": (MIDDLE, WIDTH),
    "ffn_down": (WIDTH, MIDDLE),
}


def tiny_tensors():
    random = np.random.default_rng(7)
    shapes = {"token_embd.weight": (len(PIECES), WIDTH), "output_norm.weight": (WIDTH,)}
    shapes |= {f"blk.{number}.{part}.weight": shape for number in range(LAYERS) for part, shape in PARTS.items()}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def tiny_values():
    numbers = {
        "block_count": LAYERS,
        "embedding_length": WIDTH,
        "feed_forward_length": MIDDLE,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KEY_HEADS,
    }
    return {
        "general.architecture": Value("string", "llama"),
        **{f"llama.{key}": Value("uint32", number) for key, number in numbers.items()},
        "llama.attention.layer_norm_rms_epsilon": Value("float32", 1e-5),
        "tokenizer.ggml.model": Value("string", "gpt2"),
        "tokenizer.ggml.pre": Value("string", "smollm"),
        "tokenizer.ggml.tokens": Value("array", PIECES, "string"),
        "tokenizer.ggml.merges": Value("array", [" ".join(pair) for pair in MERGES], "string"),
    }


def write_tiny(path, values=None, tensors=None):
    """Write it, with other metadata or tensors if there are any."""
    tensors = tiny_tensors() if tensors is None else tensors
    entries = [Entry(name, "F32", array.shape, 0, 0) for name, array in tensors.items()]
    write_gguf(path, entries, tensors.values(), tiny_values() if values is None else values)
    return path
