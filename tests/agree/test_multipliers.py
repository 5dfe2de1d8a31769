"""The oracle derives multipliers from scales in fractions, the policies in floats: they are the same."""

import numpy as np
import pytest

from lowbit import REQUANTIZE_SCHEMES, effective_scale
from lowbit.oracle.requantize import multipliers as exact
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.quantized_add import derive_addition
from tests.derivations import require_same

RANDOM = np.random.default_rng(0)
NEAR = (1.0, 1 - 2.0**-53, 1 + 2.0**-52, 1 - 2.0**-24, 1 + 2.0**-23, 1 - 2.0**-32, 1 - 3 * 2.0**-33, 1.0006, 0.7)
POWERS = [2.0**exponent * near for exponent in range(-70, 40) for near in NEAR]
DRAWN = np.exp(RANDOM.uniform(np.log(1e-12), np.log(1e6), 300)).tolist()
SCALES = [1e-50, 1e-45, 1e-40, 1.1e-38, *POWERS, *DRAWN, 3e38, 1e39]
DERIVATIONS = {scheme.derivation: name for name, scheme in REQUANTIZE_SCHEMES.items()}


@pytest.mark.parametrize("name", DERIVATIONS.values())
def test_multipliers_of_scales(name):
    scheme = REQUANTIZE_SCHEMES[name]
    pairs = ((lambda s=s: derive_multiplier(s, scheme), lambda s=s: exact.multiplier_of(s, scheme)) for s in SCALES)
    require_same(pairs, share=8)


def triples(count):
    return np.exp(RANDOM.uniform(np.log(1e-6), np.log(10), (count, 3))).tolist()


@pytest.mark.parametrize("name", ["tflite_double", "onnxruntime", "hawq", "xnnpack_fp32"])
def test_products_of_scales(name):
    scheme = REQUANTIZE_SCHEMES[name]
    pairs = (
        (lambda s=s: effective_scale(*s, scheme=scheme), lambda s=s: float(exact.scale_of(*s, scheme)))
        for s in triples(300)
    )
    require_same(pairs, share=8)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["tflite_double", "tflite_single"])
def test_additions_of_tflite(name, bits):
    scheme = REQUANTIZE_SCHEMES[name]
    for a, b, result in triples(200):
        scales = a, b, max(result, a / 1000, b / 1000)  # the product stops at smaller ones
        addition = derive_addition(name, *scales, bits)
        pairs = addition.left_shift, (addition.a, addition.b, addition.result)
        assert pairs == exact.pairs_of_tflite_addition(*scales, bits, scheme)


def test_additions_of_hawq():
    for scales in triples(200):
        addition = derive_addition("hawq", *scales, 8)
        assert (addition.a, addition.b) == exact.pairs_of_hawq_addition(*scales, REQUANTIZE_SCHEMES["hawq"])


@pytest.mark.parametrize("name", ["xnnpack_add", "qnnpack_add"])
def test_additions_with_a_shared_shift(name):
    for a, b, result in np.exp(RANDOM.uniform(-2, 2, (300, 3))).tolist():
        addition = derive_addition(name, a, b, result, 8)
        found = addition.a[0], addition.b[0], addition.result[1]
        assert found == exact.multipliers_of_shared_addition(name, a, b, result)
