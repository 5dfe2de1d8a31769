"""Models of one nonlinear operator, and the products that run them: LiteRT's three resolvers and TFLite Micro."""

import subprocess
import sys

import numpy as np
import pytest

from tests.cross.tflite_models import Tensor, model, run_litert, run_tflm

SOFTMAX_OUTPUT = {
    ("int8", "int8"): (1 / 256, -128),
    ("int8", "int16"): (1 / 65536, -32768),
    ("int16", "int16"): (1 / 32768, 0),
}
SIGMOID_OUTPUT = {
    ("logistic", "int8"): (1 / 256, -128),
    ("tanh", "int8"): (1 / 128, 0),
    ("logistic", "int16"): (1 / 32768, 0),
    ("tanh", "int16"): (1 / 32768, 0),
}
VERSION = {"int8": 2, "int16": 3}
PRODUCTS = {
    "litert_ref": lambda blob, codes: run_litert(blob, [codes], "reference")[0],
    "litert_opt": lambda blob, codes: run_litert(blob, [codes], "optimized")[0],
    "litert_auto": lambda blob, codes: run_litert(blob, [codes], "default")[0],
    "tflite_micro": lambda blob, codes: run_tflm(blob, [codes])[0],
}


def softmax_model(shape, source, scale, result, beta=1.0):
    output = Tensor(shape, result, *SOFTMAX_OUTPUT[source, result])
    options = ("SoftmaxOptions", {"beta": beta})
    return model("SOFTMAX", [Tensor(shape, source, scale)], [output], options, version=VERSION[source])


def sigmoid_model(operation, shape, dtype, scale, zero_point=0):
    source = Tensor(shape, dtype, scale, zero_point)
    output = Tensor(shape, dtype, *SIGMOID_OUTPUT[operation, dtype])
    return model(operation.upper(), [source], [output], version=VERSION[dtype])


def l2norm_model(shape, zero_point):
    source, result = Tensor(shape, "int8", 0.1, zero_point), Tensor(shape, "int8", 1 / 128)
    return model("L2_NORMALIZATION", [source], [result], ("L2NormOptions", {}), version=2)


def ends_process(product, length, result):
    """Whether a product ends its process on a row of equal int8 codes."""
    wheel = "tflite_micro" if product == "tflite_micro" else "ai_edge_litert"
    pytest.importorskip(wheel, reason=f"{wheel.replace('_', '-')} is not installed")
    program = (
        "import numpy\n"
        "from tests.cross.tflite_activations import PRODUCTS, softmax_model\n"
        f"codes = numpy.zeros((1, {length}), numpy.int8)\n"
        f"PRODUCTS[{product!r}](softmax_model(codes.shape, 'int8', 0.05, {result!r}), codes)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=120)
    return done.returncode < 0


def differing(product, blob, codes, expected):
    """How many codes a product gives otherwise, and by how much at most."""
    got = np.asarray(PRODUCTS[product](blob, codes)).astype(np.int64)
    distance = np.abs(got - np.asarray(expected, dtype=np.int64))
    return int((distance > 0).sum()), int(distance.max())
