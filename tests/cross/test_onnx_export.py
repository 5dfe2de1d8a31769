"""Integer models exported to ONNX: ONNX Runtime gives the same codes at every layer whose rounding is its own."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.layers import Conv, Linear, MaxPool, Quantity, Requantize, Rescale, Reshape
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.onnx_export import onnx_export

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

IMAGE, MIDDLE, RESULT = Quantity("uint8", 1 / 255, 9), Quantity("int8", 0.1, -4), Quantity("int8", 0.2, 3)


def network(scheme):
    """Convolutions with padding, strides and groups, a pool in between, linear layers with and without a bias."""
    rng = np.random.default_rng(4)

    def codes(*shape):
        return rng.integers(-60, 61, shape, np.int8)

    def rescale(channels, result, **clamp):
        return Rescale.from_scale(rng.uniform(2e-3, 2e-2, channels), scheme, result, **clamp)

    first = Conv(
        IMAGE, codes(8, 3, 3, 2), rescale(8, MIDDLE, minimum=-4), rng.integers(-900, 900, 8, np.int32),
        stride=(2, 1), padding=((1, 1), (0, 1)),
    )  # fmt: skip
    depthwise = Conv(MIDDLE, codes(8, 2, 2, 1), rescale(8, MIDDLE), groups=8)
    grouped = Conv(MIDDLE, codes(6, 1, 1, 4), rescale(6, MIDDLE), groups=2)
    nodes = {
        "first": Node(first, ("image",)),
        "depthwise": Node(depthwise, ("first",)),
        "pool": Node(MaxPool(MIDDLE, (2, 2), (2, 2)), ("depthwise",)),
        "grouped": Node(grouped, ("pool",)),
        "flat": Node(Reshape(MIDDLE, 3, (-1,)), ("grouped",)),
        "biased": Node(
            Linear(MIDDLE, codes(5, 24), rescale(5, MIDDLE), rng.integers(-900, 900, 5, np.int32)), ("flat",)
        ),
        "plain": Node(Linear(MIDDLE, codes(4, 5), rescale(1, RESULT, maximum=40), None, 2), ("biased",)),
        "each": Node(Linear(RESULT, codes(3, 4), rescale(3, RESULT), None, codes(3)), ("plain",)),
        "sums": Node(Linear(RESULT, codes(3, 3), Quantity("int32", 1.0), np.arange(3, dtype=np.int32)), ("each",)),
        "wide": Node(Linear(RESULT, codes(3, 3), rescale(3, Quantity("int16", 0.01))), ("each",)),
    }
    return IntegerModel(nodes, {"image": IMAGE}, ("sums", "wide"))


def compared(model):
    """Layer -> how many of its codes differ in ONNX Runtime, each layer given lowbit's codes where others feed it."""
    image = np.random.default_rng(5).integers(0, 256, (7, 9, 6, 2), np.uint8)
    edges = {"image": image}

    def trace(name, step):
        edges[name] = edges[f"{name}:{step.label}"] = step.codes

    model.run(image, trace)
    export = onnx_export(model)
    session = onnxruntime.InferenceSession(export.content, providers=["CPUExecutionProvider"])
    given = {one.name: edges[one.name] for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    got = dict(zip(names, session.run(names, given), strict=True))
    assert all(got[name].dtype == edges[name].dtype for name in names)
    assert all(len(np.unique(edges[name])) > 20 for name in ("first", "depthwise", "grouped", "biased"))
    return export, {name: np.abs(got[name].astype(int) - edges[name].reshape(got[name].shape)) for name in names}


def test_onnx_runtime_gives_the_same_codes_where_its_rounding_is_the_schemes(onnxruntime_saturates_pairs):
    if onnxruntime_saturates_pairs:
        pytest.skip("this processor's ONNX Runtime saturates pairs of products")
    export, differences = compared(network("onnxruntime"))
    assert set(export.layers) == {"first", "depthwise", "grouped", "biased", "plain", "each", "sums"}
    assert not any(export.layers.values())
    names = (*export.layers, "wide:accumulator")
    assert {name: int(found.max()) for name, found in differences.items()} == dict.fromkeys(names, 0)
    assert export.left_out == {"wide": "QLinear operators of ONNX Runtime do not give int16"}


def test_a_sentence_says_where_it_is_not(onnxruntime_saturates_pairs):
    if onnxruntime_saturates_pairs:
        pytest.skip("this processor's ONNX Runtime saturates pairs of products")
    export, differences = compared(network("single_even"))
    assert all(
        "single codes may differ by one" in sentence for name, sentence in export.layers.items() if name != "sums"
    )
    sums = [name for name in differences if name.endswith(":accumulator")]
    assert sums == [f"{name}:accumulator" for name in ("biased", "plain", "each", "wide")]
    assert not differences["biased:accumulator"].any()
    assert max(int(found.max()) for name, found in differences.items() if name in ("first", "grouped", "biased")) <= 1


def test_it_is_a_valid_model():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = onnx.load_from_string(onnx_export(network("tflite_double")).content)
    onnx.checker.check_model(model, full_check=True)
    assert "requantised under scheme tflite_double" in model.graph.node[0].doc_string


def test_a_model_without_such_layers_is_refused():
    layer = Requantize(MIDDLE, Rescale.from_scale(0.5, "onnxruntime", MIDDLE))
    with pytest.raises(InputError, match="no linear layer or convolution"):
        onnx_export(IntegerModel({"only": Node(layer, ("codes",))}, {"codes": MIDDLE}, ("only",)))
