"""What a float forward does and where its values lie: seen through its hook, for the conversion to integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.layers.layer import Quantity
from lowbit.models.hook import Apply

Forward = Callable[[Any, Apply], Any]
"""A float forward: takes a batch and the hook."""

RULES = {
    "minmax": "the smallest and the largest value",
    "percentile": "all but a share of the values on either side",
    "mse": "the range, narrowed, whose codes have the least squared error",
}
"""How a range is taken from the values of a calibration -> what it is."""

PERCENTILE = 99.99
SHARES = np.linspace(1, 0.5, 26)
"""Of the range that "mse" tries."""
KEPT = 2048
"""Values of an array that are kept for "percentile" and "mse", drawn with a seed."""


@dataclass(frozen=True)
class Operation:
    """An operation of a forward.

    Attributes
    ----------
    kind, name : str
    inputs : tuple of str
        Names of the operations whose results it takes, or of inputs of the model.
    function : callable
        A ``functools.partial`` whose keywords are the options.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Any]

    @property
    def options(self) -> Mapping[str, Any]:
        """What the parameters do not tell: strides, heads, axes."""
        return getattr(self.function, "keywords", {})


@dataclass
class Values:
    """Where the values of an edge lie.

    Attributes
    ----------
    low, high : float
    sample : list of ndarray
    lows, highs : ndarray of float64, shape (last axis,)
        The smallest and the largest value of each channel, and 0.
    total : ndarray of float64, shape (last axis,)
        The sum of each channel's values.
    rows : int
        How many values that is.
    """

    low: float = np.inf
    high: float = -np.inf
    sample: list[npt.NDArray[np.float64]] = field(default_factory=list)
    lows: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    highs: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    total: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    rows: int = 0

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """That of each channel."""
        return self.total / max(self.rows, 1)

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> Values:
        """Those of one array."""
        values = cls()
        values.see(array, np.random.default_rng(0))
        return values

    def see(self, array: npt.NDArray[Any], generator: np.random.Generator) -> None:
        """Take the values of an array in, too."""
        flat = array.reshape(-1)
        self.low, self.high = float(np.minimum(self.low, flat.min())), float(np.maximum(self.high, flat.max()))
        if array.ndim and self.lows.shape in ((1,), array.shape[-1:]):  # scores have as many channels as tokens
            rows = array.reshape(-1, array.shape[-1])
            self.lows, self.highs = np.minimum(self.lows, rows.min(axis=0)), np.maximum(self.highs, rows.max(axis=0))
            self.total, self.rows = self.total + rows.sum(axis=0), self.rows + len(rows)
        self.sample.append(generator.choice(flat, KEPT) if flat.size > KEPT else flat.astype(np.float64))

    def range(self, name: str, rule: str, format: str, *, symmetric: bool) -> Quantity:
        """The scale and the zero point with which a format holds the values.

        Raises InputError: there are no values, they are not finite, or all of them are 0; the message names the edge.
        """
        if not np.isfinite([self.low, self.high]).all():
            what = "NaN or infinite" if self.sample else "empty"
            raise InputError(f"layer {name!r}: its range is {what}", hint="give other data for the calibration")
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if low == high:
            raise InputError(f"layer {name!r}: its range is empty: all its values are 0", hint="other calibration data")
        if rule == "minmax":
            return quantity_of(low, high, format, symmetric=symmetric)
        sample = np.concatenate([*self.sample, [low, high]])
        if rule == "percentile":
            ends = np.percentile(sample, [100 - PERCENTILE, PERCENTILE])
            return quantity_of(min(ends[0], 0.0), max(ends[1], 0.0), format, symmetric=symmetric)
        tried = [quantity_of(low * share, high * share, format, symmetric=symmetric) for share in SHARES]
        return min(tried, key=lambda one: float(np.square(fake_quantized(sample, one) - sample).sum()))


def quantity_of(low: float, high: float, format: str, *, symmetric: bool) -> Quantity:
    """A format's scale and zero point for values from ``low`` to ``high``, which have 0 between them.

    Symmetric: the zero point of a signed format is 0, and its lowest code is left out; that of an unsigned one is 0
    where no value is negative. Otherwise as Jacob et al., CVPR 2018 (arXiv 1712.05877), section 2.1.
    """
    codes = Quantity(format, 1.0).scalar.codes
    lowest, highest = codes[0], codes[-1]
    if symmetric and (lowest < 0 or low >= 0):
        return Quantity(format, max(-low, high) / highest)
    scale = (high - low) / (highest - lowest)
    return Quantity(format, scale, int(np.clip(np.rint(lowest - low / scale), lowest, highest)))


