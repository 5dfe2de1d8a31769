"""What all tests share: paths, and a Hypothesis profile that a slow shared machine does not break."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Deadlines measure the machine, not the code: the first call of a kernel compiles it.
settings.register_profile("lowbit", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("lowbit")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top of the checkout."""
    return REPOSITORY
