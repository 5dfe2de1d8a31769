"""What quantised queries, keys and values do to the outputs of MiniLM's attention blocks, which APTQ makes small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lowbit.metrics import relative_squared_error
from lowbit.models.packages import minilm
from lowbit.quantizers import METHODS
from lowbit.quantizers.attention import MATRICES, Attention


class Block(NamedTuple):
    """An attention block, and what goes into it: sequences of the calibration, and held out."""

    attention: Attention
    calibration: list[Any]
    held_out: list[Any]


def blocks() -> list[Block]:
    """The attention blocks of the model, with the sentences of the table."""
    from bench.quantizer_table import sentences

    model = minilm()
    first = [name for name in model.encoder.linears() if name.endswith("self.query.weight")]
    seen = [[model.inputs([text], first) for text in texts] for texts in sentences()]
    result = []
    for name in first:
        names = [name.replace("self.query", f"self.{part}") for part in ("query", "key", "value")]
        names.append(name.replace("self.query", "output.dense"))
        matrices = [model.parameters[one] for one in names]
        biases = np.stack([model.parameters[one.replace("weight", "bias")] for one in names[:3]])
        attention = Attention(*matrices, heads=model.encoder.heads, biases=biases)
        result.append(Block(attention, *([inputs[name] for inputs in texts] for texts in seen)))
    return result


def error(block: Block, method: str, **options: Any) -> float:
    """The relative squared error of the block's outputs on held-out sequences, its three matrices quantised."""
    changed = {}
    for matrix in MATRICES[:3]:
        rows, more = np.concatenate(block.calibration), {}
        if method == "aptq":
            rows, more = block.calibration, {"attention": block.attention, "matrix": matrix}
        result = METHODS[method].quantize(getattr(block.attention, matrix), rows, **options, **more)
        changed[matrix] = result.dequantize(dtype=np.float64)
    quantised = replace(block.attention, **changed)
    pairs = [[one.outputs(rows) for one in (block.attention, quantised)] for rows in block.held_out]
    exact, got = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return relative_squared_error(exact, got)


def attention_errors() -> dict[str, float]:
    """The means over the blocks in thousandths, int4 and int3 in groups of 128."""
    every = blocks()
    ways = [(method, f"int{bits}.g128") for bits in (4, 3) for method in ("round_to_nearest", "gptq", "aptq")]
    return {f"{way} {to}": 1e3 * float(np.mean([error(block, way, to=to) for block in every])) for way, to in ways}
