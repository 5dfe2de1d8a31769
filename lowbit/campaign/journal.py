"""The journal of a campaign: a line of JSON for what the work is about, then one for every finished task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lowbit.errors import InputError
from lowbit.files.reading import unreadable
from lowbit.files.whole import is_stream, whole_file

Result = TypeVar("Result")


class Journal:
    """Finished tasks of one campaign, on disk.

    Parameters
    ----------
    file : path
        A file that is there already is continued; one about something else is refused.
    subject : mapping
        What the results depend on, as JSON has it; its keys are what messages call its parts.
    """

    def __init__(self, file: str | Path, subject: Mapping[str, object]) -> None:
        self._path = Path(file)
        self._subject: dict[str, Any] = json.loads(json.dumps(subject))

    def read(self, decode: Callable[[Any], Result]) -> dict[str, Result]:
        """The results that are there, by task; starts the journal where there is none.

        Parameters
        ----------
        decode : callable
            Makes a result of JSON; a ValueError, KeyError or TypeError refuses the file.

        Raises
        ------
        InputError
            The file cannot be read, is not a journal, or is about something else.
        """
        try:
            there = self._path.exists() and not is_stream(self._path)
            lines = self._path.read_bytes().splitlines(keepends=True) if there else []
        except OSError as error:
            raise unreadable(self._path, error, hint="name another journal") from error
        whole = [line for line in lines if line.endswith(b"\n")]  # a run that was killed may leave half a line
        try:
            documents = [json.loads(line) for line in whole]
            subject = (
                documents[0] if lines else self._subject
            )  # the first line is written whole: half of it is another's
            tasks = documents[1:] if subject == self._subject else []
            results = {str(task["name"]): decode(task["result"]) for task in tasks}
            other = [key for key in self._subject if subject.get(key) != self._subject[key]]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise InputError(f"{self._path} is not a journal", hint="remove it to start again") from error
        if other:
            raise InputError(
                f"{self._path} belongs to another run, with {' and '.join(f'other {key}' for key in other)}",
                hint="remove it to start again, or name another journal (--journal FILE)",
            )
        if len(whole) != len(lines) or not documents:
            with whole_file(self._path) as file:
                file.write(b"".join(whole) if documents else json.dumps(self._subject).encode() + b"\n")
        return results

    def append(self, name: str, result: object) -> None:
        """Note the result of a task, as JSON has it.

        Raises
        ------
        InputError
            The file cannot be written; code LB101.
        """
        line = json.dumps({"name": name, "result": result}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            hint = "name another file; its directory must exist"
            raise InputError(f"{self._path} cannot be written: {error.strerror}", hint=hint, code="LB101") from error


def state_of(file: str | Path) -> dict[str, int]:
    """What changes when a file is written again."""
    status = Path(file).stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def digest(what: object) -> str:
    """The SHA-256 of something as JSON has it."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
