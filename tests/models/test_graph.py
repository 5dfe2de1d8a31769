"""Integer models: they run node by node, their file gives them back, and what is wrong names the layer."""

import json

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.own_tensors import KEY
from lowbit.files.safetensors import DTYPES, read_header, write_tensors
from lowbit.layers import (
    Add,
    Attention,
    AveragePool,
    Conv,
    Linear,
    Nonlinearity,
    Norm,
    Positions,
    Quantity,
    Requantize,
    Rescale,
    Reshape,
    Sum,
)
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.store import read_model, write_model

IMAGE, MIDDLE, RESULT = Quantity("uint8", 1 / 255, 3), Quantity("int8", 0.1, -4), Quantity("int16", 0.01)
INT8 = Quantity("int8", 1.0)
RESCALE = Rescale.from_scale(0.5, "tflite_double", INT8)
SUM = Sum.from_scales(INT8, INT8, "tflite_double", INT8)
PROBABILITIES = Nonlinearity("softmax", "ivit")
QUANTITY = {"class": "Quantity", "format": "int8", "scale": 1.0, "zero_point": 0}


def linear(generator, inputs, outputs, given, result, scheme="tflite_double"):
    weight = generator.integers(-127, 128, (outputs, inputs), np.int8)
    bias = generator.integers(-500, 500, outputs, np.int32)
    rescale = Rescale.from_scale(generator.uniform(0.001, 0.01, outputs), scheme, result)
    return Linear(given, weight, rescale, bias)


@pytest.fixture(scope="module")
def model():
    generator = np.random.default_rng(5)
    nodes = {
        "first": Node(linear(generator, 6, 8, IMAGE, MIDDLE), ("image",)),
        "wide": Node(Requantize(MIDDLE, Rescale.from_scale(10.0, "hawq", RESULT)), ("first",)),
        "second": Node(linear(generator, 8, 3, MIDDLE, RESULT, "hawq"), ("first",)),
    }
    return IntegerModel(nodes, {"image": IMAGE}, ("second", "wide"), {"labels": ["a", "b", "c"]})


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(6).integers(0, 256, (4, 6), np.uint8)


def test_nodes_run_in_order_and_every_intermediate_is_seen(model, image):
    seen = []
    outputs = model.run(image, lambda name, step: seen.append((name, step.label, step.codes, step.bits)))
    first = model.nodes["first"].layer(image)
    np.testing.assert_array_equal(outputs["second"], model.nodes["second"].layer(first))
    np.testing.assert_array_equal(outputs["wide"], model.run({"image": image})["wide"])
    labels = ("accumulator", "requantised")
    assert [one[:2] for one in seen] == [(name, label) for name in model.nodes for label in labels]
    np.testing.assert_array_equal(seen[-1][2], outputs["second"])
    assert [one[3] for one in seen] == [32, 8, 32, 16, 32, 16]
    assert (model.quantity("image"), model.quantity("second")) == (IMAGE, RESULT)


def test_a_file_gives_the_model_back(model, image, tmp_path):
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    write_model(path, model)
    back = read_model(path)
    assert (back.inputs, back.outputs, back.facts) == (model.inputs, model.outputs, model.facts)
    for name, codes in model.run(image).items():
        np.testing.assert_array_equal(back.run(image)[name], codes)
    write_model(again, back)
    assert path.read_bytes() == again.read_bytes()


def test_graphs_that_do_not_meet_name_the_layer(model, image):
    nodes = dict(model.nodes)
    with pytest.raises(InputError, match="layer 'second' takes 'first', which is not there"):
        IntegerModel({"second": nodes["second"]}, model.inputs, ("second",))
    with pytest.raises(InputError, match=r"layer 'second' takes Quantity.*int8.*'image' gives Quantity.*uint8"):
        IntegerModel({"second": Node(nodes["second"].layer, ("image",))}, model.inputs, ("second",))
    with pytest.raises(InputError, match="layer 'first': linear takes 1 inputs, not 2"):
        IntegerModel({"first": Node(nodes["first"].layer, ("image", "image"))}, model.inputs, ("first",))
    with pytest.raises(InputError, match="the output 'third' is not a layer"):
        IntegerModel(nodes, model.inputs, ("third",))
    with pytest.raises(InputError, match="has no output"):
        IntegerModel(nodes, model.inputs, ())
    with pytest.raises(InputError, match="layer 'image': an input of the model"):
        IntegerModel({"image": nodes["first"]}, model.inputs, ("image",))
    with pytest.raises(InputError, match="layer 'first': linear: input has shape"):
        model.run(image[:, :5])
    with pytest.raises(InputError, match="input 'image' has dtype float64"):
        model.run(image.astype(float))
    with pytest.raises(InputError, match="input 'picture' is not an input"):
        model.run({"image": image, "picture": image})
    with pytest.raises(InputError, match="input 'image' is missing"):
        model.run({})


