"""What published quantisers cost SmolLM2-135M in perplexity: ``python -m bench.language_table``.

Every method that works in a format of 4 or 3 bits, with scales for 64 weights or a whole channel, and the formats of
methods that have their own; calibrated on 4,096 tokens of Python's own documentation (``pydoc_data``), measured on
2,048 tokens of other topics of it, in windows of 512. A run that was stopped goes on where it was; the results are
committed, and ``--texts FOLDER`` writes the two texts for ``lowbit evaluate``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lowbit.cli.report.evaluate import cells, document, heads
from lowbit.models import characters
from lowbit.models.evaluation import Subject, combinations, evaluate_all, known
from lowbit.models.joint import DEFAULT
from lowbit.models.language.byte_pairs import BytePairs, words
from lowbit.models.packages import SMOLLM2, smollm2, weights_of

TOKENS = {"calibration": 4096, "held_out": 2048}
"""Whole windows; never scales for 32 weights: those of the file lie on such grids already."""
DIGESTS = {
    "calibration": "adaaf07254f581da1d65cbde2a5ee533036f12f055fb6f10a248367167a9e7f3",
    "held_out": "078049cfaa014efad345d6e7c7c354ba0ca97e73d74ec95c0f55be1f3b57e417",
}
"""SHA-256 of the texts that Python 3.11.7 has; other versions have other topics."""

GROUPS, CHANNELS = "int4.g64,int3.g64", "int4.channel,int3.channel"
"""128 does not divide the 576 weights of most channels."""
EVEN = f"{GROUPS},{CHANNELS}"
RUNS = (
    ("rtn,gptq", EVEN, ""),
    ("hqq", "uint4.g64.asymmetric,uint3.g64.asymmetric", ""),
    ("smoothquant,adadim,quarot,gptq:order=activation", GROUPS, ""),
    ("", "", "kivi2,nsnquant2"),
    ("awq", "int4.g64", ""),
    ("rtn,gptq", "uint4.g64.asymmetric,uint3.g64.asymmetric", ""),
    ("rtn", "nvfp4,nf4.g64", ""),
    ("lr_qat,pvq", DEFAULT, ""),
    ("mofq", "int4.g64+float4_e2m1fn.g64", ""),
    ("afpq", "float4_e2m1fn.g64.by_sign", ""),
    ("awq", "int3.g64", ""),
    ("squeezellm", "table4.channel,table3.channel", ""),
    ("spqr", "uint3.g16.asymmetric", ""),
    ("quarot:gptq", GROUPS, ""),
    ("smoothquant", CHANNELS, ""),
    ("", "", "nsnquant1,int4.g32"),
    ("gptq", "nvfp4,nf4.g64", ""),
    ("hqq", "uint4.channel.asymmetric,uint3.channel.asymmetric", ""),
    ("afpq:gptq", "float4_e2m1fn.g64.by_sign", ""),
    ("decoupleq", "int3.channel,int4.channel", ""),
    ("adadim,quarot,gptq:order=activation,awq,quarot:gptq", CHANNELS, ""),
    ("awq:duo_scaling", GROUPS, ""),
    ("nupes", CHANNELS, ""),
    ("pvq:hessian", DEFAULT, ""),
    ("rtn,gptq", "uint4.channel.asymmetric,uint3.channel.asymmetric,float4_e2m1fn.g64", ""),
    ("", "", "kivi4,int8.g64,float8_e4m3fn.g64"),
    ("llm_fp4,vector_quantization", DEFAULT, ""),
)
"""Methods, formats, and what keys and values are kept in; the most telling ones first."""
NOT_HERE = {
    "aptq": "on one layer, without its attention block, it is `gptq`",
    "crossquant": "its gain is in quantised activations; weights are those of `round_to_nearest`",
    "qllm": "its gain is in quantised activations",
    "intlora": "its gain is in an adapter to be trained, and with its factors it has 12 bits a weight",
    "compressed_tensors": "its schemes are `round_to_nearest` and `gptq` with groups of 128, or with 8 bits",
    "nsnquant": "of caches alone: see keys and values",
}
"""Methods that are not measured, and why; those that learn, step by step, are not either."""
RESULTS = Path(__file__).with_suffix(".json")


def names() -> list[str]:
    """What is measured, as :func:`lowbit.models.evaluation.combinations` has it."""
    runs = ([list(filter(None, part.split(","))) for part in run] for run in RUNS)
    return list(dict.fromkeys(name for run in runs for name in combinations(*run)))


def texts(pieces: BytePairs) -> dict[str, str]:
    """The two texts: topics that are held out, and the others, each of as many tokens as there are to be.

    Raises SystemExit: this version of Python has other topics.
    """
    result = {
        part: _of_tokens(characters.topics(held_out=part == "held_out"), count, pieces)
        for part, count in TOKENS.items()
    }
    found = {part: sha256(text.encode()).hexdigest() for part, text in result.items()}
    if found != DIGESTS:
        sys.exit(f"the texts of Python {sys.version.split()[0]} have other digests: {found}")
    return result


def _of_tokens(text: str, count: int, pieces: BytePairs) -> str:
    """The first words of a text, from the first line from which whole words have that many tokens."""
    for start in (place + 1 for place, character in enumerate(text) if character == "\n"):
        parts = list(words(text[start : start + 8 * count], single_digits=pieces.single_digits))
        ends = list(accumulate(len(pieces.tokens(part)) for part in parts))
        if count in ends:
            return "".join(parts[: ends.index(count) + 1])
    raise ValueError(f"no line begins {count} tokens of whole words")


def main() -> None:
    """Measure what the results do not have, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--texts", type=Path, metavar="FOLDER", help="write calibration.txt and held_out.txt there, and stop"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--known", action="store_true", help="compute nothing more: write what there is")
    arguments = parser.parse_args()
    model = smollm2()
    parts = texts(model.pieces)
    if arguments.texts:
        for part, text in parts.items():
            (arguments.texts / f"{part}.txt").write_text(text, encoding="utf-8")
        return
    samples = {part: model.samples(text) for part, text in parts.items()}
    subject = Subject(str(weights_of(SMOLLM2)), samples["calibration"], samples["held_out"], {})
    journal = arguments.results.with_suffix(".partial")
    every = names()
    measured = known(subject, journal) if arguments.known else every
    rows, refused = evaluate_all(
        subject,
        [name for name in every if name in measured],
        journal=journal,
        jobs=arguments.jobs,
        progress=lambda done, total, name: print(f"{done} of {total}: {name}", file=sys.stderr, flush=True),
    )
    report = document(SMOLLM2, subject, rows, refused) | {"not_run": [name for name in every if name not in measured]}
    arguments.results.write_text(json.dumps(report, indent=2) + "\n")
    for row in (heads(rows[0]), *map(cells, rows)):
        print("  ".join(cell.ljust(24) for cell in row))


if __name__ == "__main__":
    main()
