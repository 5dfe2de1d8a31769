"""``lowbit doctor``: what a bug report needs, and what slows this machine down."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from argparse import Namespace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from lowbit._version import __version__
from lowbit.cli.terminal import add_output_format, print_document, terminal
from lowbit.errors import InputError, LowbitError

REQUIRED = ("numpy", "numba", "llvmlite", "scipy", "pulp", "ml_dtypes", "rich")

PEERS = ("onnxruntime", "torch", "gfloat", "hypothesis", "pytest", "dask")
"""Optional packages that some verb or module uses where they are installed."""

TOOLS = ("cc", "iverilog", "verilator")

VECTOR_FEATURES = (
    "sse4_2",
    "avx",
    "avx2",
    "f16c",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "neon",
)
"""The processor features that kernels are chosen by, or that people ask about."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="versions, processor, caches and the optional packages found",
        description="Report versions, processor features, the compile cache, and the optional packages found.",
    )
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    report = {
        "lowbit": {"version": __version__, "location": str(Path(__file__).parents[2]), "formats": _formats_directory()},
        "python": {"version": platform.python_version(), "executable": sys.executable, "system": platform.platform()},
        "packages": {name: _version(name) or "missing" for name in REQUIRED},
        "optional packages": {name: _version(name) or "-" for name in PEERS},
        "tools": {name: shutil.which(name) or "-" for name in TOOLS},
        "processor": _processor(),
        "kernels": _kernels(),
        "compile cache": _cache(),
    }
    if arguments.output_format == "json":
        print_document(report, "lowbit/doctor/1")
        return 0
    page = terminal(arguments)
    for index, (title, entries) in enumerate(report.items()):
        if index:
            page.write()
        page.write(page.paint(title, "bold"))
        width = max(len(name) for name in entries)
        for name, text in entries.items():
            style = ("red",) if text == "missing" else ("dim",) if text == "-" else ()
            page.write(f"  {name.ljust(width)}  {page.paint(text, *style)}")
    return 0


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _formats_directory() -> str:
    from lowbit.format.registry import data_directory

    return str(data_directory("formats"))


def _processor() -> dict[str, str]:
    """Model, threads and vector features; what the system does not tell is left out."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {"machine": platform.machine(), "threads": f"{usable} usable of {os.cpu_count()}"}
    features = _features()
    if features:
        found["features"] = " ".join(name for name in VECTOR_FEATURES if name in features) or "none of interest"
    return found


def _features() -> set[str]:
    """The feature names that Linux prints; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return set(flags.partition(":")[2].split())


def _kernels() -> dict[str, str]:
    """The path of integer GEMM; or that nothing can be computed here, and why."""
    try:
        import_module("lowbit.kernels._jit")
    except LowbitError as error:
        return {"none": f"{error.message}: {error.hint}"}
    return {"gemm": _gemm()}


def _gemm() -> str:
    """Which path integer GEMM takes on this processor, or was told to take."""
    from lowbit.ops.gemm.paths import VARIABLE, available, chosen

    try:
        path = chosen()
    except InputError as error:
        return f"{VARIABLE} is wrong: {error.message}"
    told = f", as {VARIABLE} says" if os.environ.get(VARIABLE) else ""
    return f"{path}{told} (of {', '.join(available())})"


def _cache() -> dict[str, str]:
    """Where compiled kernels are kept, and whether they can be: without a cache every process compiles anew."""
    from lowbit.kernels import _cache

    files = sorted(path for path in Path(_cache.__file__).parent.rglob("*.py") if not path.name.startswith("_"))
    root, _ = _cache.cache_root()
    places = {_cache.label(path): _cache.cache_directory(path) for path in files}
    directories = {name: directory for name, (directory, _) in places.items() if directory}
    if not directories:
        reason = next(reason for _, reason in places.values())
        return {"root": f"none, every process compiles its kernels anew: {reason}"}
    entries = {"root": str(root)}
    for name, directory in directories.items():
        compiled = list(directory.glob("*.nbc"))
        if compiled:
            size = sum(file.stat().st_size for file in compiled)
            entries[name] = f"{directory.name}: {len(compiled)} compiled, {size / 1e6:.1f} MB"
    return entries
