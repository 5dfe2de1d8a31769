"""Codes as people read them: hexadecimal, bits split by field, the class of a code; and the way back."""

from __future__ import annotations

from typing import NamedTuple

from lowbit.cli.terminal import FIELD_STYLES, Terminal
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar

CODE_FORMS = "write 0x3c, 0b00111100, 0.0111.100 or a decimal integer"


class Field(NamedTuple):
    """A field of a code: bits ``high`` down to ``low``, written ``high:low`` as in Verilog."""

    name: str
    letter: str
    high: int
    low: int

    @property
    def width(self) -> int:
        return self.high - self.low + 1

    @property
    def span(self) -> str:
        return f"{self.high}:{self.low}" if self.width > 1 else str(self.high)


def scalar_format(name: str) -> Scalar:
    """The scalar format of that name; the errors are those of ``get_format``."""
    fmt = get_format(name)
    if not isinstance(fmt, FloatFormat | FixedFormat):
        raise InputError(f"{fmt.id} is not a scalar format")
    return fmt


def fields(fmt: Scalar) -> list[Field]:
    """The fields of a code, the most significant first; empty ones are left out."""
    if isinstance(fmt, FloatFormat):
        widths = [
            ("sign", "s", int(fmt.signed)),
            ("exponent", "e", fmt.exponent_bits),
            ("mantissa", "m", fmt.mantissa_bits),
        ]
    else:
        fraction = min(max(fmt.fraction_bits, 0), fmt.bits)
        widths = [("integer", "i", fmt.bits - fraction), ("fraction", "f", fraction)]
    found, high = [], fmt.bits - 1
    for name, letter, width in widths:
        if width:
            found.append(Field(name, letter, high, high - width + 1))
            high -= width
    return found


def raw(code: int, fmt: Scalar) -> int:
    """The bit pattern of a code as a non-negative integer: two's complement for fixed point."""
    return code & ((1 << fmt.bits) - 1)


def hexadecimal(code: int, fmt: Scalar) -> str:
    """A code in hexadecimal, as wide as the format."""
    return f"0x{raw(code, fmt):0{-(-fmt.bits // 4)}x}"


def split(code: int, fmt: Scalar, terminal: Terminal | None = None) -> str:
    """The bits of a code, most significant first, with a point between fields: ``0.0111.100``."""
    pattern = raw(code, fmt)
    parts = []
    for field in fields(fmt):
        text = f"{pattern >> field.low & (1 << field.width) - 1:0{field.width}b}"
        parts.append(terminal.paint(text, FIELD_STYLES[field.name]) if terminal else text)
    return ".".join(parts)


def classify(code: int, fmt: Scalar) -> str:
    """``zero``, ``subnormal``, ``normal``, ``infinity`` or ``nan``; ``value`` for fixed point."""
    if isinstance(fmt, FixedFormat):
        return "value" if code else "zero"
    magnitude = code & ~fmt.sign_bit
    if fmt.nan_at_negative_zero and code == fmt.sign_bit:
        return "nan"
    if fmt.nan is not None and magnitude >= fmt.nan:
        return "nan"
    if magnitude == fmt.infinity:
        return "infinity"
    if magnitude == 0 and fmt.zero:
        return "zero"
    return "normal" if magnitude >= fmt.min_normal_code else "subnormal"


def parse_code(text: str, fmt: Scalar) -> int:
    """Read a code: ``0x3c``, ``0b0_0111_100``, ``0.0111.100`` (split by field) or a decimal integer.

    Patterns in hexadecimal and binary are two's complement for fixed point; a decimal integer is the code itself.

    Raises
    ------
    InputError
        The text is no integer, or no code of the format.
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


def _split_pattern(digits: str, fmt: Scalar, text: str) -> int:
    """The bits of ``0.0111.100``, which are split as :func:`split` splits them."""
    parts, widths = digits.removeprefix("0b").split("."), [field.width for field in fields(fmt)]
    if [len(part) for part in parts] != widths or set("".join(parts)) - {"0", "1"}:
        example = ".".join("0" * width for width in widths)
        names = ", ".join(f"{field.name} {field.width}" for field in fields(fmt))
        raise InputError(
            f"{text!r} is not a code of {fmt.id}: the fields have other widths ({names})",
            hint=f"split the bits as in {example}, or write them without points: 0b{example.replace('.', '')}",
        )
    return int("".join(parts), 2)


def checked_code(code: int, fmt: Scalar, text: str, *, pattern: bool) -> int:
    """The code, if the format has it; a bit pattern of a signed fixed-point format becomes the signed value."""
    if isinstance(fmt, FloatFormat) or pattern:
        if not 0 <= code < 1 << fmt.bits:
            raise InputError(f"{text} is not a code of {fmt.id}: the codes have {fmt.bits} bits")
        if isinstance(fmt, FixedFormat) and fmt.signed and code >> (fmt.bits - 1):
            code -= 1 << fmt.bits
    if isinstance(fmt, FixedFormat) and not fmt.min_code <= code <= fmt.max_code:
        raise InputError(f"{text} is not a code of {fmt.id}: the codes are {fmt.min_code} to {fmt.max_code}")
    return code
