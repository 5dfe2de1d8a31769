"""One record for every integer-only scheme of an operation, and the table of them all, which every floor loops over.

A scheme is a record in a family's file here, and one function of the same name in the same-named file of each floor
that computes: ``oracle/nonlinear/ivit.py``, ``ops/nonlinear/ivit.py`` (with kernels below it) and, where its widths can
be proved, ``proof/nonlinear/ivit.py``. This package lies below those floors, so a record holds the name only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from operator import index
from types import MappingProxyType
from typing import Any, NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.widths import Intermediate, Widths

FAMILIES = ("ivit", "ibert", "fqvit", "lowbit_scheme", "tflite", "litert", "cmsis", "fixed_point", "exact")
"""The files of this package that have ``SCHEMES``, in the order in which schemes are listed and tried."""


@dataclass(frozen=True)
class Operation:
    """An operation that schemes compute."""

    name: str
    function: str  # the public function, as "module:name" in ``lowbit.ops.nonlinear``
    scheme: str  # the scheme that is taken where none is named
    # Whether results may depend on other codes of a row: kernels take rows of a length then, else single codes.
    by_row: bool = True
    highest: int | None = None  # the highest code that it takes; None if there is no limit
    has_vectors: bool = True  # whether ``lowbit check``, ``gen`` and ``audit`` and the golden sets know it

    def call(self, *arguments: Any, **options: Any) -> Any:
        """Call the public function."""
        return resolve("ops", self.function)(*arguments, **options)


OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("softmax", "softmax:softmax", "ivit"),
        Operation("gelu", "gelu:gelu", "ivit"),
        Operation("layernorm", "layernorm:layernorm", "ivit"),
        Operation("rmsnorm", "rmsnorm:rmsnorm", "lowbit"),
        Operation("logistic", "sigmoid:logistic", "tflite_int8", by_row=False),
        Operation("tanh", "sigmoid:tanh", "tflite_int8", by_row=False),
        Operation("exp", "exponential:exp", "ivit", by_row=False, highest=0),
        Operation("l2norm", "l2norm:l2norm", "tflite_int8"),
        Operation("integer_sqrt", "exponential:integer_sqrt", "ibert", by_row=False, has_vectors=False),
    )
}
NONLINEARITIES = tuple(operation.name for operation in OPERATIONS.values() if operation.has_vectors)


class LastRounding(NamedTuple):
    """The shift that makes a result, which a kernel may round in another way."""

    # before, after: which intermediate is shifted into which
    before: str
    after: str
    # By how much; it may depend on what the intermediates of the row were last.
    shift: int | Callable[[Mapping[str, int]], int]
    offset: int = 0  # what is added afterwards
    limits: tuple[int, int] | None = None  # to which the sum is limited
    signed_by_code: bool = False  # whether what is shifted first gets the sign of the code

    def count(self, last: Mapping[str, int]) -> int:
        """By how much it shifts, after these intermediates."""
        return self.shift if isinstance(self.shift, int) else self.shift(last)


class Example(NamedTuple):
    """Parameters at which variants differ: a golden set is made with them, and tests run with them."""

    parameters: Mapping[str, Any]  # the scale and the scheme's own options
    bits: int | None = None  # width of the results; None for the scheme's own
    codes: str = ""  # the type of the codes; "" for the scheme's own
    variants: tuple[str, ...] = ()  # those that it is for, in the order of the manifest; all if empty


@dataclass(frozen=True, eq=False)
class Scheme:
    """How one operation is computed by one product or paper."""

    operation: str
    id: str
    summary: str  # what it is, to follow the id
    # The declared intermediates of a call, from its :class:`Parameters`; the last one is the result.
    steps: Callable[[Parameters], tuple[Intermediate, ...]]
    home: str = ""  # "module:function", the same on every floor; "id:operation" if it is not said
    variants: tuple[str, ...] = ("",)  # the default first; ``("",)`` where there is only one
    options: tuple[str, ...] = ()  # the further keyword arguments that it takes
    # Those of the options that are arrays of one integer for every element of a row, and their types.
    operands: Mapping[str, str] = field(default_factory=dict)
    codes: str = "int8"  # the type of the codes that it is made for
    takes_scale: bool = True  # whether results depend on what a code is worth
    # The width of the result, or that of each variant; 0 where there is nothing to choose.
    own_bits: int | Mapping[str, int] = 0
    bits: Collection[int] = ()  # the widths of the result that a caller may ask for, where there is more than one
    results: str = ""  # the type of the results, where it is not the smallest that holds them
    results_like_codes: bool = False  # whether a kernel's results have the type of its codes
    audited: bool = True  # whether ``proof/nonlinear`` has bounds for it
    # Schemes with the same word here differ in details only: rows are looked for that tell them apart.
    relatives: str = ""
    # Options of which ``lowbit check`` tries every value, rather than believe the one that it is told.
    trials: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    # The :class:`LastRounding` of a call, None where the last step is not a shift.
    last_rounding: Callable[[Parameters], LastRounding | None] = lambda _: None
    # What the intermediate ``centred`` is: a code less the rounded mean ("rounded"), or length times code less the sum
    # ("times_length").
    mean: str = ""
    # How well the claim that the product computes so is founded, a grade of ``EVIDENCE``; "" for a scheme of our own.
    evidence: str = "source"
    # The first one is the scale 0.05, where nothing else is said.
    examples: tuple[Example, ...] = (Example({"scale": 0.05}),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home or f"{self.id}:{self.operation}")

    @property
    def title(self) -> str:
        """``softmax under ivit``."""
        return f"{self.operation} under {self.id}"

    def variant_named(self, name: Any, code: str = "") -> str:
        """The variant of a name; the default for None.

        Raises InputError: there is no such variant.
        """
        if name is None:
            return self.variants[0]
        if name not in self.variants:
            raise InputError(f"{self.title} has no variant {name!r}", hint=_known(name, self.variants), code=code)
        return str(name)

    def checked_bits(self, bits: Any) -> int | None:
        """The width of the result that is asked for; None for the scheme's own.

        Raises InputError: the scheme does not have it.
        """
        if bits is None:
            return None
        width = None if isinstance(bits, bool) or not hasattr(bits, "__index__") else index(bits)
        own = (self.own_bits,) if isinstance(self.own_bits, int) and self.own_bits else ()
        listed = sorted(self.bits or own)
        if width in listed:
            return width
        words = f"{listed[0]} to {listed[-1]}" if len(listed) > 2 else " or ".join(map(str, listed))
        takes = f"takes {words}" if listed else "leaves no choice of width"
        raise InputError(f"bits = {bits!r}: {self.title} {takes}", hint="leave bits out")

    def needs_scale(self, options: Mapping[str, Any]) -> bool:
        """Whether a call with these options needs a scale: a multiplier takes its place."""
        return self.takes_scale and "multiplier" not in options

    def related_to(self, other: Scheme) -> bool:
        """Whether two schemes differ in details only."""
        return self.id == other.id or bool(self.relatives and self.relatives == other.relatives)

    def with_parameters(
        self, variant: str = "", scale: Any = None, bits: int | None = None, **options: Any
    ) -> Parameters:
        """A call's parameters; they are not checked."""
        return Parameters(self, variant or self.variants[0], scale, bits, options)


