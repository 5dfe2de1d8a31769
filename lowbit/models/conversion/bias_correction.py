"""Biases of linear layers that give the results of an integer model the means of the float ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lowbit.layers import Linear
from lowbit.models.conversion.calibration import Recorder, dequantized
from lowbit.models.conversion.state import LARGEST_BIAS, Doubles
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.inputs import input_codes


def corrected(model: IntegerModel, recorder: Recorder, units: Mapping[str, Doubles]) -> IntegerModel:
    """The model with biases that make up for what shifts the means of linear layers' results in the calibration.

    Weights that are rounded shift them, and integer nonlinearities more so. Layers come in their order, on what those
    before them give with their new biases; one that has no bias, or a ReLU in it, stays as it is.

    Parameters
    ----------
    model : IntegerModel
    recorder : Recorder
        Of the float forward.
    units : mapping of str to ndarray
        By the name of the layer, what a unit of its accumulators is worth, an output each.

    Notes
    -----
    Source: Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019 (arXiv
    1906.04721), appendix D, which compares the results of layers, too.
    """
    batches, nodes = [input_codes(model, batch) for batch in recorder.fed], dict(model.nodes)
    last = {source: name for name, node in nodes.items() for source in node.inputs}
    for name, node in model.nodes.items():
        inputs = [[codes[source] for source in node.inputs] for codes in batches]
        layer = node.layer
        if isinstance(layer, Linear) and layer.bias is not None and model.facts["twins"].get(name) == name:
            results = [dequantized(layer(*codes), layer.result).reshape(-1, len(layer.bias)) for codes in inputs]
            shift = recorder.values[name].mean - np.concatenate(results).mean(axis=0)
            bias = np.clip(np.rint(layer.bias + shift / units[name]), -LARGEST_BIAS, LARGEST_BIAS)
            layer = replace(layer, bias=bias.astype(np.int32))
            nodes[name] = Node(layer, node.inputs)
        for codes, taken in zip(batches, inputs, strict=True):
            codes[name] = layer(*taken)
            for source in node.inputs:
                if last[source] == name:
                    codes.pop(source, None)
    return replace(model, nodes=nodes)
