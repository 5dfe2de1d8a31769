"""A Llama from a GGUF file: its parameters, what it foretells, and what is refused."""

import math

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.gguf_values import Value
from lowbit.models.functions import Functions, rotary_tables
from lowbit.models.language.cache import QuantizedCache, cache_scheme
from lowbit.models.language.model import LanguageModel, hugging_face_name
from tests.models.language.tiny_llama import HEADS, KEY_HEADS, LAYERS, tiny_tensors, tiny_values, write_tiny

TEXT = "the other an then a hare, 12 ants and the end"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LanguageModel.read(write_tiny(tmp_path_factory.mktemp("llama") / "tiny.gguf"))


def turned(rows, base=10_000.0):
    """RoPE as llama.cpp has it in its own order: neighbours are a pair (ggml, ggml_rope, mode normal)."""
    result = rows.astype(np.float64)
    for token, row in enumerate(result):
        for place in range(0, len(row), 2):
            angle = token * base ** (-place / len(row))
            x, y = row[place : place + 2]
            row[place : place + 2] = (
                x * math.cos(angle) - y * math.sin(angle),
                x * math.sin(angle) + y * math.cos(angle),
            )
    return result


def normed(x, weight):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * weight


def logits_as_stored(tensors, tokens):
    """The forward pass in GGUF's own order of channels, a token and a head at a time, in binary64."""
    get = {name: array.astype(np.float64) for name, array in tensors.items()}
    hidden = get["token_embd.weight"][tokens]
    for number in range(LAYERS):
        own = {name.split(".")[2]: array for name, array in get.items() if name.startswith(f"blk.{number}.")}
        x = normed(hidden, own["attn_norm"])
        query, key, value = (np.split(x @ own[f"attn_{part}"].T, count, axis=1) for part, count in QKV)
        mixed = []
        for head in range(HEADS):
            shared = head * KEY_HEADS // HEADS
            scores = turned(query[head]) @ turned(key[shared]).T / math.sqrt(query[head].shape[1])
            powers = np.tril(np.exp(scores - scores.max()))
            mixed.append(powers / powers.sum(axis=1, keepdims=True) @ value[shared])
        hidden = hidden + np.concatenate(mixed, axis=1) @ own["attn_output"].T
        x = normed(hidden, own["ffn_norm"])
        gate = x @ own["ffn_gate"].T
        hidden = hidden + (gate / (1 + np.exp(-gate)) * (x @ own["ffn_up"].T)) @ own["ffn_down"].T
    return normed(hidden, get["output_norm.weight"]) @ get["token_embd.weight"].T


QKV = (("q", HEADS), ("k", KEY_HEADS), ("v", KEY_HEADS))


def test_the_pass_is_that_of_the_stored_order(model):
    tokens = model.pieces.tokens(TEXT)
    own = model.log_probabilities(tokens)
    scores = logits_as_stored(tiny_tensors(), tokens)
    wanted = scores - np.log(np.exp(scores - scores.max()).sum(axis=1, keepdims=True)) - scores.max()
    assert own.dtype == np.float32
    np.testing.assert_allclose(own, wanted, atol=2e-3)


def test_figures_are_the_mean_over_tokens(model):
    samples = LanguageModel(model.decoder, model.parameters, model.pieces, context=16).samples(TEXT)
    assert [len(sample) for sample in samples] == [16, len(model.pieces.tokens(TEXT)) - 16]
    own = [model.log_probabilities(sample).astype(np.float64) for sample in samples]
    chosen = [
        rows[place, sample[place + 1]]
        for rows, sample in zip(own, samples, strict=True)
        for place in range(len(rows) - 1)
    ]
    other = model.with_weights({"norm.weight": model.parameters["norm.weight"] * 0.9})
    reference = other.embed(samples)
    figures = model.figures(samples, reference)
    assert figures["perplexity"] == pytest.approx(math.exp(-np.mean(chosen)), rel=1e-5)
    difference = np.exp(reference) * (reference - np.concatenate(own))
    assert figures["divergence"] == pytest.approx(difference.sum(axis=1).mean(), rel=1e-3)
    assert model.figures(samples, model.embed(samples))["divergence"] == 0


