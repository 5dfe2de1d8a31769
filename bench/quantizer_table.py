"""What published quantisers gain on all-MiniLM-L6-v2: ``python -m bench.quantizer_table``.

Each row is one method on the twelve largest linear layers, measured beside what is asked of it. Activations come from
sentences of Python's own documentation (``pydoc_data``), errors from other sentences of it. Rows that the results file
holds are not computed again, so that a stopped run goes on where it was; ``--results`` names another file.
The last column is what each row took. ``python -m bench.quantizer_pages`` brings the results into the pages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pydoc_data.topics

import numpy as np

from bench.quantizer_figures import FIGURES, Layers, Values
from lowbit.files.whole import whole_file
from lowbit.models.packages import minilm
from lowbit.quantizers import METHODS

CALIBRATION, HELD_OUT = 160, 80
"""Sentences."""
RESULTS = Path(__file__).with_suffix(".json")
"""Committed."""


class Row(NamedTuple):
    """A method, what it is compared with, and how large its error may be over that one's."""

    method: str
    options: dict[str, Any]
    peer: tuple[str, dict[str, Any]] | None
    most: float | None
    of_weights: bool = False

    @property
    def name(self) -> str:
        return spelled(self.method, self.options)

    @property
    def peer_name(self) -> str:
        """The peer, with what it has otherwise."""
        if self.peer is None:
            return ""
        method, options = self.peer
        return spelled(method, {key: value for key, value in options.items() if self.options.get(key) != value})


def spelled(method: str, options: dict[str, Any]) -> str:
    """A method with its options, formats and variants by their names alone."""
    words = [method]
    for key, value in options.items():
        text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
        words.append(text if key in {"to", "variant"} else f"{key}={text}")
    return " ".join(words)


def rows() -> Iterator[Row]:
    """What is asked: the figures of the papers at the size of this model."""
    for bits, most, plain, duo in ((4, 0.45, 0.86, 0.80), (3, 0.46, 0.86, 0.82)):
        even = {"to": f"int{bits}.g128"}
        nearest = ("round_to_nearest", even)
        yield Row("round_to_nearest", even, None, None)
        yield Row("gptq", even, nearest, most)
        yield Row("gptq", {**even, "order": "activation"}, nearest, most)
        yield Row("awq", {**even, "clip": False}, nearest, plain)
        yield Row("awq", {**even, "clip": False, "variant": "duo_scaling"}, nearest, duo)
        yield Row("awq", even, nearest, None)
    for element in ("float4_e2m1fn", "nf3"):
        for variant, peer in (("alone", "round_to_nearest"), ("gptq", "gptq"), ("awq", "awq")):
            options = {"to": f"{element}.g128.by_sign", "variant": variant}
            yield Row("afpq", options, (peer, {"to": f"{element}.g128"}), 1.0)
    yield Row(
        "llm_fp4", {"to": "float4.channel"}, ("round_to_nearest", {"to": "float4_e2m1fn.channel"}), 12.9 / 14.65, True
    )
    yield Row("nupes", {"to": "int4.channel"}, ("round_to_nearest", {"to": "int4.channel"}), 17.2 / 24.7, True)
    for bits in (3, 4):
        table = {"to": f"table{bits}.channel", "outliers": 0, "sensitive": 0}
        yield Row("squeezellm", table, ("squeezellm", {**table, "variant": "lloyd"}), 1.0, True)
    small = {"to": "uint3.g16.asymmetric"}
    yield Row("spqr", small, ("spqr", {**small, "outliers": float("inf")}), 0.75)
    zero = {"to": "uint4.g64.asymmetric"}
    yield Row("hqq", zero, ("round_to_nearest", zero), None)
    for scheme, to in (("w4a16_int", "int4.g128"), ("w8a8_int", "int8.channel"), ("w8a8_fp", "int8.channel")):
        yield Row("compressed_tensors", {"variant": scheme}, ("round_to_nearest", {"to": to}), None)
    peer = ("gptq", {"to": "int2.channel.asymmetric"})
    yield Row("decoupleq", {"to": "int2.channel", "variant": "activation_order"}, peer, 0.40)
    yield Row("mofq", {"to": ("int4.g32", "float4_e2m1fn.g32")}, ("round_to_nearest", {"to": "int4.g32"}), 1.0, True)
    for variant in ("weights", "hessian"):
        yield Row("pvq", {"to": "pulses32.vector16.gain4", "variant": variant}, None, None)
    axes = ("adadim", {"to": "int4.g128.asymmetric", "variant": "outputs"})
    yield Row("adadim", {"to": "int4.g128.asymmetric"}, axes, 1.0)


