"""HAWQ-V3's published residual unit, linear layer and pooling beside lowbit's layers, every code of every QuantAct."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest

from lowbit.layers import Add, AveragePool, Linear, Quantity, Requantize, Sum
from lowbit.models.graph import IntegerModel, Node
from tests.cross.published_modules import (
    HAWQ,
    SCHEMES,
    assert_equal,
    assign,
    codes_of,
    conv,
    drawn,
    integers,
    module_of,
    quantity,
    rescale,
    steps_of,
    torch,
    values,
    watched,
    wide,
    without_a_gpu,
)

LARGEST = (1 << 15) - 1
OF_A_MODEL_ZOO = [
    ("pytorchcv.models.common", "ConvBlock"),
    ("pytorchcv.models.shufflenetv2", "ShuffleUnit"),
    ("pytorchcv.models.shufflenetv2", "ShuffleInitBlock"),
]


@pytest.fixture
def resnet(monkeypatch):
    without_a_gpu(monkeypatch)
    return module_of(HAWQ, "utils", "models.q_resnet", OF_A_MODEL_ZOO)


@pytest.fixture
def modules(resnet):
    return importlib.import_module(resnet.QuantAct.__module__)


def convolution(rng, inputs, outputs, size, stride):
    """A convolution and its batch norm."""
    made = torch.nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    norm = torch.nn.BatchNorm2d(outputs)
    assign(made.weight, rng.normal(0, (inputs * size**2) ** -0.5, made.weight.shape))
    for parameter, mean, spread in ((norm.weight, 1, 0.3), (norm.bias, 0, 0.3), (norm.running_mean, 0, 0.1)):
        assign(parameter, rng.normal(mean, spread, outputs))
    assign(norm.running_var, rng.uniform(0.5, 2, outputs))
    return SimpleNamespace(conv=made, bn=norm)


def fixed(activation, scale, bits, mode):
    activation.activation_bit, activation.quant_mode = bits, mode
    activation.fix()
    activation.x_max = wide(scale * ((1 << bits) - 1 if mode == "asymmetric" else (1 << (bits - 1)) - 1))
    activation.x_min = wide(0.0)


def unit(resnet, rng, inputs, outputs, stride, bits):
    """A residual unit of weights and activations of that many bits."""
    made = resnet.Q_ResBlockBn()
    body = SimpleNamespace(
        conv1=convolution(rng, inputs, outputs, 3, stride), conv2=convolution(rng, outputs, outputs, 3, 1)
    )
    identity = convolution(rng, inputs, outputs, 1, stride)
    made.set_param(SimpleNamespace(resize_identity=stride > 1, body=body, identity_conv=identity))
    made.double().eval()
    for part in made.modules():
        if isinstance(part, resnet.QuantBnConv2d):
            part.weight_bit, part.bias_bit, part.per_channel, part.quantize_bias = bits, 32, True, True
            part.fix()
    for activation in (made.quant_act, made.quant_act1):
        fixed(activation, drawn(rng, 0.01, 0.02) * 2 ** (8 - bits), bits, "asymmetric")
    fixed(made.quant_act_int32, drawn(rng, 2e-4, 4e-4), 16, "symmetric")
    return made


def layers(made, given, scheme):
    """The published unit as lowbit's layers, of its integers; ReLUs are the lower ends of ranges."""
    bits = made.quant_act.activation_bit
    first, middle = (quantity(one, f"uint{bits}") for one in (made.quant_act, made.quant_act1))
    result = quantity(made.quant_act_int32, "int16")

    def convolved(part, source, target):
        # HAWQ rounds the product of two scales to binary32: "follow TVM's computation".
        units = (part.convbn_scaling_factor.reshape(-1) * source.scale).float()
        return conv(part, part.conv, units, source, target, scheme)

    nodes = {
        "quant_act": Node(Requantize(given, rescale(given.scale, first, scheme)), ("x",)),
        "quant_act1": Node(convolved(made.quant_convbn1, first, middle), ("quant_act",)),
        "body": Node(convolved(made.quant_convbn2, middle, result), ("quant_act1",)),
    }
    left, source = given, "x"
    if made.resize_identity:
        nodes["identity"] = Node(convolved(made.quant_identity_convbn, first, result), ("quant_act",))
        left, source = result, "identity"
    total = Sum.from_scales(left, result, scheme, result, dyadic=True, minimum=0)
    return {**nodes, "quant_act_int32": Node(Add(left, result, total), (source, "body"))}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("outputs", "stride"), [(16, 1), (32, 2)])
def test_residual_units(resnet, outputs, stride, bits):
    """20 images; published sums have no width, so those beyond 16 bits are cut to it here."""
    rng = np.random.default_rng(bits)
    made, scale = unit(resnet, rng, 16, outputs, stride, bits), drawn(rng, 2e-4, 4e-4)
    codes = rng.normal(0, 7000, (20, 12, 12, 16)).round().clip(0, LARGEST).astype(np.int16)
    seen = watched(made, "QuantAct")
    with torch.no_grad():
        made(values(np.moveaxis(codes, 3, 1), scale), wide(scale))
    seen = {name: np.moveaxis(one, 1, 3) for name, one in seen.items()}
    seen["quant_act_int32"] = seen["quant_act_int32"].clip(0, LARGEST)  # the ReLU behind it, and 16 bits
    given = Quantity("int16", scale)
    for scheme in SCHEMES:
        model = IntegerModel(layers(made, given, scheme), {"x": given}, ("quant_act_int32",))
        assert len(seen) == 3
        assert_equal(steps_of(model, codes), seen, few=2**bits - 4 if bits == 4 else 200)


def test_a_linear_layer(modules):
    rng = np.random.default_rng(5)
    module, given = modules.QuantLinear(weight_bit=8, bias_bit=32, per_channel=True), Quantity("uint8", 0.0146484375)
    module.set_param(torch.nn.Linear(64, 10))
    module.double()
    assign(module.weight, rng.normal(0, 0.1, (10, 64)))
    assign(module.bias, rng.normal(0, 0.3, 10))
    codes = rng.integers(0, 256, (3000, 64), np.uint8)
    with torch.no_grad():
        answer = module(values(codes, given.scale), wide(given.scale))
    bias = integers(module.bias_integer.reshape(-1), np.int32)
    layer = Linear(given, integers(module.weight_integer, np.int8), Quantity("int32", 1.0), bias)
    assert np.array_equal(layer(codes), codes_of((answer, module.fc_scaling_factor * given.scale)))


def test_average_pooling_adds_a_hundredth_before_it_cuts_off(modules):
    """The floor, for 7 x 7 windows and codes from 0 up as after a ReLU; not for others."""
    rng = np.random.default_rng(6)
    for size, codes, agree in (
        (7, rng.integers(0, LARGEST + 1, (200, 7, 7, 32), np.int16), True),
        (11, rng.integers(0, LARGEST + 1, (200, 11, 11, 32), np.int16), False),
        (7, rng.integers(-LARGEST, 0, (200, 7, 7, 32), np.int16), False),
    ):
        pool, scale = modules.QuantAveragePool2d(kernel_size=size), 2.0**-9
        with torch.no_grad():
            got = codes_of(pool(values(np.moveaxis(codes, 3, 1), scale), wide(scale)))
        mine = AveragePool(Quantity("int16", scale), "floor", (size, size))(codes)
        assert np.array_equal(np.moveaxis(mine, 3, 1), got) == agree
