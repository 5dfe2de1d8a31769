"""What a device under test is to the checker."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

CANNOT_LOAD = "LB606"
"""Code of the errors about a device that is not there: a usage error, not one of the device."""


class Device(Protocol):
    """Something that turns codes of one format into codes of another.

    Attributes
    ----------
    name : str
        How reports call it.
    """

    name: str

    def run(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The target codes for an array of source codes in the source format's ``code_dtype``, one each.

        A masked array where some answers were not written.
        """
        ...
