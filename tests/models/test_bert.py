"""The encoder against a second one, written token by token and head by head; words into pieces; reading a folder."""

import math

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models.bert import Bert
from lowbit.models.packages import minilm_directory
from lowbit.models.sentences import SentenceModel
from lowbit.models.wordpiece import tokens
from tests.models.tiny_bert import HEADS, LAYERS, WIDTH, WORDS, folder, tiny_parameters

VOCABULARY = {word: number for number, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def parameters():
    return tiny_parameters()


def slowly(parameters, numbers):
    """The same in loops over tokens, heads and sums."""

    def dense(name, vector):
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        return [sum(w * x for w, x in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)]

    def norm(name, vector):
        mean = sum(vector) / len(vector)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in vector) / len(vector) + 1e-12)
        pairs = zip(vector, parameters[f"{name}.weight"], parameters[f"{name}.bias"], strict=True)
        return [(x - mean) / deviation * w + b for x, w, b in pairs]

    def table(kind, row):
        return parameters[f"embeddings.{kind}_embeddings.weight"][row]

    states = [
        norm("embeddings.LayerNorm", table("word", number) + table("position", place) + table("token_type", 0))
        for place, number in enumerate(numbers)
    ]
    size = WIDTH // HEADS
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            [dense(f"{layer}.attention.self.{part}", state) for state in states] for part in ("query", "key", "value")
        )
        mixed = []
        for one in query:
            row = []
            for head in range(HEADS):
                own = slice(head * size, (head + 1) * size)
                scores = [
                    sum(a * b for a, b in zip(one[own], other[own], strict=True)) / math.sqrt(size) for other in key
                ]
                shares = [math.exp(score) for score in scores]
                row += [
                    sum(s * v[place] for s, v in zip(shares, value, strict=True)) / sum(shares)
                    for place in range(own.start, own.stop)
                ]
            mixed.append(row)
        states = [
            norm(f"{layer}.attention.output.LayerNorm", np.add(state, dense(f"{layer}.attention.output.dense", row)))
            for state, row in zip(states, mixed, strict=True)
        ]
        middle = [
            [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in dense(f"{layer}.intermediate.dense", state)]
            for state in states
        ]
        states = [
            norm(f"{layer}.output.LayerNorm", np.add(state, dense(f"{layer}.output.dense", row)))
            for state, row in zip(states, middle, strict=True)
        ]
    return np.array(states)


def test_the_forward_pass_agrees_with_a_second_one(parameters):
    numbers = [2, 4, 5, 6, 7, 3]
    np.testing.assert_allclose(Bert(LAYERS, HEADS).hidden(parameters, numbers), slowly(parameters, numbers), atol=1e-10)


def test_every_linear_layer_can_be_replaced(parameters):
    shape, seen = Bert(LAYERS, HEADS), []

    def linear(name, values, weight, bias):
        seen.append(name)
        return values @ weight.T + bias

    plain = shape.hidden(parameters, [2, 8, 3])
    np.testing.assert_array_equal(shape.hidden(parameters, [2, 8, 3], linear), plain)
    assert seen == shape.linears()


def test_layers_that_read_the_same_array_are_known(tmp_path, parameters):
    groups = SentenceModel.read(folder(tmp_path, parameters)).readers()
    assert list(groups) == Bert(LAYERS, HEADS).linears()
    for name, group in groups.items():
        before, joint, _ = name.partition("self.")
        parts = [f"{before}self.{part}.weight" for part in ("query", "key", "value")] if joint else [name]
        assert list(group) == parts


def test_every_operation_goes_through_the_hook_and_what_lies_between_is_known(parameters):
    shape, results, open_ones, kinds = Bert(LAYERS, HEADS), {}, [], {}

    def apply(kind, name, function, *inputs):
        if not open_ones:  # parts of attention have reshaped arrays
            assert kind == "embedding" or all(id(array) in results for array in inputs), name
        open_ones.append(name)
        result = function(*inputs)
        open_ones.pop()
        assert name not in kinds
        results[id(result)], kinds[name] = result, kind
        return result

    np.testing.assert_array_equal(shape.hidden(parameters, [2, 8, 3], apply=apply), shape.hidden(parameters, [2, 8, 3]))
    linears = [f"{name}.weight" for name, kind in kinds.items() if kind == "linear"]
    assert set(linears) == set(shape.linears())
    counts = {kind: list(kinds.values()).count(kind) for kind in kinds.values()}
    once, twice = dict.fromkeys(("attention", "scores", "softmax", "mix", "gelu"), LAYERS), 2 * LAYERS
    assert counts == {"embedding": 2, "linear": 6 * LAYERS, **once, "add": twice + 1, "layernorm": twice + 1}


def test_words_become_the_longest_pieces():
    def pieces(text):
        return [WORDS[number] for number in tokens(text, VOCABULARY)]

    assert pieces("Unaffable!") == ["[CLS]", "un", "##aff", "##able", "!", "[SEP]"]
    assert pieces("CAFÉ a") == ["[CLS]", "cafe", "a", "[SEP]"]
    assert pieces("unaffably a") == ["[CLS]", "[UNK]", "a", "[SEP]"]
    assert pieces("") == ["[CLS]", "[SEP]"]


