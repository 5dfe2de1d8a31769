"""From a float model and data to an integer model: ranges by calibration, then a layer for each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lowbit.errors import InputError
from lowbit.layers import Quantity
from lowbit.models.bounds import require_bounded
from lowbit.models.conversion.batch_norms import match_norms, one_batch
from lowbit.models.conversion.bias_correction import corrected
from lowbit.models.conversion.calibration import Forward, calibrate, fake_quantized
from lowbit.models.conversion.preset import ConversionPreset, get_conversion_preset
from lowbit.models.conversion.state import Conversion, Doubles
from lowbit.models.functions import Parameters
from lowbit.models.graph import IntegerModel
from lowbit.printable import excerpt


@dataclass(frozen=True)
class Converted:
    """An integer model and its twin: the float forward with its edges quantised and dequantised at the same places.

    Attributes
    ----------
    model : IntegerModel
    forward : Forward
        Over the float model's parameters, those of layers with codes being what the codes are worth, before biases are
        corrected for integer nonlinearities.
    edges : mapping of str to Quantity
        By the name of an operation of the float forward, parts of operations included.
    smooth : mapping of str to tuple
        By the name of a linear layer, what its inputs are divided by, a number a channel, before they are quantised.
    """

    model: IntegerModel
    forward: Forward
    edges: Mapping[str, Quantity]
    smooth: Mapping[str, tuple[Doubles, Quantity]]

    def twin(self, batch: Any, see: Callable[[str, Any], None] | None = None) -> Any:
        """What the float forward gives if its edges are quantised and dequantised; ``see`` gets every result."""

        def apply(_: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
            if name in self.smooth:
                scale, quantity = self.smooth[name]
                inputs = (fake_quantized(inputs[0] / scale, quantity) * scale,)
            result = function(*inputs)
            result = fake_quantized(result, self.edges[name]) if name in self.edges else result
            if see is not None:
                see(name, result)
            return result

        return self.forward(batch, apply)


def convert(
    forward: Callable[[Parameters], Forward],
    parameters: Parameters,
    batches: Iterable[Any],
    preset: ConversionPreset | str,
    *,
    weights: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    prove: bool = False,
) -> Converted:
    """Convert a float model.

    Parameters
    ----------
    forward : callable
        From parameters to the float forward, which takes a batch and the hook.
    parameters : mapping of str to ndarray
        Those of an operation ``name`` are ``name.weight``, ``name.bias`` and so on.
    batches : iterable
        The calibration.
    preset : ConversionPreset or str
    weights : mapping of str to str, optional
        Block formats of the weights of some layers, by the name of the weight: a plan of ``lowbit allocate``.
    facts : mapping of str to object, optional
        Beside those of the model.
    prove : bool
        Refuse a model of which an accumulator or intermediate can leave its width for some input codes, by
        :func:`lowbit.models.bounds.bounds_of`; `lowbit prove model` also audits what is inside of nonlinearities.

    Returns
    -------
    Converted

    Raises
    ------
    InputError
        A range is empty or not finite, no multiplier holds a ratio of scales, or an operation has no integer layer,
        or ``prove`` finds a layer that can overflow; the message names the layer. Or ``weights`` names what is not a
        parameter.
    PolicyError
        The preset is unknown, or does not say what an operation needs.
    """
    rules = get_conversion_preset(preset)
    for name in weights or {}:
        if name not in parameters:
            raise InputError(f"weights has a format for {excerpt(name)}, which is not a parameter of the model")
    seen = one_batch(list(batches)) if rules.statistics else list(batches)
    recorder = calibrate(forward(parameters), seen)
    conversion = Conversion(rules, dict(parameters), recorder, weights or {})
    if rules.statistics:
        match_norms(conversion, forward, seen[0])
    for name in recorder.inputs:
        conversion.take_input(name)
    for operation in recorder.operations.values():
        conversion.take(operation)
    outputs = tuple(conversion.nodes_of[name] for name in recorder.operations if not recorder.consumers(name))
    done = (name for name in recorder.operations if name in conversion.nodes_of)
    twins = {conversion.nodes_of[name]: name for name in done}  # the last operation that a layer does
    edges = {name: asdict(one) for name, one in conversion.edges.items()}
    scales = {name: scale.tolist() for name, scale in conversion.smoothed.items()}
    known = {"preset": rules.name, "edges": edges, "twins": twins, "smooth": scales}
    model = IntegerModel(conversion.nodes, conversion.inputs, outputs, {**known, **(facts or {})})
    if rules.bias_correction:
        model = corrected(model, recorder, conversion.units)
    if prove:
        require_bounded(model)
    return Converted(model, forward(conversion.parameters), conversion.edges, conversion.smooth)
