"""PyTorch's casts on the CPU against the preset ``torch``."""

import pytest

TARGETS = [
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("target", TARGETS)
def test_every_cast_follows_the_preset(target, check_casts):
    check_casts("torch", target)
