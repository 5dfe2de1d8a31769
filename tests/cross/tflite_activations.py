"""One-operator .tflite models of nonlinear operators, and the runtimes that run them: LiteRT and TFLite Micro.

Models are authored with the schema that ``ai_edge_litert`` ships. A runtime that ends its process is asked in a child.
"""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")

RESOLVERS = {"ref": "BUILTIN_REF", "opt": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "auto": "AUTO"}
ARENA_BYTES = 1 << 23
TYPES = {"int8": schema.TensorType.INT8, "int16": schema.TensorType.INT16}

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


def _tensor(name, shape, dtype, scale, zero_point):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), TYPES[dtype], 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [float(scale)], [int(zero_point)]
    return tensor


def _model(operator, version, shape, source, result, options=None):
    """A model of one operator; source and result are (dtype, scale, zero point), options (type, object)."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = version
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = 0, [0], [1]
    if options is not None:
        node.builtinOptionsType, node.builtinOptions = options
    graph = schema.SubGraphT()
    graph.tensors = [_tensor("source", shape, *source), _tensor("result", shape, *result)]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [node]
    model = schema.ModelT()
    model.version, model.description = 3, "lowbit"
    model.operatorCodes, model.buffers, model.subgraphs = [code], [schema.BufferT()], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def softmax_model(shape, source, scale, result, beta=1.0):
    options = schema.SoftmaxOptionsT()
    options.beta = beta
    version = 3 if source == "int16" else 2
    output = (result, *SOFTMAX_OUTPUT[source, result])
    found = (schema.BuiltinOptions.SoftmaxOptions, options)
    return _model(schema.BuiltinOperator.SOFTMAX, version, shape, (source, scale, 0), output, found)


def sigmoid_model(operation, shape, dtype, scale, zero_point=0):
    operator = {"logistic": schema.BuiltinOperator.LOGISTIC, "tanh": schema.BuiltinOperator.TANH}[operation]
    version = 3 if dtype == "int16" else 2
    output = (dtype, *SIGMOID_OUTPUT[operation, dtype])
    return _model(operator, version, shape, (dtype, scale, zero_point), output)


def l2norm_model(shape, zero_point):
    options = (schema.BuiltinOptions.L2NormOptions, schema.L2NormOptionsT())
    source, result = ("int8", 0.1, zero_point), ("int8", 1 / 128, 0)
    return _model(schema.BuiltinOperator.L2_NORMALIZATION, 2, shape, source, result, options)


@cache
def _litert():
    return pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")


def litert_interpreter(model, resolver):
    """An interpreter whose tensors are allocated, on one thread."""
    module = _litert()
    kind = getattr(module.OpResolverType, RESOLVERS[resolver])
    interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=kind, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def litert(model, codes, resolver):
    interpreter = litert_interpreter(model, resolver)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def micro(model, codes):
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed", exc_type=ImportError
    )
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    interpreter.set_input(codes, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


PRODUCTS = {
    "litert_ref": lambda model, codes: litert(model, codes, "ref"),
    "litert_opt": lambda model, codes: litert(model, codes, "opt"),
    "litert_auto": lambda model, codes: litert(model, codes, "auto"),
    "tflite_micro": micro,
}


def ends_process(product, length, result):
    """Whether a product ends its process on a row of equal int8 codes."""
    program = (
        "import numpy, sys\n"
        "from tests.cross.tflite_activations import PRODUCTS, softmax_model\n"
        f"codes = numpy.zeros((1, {length}), numpy.int8)\n"
        f"PRODUCTS[{product!r}](softmax_model(codes.shape, 'int8', 0.05, {result!r}), codes)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=120)
    return done.returncode < 0


def differing(product, model, codes, expected):
    """How many codes a product gives otherwise, and by how much at most."""
    got = np.asarray(PRODUCTS[product](model, codes)).astype(np.int64)
    distance = np.abs(got - np.asarray(expected, dtype=np.int64))
    return int((distance > 0).sum()), int(distance.max())
