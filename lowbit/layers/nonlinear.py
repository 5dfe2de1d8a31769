"""A nonlinearity of a scheme as part of a layer, and the layers that are little else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lowbit.errors import InputError
from lowbit.layers.add import products_of
from lowbit.layers.fields import Fields
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, is_integer
from lowbit.layers.requantize import Output, Rescale, centred, check_output, finished, finished_bounds
from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.ivit import SOFTMAX_SHIFT, unit_code
from lowbit.nonlinear.scheme import OPERATIONS, Parameters, Scheme, get_scheme, resolve, unknown
from lowbit.nonlinear.widths import Intermediate
from lowbit.ops.nonlinear.dispatch import Answer, Request
from lowbit.ops.types import Array
from lowbit.policy.requantize import RequantizeScheme

SHIFT_INVARIANT = ("softmax", "layernorm")
"""Functions of differences of codes, which a zero point leaves as they are."""
LONGEST = 1 << 20
"""A row that a layer can be made for, since a row of that length is tried."""
FEW_BITS = 8
"""Codes of so many bits are all tried for a bound."""


@dataclass(frozen=True, eq=False)
class Nonlinearity(Fields):
    """Softmax, GELU, LayerNorm, ... as an integer-only scheme computes it.

    Attributes
    ----------
    function : str
        ``softmax``, ``gelu``, ``layernorm``, ``rmsnorm``, ``logistic``, ``tanh``, ``exp`` or ``l2norm``.
    scheme, variant : str
        ``lowbit list schemes`` lists the schemes; the variant ``""`` is the scheme's first.
    bits : int, optional
        The width of the result, where the scheme leaves a choice.
    options : mapping of str to int or str
        Further arguments of the scheme.

    Raises
    ------
    InputError
        The function, scheme, variant or an option is unknown, or the scheme does not have the width.
    """

    function: str
    scheme: str
    variant: str = ""
    bits: int | None = None
    options: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        record = self.record
        record.variant_named(self.variant or None)
        record.checked_bits(self.bits)
        for name in self.options:
            if name not in record.options:
                raise unknown(f"argument of {record.title}", name, record.options)

    @cached_property
    def record(self) -> Scheme:
        """What the scheme says of itself."""
        return get_scheme(self.function, self.scheme)

    def parameters(self, input: Quantity) -> Parameters:
        """All that a call fixes beside the codes."""
        options = dict(self.options)
        if input.zero_point and "zero_point" in self.record.options:
            options["zero_point"] = input.zero_point
        scale = input.scale if self.record.needs_scale(options) else None
        return self.record.with_parameters(self.variant, scale, self.bits, **options)

    def operand(self, codes: Array, input: Quantity) -> Array:
        """Codes as the scheme takes them: less their zero point, unless it does without or knows it."""
        if input.zero_point and self.function not in SHIFT_INVARIANT and "zero_point" not in self.record.options:
            codes = centred(codes, input.zero_point)
            return codes.astype(np.int16) if input.scalar.bits < 16 else codes
        return codes

    def answer(self, codes: Array, input: Quantity) -> Answer:
        """The results of codes along the last axis, and what one unit of them is worth."""
        codes = self.operand(codes, input)
        rows = np.ascontiguousarray(codes).reshape(-1, codes.shape[-1])
        answer: Answer = resolve("ops", self.record.home)(Request(rows, self.parameters(input), "wrap"))
        return answer._replace(codes=answer.codes.reshape(codes.shape))

    def trial(self, input: Quantity, length: int) -> Answer:
        """The results of some codes of a row of that length.

        Raises InputError: the scheme does not take such codes, or gives exponents.
        """
        codes = input.scalar.codes
        row = np.arange(length) % 7 + max(codes[0], input.zero_point - 3)
        answer = self.answer(np.minimum(row, codes[-1]).astype(input.scalar.code_dtype), input)
        if answer.exponents or answer.scale is None:
            raise InputError(f"{self.record.title} gives no codes of a scale, which a layer needs")
        return answer

    def declared(self, input: Quantity) -> Intermediate:
        """The result as the scheme declares it."""
        return self.parameters(input).widths.steps[-1]

    @property
    def by_row(self) -> bool:
        """Whether a result depends on other codes of a row: of the schemes of GELU only I-ViT's does."""
        return OPERATIONS[self.function].by_row and (self.function != "gelu" or self.scheme == "ivit")

    def interval(self, input: Quantity, codes: Interval) -> Interval:
        """Where the results lie: of all codes of a narrow format, if each is for itself, else as they are declared."""
        if self.by_row or input.scalar.bits > FEW_BITS:
            declared = self.declared(input)
            low = self.trial(input, 8).zero_point if self.function == "softmax" else declared.low
            return Interval.of(low, declared.high)
        every = np.arange(int(codes.low.min()), int(codes.high.max()) + 1).astype(input.scalar.code_dtype)
        results = self.answer(every, input).codes
        return Interval.of(results.min(), results.max())

    def largest_total(self, input: Quantity, length: int) -> int:
        """What the results of a row of a softmax, less their zero point, add up to at most.

        Where the sum that they are divided by is not clamped, they are exact shares of it but for a rounding each.
        """
        answer = self.trial(input, length)
        one = round(1 / float(answer.scale))
        if self.scheme == "ivit":  # sums of exponentials of at most |x0| * 2^15 are clamped to 2^31 - 1
            variant = self.variant or self.record.variants[0]
            largest = -unit_code(scale32(input.scale), variant) << SOFTMAX_SHIFT[variant]
            shares = variant != "tvm" and length * largest < 1 << 31
        else:
            shares = self.scheme in ("lowbit", "ibert", "exact", "tflite_int8")
        return one + length if shares else length * (int(self.interval(input, input.interval).high) - answer.zero_point)