@dataclass(frozen=True, eq=False)
class Parameters:
    """What a call of a scheme fixes beside its codes."""

    scheme: Scheme
    variant: str
    scale: Any = None  # what one unit of a code is worth, as the caller has it; None if there is none
    bits: int | None = None  # the width of the result that is asked for, None for the scheme's own
    options: Mapping[str, Any] = field(default_factory=dict)  # the scheme's further arguments that are given

    @property
    def result_bits(self) -> int:
        """The width of the result."""
        if self.bits is not None:
            return self.bits
        own = self.scheme.own_bits
        return own if isinstance(own, int) else own[self.variant]

    @property
    def widths(self) -> Widths:
        """The declared intermediates."""
        return _widths(self.scheme, self.variant, self.result_bits)

    @property
    def result_type(self) -> str:
        """NumPy's name of the type of the results."""
        return self.scheme.results or self.widths.steps[-1].container

    def oracle(self, row: list[int], steps: Any) -> list[int]:
        """The results of a row of codes by the oracle, every intermediate passed through ``steps``."""
        answers: list[int] = resolve("oracle", self.scheme.home)(row, self, steps)
        return answers


@lru_cache(maxsize=512)
def _widths(scheme: Scheme, variant: str, bits: int) -> Widths:
    steps = scheme.steps(Parameters(scheme, variant, None, bits))
    return Widths(scheme.operation, scheme.id, variant, steps)


@cache
def schemes(operation: str) -> Mapping[str, Scheme]:
    """Id -> record of every scheme of an operation; empty for one that is not known."""
    records = (record for family in FAMILIES for record in import_module(f"lowbit.nonlinear.{family}").SCHEMES)
    return MappingProxyType({record.id: record for record in records if record.operation == operation})


def get_scheme(operation: str, name: Any, code: str = "") -> Scheme:
    """The record of a scheme, by its id in any case; ``code`` is that of the error.

    Raises InputError: the operation or the scheme is unknown.
    """
    known = schemes(operation)
    if not known:
        raise unknown("operation", operation, OPERATIONS, code)
    if not isinstance(name, str) or name.lower() not in known:
        raise unknown(f"{operation} scheme", name, known, code)
    return known[name.lower()]


@cache
def resolve(floor: str, home: str) -> Any:
    """The function "module:name" in ``lowbit.<floor>.nonlinear``, imported when it is first asked for."""
    module, _, name = home.partition(":")
    return getattr(import_module(f"lowbit.{floor}.nonlinear.{module}"), name)


def unknown(what: str, value: Any, known: Collection[Any], code: str = "") -> InputError:
    """The error for a name that is not in a closed set."""
    return InputError(f"unknown {what}: {value!r}", hint=_known(value, known), code=code)


def _known(value: Any, known: Collection[Any]) -> str:
    names = sorted(str(name) for name in known if name)
    near = get_close_matches(str(value).lower(), names, 1)
    did = f"did you mean {near[0]!r}? " if near else ""
    return did + (f"one of: {', '.join(names)}" if names else "it takes none")
