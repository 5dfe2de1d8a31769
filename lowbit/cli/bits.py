"""Codes as people write them: hexadecimal, bits split by field; and the bits in colour."""

from __future__ import annotations

from lowbit.cli.terminal import FIELD_STYLES, Terminal
from lowbit.errors import InputError
from lowbit.format.protocol import Element

CODE_FORMS = "write 0x3c, 0b00111100, 0.0111.100 or a decimal integer"


def painted(code: int, fmt: Element, terminal: Terminal) -> str:
    """The bits of a code with a point between fields, ``0.0111.100``, each field in its colour."""
    parts = zip(fmt.fields, fmt.split(code).split("."), strict=True)
    return ".".join(terminal.paint(text, FIELD_STYLES[field.name]) for field, text in parts)


def parse_code(text: str, fmt: Element) -> int:
    """Read a code: ``0x3c``, ``0b0_0111_100``, ``0.0111.100`` (split by field) or a decimal integer.

    Patterns in hexadecimal and binary are two's complement for fixed point; a decimal integer is the code itself.

    Raises InputError: the text is not an integer, or not a code of the format.
    """
    digits = text.strip().lower()
    if "." in digits:
        return checked_code(_split_pattern(digits, fmt, text), fmt, text, pattern=True)
    pattern = digits.startswith(("0x", "0b"))
    # int() alone would take digits of other scripts, and underscores in decimals.
    readable = digits.isascii() and (pattern or "_" not in digits)
    try:
        code = int(digits if readable else "", 0 if pattern else 10)
    except ValueError as error:
        raise InputError(f"{text!r} is not a code of {fmt.id}", hint=CODE_FORMS) from error
    return checked_code(code, fmt, text, pattern=pattern)


def _split_pattern(digits: str, fmt: Element, text: str) -> int:
    """The bits of ``0.0111.100``, which are split as :meth:`Element.split` splits them."""
    parts, widths = digits.removeprefix("0b").split("."), [field.width for field in fmt.fields]
    if [len(part) for part in parts] != widths or set("".join(parts)) - {"0", "1"}:
        example = ".".join("0" * width for width in widths)
        names = ", ".join(f"{field.name} {field.width}" for field in fmt.fields)
        raise InputError(
            f"{text!r} is not a code of {fmt.id}: the fields have other widths ({names})",
            hint=f"split the bits as in {example}, or write them without points: 0b{example.replace('.', '')}",
        )
    return int("".join(parts), 2)


def checked_code(code: int, fmt: Element, text: str, *, pattern: bool) -> int:
    """The code, if the format has it; a bit pattern of a signed fixed-point format becomes the signed value."""
    if pattern or not fmt.wraps:
        if not 0 <= code < 1 << fmt.bits:
            raise InputError(f"{text} is not a code of {fmt.id}: the codes have {fmt.bits} bits")
        code = fmt.from_pattern(code)
    if code not in fmt.codes:
        raise InputError(f"{text} is not a code of {fmt.id}: the codes are {fmt.codes[0]} to {fmt.codes[-1]}")
    return code
