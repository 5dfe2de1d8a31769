"""Scheme ``exact``: kernels, what decides with more bits, and the oracle agree under every rounding, at ties too."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowbit
from lowbit.errors import InputError
from lowbit.nonlinear.scheme import get_scheme
from lowbit.ops.nonlinear import exact as ops
from lowbit.oracle.nonlinear.exact import exponential
from lowbit.policy.cast import ROUNDINGS
from tests import uncompiled
from tests.agree.schemes import require_equal
from tests.thinned import examples

MODES = [name for name in ROUNDINGS if not name.startswith("stochastic")]
OPERATIONS = ("softmax", "layernorm", "rmsnorm")
NORMS = OPERATIONS[1:]


def agree(operation, rows, stated, bits=None):
    record = get_scheme(operation, "exact")
    require_equal(record, "", [np.asarray(row) for row in rows], stated, "wrap", bits)


@pytest.mark.parametrize("mode", MODES)
def test_every_rounding(mode):
    rows = [[3, -100, 7, 7, 90], [5, 5], [0], [-1, 1], [-128, 127, 127, 127]]
    agree("softmax", rows, {"scale": 0.05, "rounding": mode}, 8)
    agree("softmax", [[0] * 256, [9] * 3, [9, 9, -9000]], {"scale": 1.0, "rounding": mode}, 8)  # 1/256 is a tie
    for operation in NORMS:
        agree(operation, rows, {"rounding": mode}, 8)
        # Two codes of opposite sign are normalised to +-1: gamma and beta make ties of them, and whole numbers.
        stated = {"gamma": [0.25, 0.5], "beta": [1 / 32, 0.0], "rounding": mode}
        agree(operation, [[-1, 1], [1, -1], [300, -300], [0, 0], [5, -5]], stated, 8)
        agree(operation, [[-1, 1]], {"gamma": [3.0, -3.0], "beta": 2.0**-21, "rounding": mode})


@settings(max_examples=examples(40), deadline=None)
@given(
    codes=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=12),
    exponent=st.integers(-40, 4),
    bits=st.sampled_from([2, 8, 16, 24, 32]),
    mode=st.sampled_from(MODES),
)
def test_softmax_of_any_codes(codes, exponent, bits, mode):
    agree("softmax", [codes], {"scale": 1.3 * 2.0**exponent, "rounding": mode}, bits)


@settings(max_examples=examples(40), deadline=None)
@given(
    elements=st.lists(
        st.tuples(st.integers(-32768, 32767), st.floats(-(2.0**100), 2.0**100, width=32), st.floats(-64, 64, width=32)),
        min_size=1,
        max_size=9,
    ),
    operation=st.sampled_from(NORMS),
    bits=st.sampled_from([8, 16, 32]),
    mode=st.sampled_from(MODES),
)
def test_norms_of_any_codes(elements, operation, bits, mode):
    codes, gamma, beta = zip(*elements, strict=True)
    agree(operation, [codes], {"gamma": list(gamma), "beta": list(beta), "rounding": mode}, bits)


def test_kernels_decide_nearly_all_and_the_rest_is_the_same(monkeypatch):
    """The slow ways are right by themselves, too: they give the same results where the kernels do decide."""
    from lowbit.kernels.nonlinear import exact as kernels

    codes = np.random.default_rng(0).normal(0, 35, (40, 97)).round().clip(-128, 127).astype(np.int8)
    gamma, beta = np.random.default_rng(1).normal(1, 0.3, (2, 97)).astype(np.float32)
    calls = [
        ("softmax", {"scale": 0.05}),
        ("softmax", {"scale": 0.3, "bits": 24}),
        *((operation, {"gamma": gamma, "beta": beta}) for operation in NORMS),
    ]
    asked = []
    for name in ("_softmax_of", "_norm_of"):
        way = getattr(ops, name)
        monkeypatch.setattr(ops, name, lambda *given, way=way: asked.append(1) or way(*given))
    for operation, stated in calls:
        expected = getattr(lowbit, operation)(codes, scheme="exact", **stated)
        assert len(asked) < codes.size / 1000
        with monkeypatch.context() as patched:
            for name in ("softmax", "norm"):
                patched.setattr(kernels, name, lambda *given: given[-1].fill(kernels.UNDECIDED))
            again = getattr(lowbit, operation)(codes[:1], scheme="exact", **stated)
        assert again.tolist() == expected[:1].tolist()
        assert len(asked) >= codes.shape[1]
        asked.clear()


def test_kernels_on_python_integers(checked):
    """No result rests on a wrap-around of int64: the same functions on integers that refuse to leave 64 bits."""
    from lowbit.kernels.nonlinear import exact as kernels

    (plain,) = uncompiled.load("nonlinear.exact")

    def boxed(array):
        return np.vectorize(lambda value: checked(int(value)), otypes=[object])(array)

    def compare(name, *arguments):
        out = np.zeros(arguments[0].shape, np.int64)
        getattr(kernels, name)(*arguments, out)
        again = boxed(np.zeros_like(out))
        getattr(plain, name)(*(boxed(item) if isinstance(item, np.ndarray) else item for item in arguments), again)
        assert again.tolist() == out.tolist()
        assert (out != kernels.UNDECIDED).any()

    widest = ops.Rounding(31, lowbit.Policy(), 0, (1 << 31) - 1).vector(kernels.STICKY)
    table = np.array([1 << 40, (1 << 40) - 1, 1 << 39, 5, 0])
    compare("softmax", np.array([[0, 1, 2, 3, 4, 4, 1], [0] * 7, [0] + [4] * 6]), table, widest)
    rounding = ops.Rounding(20, lowbit.Policy(), -(1 << 31), (1 << 31) - 1).vector(kernels.NORM_GUARD)
    length = 2000
    rails = np.full((2, length), -32768)
    rails[0, : length // 2] = rails[1, 3] = 32767
    mantissas = np.where(np.arange(length) % 2, (1 << 24) - 1, -(1 << 23))
    exponents = np.arange(length) % 60 - 10
    biases = np.where(np.arange(length) % 3, (1 << 60) - 1, -(1 << 60) + 1)
    for centred in (0, 1):
        compare("norm", rails, centred, mantissas, exponents, biases, np.arange(length) % 3 - 1, rounding)


def test_the_oracles_exponentials_enclose():
    """Against exp(-1) = sum of (-1)^k / k!, and the functional equation."""
    unit = sum(Fraction((-1) ** k, math.factorial(k)) for k in range(60))
    for precision in (30, 96, 192):
        low, high = exponential(Fraction(1), precision)
        assert low <= unit * 2**precision <= high <= low + 2
    low, high = exponential(Fraction(7, 3), 96)
    third = exponential(Fraction(7, 9), 128)
    assert low - 1 <= (third[0] ** 3 >> 288) <= (third[1] ** 3 >> 288) <= high
    assert exponential(Fraction(200), 96) == (0, 1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_it_refuses(operation):
    function, stated = getattr(lowbit, operation), {"scale": 0.1} if operation == "softmax" else {}
    with pytest.raises(InputError, match="unknown rounding"):
        function([[1, 2]], scheme="exact", rounding="nearest", **stated)
    with pytest.raises(InputError, match="unknown rounding: 'stochastic_a'"):
        function([[1, 2]], scheme="exact", rounding="stochastic_a", **stated)
    with pytest.raises(InputError, match="bits = 33"):
        function([[1, 2]], scheme="exact", bits=33, **stated)
    with pytest.raises(InputError, match="empty"):
        function(np.zeros((2, 0), np.int8), scheme="exact", **stated)


def test_norms_of_rows_without_variance_are_beta():
    assert lowbit.layernorm([[7, 7, 7]], scheme="exact", beta=[1.5, -2, 0], bits=8).tolist() == [[24, -32, 0]]
    assert lowbit.rmsnorm([[0, 0]], scheme="exact", beta=0.25, bits=16).tolist() == [[256, 256]]
