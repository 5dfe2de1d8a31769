"""The errors that lowbit raises: what went wrong, with which value, where, and how to mend it.

Every error carries a stable code (``LB201``) that ``lowbit explain`` describes, and an optional hint. The
library raises; the command line renders and maps each class to an exit code (see ``lowbit.cli``).
"""

from __future__ import annotations

from fractions import Fraction


class LowbitError(Exception):
    """Base class of every error that lowbit raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, with the offending value and where it stands.
    hint : str, optional
        How to mend it.
    code : str, optional
        Stable identifier; each subclass has a default.
    """

    default_code = "LB000"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        self.code = code or self.default_code
        self.message = message
        self.hint = hint
        super().__init__(message if not hint else f"{message}\nhelp: {hint}")


class FormatError(LowbitError, ValueError):
    """A format specification contradicts itself, or a file of one cannot be read."""

    default_code = "LB200"


class UnknownFormatError(FormatError, LookupError):
    """A format name is unknown or ambiguous; the message lists the candidates."""

    default_code = "LB201"


class PolicyError(LowbitError, ValueError):
    """A policy is unknown, contradictory, or lacks something it needs (random bits, say)."""

    default_code = "LB300"


class InputError(LowbitError, ValueError):
    """An array has the wrong dtype, shape or range, or holds a value that the policy refuses."""

    default_code = "LB400"


class UsageError(InputError):
    """A word of the command line is wrong, or goes with another one."""

    default_code = "LB100"


class InexactError(InputError):
    """The result would not be exact in the requested dtype."""

    default_code = "LB410"


class IntermediateOverflowError(LowbitError, ArithmeticError):
    """An intermediate of an integer-only operation left its declared width under ``overflow="trap"``.

    Parameters
    ----------
    message : str
    row : int
        The row, counted over all axes but the one that the operation runs along; for an elementwise operation 0.
    element : int
        The place within the row; -1 for a quantity of the whole row.
    name : str
        The intermediate.
    value : int
        What it would have been.
    bits : int
        Its declared width.
    """

    default_code = "LB420"

    def __init__(
        self, message: str, *, row: int, element: int, name: str, value: int, bits: int, hint: str = ""
    ) -> None:
        self.row, self.element, self.name, self.value, self.bits = row, element, name, value, bits
        super().__init__(message, hint=hint)


class VectorFileError(LowbitError, ValueError):
    """A vector file or manifest is damaged, truncated or of another version."""

    default_code = "LB500"


class DeviceError(LowbitError, RuntimeError):
    """A device under test could not be loaded, crashed, hung or answered with a wrong count."""

    default_code = "LB600"


class AllocationError(LowbitError, ValueError):
    """A bit-allocation problem contradicts itself, or a file of one cannot be read."""

    default_code = "LB700"


class InfeasibleError(AllocationError):
    """No allocation keeps all budgets; the message says what the smallest feasible budget is.

    Parameters
    ----------
    message : str
    smallest : dict of str to Fraction
        Budget -> the least limit that can be kept while the other limits stay as they are.
    """

    default_code = "LB701"

    def __init__(self, message: str, *, smallest: dict[str, Fraction], hint: str = "") -> None:
        self.smallest = smallest
        super().__init__(message, hint=hint)
