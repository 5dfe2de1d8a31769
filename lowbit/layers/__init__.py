"""Integer-only layers: frozen dataclasses of integer parameters that take codes and return codes."""

from __future__ import annotations

from collections.abc import Mapping

from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.layers.linear import Linear
from lowbit.layers.requantize import Requantize, Rescale

KINDS: Mapping[str, type[Layer]] = {kind.operation: kind for kind in (Linear, Requantize)}
"""Every kind of layer by the name of its operation, under which files of models have it."""

__all__ = ["KINDS", "Bound", "Interval", "Layer", "Linear", "Quantity", "Requantize", "Rescale", "Step"]
