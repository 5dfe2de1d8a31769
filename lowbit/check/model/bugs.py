"""What a layer is if somebody computes it otherwise: the hypotheses on a layer whose codes differ.

A hypothesis changes one thing: the rounding of a requantisation, a zero point that is left out, a bias that is not
added, a mask that is not there. The codes of the layer's own inputs decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lowbit.errors import LowbitError
from lowbit.layers import Layer, Quantity, Rescale
from lowbit.nonlinear.scheme import OPERATIONS, schemes
from lowbit.ops.types import Array
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, get_requantize_scheme


@dataclass(frozen=True)
class LayerBug:
    """A hypothesis: what the kernel does, and a function of the layer's inputs that does it."""

    words: str
    compute: Callable[..., Array]


def explain(layer: Layer, inputs: tuple[Array, ...], got: Array) -> list[str]:
    """The hypotheses under which the layer returns exactly what a kernel returned, in words."""
    found = []
    for variant in layer_bugs(layer):
        try:
            codes = variant.compute(*inputs)
        except (LowbitError, ValueError):  # the hypothesis does not apply to this layer
            continue
        if codes.shape == got.shape and np.array_equal(codes, got):
            found.append(variant.words)
    return list(dict.fromkeys(found))


def layer_bugs(layer: Layer) -> Iterator[LayerBug]:
    """All hypotheses on a layer, the likely ones first."""
    for field, value in _parts(layer):
        if isinstance(value, Rescale):
            yield from _rescale_bugs(layer, field, value)
        elif isinstance(value, Quantity) and value.zero_point:
            yield _with(layer, f"takes the zero point of its {field} for 0", field, replace(value, zero_point=0))
        elif isinstance(value, bool):
            yield _with(layer, f"takes {field} for {not value}", field, not value)
        elif field == "bias" and value is not None:
            yield _with(layer, "does not add the bias", field, None)
            yield _with(layer, "subtracts the bias", field, -value)
        elif field == "weight" and value.ndim == 2 and value.shape[0] == value.shape[1]:
            yield _with(layer, "takes the weight transposed", field, np.ascontiguousarray(value.T))
        elif field == "weight_zero_point" and np.any(value):
            yield _with(layer, "takes the zero point of the weight for 0", field, 0)
        elif field == "scheme":
            yield from _scheme_bugs(layer, value)
    if len(layer.inputs) == 2:
        yield LayerBug("takes its inputs in the other order", lambda one, other: layer(other, one))
    if len(layer.inputs) == 1:
        yield LayerBug("does nothing: it returns its input", lambda codes: codes)


def _parts(layer: Any) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(layer, field.name)) for field in fields(layer))


def _with(layer: Any, words: str, field: str, value: Any) -> LayerBug:
    """The layer with one field changed; made when it is asked for, since it may refuse."""

    def compute(*codes: Array) -> Array:
        other = replace(layer, **{field: value})
        *_, last = other.steps(*codes)  # the inputs are those of the layer as it is
        result: Array = last.codes
        return result

    return LayerBug(words, compute)


def _rescale_bugs(layer: Layer, field: str, value: Rescale) -> Iterator[LayerBug]:
    where = "" if field in ("output", "rescale") else f" ({field})"
    own, result = get_requantize_scheme(value.scheme), value.result
    if value.minimum is not None or value.maximum is not None:
        free = replace(value, minimum=None, maximum=None)
        yield _with(layer, f"does not limit its results to its range{where}", field, free)
    if result.zero_point:
        plain = replace(value, result=replace(result, zero_point=0))
        yield _with(layer, f"does not add the zero point{where}", field, plain)
    if value.multiplier.size > 1:
        first = replace(value, multiplier=value.multiplier[:1], shift=value.shift[:1])
        yield _with(layer, f"takes the first channel's multiplier for all channels{where}", field, first)
        turned = replace(value, multiplier=value.multiplier[::-1].copy(), shift=value.shift[::-1].copy())
        yield _with(layer, f"takes the channels' multipliers in the other order{where}", field, turned)
    right = np.array([own.right_shift(shift) for shift in value.shift.tolist()])
    factors = np.ldexp(value.multiplier.astype(np.float64), -right)
    for name, scheme in REQUANTIZE_SCHEMES.items():
        if scheme != own:
            yield _rescaled(layer, f"requantises by {name}{where}: {_summary(name)}", field, value, factors, name)
    yield _wrapped(layer, field, value, where)


def _summary(name: str) -> str:
    return REQUANTIZE_SCHEMES.summaries[name]


def _rescaled(layer: Any, words: str, field: str, value: Rescale, factors: Any, scheme: str) -> LayerBug:
    def compute(*codes: Array) -> Array:
        ends = {"minimum": value.minimum, "maximum": value.maximum}
        other = Rescale.from_scale(factors, scheme, value.result, **ends)
        return _with(layer, words, field, other).compute(*codes)

    return LayerBug(words, compute)


def _wrapped(layer: Any, field: str, value: Rescale, where: str) -> LayerBug:
    """Results that keep their low bits instead of being limited."""

    def compute(*codes: Array) -> Array:
        wide = replace(value, result=replace(value.result, format="int32"), minimum=None, maximum=None)
        result: Array = _with(layer, "", field, wide).compute(*codes)
        return result.astype(layer.result.scalar.code_dtype)

    return LayerBug(f"wraps around where it must saturate{where}", compute)


def _scheme_bugs(layer: Any, own: Any) -> Iterator[LayerBug]:
    """Other schemes and variants of a nonlinearity."""
    if layer.operation not in OPERATIONS:
        return
    for record in schemes(layer.operation).values():
        for variant in record.variants:
            if (record.id, variant) != (own, getattr(layer, "variant", "")):
                changes = {"scheme": record.id, **({"variant": variant} if hasattr(layer, "variant") else {})}
                words = f"computes the {layer.operation} of {record.id}{f', variant {variant}' if variant else ''}"
                yield LayerBug(words, lambda *codes, changes=changes: replace(layer, **changes)(*codes))
