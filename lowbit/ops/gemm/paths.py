"""The kernels of integer GEMM: which of them runs, and one two-dimensional product by it.

Paths: ``vnni`` multiplies bytes as they are; ``avx2`` and ``portable`` widen them to 16 bits first; ``plain`` is the
integer twin. All give the same bits. ``LOWBIT_GEMM_PATH`` or the option ``path`` choose one, else the fastest that the
processor can take.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.memory import aligned_empty
from lowbit.ops.types import Array

Integers = npt.NDArray[np.int32]

PLAIN = "plain"
VARIABLE = "LOWBIT_GEMM_PATH"
NOTHING: Integers = np.zeros(0, dtype=np.int32)
MOST_K = 1 << 17
"""The longest row that goes to the kernel for a single row: its copy has to fit the scratch memory."""

SIGN_BIT = 0x80
OFFSET = 128
"""What flipping the sign bit of a byte adds to a signed number, and takes from an unsigned one."""

WORTH_THREADS = 1 << 22
"""Products below which starting a thread costs more than it saves."""

_TILE_ROWS = 6
_local = threading.local()


@functools.cache
def available() -> tuple[str, ...]:
    """The names of the paths that this processor can take, the fastest first."""
    from lowbit.kernels.lib.cpu import gemm_paths

    return (*gemm_paths(), PLAIN)


def chosen(path: str | None = None) -> str:
    """The path of that name, of the environment's, or the fastest.

    Raises InputError: there is no such path, or this processor cannot take it.
    """
    name = default() if path is None else path
    if not isinstance(name, str):
        raise InputError(f"path = {name!r} is not a name", hint=f"one of {', '.join(available())}")
    if name not in available():
        from lowbit.kernels.lib.cpu import REQUIRED

        if name in REQUIRED:
            raise InputError(
                f"path {name!r} needs a processor with {', '.join(sorted(REQUIRED[name]))}, and this one lacks some",
                hint=f"one of {', '.join(available())}",
            )
        raise InputError(f"path {name!r} is unknown", hint=f"one of {', '.join((*REQUIRED, PLAIN))}")
    return name


@functools.cache
def default() -> str:
    """The path of the environment, or the fastest; as it was when it was first asked for."""
    return os.environ.get(VARIABLE) or available()[0]


class Layout(NamedTuple):
    """How the right operand is packed for a path."""

    element: int
    panel: int


def layout(path: str, words: bool) -> Layout:
    """Bytes of an element and columns of a panel."""
    return Layout(2 if words or path != "vnni" else 1, 64 if path == "vnni" else 16)


@functools.cache
def multiplier(path: str, kind: str) -> Callable[..., None]:
    """The compiled kernel for ``left_unsigned`` or ``right_unsigned`` bytes, or for ``words``."""
    from lowbit.kernels._jit import entry
    from lowbit.kernels.lib.types import INT64, array_type

    kernel: Any
    if path == "vnni":
        from lowbit.kernels.gemm import simd_vnni as simd_gemm_vnni

        kernel = getattr(simd_gemm_vnni, f"gemm_{kind}")
    elif path == "avx2":
        from lowbit.kernels.gemm.simd_avx2 import gemm_words_avx2 as kernel
    else:
        from lowbit.kernels.gemm.simd_portable import gemm_words_portable as kernel
    matrix, vector = array_type("int16" if kind == "words" else "int8", 2, "A"), array_type("int32")
    return entry(kernel, matrix, matrix, array_type("int32", 2, "A"), vector, vector, vector, *[INT64] * 5)


@functools.cache
def packer(path: str, words: bool) -> Callable[..., None]:
    """The compiled kernel that packs a right operand."""
    from lowbit.kernels._jit import entry
    from lowbit.kernels.gemm import simd_prepack as simd_gemm_pack
    from lowbit.kernels.lib.types import INT64, array_type

    if path == "vnni":
        kernel = simd_gemm_pack.pack_panels_words if words else simd_gemm_pack.pack_panels_bytes
    else:
        kernel = simd_gemm_pack.pack_panels_words_half
    matrix = array_type("int16" if layout(path, words).element == 2 else "int8", 2, "A")
    return entry(kernel, matrix, INT64, matrix)


@functools.cache
def row_multiplier(kind: str) -> Callable[..., None]:
    """The compiled kernel for one row of bytes."""
    from lowbit.kernels._jit import entry
    from lowbit.kernels.gemm import simd_gemv
    from lowbit.kernels.lib.types import INT64, array_type

    matrix, vector = array_type("int8", 2, "A"), array_type("int32")
    result = array_type("int32", 2, "A")
    return entry(getattr(simd_gemv, f"gemv_{kind}"), matrix, matrix, result, vector, vector, INT64, INT64)


def scratch() -> Integers:
    """Scratch memory of the thread."""
    try:
        memory: Integers = _local.memory
    except AttributeError:
        from lowbit.kernels.gemm.simd_operands import SCRATCH_WORDS

        memory = _local.memory = aligned_empty((SCRATCH_WORDS,), np.dtype(np.int32))
    return memory


class Right(NamedTuple):
    """The right operand of one product."""

    array: Array  # ``(k, n)``, or panels packed by ``packer``
    signed: bool  # whether the codes are signed; for packed bytes, whether they are as the instruction reads them
    packed: bool = False
    sums: Integers = NOTHING  # for panels: the sum over k of each column, as the instruction reads it
    offset: int = 0  # for panels: what packing added to each code

    def columns(self, start: int, stop: int, panel: int) -> Right:
        """Some of the columns; for panels, ``start`` is a multiple of their width."""
        if not self.packed:
            return Right(self.array[:, start:stop], self.signed)
        panels = self.array[start // panel : -(-stop // panel)]
        return Right(panels, self.signed, True, self.sums[start:stop], self.offset)


class Terms(NamedTuple):
    """Zero points of both operands, and what is added to each column (or nothing)."""

    a_zero: int
    b_zero: int
    bias: Integers


def _unit_stride(array: Array) -> Array:
    """The array itself if one of its axes is contiguous, else a copy."""
    if array.itemsize in array.strides:
        return array
    return np.ascontiguousarray(array)


def _run_bytes(c: Integers, a: Array, a_signed: bool, right: Right, terms: Terms) -> None:
    """One product by ``vpdpbusd``, which takes operands of different signedness: b is flipped, or a if b is packed."""
    a_flip = b_flip = a_offset = 0
    b_offset = right.offset
    if a_signed == right.signed and right.packed:
        a_flip, a_offset = SIGN_BIT, OFFSET if a_signed else -OFFSET
        a_signed = not a_signed
    elif a_signed == right.signed:
        b_flip, b_offset = SIGN_BIT, OFFSET if right.signed else -OFFSET
    kind = "right_unsigned" if a_signed else "left_unsigned"
    b = right.array if right.packed else _unit_stride(right.array)
    if len(a) == 1 and not right.packed and terms.a_zero == 0 and a.shape[1] <= MOST_K and 1 in a.strides[1:]:
        row_multiplier(kind)(a, b, c, terms.bias, scratch(), terms.b_zero + b_offset, b_flip)
        return
    run = multiplier("vnni", kind)
    zeros = terms.a_zero + a_offset, terms.b_zero + b_offset
    run(_unit_stride(a), b, c, terms.bias, right.sums, scratch(), *zeros, a_flip, b_flip, int(right.packed))


def _run_words(c: Integers, a: Array, right: Right, terms: Terms, path: str) -> None:
    run = multiplier(path, "words")
    wide = a if a.dtype == np.int16 else a.astype(np.int16)
    b = right.array
    if not right.packed:
        b = _unit_stride(b if b.dtype == np.int16 else b.astype(np.int16))
    run(_unit_stride(wide), b, c, terms.bias, right.sums, scratch(), *terms[:2], 0, 0, int(right.packed))


def _run_plain(c: Integers, a: Array, right: Right, terms: Terms) -> None:
    from lowbit.kernels.gemm.gemm import gemm_plain

    wide = [operand.astype(np.int64) - zero for operand, zero in ((a, terms.a_zero), (right.array, terms.b_zero))]
    gemm_plain(*wide, c)
    if terms.bias.size:
        c += terms.bias


def _transposed(c: Integers, a: Array, a_signed: bool, right: Right, terms: Terms) -> bool:
    """Whether the product was made as that of the transposes: a single column is a row then, read once."""
    if c.shape[1] > 1 or len(a) == 1 or right.packed or terms.b_zero != 0:
        return False
    bias = np.repeat(terms.bias, len(a)) if terms.bias.size else terms.bias
    row = np.ascontiguousarray(right.array.T)
    flat = np.empty((1, len(a)), dtype=np.int32)
    _run_bytes(flat, row, right.signed, Right(a.T, a_signed), Terms(0, terms.a_zero, bias))
    c[:, 0] = flat[0]
    return True


def run(c: Integers, a: Array, a_signed: bool, right: Right, terms: Terms, path: str) -> None:
    """One product into ``c`` (m, n), by one thread; none of m, n, k is 0, and the rows of ``c`` are contiguous."""
    if path == PLAIN:
        _run_plain(c, a, right, terms)
    elif path == "vnni" and a.itemsize == right.array.itemsize == 1:
        if not _transposed(c, a, a_signed, right, terms):
            _run_bytes(c, a, a_signed, right, terms)
    else:
        _run_words(c, a, right, terms, path)


def run_threads(c: Integers, a: Array, a_signed: bool, right: Right, terms: Terms, path: str, threads: int) -> None:
    """The same by threads, each with a share of the columns, or of the rows if there is less than a panel for each."""
    m, n = c.shape
    if threads == 1 or m * n * a.shape[1] < WORTH_THREADS:
        run(c, a, a_signed, right, terms, path)
        return
    panel = layout(path, False).panel
    by_columns = n >= threads * panel
    size, unit = (n, panel) if by_columns else (m, _TILE_ROWS)
    share = -(-size // (threads * unit)) * unit

    def step(start: int, stop: int) -> None:
        if by_columns:
            part = terms._replace(bias=terms.bias[start:stop])
            run(c[:, start:stop], a, a_signed, right.columns(start, stop, panel), part, path)
        else:
            run(c[start:stop], a[start:stop], a_signed, right, terms, path)

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(step, start, min(start + share, size)) for start in range(share, size, share)]
        step(0, min(share, size))
        for done in others:
            done.result()
