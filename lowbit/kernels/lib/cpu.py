"""What the processor that Numba compiles for can do."""

from __future__ import annotations

import functools

from llvmlite import binding
from numba.core import config

REQUIRED = {
    "vnni": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vnni"}),
    "avx2": frozenset({"avx2"}),
    "portable": frozenset(),
}
"""The paths of integer GEMM, the fastest first, and the features that each needs."""


@functools.cache
def features() -> frozenset[str]:
    """Features by LLVM's names: the host's, unless Numba was told to compile for another processor."""
    if config.CPU_FEATURES is not None:
        return frozenset(name[1:] for name in str(config.CPU_FEATURES).split(",") if name.startswith("+"))
    if config.CPU_NAME is not None:
        return frozenset()
    try:
        return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM does not know this processor
        return frozenset()


def gemm_paths() -> list[str]:
    """The paths that this processor can take, the fastest first."""
    return [name for name, required in REQUIRED.items() if required <= features()]
