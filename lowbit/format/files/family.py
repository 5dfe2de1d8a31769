"""A family of formats: one file whose fields are formulas of a few integer parameters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from lowbit.errors import UnknownFormatError
from lowbit.format.files.facts import check_facts
from lowbit.format.files.formula import evaluate_integer
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar, Source

Formula = int | str
PARAMETER = re.compile(r"\{([A-Z])\}")
"""A parameter in the name of a variant: ``{N}``."""


@dataclass(frozen=True)
class Parameter:
    """An integer parameter of a family: a range, and single values beside it."""

    name: str  # one capital letter
    # minimum, maximum: bounds; formulas of the parameters before it
    minimum: Formula
    maximum: Formula
    also: tuple[int, ...] = ()  # values outside the range
    meaning: str = ""  # what it stands for


@dataclass(frozen=True)
class Variant:
    """One spelling of the members of a family, with the formulas of its fields."""

    name: str  # the id with parameters in braces: ``int{N}``
    aliases: tuple[str, ...]  # other spellings with the same parameters
    summary: str
    # Bounds of parameters that are narrower here than in the family.
    limits: Mapping[str, tuple[Formula | None, Formula | None]]
    # Formulas (bits, exponent, mantissa, bias, infinity, nan, fraction) and flags (signed, narrow).
    fields: Mapping[str, Formula | bool]

    @cached_property
    def expressions(self) -> list[re.Pattern[str]]:
        """What the id and each alias look like, lower case."""
        return [re.compile(_expression(name)) for name in (self.name, *self.aliases)]


@dataclass(frozen=True)
class Family:
    """A parametric family of formats.

    Attributes
    ----------
    id : str
        ``"integer"``, ``"fixed"``, ``"p3109"``.
    kind : str
        Kind of its members.
    summary : str
        What its members are.
    version : str
        Version of the specification that it follows, "" where there is none.
    listed : bool
        Whether ``lowbit.formats()`` lists its members unasked.
    parameters : tuple of Parameter
    variants : tuple of Variant
    default_policy : str
        The preset that ``encode`` follows unasked.
    source : Source
    facts : mapping of member id to its facts
    path : Path
        The file.
    """

    id: str
    kind: str
    summary: str
    version: str
    listed: bool
    parameters: tuple[Parameter, ...]
    variants: tuple[Variant, ...]
    default_policy: str
    source: Source = field(repr=False)
    facts: Mapping[str, Mapping[str, str]] = field(repr=False)
    path: Path = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The spellings of the ids of its members: ``("int{N}", "uint{N}", ...)``."""
        return tuple(variant.name for variant in self.variants)

    def find(self, name: str) -> Scalar | None:
        """The member of that name (lower case), or None where the name is not of this family.

        Raises
        ------
        UnknownFormatError
            The name is of this family, but a parameter is out of range.
        """
        for variant in self.variants:
            for expression in variant.expressions:
                match = expression.fullmatch(name)
                if match:
                    values = {key: int(text) for key, text in match.groupdict().items()}
                    self._check_limits(name, variant, values)
                    return self._make(variant, values)
        return None

    def is_like(self, name: str) -> bool:
        """Whether a name begins with nearly the letters of a variant; only then its members, many, are worth a look."""
        stems = {
            spelling.partition("{")[0] for variant in self.variants for spelling in (variant.name, *variant.aliases)
        }
        letters = itertools.takewhile(lambda letter: not letter.isdigit(), name)
        return bool(get_close_matches("".join(letters), stems, n=1))

    def members(self) -> Iterator[str]:
        """The ids of all members, in the order of the parameters."""
        found = []
        for position, variant in enumerate(self.variants):
            found += [(tuple(values.values()), position, variant, values) for values in self._all_values(variant)]
        for _, _, variant, values in sorted(found, key=lambda row: row[:2]):
            yield _fill(variant.name, values)

    def _limits(self, variant: Variant, parameter: Parameter, values: Mapping[str, int]) -> tuple[int, int]:
        low, high = variant.limits.get(parameter.name, (None, None))
        return (
            evaluate_integer(parameter.minimum if low is None else low, values),
            evaluate_integer(parameter.maximum if high is None else high, values),
        )

    def _check_limits(self, name: str, variant: Variant, values: Mapping[str, int]) -> None:
        for parameter in self.parameters:
            value = values[parameter.name]
            low, high = self._limits(variant, parameter, values)
            if not low <= value <= high and value not in parameter.also:
                also = f" and not {' or '.join(map(str, parameter.also))}" if parameter.also else ""
                raise UnknownFormatError(
                    f"format {name!r}: {parameter.name} = {value} is outside {low}..{high}{also} "
                    f"({parameter.name}: {parameter.meaning})",
                    hint=f"{variant.name} is of the family {self.id!r}: {self.summary}",
                )

    def _all_values(self, variant: Variant) -> Iterator[dict[str, int]]:
        rows: list[dict[str, int]] = [{}]
        for parameter in self.parameters:
            grown = []
            for row in rows:
                low, high = self._limits(variant, parameter, row)
                values = itertools.chain(range(low, high + 1), (value for value in parameter.also if value > high))
                grown += [{**row, parameter.name: value} for value in values]
            rows = grown
        yield from rows

    def _make(self, variant: Variant, values: Mapping[str, int]) -> Scalar:
        identifier = _fill(variant.name, values)
        number = {
            key: evaluate_integer(text, values) for key, text in variant.fields.items() if not isinstance(text, bool)
        }
        facts = self.facts.get(identifier, MappingProxyType({}))
        common = {
            "id": identifier,
            "bits": number["bits"],
            "signed": bool(variant.fields["signed"]),
            "aliases": tuple(_fill(alias, values) for alias in variant.aliases),
            "family": self.id,
            "summary": variant.summary or self.summary,
            "default_policy": self.default_policy,
            "source": self.source,
            "facts": facts,
        }
        fmt: Scalar
        if self.kind == "float":
            fmt = _float(common, number)
        else:
            narrow = bool(variant.fields.get("narrow", False))
            fmt = FixedFormat(**common, fraction_bits=number.get("fraction", 0), narrow=narrow)  # type: ignore[arg-type]
        check_facts(fmt, facts)
        return fmt


def _float(common: Mapping[str, object], number: Mapping[str, int]) -> FloatFormat:
    """A member of a float family, whose only NaN and +infinity are given as codes."""
    magnitude_bits = number["exponent"] + number["mantissa"]
    nan = number.get("nan")
    nan_at_negative_zero = nan is not None and nan == 1 << magnitude_bits
    return FloatFormat(
        **common,  # type: ignore[arg-type]
        exponent_bits=number["exponent"],
        mantissa_bits=number["mantissa"],
        bias=number["bias"],
        infinity=number.get("infinity"),
        nan=None if nan_at_negative_zero else nan,
        nan_at_negative_zero=nan_at_negative_zero,
    )


def _fill(name: str, values: Mapping[str, int]) -> str:
    return PARAMETER.sub(lambda match: str(values[match[1]]), name)


def _expression(name: str) -> str:
    pieces = PARAMETER.split(name.replace(".", "\0"))
    for index in range(1, len(pieces), 2):
        pieces[index] = f"(?P<{pieces[index]}>0|[1-9][0-9]*)"
    for index in range(0, len(pieces), 2):
        pieces[index] = re.escape(pieces[index].replace("\0", ".").lower())
    return "".join(pieces)
