"""NumPy's own casts against the preset ``numpy``: float16 and float32 from every NumPy number."""

import pytest


@pytest.mark.parametrize("target", ["float16", "float32", "float64"])
def test_every_cast_follows_the_preset(target, check_casts):
    check_casts("numpy", target)