def quantized(values: npt.NDArray[Any], quantity: Quantity) -> npt.NDArray[Any]:
    """The nearest codes, ties to even, limited to the format; of the format's dtype."""
    codes = quantity.scalar.codes
    near = np.rint(values / quantity.scale) + quantity.zero_point
    limited: npt.NDArray[Any] = np.clip(near, codes[0], codes[-1]).astype(quantity.scalar.code_dtype)
    return limited


def dequantized(codes: npt.NDArray[Any], quantity: Quantity) -> npt.NDArray[np.float64]:
    """What codes are worth."""
    return (codes.astype(np.float64) - quantity.zero_point) * quantity.scale


def fake_quantized(values: npt.NDArray[Any], quantity: Quantity) -> npt.NDArray[np.float64]:
    """The values of the nearest codes."""
    return dequantized(quantized(values, quantity), quantity)


@dataclass
class Recorder:
    """A hook that notes operations and where their results lie.

    Attributes
    ----------
    operations : dict of str to Operation
        Those of the graph, in their order; parts of an operation have ``values`` only.
    values : dict of str to Values
        By the name of the operation.
    shapes : dict of str to tuple of int
        Of the results of the last forward.
    inputs : list of str
        What no operation gives, the only one being called "input", others after the operation that takes them; what a
        reshaping of an input gives is an input, too.
    positions : set of str
        Embeddings of the places 0, 1, 2, ... of the rows of another: their inputs are not the model's.
    results : dict of int to tuple
        Name and array of what can be an input, by its identity, in one forward.
    fed : list of dict of str to ndarray
        The inputs of the model, by their names, in each forward.
    """

    operations: dict[str, Operation] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    positions: set[str] = field(default_factory=set)
    results: dict[int, tuple[str, Any]] = field(default_factory=dict)
    fed: list[dict[str, Any]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _first: str = ""
    _generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __call__(self, kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if kind == "reshape" and not self._open and id(inputs[0]) not in self.results:
            return function(*inputs)  # an input of the model as the next operation takes it
        if not self._open:
            self._note(kind, name, function, inputs)
        self._open.append(name)
        result = function(*inputs)
        self._open.pop()
        self._see(name, result)
        if not self._open:
            self.results[id(result)] = (name, result)
        return result

    def _see(self, name: str, array: Any) -> None:
        self.values.setdefault(name, Values()).see(np.asarray(array), self._generator)
        self.shapes[name] = np.shape(array)

    def _note(self, kind: str, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        sources = []
        for array in inputs:
            if id(array) not in self.results:
                source = f"{name}.input" if self._first not in ("", name) else "input"
                self.results[id(array)] = (source, array)
                if kind == "embedding" and self._first and np.array_equal(array, np.arange(np.size(array))):
                    self.positions.add(name)
                else:
                    self._take_input(source, array)
                self._first = self._first or name
                if kind != "embedding":
                    self._see(source, array)
            sources.append(self.results[id(array)][0])
        operation = Operation(kind, name, tuple(sources), function)
        known = self.operations.setdefault(name, operation)
        if (known.kind, known.inputs) != (operation.kind, operation.inputs):
            raise InputError(f"layer {name!r} is there twice: {known.kind} of {known.inputs}, then {kind} of {sources}")

    def _take_input(self, name: str, array: Any) -> None:
        self.inputs += [] if name in self.inputs else [name]
        if self.fed:
            self.fed[-1][name] = np.asarray(array)

    def consumers(self, name: str) -> list[str]:
        """The kinds of the operations that take a result."""
        return [one.kind for one in self.operations.values() if name in one.inputs]


def calibrate(forward: Forward, batches: Iterable[Any]) -> Recorder:
    """Run a float forward over batches and note what it does.

    Raises InputError: there are no batches, or the forward does not do the same for each.
    """
    recorder = Recorder()
    for batch in batches:
        recorder.results.clear()
        recorder.fed.append({})
        forward(batch, recorder)
    if not recorder.operations:
        raise InputError("there is no data for the calibration")
    return recorder
