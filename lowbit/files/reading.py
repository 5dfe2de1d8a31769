"""What is said of a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

from lowbit.errors import InputError

CANNOT_READ = "LB104"
"""The code of a file that is not there, or cannot be opened."""


def unreadable(path: str | Path, error: OSError, *, hint: str = "") -> InputError:
    """The error for a file that the system does not give: which, why, and what to do."""
    if not hint:
        hint = "name a file" if isinstance(error, IsADirectoryError) else "check its name and its permissions"
    return InputError(f"{path} cannot be read: {error.strerror or error}", hint=hint, code=CANNOT_READ)
