"""The plain kernels of the nonlinearities, on Python integers that refuse to leave 64 bits, give the compiled results.

So no result rests on a wrap-around of int64 or on how Numba types an expression.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import lowbit
from lowbit.ops.nonlinear import dispatch
from tests import uncompiled

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
PREFIX = "lowbit.kernels.nonlinear"


@pytest.fixture(scope="module")
def functions():
    modules = uncompiled.load(*(f"nonlinear.{name}" for name in HOMES))
    return {name: getattr(module, HOMES[name]) for name, module in zip(HOMES, modules, strict=True)}


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
    assert dispatch.MODES["wrap"] == 0
