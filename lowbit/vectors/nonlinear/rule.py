"""An integer-only nonlinearity with all its parameters: what is checked, and what a golden set is of."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.format import registry
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array

OPERATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "softmax": ("lowbit.ops.nonlinear.softmax", "SOFTMAX_SCHEMES"),
        "gelu": ("lowbit.ops.nonlinear.gelu", "GELU_SCHEMES"),
        "layernorm": ("lowbit.ops.nonlinear.layernorm", "LAYERNORM_SCHEMES"),
        "logistic": ("lowbit.ops.nonlinear.logistic", "LOGISTIC_SCHEMES"),
        "tanh": ("lowbit.ops.nonlinear.tanh", "TANH_SCHEMES"),
        "exp": ("lowbit.ops.nonlinear.exponential", "EXP_SCHEMES"),
        "l2norm": ("lowbit.ops.nonlinear.l2norm", "L2NORM_SCHEMES"),
    }
)
"""Operation -> the module of its function, and the table of its schemes there."""

DEFAULT_SCHEMES: Mapping[str, str] = MappingProxyType(
    {"logistic": "tflite_int8", "tanh": "tflite_int8", "l2norm": "tflite_int8"}
)
SINGLE_CODES = frozenset({"logistic", "tanh", "exp"})
"""Operations whose codes never meet: their functions take n codes, the others rows of a length."""
PER_ELEMENT = ("weights", "biases")
"""Operands beside the codes, one of each for every element of a row."""
WITHOUT_SCALE = frozenset({"gemmlowp", "tosa"})
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64")


@dataclass(frozen=True)
class Nonlinearity:
    """An operation under a scheme with everything fixed but the codes.

    Attributes
    ----------
    operation, scheme, variant : str
        ``variant`` is "" where the scheme has one only.
    scale : float or None
    bits : int or None
        Width of the result; None for the scheme's own.
    options : tuple of (str, number)
        The scheme's further parameters.
    overflow : {"wrap", "saturate"}
        What an intermediate beyond its width becomes.
    """

    operation: str
    scheme: str
    variant: str = ""
    scale: float | None = None
    bits: int | None = None
    options: tuple[tuple[str, float], ...] = ()
    overflow: str = "wrap"

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
    def by_row(self) -> bool:
        """Whether a result depends on other codes of its row."""
        return self.operation not in SINGLE_CODES

    @property
    def per_element(self) -> tuple[str, ...]:
        """The operands that it takes beside the codes."""
        return PER_ELEMENT if (self.operation, self.scheme) == ("layernorm", "tflite_int16") else ()

    def run(self, codes: Array, operands: Mapping[str, Array] | None = None) -> Array:
        """The results of rows of codes, by the kernels, in their own dtype.

        Raises
        ------
        InputError
            The scheme is not defined for them.
        """
        module, _ = OPERATIONS[self.operation]
        function = getattr(importlib.import_module(module), "exp" if self.operation == "exp" else self.operation)
        given: dict[str, Any] = {"scheme": self.scheme, "overflow": self.overflow, **dict(self.options)}
        given |= {name: operands[name] for name in self.per_element} if operands else {}
        if self.variant:
            given["variant"] = self.variant
        if self.scale is not None:
            given["scale"] = self.scale
        if self.bits is not None:
            given["bits"] = self.bits
        return np.asarray(function(codes, **given))

    def result_dtype(self, source: FixedFormat) -> str:
        """NumPy's name of the type of the results.

        Raises
        ------
        InputError
            The scheme does not take these codes or parameters.
        """
        codes = np.array([[source.min_code, source.min_code + 1, 0, 0]], source.code_dtype)
        operands = {name: np.ones(codes.shape[1], dtype) for name, dtype in zip(PER_ELEMENT, ("i2", "i4"), strict=True)}
        return self.run(codes, operands).dtype.name


def schemes(operation: str) -> Mapping[str, str]:
    """Scheme -> module that runs it, of an operation."""
    module, name = OPERATIONS[operation]
    found: Mapping[str, str] = getattr(importlib.import_module(module), name)
    return found


def variants(operation: str, scheme: str) -> tuple[str, ...]:
    """The variants of a scheme, the default first."""
    found: tuple[str, ...] = importlib.import_module(schemes(operation)[scheme]).VARIANTS
    return found


def option_names(operation: str, scheme: str) -> frozenset[str]:
    """The further parameters that a scheme takes."""
    found: frozenset[str] = importlib.import_module(schemes(operation)[scheme]).OPTIONS
    return found


def own_source(scheme: str) -> str:
    """The input type of a scheme that is not told one."""
    if scheme == "tosa" or scheme.endswith("int16"):
        return "int16"
    return "int32" if scheme == "gemmlowp" else "int8"


def chosen(
    operation: str,
    scheme: str = "",
    *,
    variant: str = "",
    scale: float | None = None,
    source: str = "",
    target: str = "",
    options: Mapping[str, float] | None = None,
) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """A nonlinearity of given types: the scheme's own ones where none are named.

    Returns
    -------
    Nonlinearity, source format, result format

    Raises
    ------
    InputError
        An unknown scheme, variant or option, types that the scheme does not have, or a scale that it lacks.
    """
    scheme = scheme or DEFAULT_SCHEMES.get(operation, "ivit")
    if scheme not in schemes(operation):
        known = ", ".join(schemes(operation))
        raise InputError(f"unknown {operation} scheme: {scheme!r}", hint=f"one of: {known}", code="LB100")
    known_variants = variants(operation, scheme)
    if variant and variant not in known_variants:
        listed = ", ".join(known_variants) if known_variants[0] else "it has none"
        raise InputError(f"{operation} under {scheme} has no variant {variant!r}", hint=listed, code="LB100")
    if scale is None and needs_scale(operation, scheme, options or {}):
        hint = "0.05, say: what one unit of a code is worth"
        raise InputError(f"{operation} under {scheme} depends on the scale of the codes", hint=hint, code="LB100")
    made = Nonlinearity(operation, scheme, variant or known_variants[0], scale, None, tuple((options or {}).items()))
    codes = integer_format(source or own_source(scheme))
    if scheme == "gemmlowp":
        target = target or codes.id  # a function of 32 bits takes narrower codes, but nobody means that
    for bits in dict.fromkeys((None, *((integer_format(target).bits,) if target else (8, 16)))):
        some = Nonlinearity(made.operation, made.scheme, made.variant, made.scale, bits, made.options)
        dtype = _dtype_or_none(some, codes)
        if dtype is not None and target in ("", dtype):
            return some, codes, integer_format(dtype)
    if target and (dtype := _dtype_or_none(made, codes)):
        raise InputError(
            f"{operation} under {made.label} gives {dtype}, not {target}", hint="leave the type out", code="LB100"
        )
    dtype = made.result_dtype(codes)  # says what is wrong
    raise InputError(f"{operation} under {made.label} does not take {codes.id}", code="LB100")


def _dtype_or_none(made: Nonlinearity, codes: FixedFormat) -> str | None:
    try:
        return made.result_dtype(codes)
    except (LowbitError, TypeError):
        return None


def needs_scale(operation: str, scheme: str, options: Mapping[str, float]) -> bool:
    """Whether the results depend on the scale of the codes."""
    if operation in ("l2norm", "layernorm") or scheme in WITHOUT_SCALE:
        return False
    return "multiplier" not in options


def integer_format(name: str) -> FixedFormat:
    """An integer format that has a NumPy dtype."""
    fmt = registry.scalar_format(name)
    if fmt.id not in DTYPES:
        raise InputError(f"{fmt.id} is no type of codes here", hint=f"one of: {', '.join(DTYPES)}", code="LB100")
    return registry.integer_format(fmt)
