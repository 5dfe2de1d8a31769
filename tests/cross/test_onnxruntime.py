"""ONNX Runtime's Cast on the CPU against the presets ``onnxruntime`` (saturate=1) and ``onnxruntime_nosat``."""

import pytest

TARGETS = [
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "int4",
    "uint4",
    "int2",
    "uint2",
]


@pytest.mark.parametrize("target", TARGETS)
def test_every_cast_follows_the_preset(target, check_casts):
    check_casts("onnxruntime", target)
