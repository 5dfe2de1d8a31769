"""The plain kernels of the nonlinearities, on Python integers that refuse to leave 64 bits, give the compiled results.

So no result rests on a wrap-around of int64 or on how Numba types an expression.
"""

from __future__ import annotations

import importlib
from contextlib import suppress

import numpy as np
import pytest

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.ops.nonlinear import dispatch
from tests import uncompiled
from tests.agree.schemes import CALLS, OVERFLOWS, by_kernels, operands_of, over, taken

PACKAGE = "lowbit.kernels."
MODULES = ("ivit", "ibert", "fqvit", "lowbit_scheme", "tflite_softmax", "tflite_sigmoid", "tflite_norm")
RUNNERS = (*MODULES, "tflite")
"""The modules that run plain kernels."""
SCALES = (0.05, 0.002, 0.5)


@pytest.fixture(scope="module")
def functions():
    modules = uncompiled.load(*(f"nonlinear.{name}" for name in MODULES))
    return {f"{PACKAGE}nonlinear.{name}": module for name, module in zip(MODULES, modules, strict=True)}


def boxed(array, checked):
    """An object array of integers that assert what int64 assumes."""
    out = np.empty(np.shape(array), dtype=object)
    for place, value in np.ndenumerate(np.asarray(array)):
        out[place] = checked(int(value))
    return out


@pytest.fixture
def compared(functions, checked, monkeypatch):
    """The names of the kernels that were run, and compared with themselves on Python integers."""
    names = []

    def both(kernel):
        if not hasattr(kernel, "py_func") or kernel.py_func.__module__ not in functions:
            return kernel  # a loop over scalars that are compared where they are
        plain = getattr(functions[kernel.py_func.__module__], kernel.py_func.__name__)
        assert not hasattr(plain, "py_func"), "this module is compiled"

        def run(*arguments):
            names.append(plain.__name__)
            *options, out, trap = arguments
            kernel(*arguments)
            copies = [boxed(item, checked) if isinstance(item, np.ndarray) else item for item in options]
            again, noted = boxed(np.zeros_like(out), checked), boxed(np.full_like(trap, -1), checked)
            plain(*copies, again, noted)
            assert again.tolist() == out.tolist()
            assert noted.tolist() == trap.tolist()

        return run

    original = dispatch.plain
    for name in RUNNERS:
        module = importlib.import_module(f"lowbit.ops.nonlinear.{name}")
        if hasattr(module, "plain"):
            monkeypatch.setattr(module, "plain", lambda request, kernel, *rest: original(request, both(kernel), *rest))
    return names


@over(
    [
        call
        for call in CALLS
        if call[0].id not in ("tosa", "gemmlowp", "exact") and not call[0].home.startswith("litert")
    ]
)
def test_python_integers(record, variant, compared):
    if (record.operation, record.id) == ("layernorm", "fqvit"):
        pytest.skip("its kernel computes in binary64")
    info = np.iinfo(record.codes)
    low, high = (info.min, info.max) if record.relatives == "tflite" else (-2000, 2000)
    codes = np.random.default_rng(0).integers(low, high, (3, 16))
    codes[1], codes[2, :8] = 5, low
    codes = taken(record, [codes])[0]
    stated = {**operands_of(record, codes.shape[1]), **record.examples[-1].parameters}
    for scale in SCALES if record.takes_scale else (None,):
        for overflow in OVERFLOWS:
            with suppress(InputError, IntermediateOverflowError):  # after both have run
                by_kernels(record, variant, codes, overflow, **{**stated, **({"scale": scale} if scale else {})})
    assert len(compared) >= (3 if record.takes_scale else 1)
