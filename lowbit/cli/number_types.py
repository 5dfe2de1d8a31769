"""Numbers among the options: what ``type=`` of argparse takes.

Python's own ``int`` and ``float`` read underscores, digits of other scripts, ``nan`` and ``inf`` too.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def integer(text: str) -> int:
    """A decimal integer in ASCII digits."""
    if not _INTEGER.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is not a decimal integer")
    return int(text)


def seconds(text: str) -> float:
    """A positive, finite number of seconds."""
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value