def last(length, first, *, inputs=1):
    """A layer, and what makes that many channels for it."""
    wide = Linear(INT8, np.ones((length, 4), np.int8), RESCALE)
    return {"wide": Node(wide, ("image",)), "first": Node(first, ("wide",) * inputs)}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            lambda: last(8, Linear(INT8, np.ones((3, 9), np.int8), RESCALE)),
            "'first': linear: input has 8 channels .*, not 9",
        ),
        (
            lambda: last(1, Linear(INT8, np.ones((3, 9), np.int8), RESCALE)),
            "'first': linear: input has 1 channel along .*, not 9",
        ),
        (
            lambda: last(4, Conv(INT8, np.ones((4, 1, 1, 4), np.int8), RESCALE, groups=2)),
            "'first': conv: .* 4 .*, not 8",
        ),
        (lambda: last(8, Norm(INT8, Nonlinearity("layernorm", "lowbit"), 4, RESCALE)), "'first': norm: .* 8 .*, not 4"),
        (
            lambda: last(8, Attention(INT8, INT8, INT8, 2, 4, RESCALE, PROBABILITIES, RESCALE, 1), inputs=3),
            "'first': attention: input has 8 channels .*, not 4",
        ),
        (
            lambda: last(8, Requantize(INT8, Rescale.from_scale([0.5] * 3, "hawq", INT8))),
            "'first': requantize: .* 8 .*, not 3",
        ),
        (lambda: last(8, Reshape(INT8, 1, (3, -1))), r"'first': reshape: input has 8 channels .*: not \(3, -1\)"),
        (lambda: last(8, Positions(INT8, np.zeros((2, 7), np.int8), INT8, SUM)), "'first': positions: .* 8 .*, not 7"),
        (
            lambda: {**last(8, Reshape(INT8, 1, (2, 4))), "sum": Node(Add(INT8, INT8, SUM), ("wide", "first"))},
            "'sum': add: inputs have 8 and 4 channels",
        ),
    ],
)
def test_channels_that_do_not_meet_name_the_layer_before_a_code_comes(nodes, message):
    with pytest.raises(InputError, match=f"layer {message}"):
        IntegerModel(nodes(), {"image": INT8}, ("wide",))


def test_channels_that_are_not_known_or_broadcast_are_left_to_the_call():
    spread = Node(Add(INT8, INT8, SUM), ("wide", "first"))
    for length, first in ((8, Linear(INT8, np.ones((1, 8), np.int8), RESCALE)), (8, Reshape(INT8, 2, (1, -1)))):
        nodes = {**last(length, first), "sum": spread}
        nodes["end"] = Node(Linear(INT8, np.ones((2, 8), np.int8), RESCALE), ("sum",))
        model = IntegerModel(nodes, {"image": INT8}, ("end",))
        assert model.run(np.ones((1, 4), np.int8)).shape == (1, 2)


def layer(name, **fields):
    return lambda nodes: nodes[name]["layer"].update(fields)


NO_CLASS = {"class": "Gain"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda nodes: nodes["first"].update(operation="lstm"), "layer 'first' is of the unknown kind 'lstm'"),
        (lambda nodes: nodes["first"].pop("inputs"), "layer 'first' lacks its operation, inputs or layer"),
        (lambda nodes: nodes["first"]["layer"].pop("weight"), "layer 'first' lacks the field 'weight'"),
        (layer("wide", axis=1), "layer 'wide' has the field 'axis', which Requantize does not have"),
        (layer("first", weight={"tensor": "no"}), "layer 'first', field 'weight' is the tensor 'no'"),
        (layer("first", weight=3), "layer 'first', field 'weight' is '3'"),
        (
            layer("first", input={"class": "Quantity", "format": "int8"}),
            "'first', field 'input' lacks the field 'scale'",
        ),
        (layer("first", output=NO_CLASS), "layer 'first', field 'output' is of the class 'Gain'"),
        (layer("first", bias={"tensor": "first.weight"}), "layer 'first': linear: bias has shape"),
        (lambda nodes: nodes["wide"]["layer"]["rescale"].update(scheme="no"), "'wide', field 'rescale': .*'no'"),
        (lambda nodes: nodes["wide"]["layer"]["rescale"].update(minimum="1"), "field 'rescale', field 'minimum' is"),
    ],
)
def test_files_that_are_wrong_name_the_layer(model, tmp_path, edit, message):
    path = tmp_path / "model.safetensors"
    write_model(path, model)
    _rewrite(path, edit)
    with pytest.raises(InputError, match=message):
        read_model(path)


