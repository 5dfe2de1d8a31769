"""The plain kernels of the nonlinearities, on Python integers that refuse to leave 64 bits, give the compiled results.

So no result rests on a wrap-around of int64 or on how Numba types an expression.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import pytest

import lowbit.kernels
from lowbit.ops import _nonlinear

HOMES = {
    "softmax_ivit": "shiftmax",
    "gelu_ivit": "shiftgelu",
    "layernorm_ivit": "layernorm",
    "softmax_ibert": "softmax",
    "gelu_ibert": "gelu",
    "layernorm_ibert": "layernorm",
    "softmax_fqvit": "log_softmax",
    "softmax_lowbit": "softmax",
    "gelu_lowbit": "gelu",
    "layernorm_lowbit": "layernorm",
}
PREFIX = "lowbit.kernels"


@contextmanager
def undecorated():
    """Kernels imported inside are plain Python functions."""
    kept = {name: module for name, module in sys.modules.items() if name.startswith(f"{PREFIX}.")}
    attributes = dict(vars(lowbit.kernels))
    plain = ModuleType(f"{PREFIX}._jit")
    plain.scalar = plain.kernel = lambda function: function
    for name in kept:
        if name not in (f"{PREFIX}._bits", f"{PREFIX}._lookup"):  # neither is decorated by what they import
            del sys.modules[name]
    sys.modules[f"{PREFIX}._jit"] = plain
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith(f"{PREFIX}.")]:
            del sys.modules[name]
        sys.modules.update(kept)
        vars(lowbit.kernels).clear()
        vars(lowbit.kernels).update(attributes)


@pytest.fixture(scope="module")
def functions():
    for name in HOMES:
        importlib.import_module(f"{PREFIX}.{name}")
    importlib.import_module(f"{PREFIX}._lookup")
    with undecorated():
        return {
            name: getattr(importlib.import_module(f"{PREFIX}.{name}"), function) for name, function in HOMES.items()
        }


def boxed(array, checked):
    """An object array of integers that assert what int64 assumes."""
    out = np.empty(np.shape(array), dtype=object)
    for place, value in np.ndenumerate(np.asarray(array)):
        out[place] = checked(int(value))
    return out


SCALES = (0.05, 0.002, 0.5)
CASES = [
    ("softmax", "ivit", ("torch", "paper", "tvm")),
    ("gelu", "ivit", ("torch", "paper", "tvm")),
    ("layernorm", "ivit", ("torch", "paper", "tvm")),
    ("softmax", "ibert", ("code", "paper")),
    ("gelu", "ibert", ("code", "paper")),
    ("layernorm", "ibert", ("code", "paper")),
    ("softmax", "fqvit", ("code",)),
    ("softmax", "lowbit", ("",)),
    ("gelu", "lowbit", ("",)),
    ("layernorm", "lowbit", ("",)),
]


@pytest.mark.parametrize(("operation", "scheme", "variants"), CASES, ids=str)
def test_python_integers(operation, scheme, variants, functions, checked, monkeypatch):
    plain = functions[f"{operation}_{scheme}"]
    compiled = getattr(importlib.import_module(f"{PREFIX}.{operation}_{scheme}"), HOMES[f"{operation}_{scheme}"])
    calls = 0

    def both(rows, *arguments):
        nonlocal calls
        calls += 1
        *options, out, trap = arguments
        compiled(rows, *options, out, trap)
        copies = [boxed(item, checked) if isinstance(item, np.ndarray) else item for item in (rows, *options)]
        again, noted = boxed(np.zeros_like(out), checked), boxed(np.full(4, -1), checked)
        plain(*copies, again, noted)
        assert again.tolist() == out.tolist()
        assert noted.tolist() == trap.tolist()

    home = importlib.import_module(f"{PREFIX}.{operation}_{scheme}")
    monkeypatch.setattr(home, HOMES[f"{operation}_{scheme}"], both)
    low, high = (-4000, 4000) if scheme != "fqvit" else (-2000, 2000)
    codes = np.random.default_rng(0).integers(low, high, (3, 24))
    codes[1], codes[2, :12] = 5, low
    for variant in variants:
        for scale in SCALES:
            for mode in ("wrap", "saturate"):
                options = {"scheme": scheme, "variant": variant, "scale": scale, "overflow": mode}
                try:
                    getattr(lowbit, operation)(codes, **options)
                except lowbit.InputError as error:
                    assert "0" in str(error)  # noqa: PT017 - a sum that wrapped to 0, in both
    assert calls >= len(variants)
    assert _nonlinear.MODES["wrap"] == 0
