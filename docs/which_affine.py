"""The tables of explanation/affine-conventions.md: ``python docs/which_affine.py`` writes them anew.

A test compares the page with what is computed here.
"""

from pathlib import Path

import numpy as np
from which_mx import table  # beside this file

import lowbit
from lowbit.format.block import BlockFormat
from lowbit.policy.block import BlockPolicy

PAGE = Path(__file__).parent / "explanation" / "affine-conventions.md"
BEGIN, END = "<!-- which-affine: written by docs/which_affine.py -->\n", "<!-- end -->\n"
ZEROS = {
    **dict.fromkeys(("onnx", "gptq", "tflite", "torch", "torch_per_channel", "torchao", "compressed_tensors"), "uint4"),
    "llm_awq": "uint4",
    "omniquant": "int16",
    "spqr": "float32",
    "hqq": "float32",
    "decoupleq": "",
}
"""Preset -> the format of its zero points; "" for an offset."""
AXES = ("value_range", "range_steps", "quotient_steps", "zero_point_steps", "zero_point_place")
BLOCKS = {
    "A": (-1.24, -1.188, 0.324, -2.86, 0.38, 0.108, -0.68, -2.268),
    "B": (-0.46, -1.33, -2.96, -0.95, -5.7, -2.85, -0.57, -5.13),
}
LENGTH = 8


def block_format(preset: str) -> BlockFormat:
    """Four bits, a binary32 scale for eight values, and the zero point or offset of the preset."""
    zero = ZEROS[preset]
    if not zero:
        return lowbit.block_format("int4", block=LENGTH, scale="float32", offset=True)
    return lowbit.block_format("uint4", block=LENGTH, scale="float32", asymmetric=zero)


def conventions() -> str:
    """What each preset chooses on the axes that count here; a dot for what ONNX does."""
    plain = lowbit.get_block_policy("onnx")
    rows = []
    for preset, zero in ZEROS.items():
        policy = lowbit.get_block_policy(preset)
        cells = [getattr(policy, axis) for axis in AXES]
        cells = [
            "·" if preset != "onnx" and cell == getattr(plain, axis) else f"`{cell}`"
            for axis, cell in zip(AXES, cells, strict=True)
        ]
        rounding = policy.policy("element", block_format(preset).element).rounding
        rows.append([f"`{preset}`", f"zero point, {zero}" if zero else "offset, float32", *cells, f"`{rounding}`"])
    return table(["preset", "beside the scale", *(f"`{axis}`" for axis in AXES), "ties"], rows)


def codes(name: str) -> str:
    """Scale, zero point and codes of a block under each preset, and the error."""
    values = np.float32(BLOCKS[name])
    rows = [["values", "", "", *(f"{value:g}" for value in BLOCKS[name]), ""]]
    for preset in ZEROS:
        tensor = lowbit.quantize(values, block_format(preset), policy=preset)
        scale, zero = (tensor.scales[field.name].item() for field in tensor.format.scales)
        error = lowbit.metrics.relative_squared_error(values, lowbit.dequantize(tensor))
        own = [str(code) for code in tensor.codes.tolist()]
        rows.append([f"`{preset}`", f"{scale:.6g}", f"{zero:.6g}", *own, f"{error:.5f}"])
    head = ["preset", "scale", "zero", *map(str, range(LENGTH)), "relative squared error"]
    return table(head, rows)


def choices() -> str:
    """What the words of the first table mean."""
    rows = []
    for axis in AXES:
        for choice, meaning in BlockPolicy.CHOICES[axis].items():
            if any(getattr(lowbit.get_block_policy(preset), axis) == choice for preset in ZEROS):
                rows.append([f"`{axis}`", f"`{choice}`", meaning])
    return table(["axis", "choice", "what it means"], rows)


def section() -> str:
    """What stands between the marks."""
    return (
        conventions()
        + "\n"
        + choices()
        + "\nA block with values of both signs:\n\n"
        + codes("A")
        + "\nA block without 0 inside its range:\n\n"
        + codes("B")
    )


def replaced(text: str) -> str:
    """The page with the tables of today."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + section() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