def shown() -> Iterator[Row]:
    """What the picture has beside the rows that are asked for: other widths, and outputs where a row is of weights."""
    for to in ("int2.g128", "int8.channel", "mxfp4", "nvfp4", "nf4.g64", "int4.g32"):
        yield Row("round_to_nearest", {"to": to}, None, None)
    for to in ("int2.g128", "nvfp4"):
        yield Row("gptq", {"to": to, "order": "activation"}, None, None)
    yield Row("quarot", {"to": "int4.g128", "variant": "gptq"}, None, None)
    yield Row("quarot", {"to": "int4.g128"}, None, None)
    for bits in (3, 4):
        yield Row("squeezellm", {"to": f"table{bits}.channel"}, None, None)
    yield Row("decoupleq", {"to": "int3.channel", "variant": "activation_order"}, None, None)
    for method in ("llm_fp4", "nupes", "lr_qat"):
        yield Row(method, {"to": METHODS[method].to}, None, None)
    yield Row("vector_quantization", {"to": "table8.vector4"}, None, None)


def shuffled() -> list[str]:
    """Sentences of the topics of ``help()``, in an order drawn with a seed."""
    text = " ".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    parts = (" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n\n", text))
    kept = list(dict.fromkeys(part for part in parts if 40 < len(part) < 300))
    return [kept[place] for place in np.random.default_rng(0).permutation(len(kept))]


def sentences() -> tuple[list[str], list[str]]:
    """Of the calibration, and held out."""
    picked = shuffled()
    return picked[:CALIBRATION], picked[CALIBRATION : CALIBRATION + HELD_OUT]


def layers() -> Layers:
    """The two linear layers of each block that have four times the width on one side."""
    model = minilm()
    names = [name for name in model.encoder.linears() if re.search(r"\d\.(intermediate|output)\.dense", name)]
    calibration, held_out = (model.inputs(texts, names) for texts in sentences())
    return [(model.parameters[name].astype(np.float32), calibration[name], held_out[name]) for name in names]


def measured(layers: Layers, method: str, options: dict[str, Any], *, of_weights: bool) -> Values:
    """The mean relative error over the layers, in thousandths, the mean bits, and the time of one core."""
    errors, bits, start = [], [], process_time()
    for weights, activations, held_out in layers:
        seen = None if of_weights else activations
        result = METHODS[method].quantize(weights, seen, **options)
        errors.append(result.error(weights, None if of_weights else held_out))
        bits.append(float(result.bits_per_weight))
    return {"error": 1e3 * float(np.mean(errors)), "bits": float(np.mean(bits)), "seconds": process_time() - start}


def results(path: Path) -> dict[str, Values]:
    """What a file holds."""
    known: dict[str, Values] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def key_of(method: str, options: dict[str, Any], *, of_weights: bool) -> str:
    """Under which a file holds the numbers of a method."""
    return json.dumps([method, options, "weights" if of_weights else "outputs"])


def main() -> int:
    """Print the table, computing what the results file lacks; exit status 1 where a figure is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="what was computed before")
    path = parser.parse_args().results
    known = results(path)
    every: list[Layers] = []

    def stored(key: str, compute: Callable[[Layers], Values]) -> Values:
        if key not in known:
            if not every:
                every.append(layers())
            known[key] = compute(every[0])
            with whole_file(path) as file:
                file.write(json.dumps(known, indent=1).encode())
        return known[key]

    def ask(method: str, options: dict[str, Any], *, of_weights: bool) -> Values:
        compute = partial(measured, method=method, options=options, of_weights=of_weights)
        return stored(key_of(method, options, of_weights=of_weights), compute)

    missed = 0
    print(f"{'method':<52} {'bits':>5} {'error':>8} {'of':<28} {'ratio':>6} {'asked':>6} {'seconds':>8}")
    for row in (*rows(), *shown()):
        own = ask(row.method, row.options, of_weights=row.of_weights)
        line = f"{row.name:<52} {own['bits']:5.2f} {own['error']:8.3f}"
        if row.peer is not None:
            ratio = own["error"] / ask(*row.peer, of_weights=row.of_weights)["error"]
            asked = "-" if row.most is None else f"{row.most:.2f}"
            late = row.most is not None and ratio > row.most * (1 + 1e-9)
            missed += late
            line += (
                f" {row.peer_name:<28} {ratio:6.3f} {asked:>6} {own['seconds']:8.1f}{'  NOT REACHED' if late else ''}"
            )
        print(line, flush=True)
    for figure in FIGURES:
        values = stored(figure.name, figure.measure)
        missed += not figure.reached(values)
        print(figure.line(values), flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
