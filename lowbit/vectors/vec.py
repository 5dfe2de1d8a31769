"""The ``.vec`` file: ``//`` header lines over fixed-width lower-case hexadecimal columns.

``$readmemh`` (IEEE 1800-2017 21.4: white space apart, ``//`` comments), C ``sscanf("%x")`` and ``numpy.loadtxt`` all
read it. Integers are two's complement; the last column is the number of the row's flag. LF line ends. A column of
more than 16 digits holds a row of elements, element 0 in its last digits, as a packed vector of Verilog has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowbit.errors import VectorFileError
from lowbit.files.reading import unreadable
from lowbit.files.whole import write_bytes
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.flags.cast import FLAGS

MAGIC = "// lowbit vectors, version 1"
REQUIRED = ("set", "op", "columns", "rows", "sha256")
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
MEND = "the file is damaged: restore it, or run `lowbit golden regen` if it is one of the golden sets"
TRUNCATED = "the file is truncated: restore it, or run `lowbit golden regen` if it is one of the golden sets"
WORD_DIGITS = 16
WIDEST_COLUMN = 1 << 20
"""Digits of a column."""
_SPACE, _NEWLINE = ord(" "), ord("\n")
_NOT_HEX = 255


@dataclass(frozen=True)
class Column:
    """One column of a file: its name, and how many hexadecimal digits wide it is."""

    name: str
    digits: int

    @property
    def words(self) -> int:
        """How many 64-bit words hold it."""
        return -(-self.digits // WORD_DIGITS)

    @property
    def word_digits(self) -> list[int]:
        """The digits in each word, the most significant first."""
        rest = self.digits % WORD_DIGITS or WORD_DIGITS
        return [rest, *[WORD_DIGITS] * (self.words - 1)]


@dataclass(frozen=True)
class VectorFile:
    """What a ``.vec`` file holds."""

    # Header keys in file order, without columns, rows, flags and sha256, which follow from the rest.
    header: Mapping[str, str]
    columns: tuple[Column, ...]  # the last one is ``flag``
    # Bit patterns, shape (rows, words): a word a column, several (the most significant first) if it has over 16 digits.
    rows: Unsigned = field(repr=False)

    @property
    def flags(self) -> NDArray[np.uint8]:
        """The flag number of each row."""
        return self.rows[:, -1].astype(np.uint8)

    def column(self, name: str) -> Unsigned:
        """The bit patterns of a column.

        Raises VectorFileError: there is no such column.
        """
        words = self.words(name)
        if words.shape[1] > 1:
            raise VectorFileError(f"column {name!r} is wider than 64 bits", hint="VectorFile.words(name)")
        return words[:, 0]

    def words(self, name: str) -> Unsigned:
        """The 64-bit words of a column, the most significant first, shape (rows, words)."""
        start = 0
        for column in self.columns:
            if column.name == name:
                return self.rows[:, start : start + column.words]
            start += column.words
        names = ", ".join(column.name for column in self.columns)
        raise VectorFileError(f"there is no column {name!r}", hint=f"the columns are {names}")


def assemble(header: Mapping[str, str], columns: Sequence[tuple[Column, Unsigned]], flags: ArrayLike) -> VectorFile:
    """A set from its columns, each with its words or with one word a row, and the flag of each row."""
    words = [words.reshape(len(words), -1) for _, words in columns]
    rows = np.concatenate([*words, np.asarray(flags, np.uint64)[:, None]], axis=1)
    return VectorFile(dict(header), (*(column for column, _ in columns), Column("flag", 2)), rows)


def digits_for(bits: int) -> int:
    """How many hexadecimal digits hold that many bits."""
    return -(-bits // 4)


def render_body(columns: tuple[Column, ...], rows: Unsigned) -> bytes:
    """The rows as text."""
    width = sum(column.digits + 1 for column in columns)
    text = np.full((len(rows), width), _SPACE, dtype=np.uint8)
    position = index = 0
    for column in columns:
        for digits in column.word_digits:
            for digit in range(digits):
                shift = np.uint64(4 * (digits - 1 - digit))
                text[:, position + digit] = _HEX[((rows[:, index] >> shift) & np.uint64(15)).astype(np.intp)]
            position += digits
            index += 1
        position += 1
    text[:, -1] = _NEWLINE
    return text.tobytes()


def render(file: VectorFile) -> bytes:
    """The whole file as bytes; the same content gives the same bytes."""
    body = render_body(file.columns, file.rows)
    lines = [MAGIC, *(f"// {key}: {value}" for key, value in file.header.items())]
    lines.append("// columns: " + " ".join(f"{column.name}:{column.digits}" for column in file.columns))
    for number in np.unique(file.flags).tolist():
        flag = FLAGS[number]
        lines.append(f"// flag {number:02x}: {flag.name}: {flag.catches}")
    lines += [f"// rows: {len(file.rows)}", f"// sha256: {hashlib.sha256(body).hexdigest()}"]
    return "\n".join(lines).encode("ascii") + b"\n" + body


def write_vectors(path: str | Path, file: VectorFile) -> None:
    """Write a file, folders included: whole, or not at all."""
    write_bytes(path, render(file), parents=True)


def read_vectors(path: str | Path) -> VectorFile:
    """Read and verify a file: header, columns, number of rows, widths, digits and sha256.

    Raises VectorFileError: naming the file, the line, what is wrong, and how to mend it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = unreadable(path, error)
        raise VectorFileError(problem.message, hint=problem.hint, code=problem.code) from error
    return parse_vectors(data, str(path))


