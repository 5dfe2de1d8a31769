"""HIPS autograd, where it is installed: the array namespace that differentiates, and gradients by named parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lowbit.errors import InputError
from lowbit.ops.arrays import Array

Parameters = Mapping[str, Array]
Loss = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Differentiable:
    """What forward passes need to be differentiated.

    Attributes
    ----------
    namespace : module
        In place of NumPy.
    error_function : callable
        erf of its arrays.
    primitive : callable
        Makes a function of arrays one step of the differentiation: ``primitive(function, gradients)``.
    value_and_gradient : callable
        Of a loss, a function of named parameters: its value and the slope by each.
    detached : callable
        The numbers of an array: no slope goes through them.
    """

    namespace: Any
    error_function: Callable[[Any], Any]
    primitive: Callable[..., Callable[..., Any]]
    value_and_gradient: Callable[[Loss], Callable[[Parameters], tuple[Any, dict[str, Array]]]]
    detached: Callable[[Any], Any]

    def model(self) -> dict[str, Any]:
        """The keywords by which forward passes of :mod:`lowbit.models` are built over it."""
        return {"namespace": self.namespace, "error_function": self.error_function}


@cache
def differentiable() -> Differentiable:
    """HIPS autograd as methods use it.

    Raises InputError: it is not installed.
    """
    try:
        import autograd
        import autograd.numpy
        import autograd.scipy.special
        from autograd.extend import defvjp_argnums
        from autograd.extend import primitive as traced
        from autograd.tracer import getval
    except ImportError as error:
        what = f"learned methods need gradients, and the package {error.name} is not installed"
        raise InputError(what, hint="pip install autograd, or '.[learn]' from a clone of lowbit") from error

    def primitive(function: Callable[..., Any], gradients: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
        """A function whose slopes by all its arrays come from one call: ``gradients(above, result, *arguments)``."""
        step: Callable[..., Any] = traced(function)

        def slopes(numbers: Any, result: Any, arguments: Any, keywords: Any) -> Callable[[Any], tuple[Any, ...]]:
            def of(above: Any) -> tuple[Any, ...]:
                every = gradients(above, result, *arguments, **keywords)
                return tuple(every[number] for number in numbers)

            return of

        defvjp_argnums(step, slopes)
        return step

    return Differentiable(autograd.numpy, autograd.scipy.special.erf, primitive, autograd.value_and_grad, getval)
