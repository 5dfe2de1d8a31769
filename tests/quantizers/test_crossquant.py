"""CrossQuant: steps by row and column, codes that are never clipped, and a kernel that is not the error."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.metrics import quantization_kernel
from lowbit.quantizers import crossquant
from lowbit.quantizers.methods.crossquant import cross_quantize
from lowbit.testing import activations

ALPHAS = (1.0, 0.5, 0.25, 0.15, 0.0)


@pytest.fixture(scope="module")
def rows():
    """A few inputs are 32 times as large as the others, and rows differ by powers of two about a normal exponent."""
    sizes = np.exp2(activations("gaussian", 128, 1, seed=1).astype(np.float64) / 2)
    return sizes * activations("outlier_channels", 128, 512, outliers=6)


def test_steps_are_geometric_means_of_the_maxima():
    # equation 5 with alpha 1/2: 100 127 / 100, 1 / (sqrt(200) / 127) = 8.98, 50 / (sqrt(5000) / 127) = 89.8,
    # -2 / (sqrt(100) / 127) = -25.4
    coded = cross_quantize([[100.0, 1.0], [50.0, -2.0]], alpha=0.5)
    assert coded.codes.tolist() == [[127, 9], [90, -25]]
    np.testing.assert_allclose(coded.rows, np.sqrt([100, 50]) / 127)
    np.testing.assert_allclose(coded.columns, np.sqrt([100, 2]))
    assert cross_quantize([[100.0, 1.0], [50.0, -2.0]], bits=4, alpha=0.5).codes.tolist() == [[7, 0], [5, -1]]


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_no_code_is_ever_clipped(rows, bits):
    top = 2 ** (bits - 1) - 1
    for alpha in ALPHAS:
        step = np.abs(rows).max(axis=1, keepdims=True) ** alpha * np.abs(rows).max(axis=0) ** (1 - alpha) / top
        codes = np.rint(rows / step)
        assert np.abs(codes).max() == top
        np.testing.assert_array_equal(cross_quantize(rows, bits=bits, alpha=alpha).codes, codes)


def test_it_is_a_step_for_each_row_of_scaled_columns(rows):
    by_row = np.rint(rows / (np.abs(rows).max(axis=1, keepdims=True) / 127))
    np.testing.assert_array_equal(cross_quantize(rows, alpha=1.0).codes, by_row)
    coded = cross_quantize(rows, alpha=0.5)
    np.testing.assert_array_equal(coded.codes, np.rint(rows / coded.columns / coded.rows[:, None]))


@pytest.mark.parametrize("bits", [8, 4])
def test_the_kernel_falls_with_alpha_and_the_error_does_not(rows, bits):
    weights = np.random.default_rng(3).normal(size=(32, rows.shape[1]))
    reports = [crossquant(weights, rows, alpha=alpha, bits=bits).report for alpha in ALPHAS]
    kernels = [report["kernel"] for report in reports]
    errors = [report["output_error"] for report in reports]
    assert kernels == sorted(kernels, reverse=True)
    assert kernels[0] > 2 * kernels[3]
    assert errors[3] < errors[0] / 3
    assert errors[4] > 1.05 * errors[3]
    assert kernels[1] == pytest.approx((cross_quantize(rows, alpha=0.5, bits=bits).dequantize() == 0).mean())


def test_columns_fold_into_the_weights_where_they_are_the_calibrations(rows):
    weights = np.random.default_rng(4).normal(size=(16, rows.shape[1])).astype(np.float32)
    calibration, later = rows[:64], rows[64:]
    result = crossquant(weights, calibration, variant="folded", alpha=0.25)
    columns = np.abs(calibration).max(axis=0) ** 0.75
    np.testing.assert_allclose(result.transform.scale, columns)
    coded = cross_quantize(later, alpha=0.25, columns=np.abs(calibration).max(axis=0))
    integers = coded.codes.astype(np.int64) @ result.tensor.codes.astype(np.int64).T
    outputs = coded.rows[:, None] * integers * result.tensor.scales["block"].astype(np.float64).T
    np.testing.assert_allclose(outputs, coded.dequantize() @ result.dequantize(dtype=np.float64).T, rtol=1e-9)
    assert np.abs(coded.codes).max() == 127


def test_what_is_zero_stays_zero():
    coded = cross_quantize([[0.0, 0.0], [0.0, 3.0]], alpha=0.15)
    assert coded.codes.tolist() == [[0, 0], [0, 127]]
    result = crossquant(np.ones((2, 2)), [[0.0, 0.0], [0.0, 3.0]], variant="folded")
    np.testing.assert_allclose(result.dequantize(), 1, rtol=0.01)
    assert result.transform.scale[0] == 1
    assert quantization_kernel([]) == 0
    assert quantization_kernel([0, 1, -1, 0.0]) == 0.5


def test_broken_requests_are_refused():
    rows = np.ones((2, 3))
    for bits in (1, 9, 8.0, True, "8"):
        with pytest.raises(InputError, match="bits"):
            cross_quantize(rows, bits=bits)
    for alpha in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="alpha"):
            cross_quantize(rows, alpha=alpha)
    with pytest.raises(InputError, match="columns"):
        cross_quantize(rows, columns=[1.0, 2.0])
    with pytest.raises(InputError, match="below 0"):
        cross_quantize(rows, columns=[1.0, -2.0, 1.0])
    for nothing in (None, 3.0, [np.inf, 1.0]):
        with pytest.raises(InputError, match="activations"):
            cross_quantize(nothing)
