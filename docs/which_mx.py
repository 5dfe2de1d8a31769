"""The tables of "Which MX is yours" in explanation/block-formats.md: ``python docs/which_mx.py`` writes them anew.

A test compares the page with what is computed here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import lowbit

PAGE = Path(__file__).parent / "explanation" / "block-formats.md"
BEGIN, END = "<!-- which-mx: written by docs/which_mx.py -->\n", "<!-- end -->\n"
BLOCK_PRESETS = (
    "ocp_mx",
    "torchao_floor",
    "microxcaling",
    "compressed_tensors_mx",
    "torchao_even",
    "tosa_mx",
    "torchao_rceil",
    "transformer_engine_mx",
    "modelopt_mx",
    "torchao_ceil",
)
TOPS = {"mxfp4": (4.0, 5.0, 6.0, 6.5, 7.25), "mxfp8_e4m3": (448.0, 460.0, 470.0, 500.0)}
NAN_SCALE = 255
BLOCK = (6.5, 5.0, 2.5, 1.5, 0.75, 0.25, -0.3, -1.75)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def exponent(preset: str, name: str, top: float) -> str:
    """The scale of a block whose largest value is given, as a power of two."""
    values = np.zeros(32, np.float32)
    values[3] = top
    return f"2^{int(lowbit.quantize(values, name, policy=preset).scales['block'][0]) - 127}"


def scales() -> str:
    """The scale under each preset, for several maxima."""
    head = ["preset"] + [f"`{name}` {top:g}" for name, tops in TOPS.items() for top in tops]
    rows = []
    for preset in BLOCK_PRESETS:
        cells = [exponent(preset, name, top) for name, tops in TOPS.items() for top in tops]
        rows.append([f"`{preset}`", *cells])
    return table(head, rows)


def elements() -> str:
    """What the values of one block become."""
    values = np.resize(np.float32(BLOCK), 32)
    rows = [["values", *(f"{value:g}" for value in BLOCK), ""]]
    for preset in BLOCK_PRESETS:
        got = lowbit.dequantize(lowbit.quantize(values, "mxfp4", policy=preset))
        error = lowbit.metrics.relative_squared_error(values, got)
        rows.append([f"`{preset}`", *(f"{value:g}" for value in got[: len(BLOCK)]), f"{error:.4f}"])
    return table(["preset", *(str(place) for place in range(len(BLOCK))), "relative squared error"], rows)


def specials() -> str:
    """What becomes of a block of zeros, and of one with a NaN or an infinity: its scale, and three of its values."""
    rows = []
    for preset in BLOCK_PRESETS:
        cells = []
        for special in (0.0, np.nan, np.inf):
            values = np.zeros(32, np.float32) if special == 0 else np.resize(np.float32(BLOCK), 32)
            values[0] = special
            tensor = lowbit.quantize(values, "mxfp4", policy=preset)
            code = int(tensor.scales["block"][0])
            scale = "NaN" if code == NAN_SCALE else f"2^{code - 127}"
            cells.append(f"{scale}: " + ", ".join(f"{value:g}" for value in lowbit.dequantize(tensor)[:3]))
        rows.append([f"`{preset}`", *cells])
    return table(["preset", "zeros", "a NaN, 5, 2.5", "an infinity, 5, 2.5"], rows)


def section() -> str:
    """What stands between the marks."""
    return (
        "The scale of a block whose largest value is the number in the head:\n\n"
        + scales()
        + "\nThe values of one block of `mxfp4`, repeated four times, and what they are worth afterwards:\n\n"
        + elements()
        + "\nThe scale of a block of `mxfp4` with special values, and what three of them are worth:\n\n"
        + specials()
    )


def replaced(text: str) -> str:
    """The page with the tables of today."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + section() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
