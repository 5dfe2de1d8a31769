"""The flags of conversions, by number, and those of all operations: what each row is there for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from lowbit.policy.presets import Lazy
from lowbit.vectors.flags.flag import Flag

EXACT = 0
TIE_EVEN = 1
TIE_ODD = 2
NEAR_TIE = 3
NEAR_VALUE = 4
CARRY_TO_EXPONENT = 5
SUBNORMAL_EDGE = 6
SUBNORMAL = 7
UNDERFLOW = 8
OVERFLOW_TIE = 9
OVERFLOW_BAND = 10
NEGATIVE_ZERO = 11
INFINITY = 12
NAN_SIGN = 13
NAN_PAYLOAD = 14
DOUBLE_ROUNDING = 15
LOWEST_BINADE = 16
NEGATIVE = 17
INTEGER_RAIL = 18
SOURCE_SUBNORMAL = 19
STICKY = 20
REMAINING = 21
RANDOM = 22
SPREAD = 23


def _read() -> dict[int, Flag]:
    tables = tomllib.loads(Path(__file__).with_name("flags.toml").read_text(encoding="utf-8"))
    return {
        table["number"]: Flag(name=name, bugs=tuple(table.pop("bugs", ())), **table) for name, table in tables.items()
    }


FLAGS: Mapping[int, Flag] = Lazy(_read)
"""Every flag: number -> Flag. Flags that name bug types are Wycheproof's idea (C2SP/wycheproof, doc/formats.md)."""