def test_layers_that_read_the_same_share_their_inputs(model):
    sample = model.samples(TEXT)
    seen = model.inputs(sample)
    assert list(seen) == model.linears
    assert seen["layers.0.self_attn.q_proj.weight"] is seen["layers.0.self_attn.v_proj.weight"]
    assert seen["layers.1.mlp.down_proj.weight"].shape == (len(sample[0]), 64)
    assert model.readers()["layers.1.mlp.up_proj.weight"] == tuple(
        f"layers.1.mlp.{part}_proj.weight" for part in ("gate", "up")
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"general.architecture": Value("string", "mamba")}, "a model of the kind 'mamba'"),
        ({"llama.block_count": Value("uint32", 3)}, "does not have 'layers.2.input_layernorm.weight'"),
        ({"llama.block_count": Value("uint32", 0)}, "llama.block_count is '0', not a whole number of at least 1"),
        ({"llama.block_count": Value("bool", True)}, "llama.block_count is 'True'"),
        ({"llama.attention.head_count": Value("uint32", 5)}, "a width of 32, 5 heads and 2 heads of keys do not meet"),
        ({"llama.block_count": Value("uint32", 4_000_000_000)}, "does not have 'layers.2"),
        ({"llama.embedding_length": Value("uint32", 64)}, "metadata asks for"),
        ({"tokenizer.ggml.model": Value("string", "bert")}, "text is cut by 'bert'"),
        ({"tokenizer.ggml.pre": Value("string", "llama-bpe")}, "words by 'llama-bpe'"),
        ({"tokenizer.ggml.merges": Value("array", ["t h e"], "string")}, "the merge 't h e' is not two pieces"),
        ({"llama.attention.layer_norm_rms_epsilon": None}, "does not say 'llama.attention.layer_norm_rms_epsilon'"),
    ],
)
def test_what_is_not_a_llama_is_refused(tmp_path, changes, told):
    values = {key: value for key, value in (tiny_values() | changes).items() if value is not None}
    with pytest.raises(InputError, match=told):
        LanguageModel.read(write_tiny(tmp_path / "other.gguf", values))


def test_a_text_of_one_token_foretells_nothing(model):
    with pytest.raises(InputError, match="the text has 1 token, and none that another one foretells"):
        model.samples("a")


def attention(query, key, value, hook):
    run = Functions({}, hook)
    return run.attention("a", query, key, value, heads=4, causal=True, rotary=rotary_tables(len(query), 16, 10_000.0))


