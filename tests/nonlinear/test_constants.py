"""The oracle derives every constant in fractions, the array layer in floats: over many scales they are the same."""

import numpy as np
import pytest

from lowbit.nonlinear import ibert, ivit, litert, lowbit_scheme, tflite_parameters
from lowbit.nonlinear.binary32 import binary32, scale32
from lowbit.nonlinear.scheme import OPERATIONS, get_scheme, schemes
from lowbit.ops.nonlinear.rows import affine, norm_biases, rounded_biases
from lowbit.oracle.nonlinear import constants, tflite_sigmoid, tflite_softmax
from lowbit.oracle.nonlinear import ibert as exact_ibert
from lowbit.oracle.nonlinear import ivit as exact_ivit
from lowbit.oracle.nonlinear import litert as exact_litert
from lowbit.oracle.nonlinear import lowbit_scheme as exact_lowbit
from lowbit.policy.presets import EVIDENCE
from tests.derivations import answer_of, require_same

RANDOM = np.random.default_rng(0)
POWERS = [2.0**k for k in range(-40, 12)]
EDGES = [1e-45, 1e-38, 1.7e-5, 4e-5, 0.69, 0.7, 1.67, 2.6, 8 / 3, 1e9, 1e30, 3.4e38]
DRAWN = np.exp(RANDOM.uniform(np.log(1e-9), np.log(1e3), 400)).tolist()
SCALES = [
    binary32(scale)
    for scale in (*EDGES, *DRAWN, *(power * near for power in POWERS for near in (1, 1 - 2**-24, 1 + 2**-23, 1.0006)))
]


@pytest.mark.parametrize("factor", [1.0, 1.702])
@pytest.mark.parametrize("variant", ivit.VARIANTS)
def test_unit_codes_of_ivit(variant, factor):
    require_same(
        (
            lambda scale=scale: ivit.unit_code(scale, variant, factor),
            lambda scale=scale: exact_ivit.unit_code(scale, variant, str(factor)),
        )
        for scale in SCALES
    )


@pytest.mark.parametrize("variant", ibert.VARIANTS)
def test_polynomials_of_ibert(variant):
    require_same(
        (
            lambda scale=scale: tuple(ibert.exp_constants(scale, variant)),
            lambda scale=scale: tuple(exact_ibert.exponential_of(scale, variant)),
        )
        for scale in SCALES
    )
    require_same(
        (
            lambda scale=scale: tuple(ibert.gelu_constants(scale, variant)),
            lambda scale=scale: tuple(exact_ibert.erf_of(scale, variant)),
        )
        for scale in SCALES
    )


def test_requantisation_of_ibert():
    require_same(
        (
            lambda scale=scale: ibert.exp_multiplier(scale),
            lambda scale=scale: exact_ibert.requantization(scale),
        )
        for scale in SCALES
    )


def test_multipliers_of_lowbit():
    for base_2, derive in ((True, lowbit_scheme.exp_multiplier), (False, lowbit_scheme.gelu_multiplier)):
        require_same(
            (
                lambda scale=scale, derive=derive: tuple(derive(scale)),
                lambda scale=scale, base_2=base_2: exact_lowbit.multiplier_of(scale, base_2=base_2),
            )
            for scale in SCALES
        )


@pytest.mark.parametrize("beta", [1.0, binary32(0.3)])
def test_softmax_of_tflite(beta):
    for variant in get_scheme("softmax", "tflite_int8").variants:
        require_same(
            (
                lambda scale=scale, variant=variant: tuple(tflite_parameters.softmax_parameters(scale, beta, variant)),
                lambda scale=scale, variant=variant: _flat(tflite_softmax.parameters_int8(scale, beta, variant)),
            )
            for scale in SCALES
        )
    for scheme in ("tflite_int16", "litert_int16"):
        require_same(
            (
                lambda scale=scale, s=scheme: tuple(tflite_parameters.softmax_int16_multiplier(scale, beta, s)),
                lambda scale=scale, s=scheme: tuple(tflite_softmax.multiplier_int16(scale, beta, s)),
            )
            for scale in SCALES
        )


def _flat(nested):
    (value, shift), last = nested
    return value, shift, last


def test_sigmoids_of_tflite():
    require_same(
        (
            lambda scale=scale: tuple(tflite_parameters.sigmoid_parameters(scale)),
            lambda scale=scale: _flat(tflite_sigmoid.parameters_int8(scale)),
        )
        for scale in SCALES
    )
    for operation in ("logistic", "tanh"):
        require_same(
            (
                lambda scale=scale, name=operation: (
                    *tflite_parameters.sigmoid_int16_parameters(scale, name),
                    tflite_parameters.sigmoid_int16_left_shift(scale, name),
                ),
                lambda scale=scale, name=operation: tuple(tflite_sigmoid.scaling_int16(scale, name)),
            )
            for scale in SCALES
        )


def test_tables_of_litert():
    for scale in map(binary32, (*EDGES, 0.0123, 0.05, 2.0**-7, 6.165371736983704)):
        assert tuple(litert.softmax_table(scale, 1.0)) == exact_litert.exponentials(scale, 1.0)
        for operation, zero_point in (("logistic", -3), ("tanh", 7)):
            entries = [exact_litert.entry(operation, scale, code - zero_point) for code in range(-128, 128)]
            assert litert.sigmoid_table(operation, scale, zero_point) == entries


def test_biases():
    for length in (1, 2, 197, 768, 1 << 16):
        assert ivit.norm_scale(length) == exact_ivit.norm_unit(length)
    gamma, beta = RANDOM.normal(1, 0.5, 500), RANDOM.normal(0, 1, 500)
    options = {"gamma": gamma.tolist(), "beta": beta.tolist()}
    rounded = affine(options, 500)
    in_floats = norm_biases(*rounded, ivit.norm_scale(500)).tolist()
    assert in_floats == exact_ivit.norm_biases(options, 500)
    assert rounded_biases(*rounded, lowbit_scheme.NORM_FRACTION).tolist() == exact_lowbit.norm_biases(options, 500)


def test_scales_are_the_same_binary32_numbers():
    for value in (*DRAWN, *EDGES[3:-1], np.float32(0.1), 1, 1e-45):
        assert scale32(value) == constants.positive32(value)
    for value in (0, -1.0, float("nan"), float("inf"), 1e-50, 1e300, "x", None):
        assert all(answer_of(lambda v=value, f=f: f(v)) is None for f in (scale32, constants.positive32))


def test_every_scheme_has_a_grade_of_evidence():
    """Those that are compared with a product, by tests/cross, say so; a scheme of our own claims nothing."""
    records = [record for operation in OPERATIONS for record in schemes(operation).values()]
    assert {record.evidence for record in records} == {"run", "source", ""}
    assert {record.evidence for record in records} - {""} <= set(EVIDENCE)
    assert {record.id for record in records if not record.evidence} == {"lowbit", "exact"}
    run = {(record.operation, record.id) for record in records if record.evidence == "run"}
    names = {"tflite_int8", "tflite_int16", "litert_int8", "litert_int16", "tosa"}
    assert run == {
        (record.operation, record.id)
        for record in records
        if record.id in names and (record.operation, record.id) != ("layernorm", "tflite_int16")
    }
