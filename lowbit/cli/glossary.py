"""Words that lowbit prints and that are neither an option nor a name in a table, each in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_FILE = Path(__file__).with_suffix(".toml")

WORDS: Mapping[str, str] = MappingProxyType(tomllib.loads(_FILE.read_text(encoding="utf-8")))
"""Word -> what it means."""
