"""The picture of tutorial/first-quantised-matrix.md: ``python docs/levels.py`` writes it anew.

One line a format: a stroke for each value that a code of a weight's block may have, and the first weights as points.
A test compares the file with what is drawn here.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

import lowbit

PICTURE = Path(__file__).parent / "tutorial" / "levels.svg"
FORMATS = {
    "int4": "int4.g128",
    "MXFP4": "mxfp4",
    "NVFP4": "nvfp4",
    "NF4": "nf4.g128",
    "AFPQ": "float4_e2m1fn.g128.by_sign",
}
"""What the tutorial compares: name -> format."""
SHOWN = 16
"""Weights that lie in one block of every format."""
WIDTH, LEFT, RIGHT, LINE, TOP = 720, 70, 90, 56, 40

Values = npt.NDArray[np.float32]


def weights() -> Values:
    """Those of the tutorial."""
    return np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)


def levels(tensor: lowbit.BlockTensor) -> Values:
    """The values of all 16 codes under the scales of the first block."""
    fmt = tensor.format
    codes = np.array(list(fmt.element.codes), fmt.element.code_dtype)
    scales = {
        field.name: tensor.scales[field.name][:1, :1] if field.block else tensor.scales[field.name]
        for field in fmt.scales
    }
    padded = np.resize(codes, (1, fmt.block[0]))
    return np.unique(lowbit.dequantize(lowbit.BlockTensor(fmt, padded.shape, 1, padded, scales)))


def picture() -> str:
    """The SVG."""
    matrix = weights()
    tensors = {name: lowbit.quantize(matrix, fmt) for name, fmt in FORMATS.items()}
    ladders = {name: levels(tensor) for name, tensor in tensors.items()}
    reach = max(float(np.abs(ladder).max()) for ladder in ladders.values())

    def across(value: float) -> float:
        return LEFT + (value / reach + 1) / 2 * (WIDTH - LEFT - RIGHT)

    height = TOP + LINE * len(FORMATS)
    title = f"The values that a code may have, and the first {SHOWN} weights"
    parts = [f'<text x="{LEFT}" y="20" font-size="14">{title}</text>']
    for number, (name, tensor) in enumerate(tensors.items()):
        down = TOP + LINE * number + LINE // 2
        ratio = lowbit.metrics.signal_to_quantization_noise(matrix, lowbit.dequantize(tensor))
        parts += [
            f'<text x="8" y="{down + 4}" font-size="13">{name}</text>',
            f'<text x="{WIDTH - RIGHT + 16}" y="{down + 4}" font-size="13">{ratio:.1f} dB</text>',
            f'<line x1="{LEFT}" y1="{down}" x2="{WIDTH - RIGHT}" y2="{down}" stroke="#bbb"/>',
        ]
        strokes = "".join(f"M{across(float(level)):.1f} {down - 14}v28" for level in ladders[name])
        parts.append(f'<path d="{strokes}" stroke="#1f77b4" stroke-width="1.5"/>')
        parts += [
            f'<circle cx="{across(float(weight)):.1f}" cy="{down}" r="3" fill="#d62728"/>'
            for weight in matrix[0, :SHOWN]
        ]
    lines = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'font-family="sans-serif" role="img" aria-label="{title}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{lines}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
