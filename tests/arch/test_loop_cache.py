"""Loops that are made for a scalar function: each has a cache entry of its own, the same in every process."""

import json
import subprocess
import sys
from inspect import signature
from pathlib import Path

import numba
import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.kernels._cache import KernelCache
from lowbit.kernels.cast import fast_binary32
from lowbit.kernels.requantize import fast_requantize as fast
from lowbit.ops.requantize.lowering import lower_parameters
from lowbit.ops.requantize.paths import PATHS, fast_scalar
from lowbit.policy.requantize import REQUANTIZE_SCHEMES

SCALARS = [name for name, _ in PATHS]


def names(cache, sig=(numba.int64[::1], numba.int64)):
    """The file of a signature."""
    codegen = numba.njit(lambda x: x).targetctx.codegen()
    return cache._file(cache._key(sig, codegen)).name


def loop_over(step):
    """A loop of one source for any scalar."""

    def loop(values, amount):
        total = 0
        for value in values:
            total += step(value, amount)
        return total

    return loop


@numba.njit
def plus(value, amount):
    return value + amount


@numba.njit
def times(value, amount):
    return value * amount


def test_two_scalars_never_share_an_entry(tmp_path):
    values = np.arange(5)
    for step, wanted in ((plus, 25), (times, 30), (plus, 25)):
        function = numba.njit(loop_over(step))
        function._cache = KernelCache(function.py_func, tmp_path)
        assert function(values, 3) == wanted
    assert sum(function.stats.cache_hits.values()) == 1  # the last one is the first one
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("shape", [fast.flat, fast.rows])
def test_the_loops_of_requantisation_are_told_apart(shape):
    entries = [names(shape(getattr(fast, name), "any")._cache) for name in SCALARS]
    assert len(set(entries)) == len(SCALARS)


def test_entries_are_the_same_in_every_process():
    code = f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_loop_cache as t; "
    code += "print(json.dumps({n: t.names(t.fast.rows(getattr(t.fast, n), 1)._cache) for n in t.SCALARS}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {name: names(fast.rows(getattr(fast, name), 1)._cache) for name in SCALARS}


def test_every_scalar_is_in_the_list():
    taken = ["x", "p", "scale", "r", "v"]
    steps = [name for name, value in vars(fast).items() if hasattr(value, "py_func")]
    steps = [name for name in steps if list(signature(getattr(fast, name).py_func).parameters) == taken]
    assert sorted(steps) == sorted(SCALARS)


def test_an_edited_scalar_misses(monkeypatch):
    cache = fast.rows(fast.double, "edited")._cache
    before = names(cache)
    monkeypatch.setattr("lowbit.kernels._cache.stamp", lambda file: "another source")
    assert names(cache) != before


def test_every_scalar_is_taken_by_a_scheme_of_some_product():
    taken = set()
    for scheme in REQUANTIZE_SCHEMES.values():
        for shift in {*scheme.shift_range, 0}:
            for result in ("int8", "int16", "int32"):
                rows = lower_parameters(scheme, np.array([1 << 20]), np.array([shift]))
                taken.add(fast_scalar(scheme, rows, get_format(result)))
    assert taken >= set(SCALARS)


def test_the_loops_of_casts_are_told_apart():
    kernels = [value for name, value in vars(fast_binary32).items() if name.startswith("encode_")]
    assert len({names(kernel._cache) for kernel in kernels}) == len(kernels) == 8
