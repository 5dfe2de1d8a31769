"""Integer-only layers: frozen dataclasses of integer parameters that take codes and return codes."""

from __future__ import annotations

from collections.abc import Mapping

from lowbit.layers.add import Add, Multiply, Sum
from lowbit.layers.attention import Attention, Rotary, rotary_tables
from lowbit.layers.conv import Conv
from lowbit.layers.embedding import Embedding, Positions
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.layers.linear import Linear
from lowbit.layers.nonlinear import Activation, Nonlinearity, Silu, Table
from lowbit.layers.norm import Norm
from lowbit.layers.pool import AveragePool, MaxPool
from lowbit.layers.requantize import Requantize, Rescale
from lowbit.layers.shape import Reshape, Select

_KINDS = (
    *(Linear, Conv, Requantize, Add, Multiply, MaxPool, AveragePool, Embedding, Positions, Reshape, Select),
    *(Activation, Silu, Table, Norm, Rotary, Attention),
)

KINDS: Mapping[str, type[Layer]] = {kind.operation: kind for kind in _KINDS}
"""Every kind of layer by the name of its operation, under which files of models have it."""

__all__ = [
    "KINDS",
    "Activation",
    "Add",
    "Attention",
    "AveragePool",
    "Bound",
    "Conv",
    "Embedding",
    "Interval",
    "Layer",
    "Linear",
    "MaxPool",
    "Multiply",
    "Nonlinearity",
    "Norm",
    "Positions",
    "Quantity",
    "Requantize",
    "Rescale",
    "Reshape",
    "Rotary",
    "Select",
    "Silu",
    "Step",
    "Sum",
    "Table",
    "rotary_tables",
]
