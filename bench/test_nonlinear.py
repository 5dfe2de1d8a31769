"""Integer-only softmax, GELU and LayerNorm of int8 rows against PyTorch on binary32 rows of that shape, one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lowbit
from bench.measure import Table

SIZE = 1 << 22
LENGTHS = [197, 1024, 4096]
SCALE = 0.05
WANTED = {"ivit": 1.0, "ibert": 0.5}
"""Times PyTorch's speed; other schemes are reported without a figure."""
CASES = [
    (operation, scheme, variant)
    for operation, schemes in {
        "softmax": (("ivit", "torch"), ("ivit", "paper"), ("ibert", "code"), ("lowbit", ""), ("fqvit", "code")),
        "gelu": (("ivit", "torch"), ("ibert", "code"), ("lowbit", "")),
        "layernorm": (("ivit", "torch"), ("ibert", "code"), ("lowbit", "")),
    }.items()
    for scheme, variant in schemes
]


def peer(operation: str, values: Any, torch: Any) -> Callable[[], Any]:
    """PyTorch's kernel over binary32 rows."""
    if operation == "softmax":
        return lambda: torch.softmax(values, -1)
    if operation == "gelu":
        return lambda: torch.nn.functional.gelu(values)
    return lambda: torch.nn.functional.layer_norm(values, values.shape[-1:])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("operation", "scheme", "variant"), CASES)
def test_rows(table: Table, operation: str, scheme: str, variant: str, length: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)
    rows = SIZE // length
    rng = np.random.default_rng(0)
    codes = rng.normal(0, 35, (rows, length)).round().clip(-128, 127).astype(np.int8)
    values = torch.from_numpy((codes * np.float32(SCALE)).astype(np.float32))
    call = getattr(lowbit, operation)
    options = {"scheme": scheme, "variant": variant, "scale": SCALE}
    # The wide path, one block of rows, is the plain int64 kernel.
    assert np.array_equal(call(codes[:8], **options), call(codes[:8].astype(np.int32), **options))
    main = variant in ("torch", "code") and scheme in WANTED
    row = table.compare(
        f"{operation} {scheme} {variant}".strip() + f", int8 rows of {length}",
        lambda: call(codes, **options),
        f"torch {operation} float32",
        peer(operation, values, torch),
        WANTED[scheme] if main else 0.0,
        rows * length,
    )
    assert row.met


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("scheme", ["ivit", "ibert", "lowbit"])
@pytest.mark.parametrize("operation", ["softmax", "layernorm"])
def test_rows_of_16_bits(table: Table, operation: str, scheme: str, length: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)
    rows = SIZE // 4 // length
    codes = np.random.default_rng(0).normal(0, 3000, (rows, length)).round().astype(np.int16)
    values = torch.from_numpy((codes * np.float32(SCALE / 100)).astype(np.float32))
    options = {"scheme": scheme, "scale": SCALE / 100}
    call = getattr(lowbit, operation)
    row = table.compare(
        f"{operation} {scheme}, int16 rows of {length}",
        lambda: call(codes, **options),
        f"torch {operation} float32",
        peer(operation, values, torch),
        0.0,
        rows * length,
    )
    assert row.met
