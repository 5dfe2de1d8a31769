"""The one decorator that compiles kernels; ``lowbit.kernels._cache`` keeps their machine code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.types import unliteral  # type: ignore[attr-defined]  # numba re-exports it dynamically
from numba.np.unsafe.ndarray import to_fixed_tuple

from lowbit.errors import LowbitError
from lowbit.kernels._cache import KernelCache, cache_directory

if config.DISABLE_JIT:
    raise LowbitError(
        "NUMBA_DISABLE_JIT is set, and lowbit's kernels give their bits only when they are compiled",
        hint="unset NUMBA_DISABLE_JIT; lowbit.oracle computes in Python integers without Numba",
    )

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False}


def scalar(function: Callable[..., Any]) -> Any:
    """Compile a scalar function that loops call: always inlined, or LLVM would leave the loop a call a time."""
    return _without_literals(numba.njit(forceinline=True, **_OPTIONS)(function))


def routine(function: Callable[..., Any]) -> Any:
    """Compile a loop that kernels call from many places: once a type, where inlining would compile it at each place."""
    return _without_literals(numba.njit(**_OPTIONS)(function))


def part(function: Callable[..., Any]) -> Any:
    """A part of a kernel that is called at one place, and compiled there only: not by itself first, as a scalar is."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def _without_literals(compiled: Any) -> Any:
    """The function with one compilation for all integers: Numba would make one for every constant that is passed."""
    resolve = compiled.get_call_template

    def get_call_template(arguments: Any, keywords: Any) -> Any:
        return resolve(tuple(map(unliteral, arguments)), {name: unliteral(kind) for name, kind in keywords.items()})

    compiled.get_call_template = get_call_template
    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile an array loop on first call, without the GIL, cached on disk where there is a place for it."""
    compiled = numba.njit(**_OPTIONS)(function)
    directory, _ = cache_directory(Path(function.__code__.co_filename).resolve())
    if directory is not None:
        compiled._cache = KernelCache(function, directory)  # noqa: SLF001 - what cache=True sets, with another class
    return compiled


constants = to_fixed_tuple
"""``constants(vector, size)``: the entries as a tuple, so that LLVM knows that no store can change them."""


def array_type(element: str, axes: int = 1, layout: str = "C") -> Any:
    """An array of ``element`` ("int32", say), for ``entry``; the layout "A" is any strides."""
    return numba.types.Array(getattr(numba.types, element), axes, layout)


def entry(function: Any, *argument_types: Any) -> Callable[..., Any]:
    """The compiled function for these Numba types, called without a look at the types of its arguments.

    Saves most of a call's cost where it counts. The caller vouches for the arguments: only the item size and the
    number of axes of an array are checked.
    """
    function.compile(argument_types)
    compiled: Callable[..., Any] = function.overloads[argument_types].entry_point
    return compiled
