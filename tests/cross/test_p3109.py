"""The value tables of IEEE P3109 v4.0: every code of every format K <= 16.

The digests of the published tables are kept in data/; with LOWBIT_P3109_TABLES set to a checkout of P3109/Public the
tables themselves are compared too, which says where a difference is.
"""

import hashlib
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast.exact import decode_exact

DATA = Path(__file__).parent / "data"
TABLES = "LOWBIT_P3109_TABLES"
IN_EVERY_RUN = 12
"""The widest K of an ordinary run; the rest is for `make exhaustive`."""


def _digests():
    with (DATA / "p3109_v4_0_digests.toml").open("rb") as file:
        return tomllib.load(file)["sha256"]


def _width(name):
    return int(re.match(r"binary(\d+)p", name)[1])


DIGESTS = _digests()
WIDTHS = [pytest.param(k, marks=[pytest.mark.exhaustive] if k > IN_EVERY_RUN else []) for k in range(3, 17)]


def _canonical_lines(name):
    codes = np.arange(1 << _width(name)).astype(get_format(name).code_dtype)
    kinds, significands, exponents = decode_exact(codes, name)
    finite = kinds == 0
    significands, exponents = np.where(finite, significands, 0), np.where(finite & (significands != 0), exponents, 0)
    return list(map("%d %d %d".__mod__, zip(kinds.tolist(), significands.tolist(), exponents.tolist(), strict=True)))


def _of_width(k):
    names = [name for name in DIGESTS if _width(name) == k]
    assert len(names) == 2 * k + 2 * (k - 1)  # signed P = 1..K-1 and unsigned P = 1..K, extended and finite
    return names


@pytest.mark.parametrize("k", WIDTHS)
def test_every_code_has_the_published_value(k):
    for name in _of_width(k):
        text = "\n".join(_canonical_lines(name)) + "\n"
        assert hashlib.sha256(text.encode()).hexdigest() == DIGESTS[name], name


def _parse(text):
    if text in {"NaN", "Inf", "-Inf"}:
        return {"NaN": "3 0 0", "Inf": "1 0 0", "-Inf": "2 0 0"}[text]
    sign, whole, fraction, power = re.fullmatch(r"(-?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?p([+-]\d+)", text).groups()
    significand, exponent = int(whole + (fraction or ""), 16), int(power) - 4 * len(fraction or "")
    if significand == 0:
        return "0 0 0"
    twos = (significand & -significand).bit_length() - 1
    return f"0 {sign}{significand >> twos} {exponent + twos}"


@pytest.mark.skipif(not os.environ.get(TABLES), reason=f"{TABLES} is not set to a checkout of P3109/Public")
@pytest.mark.parametrize("k", WIDTHS)
def test_the_tables_themselves(k):
    root = Path(os.environ[TABLES]) / "Value Tables" / "Hexadecimal"
    paths = sorted((root / f"K{k}").rglob("*.csv"))
    assert {path.stem.lower() for path in paths} == set(_of_width(k))
    for path in paths:
        rows = [line.split(",")[1].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()[1:]]
        assert _canonical_lines(path.stem.lower()) == [_parse(row) for row in rows], path.stem
