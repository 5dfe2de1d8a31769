"""Gram matrices of activations that nothing can change are computed once, and change no result."""

import gc

import numpy as np
import pytest

from lowbit.quantizers import METHODS, objective
from lowbit.quantizers.objective import OutputError, scaled_gram

RANDOM = np.random.default_rng(5)
WEIGHTS = RANDOM.normal(size=(32, 64)).astype(np.float32)
ROWS = (RANDOM.normal(size=(200, 64)) * np.exp2(RANDOM.integers(-6, 7, 64))).astype(np.float32)


@pytest.fixture
def constant():
    rows = ROWS.copy()
    rows.flags.writeable = False
    return rows


@pytest.mark.parametrize("method", ["gptq", "awq", "decoupleq", "adadim", "spqr", "llm_fp4"])
def test_results_are_those_of_arrays_of_their_own(method, constant):
    to = {"llm_fp4": "float4.channel", "spqr": "uint3.g16.asymmetric"}.get(method, "int4.g32")
    plain = METHODS[method].quantize(WEIGHTS, ROWS, to=to)
    for _ in range(2):
        shared = METHODS[method].quantize(WEIGHTS, constant, to=to)
        assert np.array_equal(shared.dequantize(dtype=np.float64), plain.dequantize(dtype=np.float64))
        assert repr(shared.report) == repr(plain.report)


def test_the_matrix_is_kept_as_long_as_the_array(constant):
    before = len(objective._kept)
    wide = ROWS.astype(np.float64)
    first = scaled_gram(wide, constant)
    assert scaled_gram(wide, constant) is first
    assert np.array_equal(OutputError.of(wide, constant).gram, wide.T @ wide)
    assert len(objective._kept) == before + 1


def test_arrays_that_may_change_have_none_kept():
    before = len(objective._kept)
    view = ROWS.view()
    view.flags.writeable = False  # what it looks at can be written
    for rows in (ROWS, view):
        one = scaled_gram(ROWS.astype(np.float64), rows)
        assert scaled_gram(ROWS.astype(np.float64), rows) is not one
    assert len(objective._kept) == before


def test_no_more_is_kept_than_there_is_room_for(monkeypatch, constant):
    monkeypatch.setattr(objective, "KEPT", sum(one.gram.nbytes for one in objective._kept.values()) + 64 * 64 * 8 - 1)
    one = scaled_gram(constant.astype(np.float64), constant)
    assert scaled_gram(constant.astype(np.float64), constant) is not one


def test_it_is_forgotten_with_its_array():
    before = len(objective._kept)
    rows = ROWS.copy()
    rows.flags.writeable = False
    scaled_gram(ROWS.astype(np.float64), rows)
    assert len(objective._kept) == before + 1
    del rows
    gc.collect()
    assert len(objective._kept) == before


def test_axes_have_the_errors_of_their_outputs():
    both = METHODS["adadim"].quantize(WEIGHTS, ROWS, to="int4.g8").report["errors"]
    for variant, error in both.items():
        alone = METHODS["adadim"].quantize(WEIGHTS, ROWS, to="int4.g8", variant=variant)
        assert error == pytest.approx(alone.error(WEIGHTS, ROWS), rel=1e-9)
