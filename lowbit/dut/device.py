"""What a device under test is to the checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from lowbit.vectors.case import Array, Case

CANNOT_LOAD = "LB606"
"""Code of the errors about a device that is not there: a usage error, not one of the device."""


class Device(Protocol):
    """Something that answers cases.

    ``name``: how reports call it.
    """

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def run(self, case: Case) -> Array:
        """The results of a case, integers in its shape; a masked array where some were not written."""
        ...


class NamedDevice(Device, Protocol):
    """A device that a user named: it is opened before use and closed after it."""

    def open(self) -> None:
        """Load it, or read what it has to say, so that a missing one is noticed before any work."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...
