"""`lowbit run` and `lowbit check model`: an integer model's codes, its dump, and a kernel's beside it."""

import json
import textwrap

import numpy as np
import pytest

from lowbit.files.arrays import read_arrays
from lowbit.layers import Linear, Quantity, Rescale
from lowbit.models.conversion import subject
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.store import read_model, write_model

IMAGE, MIDDLE, RESULT = Quantity("uint8", 1 / 255), Quantity("int8", 0.1, -4), Quantity("int16", 0.01)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    generator, nodes = np.random.default_rng(5), {}
    for name, source, given, result, outputs, inputs in (
        ("first", "image", IMAGE, MIDDLE, 8, 6),
        ("second", "first", MIDDLE, RESULT, 3, 8),
    ):
        weight = generator.integers(-127, 128, (outputs, inputs), np.int8)
        rescale = Rescale.from_scale(generator.uniform(0.001, 0.01, outputs), "hawq", result)
        layer = Linear(given, weight, rescale, generator.integers(-5000, 5000, outputs, np.int32))
        nodes[name] = Node(layer, (source,))
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    model = IntegerModel(nodes, {"image": IMAGE}, ("second",), {"labels": ["ant", "bee", "cat"]})
    write_model(path, model)
    return path, model


@pytest.fixture
def image(tmp_path):
    codes = np.random.default_rng(6).integers(0, 256, (30, 6), np.uint8)
    np.save(tmp_path / "image.npy", codes)
    return tmp_path / "image.npy", codes


def test_codes_come_out_with_labels(lowbit, model, image, tmp_path):
    (path, integer), (file, codes) = model, image
    expected = integer.run(codes)
    result = lowbit("run", path, file, "-o", tmp_path / "out.npy")
    first = ["ant", "bee", "cat"][int(expected[0].argmax())]
    assert "second: int16 codes of shape (30, 3); a code is worth (code - 0) * 0.01" in result.out
    assert f"  0: {first}: [" in result.out
    assert "and 10 more" in result.out
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    document = json.loads(lowbit("run", path, file, "--output-format", "json").out)
    assert document["outputs"]["second"]["codes"] == expected.tolist()
    assert document["labels"][0] == first


def test_values_become_the_nearest_codes(lowbit, model, image, tmp_path):
    (path, integer), (_, codes) = model, image
    np.savez(tmp_path / "values.npz", image=codes / 255 + 0.001)
    lowbit("run", path, tmp_path / "values.npz", "-o", tmp_path / "out.safetensors")
    np.testing.assert_array_equal(read_arrays(tmp_path / "out.safetensors")["second"], integer.run(codes))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((2, 6))}, "input 'image' is missing"),
        ({"image": np.full((2, 6), np.nan)}, "input 'image' has a NaN"),
        ({"image": np.full((2, 6), 256)}, "input 'image': "),
        ({"image": np.zeros((2, 6), bool)}, "input 'image' has dtype bool"),
        ({"image": np.zeros((2, 5))}, "layer 'first': linear: input has shape (2, 5)"),
    ],
)
def test_inputs_that_are_wrong_are_told(lowbit, model, tmp_path, arrays, message):
    np.savez(tmp_path / "wrong.npz", **arrays)
    result = lowbit("run", model[0], tmp_path / "wrong.npz")
    assert (result.status, message in result.err) == (2, True), result.err


def test_a_dump_is_compared_layer_by_layer(lowbit, model, image, tmp_path):
    (path, _), (file, _) = model, image
    lowbit("run", path, file, "--dump", tmp_path / "dump.npz")
    options = ("check", "model", path, "--inputs", file, "--results")
    result = lowbit(*options, tmp_path / "dump.npz")
    assert (result.status, "equal; 2 of 2 layers compared" in " ".join(result.out.split())) == (0, True)
    dump = read_arrays(tmp_path / "dump.npz")
    assert set(dump) == {
        "first:accumulator",
        "first:requantised",
        "first",
        "second:accumulator",
        "second:requantised",
        "second",
    }
    dump["first"][3, 2] += 1
    np.savez(tmp_path / "wrong.npz", first=dump["first"], second=dump["second"])
    document = json.loads(lowbit(*options, tmp_path / "wrong.npz", "--output-format", "json").out)
    assert document["verdict"] == "MISMATCH"
    assert document["differences"][0]["layer"] == "first"
    assert document["differences"][0]["index"] == [3, 2]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("nothere,first", "'nothere' is not a layer of the model"),
        ("", "--layers names no layer"),
        (" , ", "--layers names no layer"),
        ("all", "'first' is not a layer in"),
        ("second,first", "'first' is not a layer in"),
        ("second", None),
        (None, None),
    ],
)
def test_layers_that_a_dump_lacks_are_not_equal(lowbit, model, image, tmp_path, layers, message):
    (path, integer), (file, codes) = model, image
    np.savez(tmp_path / "dump.npz", second=integer.run(codes))
    chosen = () if layers is None else ("--layers", layers)
    result = lowbit("check", "model", path, "--inputs", file, "--results", tmp_path / "dump.npz", *chosen)
    assert result.status == (2 if message else 0), result.err
    assert message in result.err if message else "equal; 1 of 2 layers compared" in " ".join(result.out.split())
    assert ("equal" in result.out) == (message is None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "ibert"), "--preset is for float models"),
        (("--plan", "image.npy"), "--plan is for float models"),
        (("-o", "a.npy", "--dump", "b.npy"), "b.npy: a .npy file has one array"),
        (("-o", "a.npy", "--dump", "b.txt"), "b.txt: the name ends in none of"),
        (("-o", "a.txt", "--dump", "b.npz"), "a.txt: the name ends in none of"),
        (("--save", "m.npz"), "m.npz: the name is that of a .npz file, and a safetensors file is written"),
    ],
)
def test_what_a_stored_model_cannot_be_asked_for_is_refused_first(lowbit, model, image, options, message, monkeypatch):
    folder = image[0].parent
    monkeypatch.chdir(folder)
    result = lowbit("run", model[0], image[0], "--save", "c.safetensors", *options)
    assert (result.status, message in result.err) == (2, True), result.err
    assert [file.name for file in folder.iterdir()] == ["image.npy"]