def parse_vectors(data: bytes, name: str = "<bytes>") -> VectorFile:
    """``read_vectors`` from bytes; ``name`` is what errors call them."""
    if b"\r" in data:
        line = data[: data.index(b"\r")].count(b"\n") + 1
        raise _error(
            name, line, "the line ends in CR LF", "restore the LF line ends; git: `*.vec -text` in .gitattributes"
        )
    header, body, lines = _split_header(data, name)
    missing = [key for key in REQUIRED if key not in header]
    if missing:
        raise _error(name, lines, f"the header lacks {', '.join(missing)}", MEND)
    columns = _parse_columns(header.pop("columns"), name)
    count, digest = header.pop("rows"), header.pop("sha256")
    if not count.isdigit():
        raise _error(name, lines, f"rows: {count!r} is not a number", MEND)
    rows = _parse_body(body, columns, int(count), name, lines)
    found = hashlib.sha256(body).hexdigest()
    if found != digest:
        raise _error(
            name,
            lines,
            f"the sha256 of the rows is {found}, the header says {digest}: a row was changed",
            "restore the file, or run `lowbit golden regen` if it is one of the golden sets",
        )
    kept = {key: value for key, value in header.items() if not key.startswith("flag ")}
    return VectorFile(kept, columns, rows)


def _error(name: str, line: int, what: str, hint: str) -> VectorFileError:
    return VectorFileError(f"{name}:{line}: {what}", hint=hint)


def _split_header(data: bytes, name: str) -> tuple[dict[str, str], bytes, int]:
    header: dict[str, str] = {}
    position, line = 0, 0
    while data.startswith(b"//", position):
        end = data.find(b"\n", position)
        line += 1
        if end < 0:
            raise _error(name, line, "the file ends within the header", TRUNCATED)
        text = data[position:end].decode("ascii", errors="replace")
        position = end + 1
        if line == 1:
            if text != MAGIC:
                raise _error(name, 1, f"the first line is {text!r}, not {MAGIC!r}", "this reader knows version 1 only")
            continue
        key, colon, value = text[2:].strip().partition(":")
        if not colon:
            raise _error(name, line, f"{text!r} is not a header line `// key: value`", "restore the file")
        if key in header:
            raise _error(name, line, f"the header gives {key!r} twice", "restore the file")
        header[key] = value.strip()
    if line == 0:
        raise _error(name, 1, "this is not a lowbit vector file", f"the first line must be {MAGIC!r}")
    return header, data[position:], line


def _parse_columns(text: str, name: str) -> tuple[Column, ...]:
    columns = []
    for part in text.split():
        title, _, digits = part.partition(":")
        if not digits.isdigit() or not 1 <= int(digits) <= WIDEST_COLUMN:
            raise VectorFileError(f"{name}: columns: {part!r} is not name:digits", hint="restore the file")
        columns.append(Column(title, int(digits)))
    if not columns or columns[-1].name != "flag":
        raise VectorFileError(f"{name}: columns: {text!r} does not end in flag", hint="restore the file")
    return tuple(columns)


def _parse_body(body: bytes, columns: tuple[Column, ...], count: int, name: str, header_lines: int) -> Unsigned:
    width = sum(column.digits + 1 for column in columns)
    if len(body) != count * width or not _is_regular(body, width):
        raise _locate_damage(body, width, count, name, header_lines)
    text = np.frombuffer(body, dtype=np.uint8).reshape(count, width)
    value_of = np.full(256, _NOT_HEX, dtype=np.uint8)
    value_of[_HEX] = np.arange(16, dtype=np.uint8)
    rows = np.zeros((count, sum(column.words for column in columns)), dtype=np.uint64)
    position = first = 0
    for index, column in enumerate(columns):
        digits = value_of[text[:, position : position + column.digits]]
        if (digits == _NOT_HEX).any():
            line = int(np.argmax((digits == _NOT_HEX).any(axis=1)))
            what = f"column {column.name!r} is not lower-case hexadecimal: {text[line].tobytes()!r}"
            raise _error(name, header_lines + line + 1, what, MEND)
        words = np.repeat(np.arange(column.words), column.word_digits)
        for digit, word in enumerate((first + words).tolist()):
            rows[:, word] = (rows[:, word] << np.uint64(4)) | digits[:, digit]
        first += column.words
        position += column.digits
        separator = _NEWLINE if index == len(columns) - 1 else _SPACE
        if (text[:, position] != separator).any():
            line = int(np.argmax(text[:, position] != separator))
            what = f"column {column.name!r} is not {column.digits} digits wide: {text[line].tobytes()!r}"
            raise _error(name, header_lines + line + 1, what, MEND)
        position += 1
    return rows


def _is_regular(body: bytes, width: int) -> bool:
    """Whether every line is ``width`` bytes long."""
    return body.count(b"\n") * width == len(body) and body[width - 1 :: width] == b"\n" * (len(body) // width)


def _locate_damage(body: bytes, width: int, count: int, name: str, header_lines: int) -> VectorFileError:
    lines = body.split(b"\n")
    ended = lines[-1] == b""
    complete = lines[:-1]
    for index, line in enumerate(complete):
        if len(line) != width - 1:
            what = f"the row is {len(line)} characters long, the columns need {width - 1}: {line[:60]!r}"
            return _error(name, header_lines + index + 1, what, MEND)
    what = f"there are {len(complete)} rows, the header says {count}"
    what += "" if ended else f", and the last line {lines[-1][:60]!r} has no end"
    return _error(name, header_lines + len(complete) + (not ended), what, TRUNCATED)
