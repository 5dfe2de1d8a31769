"""Floating-point instructions in the machine code of the kernels that have run in this process."""

from __future__ import annotations

import gc
import re
from typing import Any

from numba.core.registry import CPUDispatcher

from lowbit.kernels._cache import KernelCache, cache_root

PACKAGE = "lowbit.kernels."
_FLOATS = re.compile(
    r"\b(?:f(?:add|sub|mul|div|rem|neg|cmp)|[su]itofp|fpto[su]i|fptrunc|fpext)\b"
    r"|\bcall\b.*\b(?:half|bfloat|float|double|x86_fp80|fp128)\b"
)
"""What computes with floating-point numbers (LLVM Language Reference, Binary, Conversion and Other Operations).

Not what only moves them: loops that several schemes share hand an integer one the real constants that it ignores.
"""


def kernels_that_ran() -> dict[str, Any]:
    """Name -> function of every kernel that has been compiled, or read from the cache, in this process, in order."""
    # The type, not isinstance: that asks weak references for what they refer to.
    kernels = [found for found in gc.get_objects() if issubclass(type(found), CPUDispatcher) and found.overloads]
    named: dict[str, Any] = {}
    for kernel in kernels:
        name = _name_of(kernel.py_func)
        if name.startswith(PACKAGE) and _is_kernel(kernel):
            again = sum(other.split(" #")[0] == name for other in named)
            named[f"{name} #{again + 1}" if again else name] = kernel
    return dict(sorted(named.items()))


def _name_of(function: Any) -> str:
    """Module and name, and the functions around which a loop was made."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [cell.py_func.__name__ for cell in cells if hasattr(cell, "py_func")]
    made_for = f" of {', '.join(inner)}" if inner else ""
    return f"{function.__module__}.{function.__qualname__}{made_for}"


def _is_kernel(function: Any) -> bool:
    """Not a scalar or a routine, whose code is in that of the kernels that call it; without a cache: any of them."""
    return cache_root()[0] is None or isinstance(function._cache, KernelCache)  # noqa: SLF001 - as _jit.py sets it


def float_instructions(kernel: Any) -> list[str]:
    """The lines of a kernel's optimised LLVM code, for all types of arguments that it ran with, that compute in floats.

    It is compiled anew: the cache keeps machine code only.
    """
    lines = []
    for signature in kernel.overloads:
        again = CPUDispatcher(kernel.py_func, targetoptions=kernel.targetoptions)
        again.compile(signature)
        for text in again.inspect_llvm().values():
            lines += [line.strip() for line in text.splitlines() if line.startswith("  ") and _FLOATS.search(line)]
    return lines