@pytest.fixture
def kinds(tmp_path):
    """A file of a layer of each of some kinds, each beside the others."""
    layers = {
        "conv": (Conv(INT8, np.ones((1, 1, 1, 1), np.int8), RESCALE), 1),
        "pool": (AveragePool(INT8, "away", (1, 1)), 1),
        "sum": (Add(INT8, INT8, Sum.from_scales(INT8, INT8, "tflite_double", INT8)), 2),
        "attention": (Attention(INT8, INT8, INT8, 1, 4, RESCALE, PROBABILITIES, RESCALE), 3),
        "norm": (Norm(INT8, Nonlinearity("layernorm", "lowbit"), 4, RESCALE), 1),
        "shape": (Reshape(INT8, 1, (2, 2)), 1),
    }
    path = tmp_path / "kinds.safetensors"
    nodes = {name: Node(one, ("image",) * count) for name, (one, count) in layers.items()}
    write_model(path, IntegerModel(nodes, {"image": INT8}, tuple(layers)))
    assert set(read_model(path).nodes) == set(layers)
    return path


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *(("conv", "stride", value) for value in (0, -1, [[1, 1], [1]], [1], [1, 2, 3], [1, 1 << 64], [1.0, 1], "1")),
        *(("conv", "padding", value) for value in (0, [0, 0], [1], [[0, 0]], [[1, 1], [1]])),
        *(("conv", name, value) for name in ("groups", "weight_format") for value in ([1], {}, {"table": {}}, True)),
        *(("conv", "weight", value) for value in ({"tensor": [1]}, {"tensor": {}}, [1], None)),
        *(("conv", "output", value) for value in ({"class": [1]}, {"table": 5}, {"table": {}}, [], [QUANTITY])),
        *(("conv", "input", value) for value in ({"table": {}}, [QUANTITY], {**QUANTITY, "zero_point": [1]}, {})),
        *(("pool", "size", value) for value in (1000, [[], 2])),
        *(("pool", "padding", value) for value in (1000, None)),
        ("pool", "division", ["away"]),
        *(("attention", "longest", value) for value in ([], None, 1.5)),
        *(("norm", "length", value) for value in ([[1, 2], [3]], {"table": {}})),
        ("shape", "shape", [[2], 2]),
    ],
)
def test_a_value_of_another_kind_names_the_layer_and_the_field(kinds, name, field, value):
    _rewrite(kinds, layer(name, **{field: value}))
    with pytest.raises(InputError, match=f"layer {name!r}, field {field!r}.* is ") as error:
        read_model(kinds)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("name", "place", "edit"),
    [
        ("sum", "field 'sum', field 'minimum'", lambda fields: fields["sum"].update(minimum=[])),
        ("norm", "field 'function', field 'options'.shift", lambda fields: _options(fields, {"shift": [1]})),
        ("norm", "field 'function', field 'options'", lambda fields: fields["function"].update(options={"table": 5})),
    ],
)
def test_a_value_inside_of_a_field_is_named_as_well(kinds, name, place, edit):
    _rewrite(kinds, lambda nodes: edit(nodes[name]["layer"]))
    with pytest.raises(InputError, match=f"layer {name!r}, {place} is "):
        read_model(kinds)


def _options(fields, options):
    fields["function"].update(options={"table": options})


@pytest.mark.parametrize(
    ("operation", "inputs"),
    [
        *(("conv", inputs) for inputs in ("abc", [["a"]], [{}], [3], None, {})),
        *((operation, ["image"]) for operation in (["linear"], {}, None)),
    ],
)
def test_what_a_node_is_and_takes_are_names(kinds, operation, inputs):
    _rewrite(kinds, lambda nodes: nodes["conv"].update(operation=operation, inputs=inputs))
    with pytest.raises(InputError, match="layer 'conv' lacks its operation, inputs or layer"):
        read_model(kinds)


@pytest.mark.parametrize("name", ["\x1b[2Jred", "a\nb", ""])
def test_names_that_steer_a_terminal_are_not_names(kinds, name):
    _rewrite(kinds, lambda nodes: nodes.update({name: nodes["conv"]}))
    with pytest.raises(InputError, match="is not a name of a layer or an input") as error:
        read_model(kinds)
    assert not set(name) & set("\x1b\n") & set(str(error.value).split("\nhelp:")[0])


def test_a_tensor_of_floats_is_not_a_parameter(model, tmp_path):
    path = tmp_path / "model.safetensors"
    write_model(path, model)
    _rewrite(path, lambda nodes: None, {"second.bias": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="layer 'second': linear: bias has dtype float32"):
        read_model(path)


def test_other_files_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    write_tensors(path, [], [], {KEY: json.dumps({"schema": "lowbit/integer-model/9"})})
    with pytest.raises(InputError, match=r"is 'lowbit/integer-model/9', not 'lowbit/integer-model/1'"):
        read_model(path)
    write_tensors(path, [], [])
    with pytest.raises(InputError, match="is not an integer model"):
        read_model(path)


def _rewrite(path, edit, tensors=None):
    """The same file with its record edited and some tensors replaced."""
    file = read_header(path)
    document = json.loads(file.metadata[KEY])
    edit(document["nodes"])
    arrays = {name: np.array(file.tensor(name)) for name in file.entries} | (tensors or {})
    dtypes = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    entries = [
        type(entry)(name, dtypes[arrays[name].dtype], arrays[name].shape, 0, arrays[name].nbytes)
        for name, entry in file.entries.items()
    ]
    write_tensors(path, entries, [arrays[entry.name] for entry in entries], {KEY: json.dumps(document)})
