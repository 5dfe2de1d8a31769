"""A hypothesis on a layer whose codes differ: the layer with one thing changed, or what goes in or out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from lowbit.errors import LowbitError
from lowbit.layers import Layer, Step, Sum
from lowbit.ops.types import Array

REFUSALS = (LowbitError, ValueError, IndexError, KeyError, ZeroDivisionError, OverflowError, StopIteration)
"""What a hypothesis raises that does not apply to a layer."""

MAKE_THE_RESULT = ("output", "rescale", "division", "function", "softmax")
"""Fields that a layer has at most once."""
Path = tuple[str, ...]
"""Fields of a layer, the outermost first: ``("sum", "left")``."""


@dataclass(frozen=True)
class LayerBug:
    """A hypothesis: what the kernel does, and a function of the layer's inputs that does it.

    Attributes
    ----------
    words : str
        To follow "the kernel"; ``{}`` is where ``name`` goes.
    steps : callable
        From the inputs to intermediates, of which the last one is the result.
    name : str
        What tells hypotheses of the same words apart: the name of a scheme.
    remote : bool
        Whether it counts only where no other one with the same words holds.
    by_item : bool
        Whether a part of a batch can refute it.
    """

    words: str
    steps: Callable[..., Iterable[Step]]
    name: str = ""
    remote: bool = False
    by_item: bool = True


def parts(part: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The fields of a layer, those of its sums too."""
    for field in fields(part):
        value = getattr(part, field.name)
        yield (*path, field.name), value
        if isinstance(value, Sum):
            yield from parts(value, (*path, field.name))


def altered(layer: Layer, path: Path, change: Callable[[Any], Any], words: str, **options: Any) -> LayerBug:
    """The layer with one field changed; made when it is asked for, since it may refuse."""

    def steps(*codes: Array) -> Iterator[Step]:
        other: Layer = _replaced(layer, path, change)
        wanted = (quantity.scalar.code_dtype for quantity in other.inputs)
        return other.steps(*(array.astype(dtype) for array, dtype in zip(codes, wanted, strict=True)))

    return LayerBug(words, steps, **options)


def with_value(layer: Layer, path: Path, value: Any, words: str) -> LayerBug:
    """The layer with another value in one field."""
    return altered(layer, path, lambda _: value, words)


def of_inputs(layer: Layer, change: Callable[..., tuple[Array, ...]], words: str, **options: Any) -> LayerBug:
    """The layer of other inputs."""
    return LayerBug(words, lambda *codes: layer.steps(*change(*codes)), **options)


def of_result(layer: Layer, change: Callable[[Array], Array], words: str, **options: Any) -> LayerBug:
    """Something made of the layer's result."""

    def steps(*codes: Array) -> Iterator[Step]:
        *before, last = layer.steps(*codes)
        yield from before
        yield last._replace(codes=change(last.codes).astype(last.codes.dtype))

    return LayerBug(words, steps, **options)


def result_of(steps: Iterable[Step]) -> Array:
    """The codes of the last step."""
    *_, last = steps
    return last.codes


def where(path: Path) -> str:
    """Which of several like it a part is: `` (scores)``; nothing where it makes the layer's result."""
    return "" if path[-1] in MAKE_THE_RESULT else " " + f"({' '.join(path)})"


def same_but(part: Any, kind: type, **more: Any) -> Any:
    """A part as one of a kind derived from its own, with the further fields of that."""
    return kind(**{field.name: getattr(part, field.name) for field in fields(part)}, **more)


def _replaced(part: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    name, *rest = path
    value = getattr(part, name)
    return replace(part, **{name: _replaced(value, tuple(rest), change) if rest else change(value)})
