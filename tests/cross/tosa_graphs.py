"""Graphs of one operator for TOSA's reference model (PyPI: tosa-tools), run in this process on NumPy arrays."""

import numpy as np
import pytest

TOSA_TYPES = {"int8": "INT8", "int16": "INT16", "int32": "INT32", "uint8": "INT8", "uint16": "INT16", "bool": "BOOL"}
"""TOSA has no unsigned types: RESCALE is told so by attributes."""


def serializer():
    """The module that builds graphs; skips the test where tosa-tools is not installed."""
    pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed")
    return pytest.importorskip("tosa_serializer", reason="tosa-tools is not installed")


def tosa_type(name):
    """The DType of a name: int4, int8, int16, int32, int48, bool, ..."""
    return getattr(serializer().DType, TOSA_TYPES.get(name, name.upper()))


def run_operator(operator, attribute, inputs, output, *, constants=()):
    """Run one operator.

    ``operator`` is a name of ``tosa_serializer.Op``; ``attribute`` a pair of an attribute's name and its arguments, as
    ("RescaleAttribute", (...)); ``inputs`` a list of (array, type), the type "" for the array's own; ``constants`` the
    same, for what the graph holds; ``output`` a pair (shape, type). Gives the result as it comes, an array.
    """
    import tosa_reference_model

    module = serializer()
    graph = module.TosaSerializer()
    names, arrays = [], []
    for array, name in inputs:
        tensor = graph.addPlaceholder(list(array.shape), tosa_type(name or array.dtype.name))
        names.append(tensor.name)
        arrays.append(np.ascontiguousarray(array))
    for array, name in constants:
        tensor = graph.addConst(list(array.shape), tosa_type(name or array.dtype.name), array)
        names.append(tensor.name)
    result = graph.addOutput(list(output[0]), tosa_type(output[1]))
    made = module.TosaSerializerAttribute()
    getattr(made, attribute[0])(*attribute[1])
    graph.addOperator(getattr(module.Op, operator), names, [result.name], made)
    outputs, status = tosa_reference_model.run(graph.serialize(), arrays)
    assert status == tosa_reference_model.GraphStatus.TOSA_VALID, status
    return outputs[0]


def rescale(values, multipliers, shifts, *, rounding, output="int8", input_zero=0, output_zero=0, scale32=True):
    """TOSA RESCALE of an array whose last axis has the channels; ``rounding`` is SINGLE_ROUND or DOUBLE_ROUND."""
    module = serializer()
    per_channel = len(multipliers) > 1
    source = values.dtype.name
    attribute = (
        scale32,
        getattr(module.RoundingMode, rounding),
        per_channel,
        source.startswith("u"),
        output.startswith("u"),
    )
    constants = [
        (np.array(multipliers, dtype=np.int32 if scale32 else np.int16), ""),
        (np.array(shifts, dtype=np.int8), ""),
        (np.array([input_zero], dtype=values.dtype), ""),
        (np.array([output_zero], dtype=output), ""),
    ]
    made = run_operator(
        "RESCALE", ("RescaleAttribute", attribute), [(values, "")], (values.shape, output), constants=constants
    )
    return made.reshape(-1).view(output).reshape(values.shape)