def test_nothing_is_written_where_the_input_is_refused(lowbit, model, tmp_path):
    np.save(tmp_path / "bad.npy", np.zeros((2, 5), np.uint8))
    for given in ("bad.npy", "absent.npy"):
        written = ("--save", tmp_path / "c.safetensors", "-o", tmp_path / "o.npz", "--dump", tmp_path / "d.npz")
        assert lowbit("run", model[0], tmp_path / given, *written).status == 2
        assert [file.name for file in tmp_path.iterdir()] == ["bad.npy"]


def test_labels_of_a_file_do_not_steer_the_terminal(lowbit, model, image, tmp_path):
    odd = IntegerModel(model[1].nodes, model[1].inputs, model[1].outputs, {"labels": ["\x1b[2J", "a\nb", "\x07"]})
    write_model(tmp_path / "odd.safetensors", odd)
    result = lowbit("run", tmp_path / "odd.safetensors", image[0])
    assert (result.status, set(result.out) & set("\x1b\x07")) == (0, set())
    write_model(tmp_path / "odd.safetensors", IntegerModel(odd.nodes, odd.inputs, odd.outputs, {"labels": 3}))
    assert lowbit("run", tmp_path / "odd.safetensors", image[0]).status == 0


KERNEL = """
    import dataclasses
    import numpy
    from lowbit.models.store import read_model

    def f(image):
        nodes = read_model({path!r}).nodes
        first = dataclasses.replace(nodes["first"].layer, bias=None)(image)
        return {{"first": first, "second": nodes["second"].layer(first)}}
"""


def test_a_function_that_hands_out_layers_is_compared(lowbit, model, image, tmp_path):
    (path, _), (file, _) = model, image
    (tmp_path / "kernel.py").write_text(textwrap.dedent(KERNEL.format(path=str(path))))
    result = lowbit(
        "check", "model", path, "--inputs", file, "--python", f"{tmp_path / 'kernel.py'}:f", "--layers", "all"
    )
    assert result.status == 1
    assert "the first layer that differs: first (linear), requantised" in result.out
    assert "the kernel ignores the bias" in result.out
    unknown = lowbit("check", "model", path, "--inputs", file, "--python", "kernel.py:f", "--layers", "third")
    assert (unknown.status, "'third' is not a layer of the model" in unknown.err) == (2, True)
    assert lowbit("check", "model", path).status == 2
    assert lowbit("check", "gemm", path).status == 2


def test_a_model_known_by_name_adds_in_integers(lowbit, monkeypatch, tmp_path):
    monkeypatch.setattr(subject, "CALIBRATION_PROBLEMS", 64)
    monkeypatch.setattr(subject, "HELD_OUT_PROBLEMS", 32)
    path, picture = tmp_path / "addition.safetensors", tmp_path / "layers.svg"
    result = lowbit("run", "addition_0", "--save", path)
    assert "accuracy on 32 held-out items: float 1.0000, integer 1.0000" in result.out
    result = lowbit("evaluate", path, "--layers", "-o", picture)
    assert "layers.0.self_attn.q_proj" in result.out
    assert "accuracy on 32 held-out items: float 1.0000, integer 1.0000" in result.out
    assert picture.read_text().count("<rect") > 30
    plan = {"layers": [{"layer": "layers.0.self_attn.q_proj.weight", "choice": "int4.channel"}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    lowbit("run", "addition_0", "--plan", tmp_path / "plan.json", "--save", tmp_path / "mixed.safetensors")
    nodes = read_model(tmp_path / "mixed.safetensors").nodes
    formats = [nodes[f"layers.0.self_attn.{part}_proj"].layer.weight_format for part in "qk"]
    assert formats == ["int4", "int8"]
    document = json.loads(lowbit("evaluate", path, "--layers", "--output-format", "json").out)
    assert document["outcome"]["items"] == 32
    assert all(0.9 < layer["cosine"] <= 1 for layer in document["layers"])


def test_what_goes_together_is_told(lowbit, model):
    path, _ = model
    assert "--output and --dump take an INPUT" in lowbit("run", path, "--dump", "dump.npz").err
    assert "does not say which float model it was" in lowbit("run", path).err
    assert (
        "with --layers the name ends in one of .svg, .json" in lowbit("evaluate", path, "--layers", "-o", "a.html").err
    )
    assert "--preset is for --layers" in lowbit("evaluate", path, "--preset", "ibert").err


def test_texts_are_for_minilm(lowbit, tmp_path):
    (tmp_path / "seen.txt").write_text("a sentence")
    result = lowbit("run", "addition_0", "--calibrate", str(tmp_path / "seen.txt"))
    assert result.status == 2
    assert "--calibrate is for minilm; addition_0 has data of its own" in result.err


def test_a_model_that_is_not_known_is_told_with_one_that_is(lowbit):
    result = lowbit("run", "addition0")
    assert result.status == 2
    assert "'addition0' is neither a model that lowbit knows nor a file" in result.err
    assert "did you mean addition_0?" in result.err
