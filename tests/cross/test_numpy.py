"""NumPy's own casts against the preset ``numpy``: float16 and float32 from every NumPy number."""

import pytest

np = pytest.importorskip("numpy")


@pytest.mark.parametrize("target", ["float16", "float32", "float64"])
def test_every_cast_follows_the_preset(target, casts, check_cast):
    chosen = [cast for cast in casts("numpy") if cast.target == target]
    assert chosen
    for cast in chosen:
        check_cast(cast)
