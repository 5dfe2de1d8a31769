"""PyTorch's operators of affine quantisation: what they do otherwise than documented is found, and is published."""

import pytest

from lowbit.check import installed
from lowbit.check.report.sentence import sentence

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
RECIPROCAL = "has quotient_steps = 'reciprocal'"
FOUND = {
    "quantize_per_tensor": [RECIPROCAL, "zero_point_place = 'fused'", "nan = 'maximum'"],
    "quantize_per_channel": [RECIPROCAL, "(as the preset torch_per_channel)"],
    "fake_quantize_per_tensor_affine": [RECIPROCAL, "nan = 'minimum'"],
}


@pytest.fixture
def results(monkeypatch):
    """Option and format of the codes -> the result, asked in this process."""
    monkeypatch.setattr(installed, "SLOW_TO_IMPORT", ())

    def check():
        each = installed.check_installed("quantize_linear", ["torch"])
        return {(result.option, result.operation.types["--to"]): result for result in each}

    return check


def test_what_is_published_is_all_that_differs(results):
    verdicts = {key: result.verdict for key, result in results().items()}
    known = {(option, codes): "known" for option in FOUND for codes in ("uint8", "int8")}
    assert verdicts == {**known, ("dequantize", "uint8"): "pass", ("dequantize", "int8"): "pass"}


def test_it_is_found_without_being_told(results, monkeypatch):
    monkeypatch.setattr(installed, "known_differences", lambda: ())
    for (option, _), result in results().items():
        if option == "dequantize":
            continue
        words = sentence(result)
        assert all(part in words for part in FOUND[option]), words
        assert words.endswith("and is otherwise exact")
