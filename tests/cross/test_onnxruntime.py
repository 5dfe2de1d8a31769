"""ONNX Runtime's Cast on the CPU against the presets ``onnxruntime`` (saturate=1) and ``onnxruntime_nosat``."""

import pytest

from lowbit.policy import get_policy
from lowbit.registry import get_format

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
ROUND_MODES = {"up": "away_from_zero", "down": "toward_zero", "nearest": "nearest_even"}


@pytest.mark.parametrize("target", TARGETS)
def test_every_cast_follows_the_preset(target, casts, check_cast):
    chosen = [cast for cast in casts("onnxruntime") if cast.target == target]
    if target not in {cast.target for cast in chosen}:
        pytest.skip(f"this ONNX Runtime casts nothing to {target}")
    for cast in chosen:
        preset = "onnxruntime_nosat" if "saturate=0" in cast.option else "onnxruntime"
        policy = get_policy(preset, get_format(target))
        for mode, rounding in ROUND_MODES.items():
            if f"round_mode={mode}" in cast.option:
                policy = policy.choose(rounding=rounding)
        check_cast(cast, policy)
