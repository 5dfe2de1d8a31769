"""Files that cannot be read, and metadata of lowbit that is not what it should be: what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lowbit.errors import InputError
from lowbit.printable import excerpt

Record = TypeVar("Record")

CANNOT_READ = "LB104"
"""The code of a file that is not there, or cannot be opened."""


def unreadable(path: str | Path, error: OSError, *, hint: str = "") -> InputError:
    """The error for a file that the system does not give: which, why, and what to do."""
    if not hint:
        hint = "name a file" if isinstance(error, IsADirectoryError) else "check its name and its permissions"
    return InputError(f"{path} cannot be read: {error.strerror or error}", hint=hint, code=CANNOT_READ)


def records_of_tensors(
    text: str, schema: str, where: str, what: str, record: Callable[[Any], Record]
) -> dict[str, Record]:
    """What the metadata of lowbit says of tensors, by their names; ``record`` reads that of one.

    Raises InputError: ``where`` does not say ``what``, or has another schema.
    """
    try:
        document = json.loads(text)
        own = document["schema"]
        records = {str(name): record(value) for name, value in document["tensors"].items()}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} does not say {what}: {excerpt(str(error))}") from error
    except (KeyError, TypeError, AttributeError) as error:
        missing = "a schema, and of each tensor all that it asks for, are not there"
        raise InputError(f"{where} does not say {what}: {missing}", hint="is the header damaged?") from error
    if own != schema:
        raise InputError(f"{where} is {excerpt(str(own))}, not {schema!r}", hint="another version of lowbit wrote it")
    return records