class _OfOneFunction(Layer):
    """Layers of one function, whose results for all codes of 8 bits are found once, if each is for itself."""

    function: Nonlinearity

    @cached_property
    def _results(self) -> Array | None:
        """The result of each code by its bits; None where there are too many, or a result depends on a row."""
        if self.function.by_row or self.input.format not in ("int8", "uint8"):
            return None
        every = np.arange(1 << FEW_BITS, dtype=np.uint8).view(self.input.format)
        *_, last = self.steps(every)
        return last.codes

    def __call__(self, *codes: Array) -> Array:
        """The result's codes; as ``intermediates`` gives them."""
        if len(codes) != 1 or self._results is None:
            return super().__call__(*codes)
        self.input.check(codes[0], f"{self.operation}: input")
        if self._results.itemsize > 1:
            return self._results.take(codes[0].view(np.uint8))
        from lowbit.kernels.cast.gather import gather

        places = np.ascontiguousarray(codes[0]).view(np.uint8).reshape(-1)
        results = np.empty_like(places)
        gather(places, self._results.view(np.uint8), results)
        return results.view(self._results.dtype).reshape(codes[0].shape)


@dataclass(frozen=True, eq=False)
class Activation(_OfOneFunction):
    """A nonlinearity, and what follows it.

    Attributes
    ----------
    input : Quantity
    function : Nonlinearity
    output : Rescale or Quantity
        A Rescale of the results less their zero point, or a Quantity that says what they mean as they are.
    """

    operation = "activation"
    input: Quantity
    function: Nonlinearity
    output: Output

    def __post_init__(self) -> None:
        super().__post_init__()
        answer = self.function.trial(self.input, 8)
        if isinstance(self.output, Rescale):
            self.output.check_channels(1, self.operation)
        else:
            self.require(isinstance(self.output, Quantity), f"output is of {type(self.output).__name__}")
            have = answer.codes.dtype, answer.zero_point
            wanted = np.dtype(self.output.scalar.code_dtype), self.output.zero_point
            words = f"results are {have[0]} with zero point {have[1]}, not {wanted[0]} with {wanted[1]}"
            self.require(have == wanted, words)

    @classmethod
    def from_scales(
        cls, input: Quantity, function: Nonlinearity, scheme: str | RequantizeScheme, result: Quantity
    ) -> Activation:
        """The layer with the multiplier that a requantisation scheme derives from the scales of the results."""
        unit = float(function.trial(input, 8).scale)
        return cls(input, function, Rescale.from_scale(unit / result.scale, scheme, result))

    def steps(self, *codes: Array) -> Iterator[Step]:
        answer, declared = self.function.answer(codes[0], self.input), self.function.declared(self.input)
        yield Step(self.function.function, answer.codes, declared.bits, declared.signed)
        if isinstance(self.output, Rescale):
            yield from self.output.steps(centred(answer.codes, answer.zero_point))

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        found, declared = self.function.interval(self.input, ranges[0]), self.function.declared(self.input)
        yield Bound(self.function.function, *found, declared.bits, declared.signed)
        if isinstance(self.output, Rescale):
            zero_point = self.function.trial(self.input, 8).zero_point
            yield from self.output.bounds(found.less(zero_point))


