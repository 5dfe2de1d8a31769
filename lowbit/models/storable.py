"""What a checkpoint holds of the result of a method, and what is refused before the work as it holds none of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import lcm

import numpy as np

from lowbit.campaign.checkpoint import told_of
from lowbit.campaign.container import CONTAINERS, GGUF, check_integers, chosen_container
from lowbit.errors import FormatError, InputError, LowbitError
from lowbit.files.compressed_tensors import stored_as
from lowbit.files.gguf_tensors import formats as gguf_formats
from lowbit.files.gguf_tensors import type_of, why_not
from lowbit.files.parts import INPUT_ORDER, INPUT_SCALE, UNDO, CodedTensor
from lowbit.files.safetensors import TensorFile
from lowbit.format.block import BlockFormat
from lowbit.format.registry import block_format_of
from lowbit.models.evaluation import CALIBRATE
from lowbit.models.joint import quantized
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.search import require_policy
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import get_block_policy
from lowbit.quantizers.method import Method
from lowbit.quantizers.transform import Diagonal, Permutation
from lowbit.quantizers.weight import QuantizedWeight

OUTPUTS, INPUTS, SPIKE = 4, 128, 16.0
"""Of the small layer that a method is tried on: its size, and how much larger one of its inputs is."""


def coded_of(result: QuantizedWeight, method: str) -> CodedTensor:
    """What is written of a result; InputError where that would not be all of it."""
    tensor, transform = result.tensor, result.transform
    if not isinstance(tensor, BlockTensor):
        raise _no_place(method, "gives codes of tables or of its own")
    if tensor.axis != 1:
        raise _no_place(method, "has blocks inside the input channels here")
    if _format_of(tensor.format.id) != tensor.format:
        raise _no_place(method, f"has found a format of its own ({tensor.format.id})")
    inputs: tuple[str, Array] | None = None
    if isinstance(transform, Diagonal):
        inputs = None if (transform.scale == 1).all() else (INPUT_SCALE, transform.scale)
    elif isinstance(transform, Permutation):
        inputs = INPUT_ORDER, transform.order
    elif transform is not None:
        raise _no_place(method, "changes the inputs by more than factors or their order")
    values: Array = dequantize(tensor, dtype=np.float64)
    if inputs is not None:
        role, vector = inputs
        values = UNDO[role](values, vector.view(np.uint64) if role == INPUT_SCALE else vector)
    if not np.array_equal(values, result.dequantize(dtype=np.float64)):
        raise _no_place(method, "adds sparse, low-rank or other parts to its codes and scales")
    return CodedTensor(tensor, inputs)


def _no_place(method: str, what: str) -> InputError:
    hint = f"`lowbit evaluate` measures {method}, lowbit.quantizers gives its arrays"
    return InputError(f"{method} {what}, which checkpoints have no place for", hint=hint)


def container_of(
    targets: Mapping[str, str], container: str | None, policy: str | None
) -> tuple[dict[str, str], str | None, tuple[str, ...]]:
    """The formats of tensors as they are stored, the container unless only the results say which, and what is told.

    Raises InputError: the container that is asked for does not have a format.
    """
    given = [text for text in targets.values() if "+" not in text]
    chosen, notes = chosen_container(_formats(given), container, policy, {})
    if chosen != CONTAINERS[0]:
        return dict(targets), chosen, notes
    return {name: _as_stored(text) for name, text in targets.items()}, container, ()


def without_place(file: TensorFile, targets: Mapping[str, str], container: str | None) -> dict[str, str]:
    """Why tensors that have formats are left as they are: rows in GGUF that are not whole blocks."""
    blocks = {name: _formats([text]).values() for name, text in targets.items() if container == GGUF}
    reasons = {
        name: why_not(file.entries[name], block)
        for name in blocks
        for block in blocks[name]
        if type_of(block) is not None
    }
    return {name: reason for name, reason in reasons.items() if reason}


def require_storable(
    method: Method,
    file: TensorFile,
    targets: Mapping[str, str],
    container: str | None,
    policy: str | None,
    *,
    integers: str,
    seen: bool,
) -> None:
    """Refuse what no container holds, and a policy that is not for a format, before the first layer is quantised.

    A small random layer shows what the method makes; what it refuses of that may be due to the size, and is told of
    the real one.

    Raises InputError.
    """
    rule = None if policy is None else get_block_policy(policy)
    first = {text: name for name, text in reversed(list(targets.items()))}
    for text, name in first.items():
        blocks = _formats([text]).values()
        with told_of(name):
            if rule:
                for block in blocks:
                    require_policy(block, file.entries[name].shape, rule)
            coded = _of_a_small_layer(method, text, lcm(INPUTS, *map(_length, blocks)), seen=seen)
            if container == GGUF:
                _require_in_gguf(method, text, coded, seen=seen)
        if coded is not None:
            formats = {name: coded.tensor.format}
            check_integers(formats, chosen_container(formats, container, policy, {name: coded})[0], integers)


def _of_a_small_layer(method: Method, to: str, inputs: int, *, seen: bool) -> CodedTensor | None:
    """What is written of a small random layer; None where that says nothing of others.

    Raises InputError: it is not written, or lacks activations alone.
    """
    random = np.random.default_rng(0)
    weights, rows = random.normal(size=(OUTPUTS, inputs)), random.normal(size=(2 * inputs, inputs))
    rows[:, 0] *= SPIKE
    try:
        result = quantized(method, weights, rows if seen else None, to)
    except LowbitError:
        if not seen and _of_a_small_layer(method, to, inputs, seen=True):
            raise InputError(f"{method.name} needs activations", hint=CALIBRATE) from None
        return None
    beside = isinstance(result.tensor, BlockTensor) and result.tensor.axis != 1  # which the weights may decide
    return None if beside else coded_of(result, method.name)


def _require_in_gguf(method: Method, text: str, coded: CodedTensor | None, *, seen: bool) -> None:
    """Refuse what a method makes of a small layer where GGUF does not hold it; the hint says which formats it has."""
    if _in_gguf(coded):
        return
    able = []
    for fmt in gguf_formats():
        with suppress(LowbitError):
            if _in_gguf(_of_a_small_layer(method, fmt.id, lcm(INPUTS, _length(fmt)), seen=seen)):
                able.append(fmt.id)
    if coded is None:
        what = f"{method.name} does not work in {text}"
    elif coded.inputs is not None:
        what = f"{method.name} changes the inputs of a matrix by factors or their order, which GGUF has no place for"
    else:
        what = f"{method.name} gives tensors of {coded.tensor.format.id}, which GGUF has no type for"
    raise InputError(what, hint=f"--to one of {', '.join(able)}" if able else "an output that is a safetensors file")


def _in_gguf(coded: CodedTensor | None) -> bool:
    return coded is not None and coded.inputs is None and type_of(coded.tensor.format) is not None


def _formats(texts: Iterable[str]) -> dict[str, BlockFormat]:
    """The block formats that texts name, and not tables of methods."""
    blocks = {part: _format_of(part) for text in texts for part in text.split("+")}
    return {part: block for part, block in blocks.items() if block is not None}


def _format_of(text: str) -> BlockFormat | None:
    try:
        return block_format_of(text)
    except FormatError:
        return None


def _length(block: BlockFormat) -> int:
    """Of the longest blocks along the inputs."""
    return max([1, *(field.block[-1] for field in block.scales if field.block)])


def _as_stored(text: str) -> str:
    """The format of a text as compressed-tensors has it: NVFP4 with the reciprocal of the tensor's scale."""
    blocks = _formats([text])
    return "+".join(stored_as(blocks[part]).id if part in blocks else part for part in text.split("+"))
