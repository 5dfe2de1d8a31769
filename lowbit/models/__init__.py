"""Real models as plain arrays: a forward pass over a dictionary of parameters, and hooks at every operation."""

from __future__ import annotations

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: `lowbit` starts without SciPy.
    if name == "load":
        from lowbit.models.stored import load

        return load
    raise AttributeError(f"module 'lowbit.models' has no attribute {name!r}")
