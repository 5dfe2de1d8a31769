"""Golden codes of a small layer, a digest for each variant of each method: ``python -m tests.quantizers.codes`` anew.

The layer has 8 outputs and 256 inputs, its weights and 384 rows of activations come from SplitMix64, so that they are
the same bits for ever; half of each input is added to the next one, and input j counts 2^(j mod 5 - 2) times. One
sha256 is of the codes, one of the scales, tables and weights kept apart, as they are stored. What starts from NumPy's
own random numbers (k-means, rotations) stays as long as NumPy keeps these. Methods that learn take one step: what many
steps end in is the bits of one machine's sums.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from pathlib import Path

import numpy as np

from lowbit.format.registry import scalar_format
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers import METHODS
from lowbit.vectors.splitmix import random_patterns

FILE = Path(__file__).with_name("codes.toml")
OUTPUTS, INPUTS, ROWS = 8, 256, 384
FORMATS = {"adadim": "int4.g8.asymmetric", "gptq": "int4.g32"}
"""In place of the method's own: blocks along both axes, of which one is short; groups that show stale scales."""


def layer():
    """Weights, and activations."""
    patterns = random_patterns(scalar_format("float32"), (OUTPUTS + ROWS) * INPUTS, 15, "normal")
    values = patterns.astype(np.uint32).view(np.float32).reshape(-1, INPUTS)
    weights, activations = values[:OUTPUTS], values[OUTPUTS:].astype(np.float64)
    activations[:, 1:] += activations[:, :-1] / 2
    return weights, np.ldexp(activations, np.arange(INPUTS) % 5 - 2)


def arrays(part):
    """All arrays of a result's tensor, codes first, in the bytes that do not depend on the machine."""
    if isinstance(part, BlockTensor):
        yield part.codes.astype("<i8")
        yield from (part.scale_codes(field.name).astype("<i8") for field in part.format.scales)
    elif isinstance(part, np.ndarray):
        yield part.astype(part.dtype.newbyteorder("<") if part.dtype.kind == "f" else "<i8")
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from arrays(getattr(part, field.name))


def digests(method, variant, inputs=None):
    """What the table has: the format, and two digests."""
    options = {"to": FORMATS[method.name]} if method.name in FORMATS else {}
    options |= {"steps": 1} if method.needs_activations and {"seed", "losses"} <= method.report.keys() else {}
    result = method.quantize(*(inputs or layer()), variant=variant, **options)
    codes, *others = (*arrays(result.tensor), *arrays(result.sparse))
    hashes = (hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest() for parts in ([codes], others))
    return {"to": options.get("to", method.to), **dict(zip(("codes", "scales"), hashes, strict=True))}


def every():
    """(method, variant) of all."""
    return [(name, variant) for name in sorted(METHODS) for variant in METHODS[name].variants]


def table():
    """What is committed."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def text():
    """The file anew."""
    lines = ["# Written by `python -m tests.quantizers.codes`, which says what is hashed; do not edit."]
    for name, variant in every():
        fields = ", ".join(f'{key} = "{value}"' for key, value in digests(METHODS[name], variant).items())
        lines += [f"\n[{name}]"] if f"\n[{name}]" not in lines else []
        lines.append(f'"{variant}" = {{ {fields} }}')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
