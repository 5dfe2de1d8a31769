"""NVIDIA's host conversions against the presets ``cuda`` and ``cuda_nosat``.

No header and no compiler is needed: what the conversions returned was measured once and is kept as digests over all
65,536 float16 and bfloat16 inputs, and as rows for float32 and float64 near ties, at overflow and for special values.
"""

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import convert
from lowbit.policy.cast import get_policy

DATA = Path(__file__).parent / "data"
PRESETS = {"satfinite": "cuda", "nosat": "cuda_nosat"}


def _digests():
    with (DATA / "cuda_13_5_digests.toml").open("rb") as file:
        return tomllib.load(file)["digest"]


def _rows():
    lines = (DATA / "cuda_13_5_rows.txt").read_text(encoding="ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("//")]


ROWS = _rows()
PAIRS = sorted({(row[0], row[1]) for row in ROWS})


@pytest.mark.parametrize(
    "record", _digests(), ids=lambda record: "-".join(record[name] for name in record if name != "sha256")
)
def test_all_16_bit_inputs_have_the_same_digest(record):
    target = get_format(record["target"])
    policy = get_policy(PRESETS[record["saturation"]], target).choose(rounding=record["rounding"])
    codes = convert(np.arange(1 << 16, dtype=np.uint16), record["source"], target, policy=policy)
    assert hashlib.sha256(codes.astype(np.uint8).tobytes()).hexdigest() == record["sha256"]


@pytest.mark.parametrize("saturation", PRESETS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_rows_near_ties_and_overflow(source, target, saturation, compare):
    chosen = [row for row in ROWS if row[:2] == [source, target]]
    assert len(chosen) > 40
    codes = np.array([int(row[2], 16) for row in chosen], dtype=get_format(source).code_dtype)
    got = np.array([int(row[3 if saturation == "satfinite" else 4], 16) for row in chosen], dtype=np.uint8)
    compare("cuda", saturation, source, target, codes, got)


def test_the_row_on_the_nan_of_float64_still_holds(differences):
    example = differences["cuda-float64_nan_signed"].example
    key = [example["source"], example["target"], example["input"]]
    found = [row for row in ROWS if row[:3] == key]
    assert [row[3:] for row in found] == [[example["theirs"], example["theirs"]]]