def test_a_folder_is_read(tmp_path, parameters):
    model = SentenceModel.read(folder(tmp_path, parameters))
    vectors = model.embed(["unaffable", "a"])
    np.testing.assert_allclose((vectors**2).sum(axis=1), 1)
    rows = model.inputs(["unaffable", "a"])
    assert list(rows) == model.encoder.linears()
    assert rows["encoder.layer.1.output.dense.weight"].shape == (8, 3 * WIDTH)
    name = "encoder.layer.0.output.dense.weight"
    changed = model.with_weights({name: np.zeros((WIDTH, 3 * WIDTH), np.float32)})
    assert not np.allclose(changed.embed(["a"]), vectors[1])
    with pytest.raises(InputError, match="not there"):
        model.with_weights({"no such": np.zeros(3)})
    with pytest.raises(InputError, match="does not hold a BERT model"):
        SentenceModel.read(tmp_path / "nowhere")


def test_a_model_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match="not installed") as caught:
        minilm_directory()
    assert "pip install" in caught.value.hint


def test_marks_and_chinese_characters_stand_alone():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "foo", "_", "bar", "中", "国", "5", "##€"]
    vocabulary = {word: number for number, word in enumerate(words)}
    numbers = tokens("foo_bar 中国 5€ " + "a" * 101, vocabulary)
    assert [words[number] for number in numbers[1:-1]] == ["foo", "_", "bar", "中", "国", "5", "##€", "[UNK]"]


def test_texts_that_do_not_fit_are_told(tmp_path, parameters):
    model = SentenceModel.read(folder(tmp_path, parameters))
    assert model.embed([]).shape == (0, WIDTH)
    with pytest.raises(InputError, match="positions for 16"):
        model.embed(["a " * 20])
    with pytest.raises(InputError, match="are a list"):
        model.embed("a")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "[]", "does not hold a BERT model"),
        ("config.json", '{"num_hidden_layers": 2.5}', "does not hold a BERT model"),
        ("config.json", "{" * 5000, "does not hold a BERT model"),
        (
            "config.json",
            '{"num_hidden_layers": 3, "num_attention_heads": 2, "layer_norm_eps": 0}',
            "does not have 'encoder.layer.2.attention.self.query.weight'",
        ),
        (
            "config.json",
            '{"num_hidden_layers": 1000000000000, "num_attention_heads": 2, "layer_norm_eps": 0}',
            "does not have 'encoder.layer.2.attention.self.query.weight'",
        ),
        (
            "config.json",
            '{"num_hidden_layers": 2, "num_attention_heads": 3, "layer_norm_eps": 0}',
            "3 heads do not divide the width of 8",
        ),
        (
            "config.json",
            '{"num_hidden_layers": 2, "num_attention_heads": 0, "layer_norm_eps": 0}',
            "does not hold a BERT model: .*0 heads",
        ),
        (
            "config.json",
            '{"num_hidden_layers": 2, "num_attention_heads": 2, "layer_norm_eps": "small"}',
            "does not hold a BERT model: .*layer_norm_eps 'small'",
        ),
        ("vocab.txt", "a\nb", r"does not have \[CLS\]"),
        ("vocab.txt", "\n".join([*WORDS, "more"]), "11 words in vocab.txt, and 10 in the table"),
    ],
)
def test_a_damaged_folder_is_told(tmp_path, parameters, file, text, message):
    folder(tmp_path, parameters)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        SentenceModel.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("embeddings.LayerNorm.bias", None, "does not have 'embeddings.LayerNorm.bias'"),
        ("encoder.layer.1.output.dense.bias", None, "does not have 'encoder.layer.1.output.dense.bias'"),
        ("encoder.layer.0.output.LayerNorm.weight", np.ones(3), r"of shape \(3,\).* ask for \(8,\)"),
        ("encoder.layer.1.output.dense.weight", np.ones((8, 5)), r"of shape \(8, 5\).* ask for \(8, 24\)"),
        ("embeddings.position_embeddings.weight", np.ones((16, 3)), r"of shape \(16, 3\).* ask for \(16, 8\)"),
    ],
)
def test_a_parameter_that_does_not_fit_is_told(tmp_path, parameters, name, change, message):
    changed = {key: array for key, array in parameters.items() if key != name or change is not None}
    folder(tmp_path, changed | ({} if change is None else {name: change}))
    with pytest.raises(InputError, match=message):
        SentenceModel.read(tmp_path)


def test_what_is_not_text_or_a_layer_is_told(tmp_path, parameters):
    model = SentenceModel.read(folder(tmp_path, parameters))
    for texts in (None, 3):
        with pytest.raises(InputError, match="texts are a list"):
            model.embed(texts)
    with pytest.raises(InputError, match=r"texts\[1\] is a int, not text"):
        model.inputs(["a", 3])
    with pytest.raises(InputError, match="'nowhere' is not the weight of a linear layer"):
        model.inputs(["a"], ["nowhere"])
    name = "encoder.layer.0.output.dense.bias"
    assert model.with_weights({name: [0.0] * WIDTH}).parameters[name].tolist() == [0.0] * WIDTH
    with pytest.raises(InputError, match="dtype object"):
        model.with_weights({name: [None] * WIDTH})