@dataclass(frozen=True, eq=False)
class Silu(_OfOneFunction):
    """SiLU: each code times its logistic function, ``x / (1 + exp(-x))``.

    Attributes
    ----------
    input : Quantity
        Of at most 16 bits, and the results of ``function`` likewise.
    function : Nonlinearity
        A scheme of ``logistic``.
    rescale : Rescale
        Of the product of both, each less its zero point.

    Notes
    -----
    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units", arXiv 1702.03118.
    """

    operation = "silu"
    input: Quantity
    function: Nonlinearity
    rescale: Rescale

    def __post_init__(self) -> None:
        super().__post_init__()
        name = self.function.function
        self.require(name == "logistic", f"function = {name!r} is not the logistic one")
        answer = self.function.trial(self.input, 8)
        fits = self.input.scalar.bits <= 16 and answer.codes.dtype.itemsize <= 2
        self.require(fits, f"products of {self.input.format} and {answer.codes.dtype} need more than 32 bits")

    @classmethod
    def from_scales(
        cls, input: Quantity, function: Nonlinearity, scheme: str | RequantizeScheme, result: Quantity
    ) -> Silu:
        """The layer with the multiplier that a requantisation scheme derives from the scales."""
        unit = float(function.trial(input, 8).scale) * input.scale
        return cls(input, function, Rescale.from_scale(unit / result.scale, scheme, result))

    @property
    def result(self) -> Quantity:
        return self.rescale.result

    def steps(self, *codes: Array) -> Iterator[Step]:
        answer, declared = self.function.answer(codes[0], self.input), self.function.declared(self.input)
        yield Step("logistic", answer.codes, declared.bits, declared.signed)
        product = centred(codes[0], self.input.zero_point) * centred(answer.codes, answer.zero_point)
        yield from finished(self.rescale, product)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        found, declared = self.function.interval(self.input, ranges[0]), self.function.declared(self.input)
        yield Bound("logistic", *found, declared.bits, declared.signed)
        sigmoid = found.less(self.function.trial(self.input, 8).zero_point)
        yield from finished_bounds(self.rescale, products_of(ranges[0].less(self.input.zero_point), sigmoid))


@dataclass(frozen=True, eq=False)
class Table(Layer):
    """A result for each code: any function of one number, as TensorFlow Lite's look-up tables have them.

    Attributes
    ----------
    input : Quantity
        Of at most 16 bits.
    table : ndarray, shape (codes,)
        Codes of ``result``, from that of the lowest code up.
    entries : Quantity
        What they mean.
    """

    operation = "table"
    input: Quantity
    table: Array
    entries: Quantity

    def __post_init__(self) -> None:
        super().__post_init__()
        bits = self.input.scalar.bits
        self.require(bits <= 16, f"input has format {self.input.format}: a table has at most 2^16 entries")
        self.check_parameter("table", self.entries.format, (len(self.input.scalar.codes),))

    @classmethod
    def from_function(cls, function: Callable[[Array], Array], input: Quantity, result: Quantity) -> Table:
        """The nearest codes, ties away from zero, of a function of binary64 numbers at what each code is worth.

        Raises InputError: a value is not a number.
        """
        codes = np.array(input.scalar.codes, np.int64)
        values = np.asarray(function((codes - input.zero_point) * input.scale), np.float64)
        if np.isnan(values).any():
            raise InputError(f"table: the function of code {codes[np.isnan(values)][0]} is not a number")
        ends = result.scalar.codes
        near = np.copysign(np.floor(np.abs(values / result.scale) + 0.5), values) + result.zero_point
        return cls(input, np.clip(near, ends[0], ends[-1]).astype(result.scalar.code_dtype), result)

    @property
    def result(self) -> Quantity:
        return self.entries

    def steps(self, *codes: Array) -> Iterator[Step]:
        places = codes[0].astype(np.int32) - self.input.scalar.codes[0]
        yield Step.of("entry", self.table[places], self.entries.scalar)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        first = self.input.scalar.codes[0]
        part = self.table[int(ranges[0].low.min()) - first : int(ranges[0].high.max()) - first + 1]
        yield Bound.of("entry", Interval.of(part.min(), part.max()), self.entries.scalar)


def check_normalised(layer: Layer, output: Output, length: int) -> None:
    """Raise an InputError unless int32 results of rows of that length can leave a layer so."""
    layer.require(is_integer(length, 1, LONGEST), f"length = {length!r}: an integer from 1 to {LONGEST:,}")
    check_output(output, length, layer.operation)