@pytest.mark.parametrize("name", ["int4.g32", "kivi2", "nsnquant2"])
def test_every_token_sees_the_cache_as_it_is_when_it_comes(name):
    """Against a decoder that takes one token after another and quantises its cache as it grows."""
    random, scheme = np.random.default_rng(1), cache_scheme(name)
    tokens = 2 * (scheme.residual or 8) + 5
    query, key, value = (random.normal(size=(tokens, width)).astype(np.float32) for width in (64, 32, 32))
    together = attention(query, key, value, QuantizedCache(scheme))

    def heads(rows):
        return np.swapaxes(rows.reshape(len(rows), -1, 16), 0, 1)

    run = Functions({})
    tables = rotary_tables(tokens, 16, 10_000.0)
    every = sorted({0, 7, tokens // 2, scheme.residual - 1, scheme.residual, tokens - 1} - {-1})
    for last in every:
        count = last + 1
        residual = scheme.residual or 1
        old_keys = count // residual * residual
        old_values = (
            count - residual if scheme.one_by_one and count > residual else 0 if scheme.one_by_one else old_keys
        )
        keys, values = heads(key[:count]), heads(value[:count]).copy()
        turned_keys = run._rotary(keys, tuple(table[:count] for table in tables))
        whole = tokens // residual * residual  # what a token becomes does not depend on when it is quantised
        if old_keys:
            part = scheme.keys(
                heads(key[:whole])
                if scheme.before_rotation
                else run._rotary(heads(key[:whole]), tuple(t[:whole] for t in tables))
            )[0]
            part = run._rotary(part, tuple(table[:whole] for table in tables)) if scheme.before_rotation else part
            turned_keys = np.concatenate([part[:, :old_keys], turned_keys[:, old_keys:]], axis=1)
        if old_values:
            values[:, :old_values] = scheme.values(heads(value[:whole]))[0][:, :old_values]
        own = run._rotary(heads(query[last : last + 1]), tuple(table[last : last + 1] for table in tables))
        shares = np.exp(own @ np.swapaxes(np.repeat(turned_keys, 2, axis=0), 1, 2) / 4)
        mixed = shares / shares.sum(axis=-1, keepdims=True) @ np.repeat(values, 2, axis=0)
        np.testing.assert_allclose(together[last], mixed[:, 0].ravel(), atol=1e-4, err_msg=f"token {last}")


def test_an_unknown_cache_is_told_which_there_are():
    with pytest.raises(InputError, match="'kivi3' is unknown") as caught:
        cache_scheme("kivi3")
    assert "kivi2, kivi4, nsnquant1, nsnquant2" in caught.value.hint


def test_a_cache_of_many_bits_changes_little(model):
    samples = model.samples(TEXT)
    reference = model.embed(samples)
    cache = QuantizedCache(cache_scheme("int8.g16"))
    close = model.with_cache(cache).figures(samples, reference)["divergence"]
    far = model.with_cache(QuantizedCache(cache_scheme("int2.g32"))).figures(samples, reference)["divergence"]
    assert 0 < close < 0.01 < far
    assert set(cache.bits) == {9}


def test_names_that_are_not_those_of_a_llama_stay():
    names = {"a": "a", "": "", "blk.0": "blk.0", "x.weight": "x.weight", "token_embd": "token_embd"}
    assert {name: hugging_face_name(name) for name in names} == names
    assert hugging_face_name("blk.3.attn_q.weight") == "layers.3.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("llama.rope.freq_base", Value("float32", -5.0), "freq_base is '-5.0', not a number above 0"),
        ("llama.rope.freq_base", Value("float32", float("nan")), "not a number above 0"),
        ("llama.attention.layer_norm_rms_epsilon", Value("string", "x"), "epsilon is 'x', not a number above 0"),
        ("llama.rope.dimension_count", Value("uint32", 3), "dimension_count is 3, of 8 channels of a head"),
        ("llama.rope.scaling.type", Value("string", "yarn"), "scaling.type is 'yarn'"),
        ("tokenizer.ggml.merges", Value("array", [3], "uint32"), "a token or a merge is '3', not text"),
    ],
)
def test_metadata_that_is_not_followed_is_refused(tmp_path, key, value, message):
    path = write_tiny(tmp_path / "model.gguf", {**tiny_values(), key: value})
    with pytest.raises(InputError, match=message):
        LanguageModel.read(path)


def test_factors_of_angles_are_refused(tmp_path):
    tensors = {**tiny_tensors(), "rope_freqs.weight": np.ones(4, np.float32)}
    with pytest.raises(InputError, match=r"it has 'rope_freqs\.weight', factors of the angles"):
        LanguageModel.read(write_tiny(tmp_path / "model.gguf", tensors=tensors))


def test_a_perplexity_beyond_binary64_is_infinite(tmp_path):
    tensors = tiny_tensors()
    tensors["output_norm.weight"] *= 1e4
    model = LanguageModel.read(write_tiny(tmp_path / "model.gguf", tensors=tensors))
    windows = model.samples("the ant and the rest " * 4)
    assert model.figures(windows, model.embed(windows))["perplexity"] == np.inf


def test_infinite_parameters_do_not_warn(tmp_path, recwarn):
    tensors = tiny_tensors()
    tensors["blk.0.attn_q.weight"] *= np.float32(np.inf)
    model = LanguageModel.read(write_tiny(tmp_path / "model.gguf", tensors=tensors))
    assert np.isnan(model.embed(model.samples("the ant and the rest"))).any()
    assert not [str(warning.message) for warning in recwarn]
