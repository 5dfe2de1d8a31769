"""Fine-tuning of a block that is quantised already: its scales and offsets, or weights of low rank in the rounding.

Both leave what runs afterwards as it was: codes under other scales, or other codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.models.hook import Apply, plainly
from lowbit.models.training.blocks import LearnedBlock, Part
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.choices import require_choice
from lowbit.quantizers.inputs import weight_format
from lowbit.quantizers.learned.clips import LearnedClip
from lowbit.quantizers.learned.descent import Settings, kept
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Adam, Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction, block_error, reconstruct
from lowbit.quantizers.learned.settings import checked

SCALE, OFFSET, LEFT, RIGHT = ".scale", ".offset", ".left", ".right"
"""Ends of the names of what is learned."""
DECOUPLEQ = Adam(betas=(0.9, 0.99), epsilon=2e-5)
"""As in decoupleQ's ``minimize_block``."""
LOW_RANK = {
    "inside": "added before rounding: what learning computes is what the codes are worth, bit for bit",
    "official": "added to the values of the codes while learning, and to the weights, which are rounded again, after",
}


def tune_scales(
    part: Part,
    tensors: Mapping[str, BlockTensor],
    *,
    steps: int,
    seed: int,
    rate: float = 1e-5,
    norms: bool = True,
    file: str | Path | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> LearnedBlock:
    """Learn the scales and offsets of integers that stay, and the weights of norms, by the error of a block's outputs.

    Parameters
    ----------
    part : Part
    tensors : mapping of str to BlockTensor
        Of linear layers by the names of their weights: a scale in binary32 for each block along the inputs, and an
        offset or none, as :func:`lowbit.quantizers.decoupleq` gives them. Other weights stay float.
    steps, seed : int
    rate : float
        Of Adam; 1e-5 officially, in 4 times as many steps as samples.
    norms : bool
        Whether the parameters of norms are learned, too.
    file, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        A tensor has other scales or another shape, or what is learned diverges.

    Notes
    -----
    Source: Guo et al., "decoupleQ" (arXiv 2404.12759), section 3.4; bytedance/decoupleQ 252939b, decoupleQ/quant.py,
    ``minimize_block``.
    """
    checked(steps=steps, seed=seed, rate=rate)
    start: Arrays = {}
    for name, tensor in tensors.items():
        _require_tunable(part, name, tensor)
        start[f"{name}{SCALE}"] = np.asarray(tensor.scales["block"], np.float32)
        if "offset" in tensor.scales:
            start[f"{name}{OFFSET}"] = np.asarray(tensor.scales["offset"], np.float32)
    if norms:
        start |= {name: array for name, array in part.parameters.items() if array.ndim == 1 and "norm" in name.lower()}
    integers = {name: tensor.codes.astype(np.float32) for name, tensor in tensors.items()}
    space = differentiable().namespace

    def values(learned: Mapping[str, Any]) -> dict[str, Any]:
        own = {name: array for name, array in learned.items() if name in part.parameters}
        for name, codes in integers.items():
            scale, offset = learned[f"{name}{SCALE}"], learned.get(f"{name}{OFFSET}")
            blocks = codes.reshape(*scale.shape, -1) * scale[..., None]
            own[name] = space.reshape(blocks if offset is None else blocks + offset[..., None], codes.shape)
        return own

    result = reconstruct(
        lambda learned, hidden: part.forward(values(learned), hidden),
        start,
        part.inputs,
        part.targets,
        Settings(steps, seed, {"": rate}, DECOUPLEQ),
        file=file,
        progress=progress,
    )
    own = {name: array for name, array in result.learned.items() if name in part.parameters}
    tuned = {name: _rescaled(tensor, result.learned, name) for name, tensor in tensors.items()}
    return _of_codes(part, tuned, own, plainly, result)


def tune_low_rank(  # noqa: PLR0913 (all but two are keyword-only options)
    part: Part,
    to: FormatLike,
    *,
    steps: int,
    seed: int,
    rank: int = 4,
    alpha: float = 1.0,
    rate: float = 5e-4,
    variant: str = "inside",
    apply: Apply = plainly,
    file: str | Path | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> LearnedBlock:
    """Learn weights of low rank for every linear layer of a block, and fuse them into the codes.

    Parameters
    ----------
    part : Part
        QLLM takes four blocks in a row.
    to : str or BlockFormat
        Integers with a scale, and a zero point or none; the range of a block is that of the fused weights.
    steps, seed : int
    rank, alpha
        ``alpha / rank * left @ right`` is added; ``right`` starts at random, ``left`` at 0.
    rate : float
    variant : str
        One of ``LOW_RANK``.
    apply : callable
        The hook that rounds activations.
    file, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        The format does not fit a weight, or what is learned diverges.
    PolicyError
        The variant is unknown.

    Notes
    -----
    The reconstruction's error after learning is that of the fused block. With "official" fusing changes what is
    computed forward. Source: Liu et al., "QLLM", ICLR 2024 (arXiv 2310.08041), section 4.2; ziplab/QLLM 653a329,
    quantize/int_linear_lora.py and ``lora_merge`` in train_utils.py.
    """
    require_choice("variant", variant, LOW_RANK)
    checked(steps=steps, seed=seed, rank=rank, alpha=alpha, rate=rate)
    clips, start, random = {}, Arrays(), np.random.default_rng(seed)
    for name in part.linears:
        weight = part.parameters[name]
        outputs, inputs = weight.shape
        clips[name] = LearnedClip(weight_format(to, inputs, "qllm"))
        start[f"{name}{LEFT}"] = np.zeros((outputs, rank), weight.dtype)
        start[f"{name}{RIGHT}"] = random.uniform(-1, 1, (rank, inputs)).astype(weight.dtype) / inputs**0.5
    whole = {name: clip.start(part.parameters[name], of=np.inf) for name, clip in clips.items()}

    def added(learned: Mapping[str, Any], name: str) -> Any:
        return learned[f"{name}{LEFT}"] @ learned[f"{name}{RIGHT}"] * (alpha / rank)

    def fused(learned: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: clip.values(part.parameters[name] + added(learned, name), whole[name]) for name, clip in clips.items()
        }

    plain = {name: np.asarray(clip.values(part.parameters[name], whole[name])) for name, clip in clips.items()}

    def forward(learned: Mapping[str, Any], hidden: Any) -> Any:
        beside = {name: plain[name] + added(learned, name) for name in clips} if variant == "official" else None
        return part.forward(beside or fused(learned), hidden, apply)

    settings = Settings(steps, seed, {"": rate})
    result = reconstruct(forward, start, part.inputs, part.targets, settings, file=file, progress=progress)

    def coded(learned: Arrays) -> dict[str, BlockTensor]:
        return {
            name: clip.tensor(part.parameters[name] + added(learned, name), whole[name]) for name, clip in clips.items()
        }

    return _of_codes(part, coded(result.learned), {}, apply, result, coded(start))


def _of_codes(
    part: Part,
    tensors: Mapping[str, BlockTensor],
    others: Mapping[str, Array],
    apply: Apply,
    result: Reconstruction,
    start: Mapping[str, BlockTensor] | None = None,
) -> LearnedBlock:
    """A block with codes and some other parameters, its error that of what the codes are worth.

    ``start``: the codes before learning, which are kept where the others are far worse.
    """

    def values(tensors: Mapping[str, BlockTensor]) -> dict[str, Array]:
        return {**others, **{name: dequantize(tensor) for name, tensor in tensors.items()}}

    def error(tensors: Mapping[str, BlockTensor]) -> float:
        own = values(tensors)
        return block_error(lambda own, hidden: part.forward(own, hidden, apply), own, part.inputs, part.targets)

    tensors, errors = kept(tensors if start is None else start, tensors, error)
    which = errors.kept if result.kept == "learned" else result.kept
    return LearnedBlock(part, tensors, values(tensors), apply, replace(result, after=errors.after, kept=which))


def _rescaled(tensor: BlockTensor, learned: Mapping[str, Array], name: str) -> BlockTensor:
    scales = {
        key: learned[f"{name}.{end}"] for key, end in (("block", "scale"), ("offset", "offset")) if key in tensor.scales
    }
    return BlockTensor(tensor.format, tensor.shape, tensor.axis, tensor.codes, scales)


def _require_tunable(part: Part, name: str, tensor: BlockTensor) -> None:
    """Refuse a tensor whose scales cannot be learned: InputError."""
    if name not in part.parameters or part.parameters[name].shape != tensor.shape:
        shape = part.parameters[name].shape if name in part.parameters else "not there"
        raise InputError(f"{name!r} is {shape} in {', '.join(part.names)}, and {tensor.shape} here")
    fields = {field.name: (field.role, field.format.id) for field in tensor.format.scales}
    wanted = {"block": ("multiply", "float32"), "offset": ("offset", "float32")}
    if not tensor.format.element.wraps or any(wanted.get(key) != value for key, value in fields.items()):
        what = f"{name!r} is in {tensor.format.id}: integers with a scale, and an offset or none, in float32 are tuned"
        raise InputError(what, hint="int2.channel.offset.float32, as decoupleq gives it")
