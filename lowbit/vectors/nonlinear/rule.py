"""An integer-only nonlinearity with all its parameters: what is checked, and what a golden set is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.format import registry
from lowbit.format.scalar import FixedFormat
from lowbit.nonlinear.scheme import OPERATIONS, Parameters, Scheme, get_scheme
from lowbit.nonlinear.widths import Widths
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.case import Array

Row = list[int]
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64")


@dataclass(frozen=True)
class Nonlinearity:
    """An operation under a scheme with everything fixed but the codes."""

    # operation, scheme, variant: ``variant`` is "" where the scheme has one only
    operation: str
    scheme: str
    variant: str = ""
    scale: float | None = None
    bits: int | None = None  # width of the result; None for the scheme's own
    options: tuple[tuple[str, float | str], ...] = ()  # the scheme's further parameters
    overflow: str = "wrap"  # what an intermediate beyond its width becomes: "wrap", "saturate"

    @property
    def label(self) -> str:
        """``ivit, variant torch, 8 bits``."""
        words = [self.scheme]
        if self.variant:
            words.append(f"variant {self.variant}")
        if self.bits is not None:
            words.append(f"{self.bits} bits")
        words += [f"{name} {value}" for name, value in self.options]
        if self.overflow != "wrap":
            words.append("intermediates saturating")
        return ", ".join(words)

    @property
    def record(self) -> Scheme:
        """The scheme's record."""
        return get_scheme(self.operation, self.scheme)

    @property
    def parameters(self) -> Parameters:
        """What the oracle takes beside codes and operands."""
        return Parameters(self.record, self.variant, self.scale, self.bits, dict(self.options))

    @property
    def widths(self) -> Widths:
        """The declared intermediates."""
        return self.parameters.widths

    @property
    def by_row(self) -> bool:
        """Whether a result depends on other codes of its row."""
        return OPERATIONS[self.operation].by_row

    def highest(self, source: FixedFormat) -> int:
        """The highest code of a format that the operation takes."""
        limit = OPERATIONS[self.operation].highest
        return source.max_code if limit is None else limit

    @property
    def per_element(self) -> Mapping[str, str]:
        """The operands that it takes beside the codes, and their types."""
        return self.record.operands

    def run(self, codes: Array, operands: Mapping[str, Array] | None = None) -> Array:
        """The results of rows of codes, by the kernels, in their own dtype.

        Raises InputError: the scheme is not defined for them.
        """
        options: dict[str, Any] = {"scheme": self.scheme, "overflow": self.overflow, **dict(self.options)}
        options |= {name: operands[name] for name in self.per_element} if operands else {}
        if self.variant:
            options["variant"] = self.variant
        if self.scale is not None:
            options["scale"] = self.scale
        if self.bits is not None:
            options["bits"] = self.bits
        return np.asarray(OPERATIONS[self.operation].call(codes, **options))

    def by_oracle(self, row: Row, operands: Mapping[str, Sequence[int]], steps: Steps | None = None) -> Row:
        """The results of one row, by the oracle; ``steps`` see every intermediate."""
        parameters = replace(self.parameters, options={**dict(self.options), **operands})
        return parameters.oracle(row, steps or Steps(self.widths, self.overflow))

    def result_dtype(self, source: FixedFormat) -> str:
        """NumPy's name of the type of the results.

        Raises InputError: the scheme does not take these codes or parameters.
        """
        codes = np.array([[source.min_code, source.min_code + 1, 0, 0]], source.code_dtype)
        operands = {name: np.ones(codes.shape[1], dtype) for name, dtype in self.per_element.items()}
        return self.run(codes, operands).dtype.name


def chosen(
    operation: str,
    scheme: str = "",
    *,
    variant: str = "",
    scale: float | None = None,
    source: str = "",
    target: str = "",
    options: Mapping[str, float | str] | None = None,
) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """A nonlinearity of given types: the scheme's own ones where none are named.

    Returns Nonlinearity, source format, result format.

    Raises InputError: an unknown scheme, variant or option, types that the scheme does not have, or a scale that it
    lacks.
    """
    record = get_scheme(operation, scheme or OPERATIONS[operation].scheme, "LB100")
    variant = record.variant_named(variant or None, "LB100")
    if scale is None and record.needs_scale(options or {}):
        hint = "scale=0.05, say: what one unit of a code is worth"
        raise InputError(f"{record.title} depends on the scale of the codes", hint=hint, code="LB100")
    own = Nonlinearity(operation, record.id, variant, scale, None, tuple((options or {}).items()))
    codes = integer_format(source or record.codes)
    if record.results_like_codes:
        target = target or codes.id
    for bits in dict.fromkeys((None, *((integer_format(target).bits,) if target else (8, 16)))):
        some = replace(own, bits=bits)
        dtype = _dtype_or_none(some, codes)
        if dtype is not None and target in ("", dtype):
            return some, codes, integer_format(dtype)
    if target and (dtype := _dtype_or_none(own, codes)):
        raise InputError(
            f"{operation} under {own.label} gives {dtype}, not {target}", hint="leave the type out", code="LB100"
        )
    own.result_dtype(codes)  # says what is wrong
    raise InputError(f"{operation} under {own.label} does not take {codes.id}", code="LB100")


def _dtype_or_none(nonlinearity: Nonlinearity, codes: FixedFormat) -> str | None:
    try:
        return nonlinearity.result_dtype(codes)
    except (LowbitError, TypeError):
        return None


def integer_format(name: str) -> FixedFormat:
    """An integer format that has a NumPy dtype."""
    fmt = registry.scalar_format(name)
    if fmt.id not in DTYPES:
        raise InputError(f"{fmt.id} is not a type of codes here", hint=f"one of: {', '.join(DTYPES)}", code="LB100")
    return registry.integer_format(fmt)
