"""What each error code means and how to mend it, for ``lowbit explain``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_FILE = Path(__file__).with_suffix(".toml")

ERROR_TOPICS: Mapping[str, str] = MappingProxyType(tomllib.loads(_FILE.read_text(encoding="utf-8")))
"""Error code -> what it means, a paragraph."""
