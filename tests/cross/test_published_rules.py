"""Presets that stand for a text, not for a program that can be run here: the cases that the text decides, one by one.

- RISC-V Zvfofp8min 0.2.1: the canonical NaN of E4M3 and E5M2 is 0x7f; infinite results into E4M3 become that NaN, and
  the largest value of the same sign under the .sat instructions (github.com/aswaterman/riscv-misc, zvfofp8min.adoc).
- OCP OFP8 1.0, table 2: conversions of NaN, infinity and values out of range in saturating and non-saturating mode.
- IEEE P3109 interim report v4.0 on saturation: SatFinite, SatPropagate and SatNone.
"""

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import encode
from lowbit.policy.cast import CAST_PRESETS, get_policy

INF, NAN = np.inf, np.nan
E4M3, E5M2, FINITE, EXTENDED, UNSIGNED = "float8_e4m3fn", "float8_e5m2", "binary8p4sf", "binary8p4se", "binary8p4uf"
NONE, FINITE_MODE, PROPAGATE = "p3109_v4_0", "p3109_v4_0_sat_finite", "p3109_v4_0_sat_propagate"

CASES = [
    *(
        (preset, fmt, value, 0x7F)
        for preset in ("riscv_zvfofp8min", "riscv_zvfofp8min_sat")
        for fmt in (E4M3, E5M2)
        for value in (NAN, -NAN)
    ),
    ("riscv_zvfofp8min", E4M3, INF, 0x7F),
    ("riscv_zvfofp8min", E4M3, -INF, 0x7F),
    ("riscv_zvfofp8min", E4M3, 464.5, 0x7F),
    ("riscv_zvfofp8min", E4M3, -464.5, 0x7F),
    ("riscv_zvfofp8min", E4M3, 464.0, 0x7E),
    ("riscv_zvfofp8min", E5M2, INF, 0x7C),
    ("riscv_zvfofp8min", E5M2, -61440.0, 0xFC),
    ("riscv_zvfofp8min_sat", E4M3, INF, 0x7E),
    ("riscv_zvfofp8min_sat", E4M3, -1e9, 0xFE),
    ("riscv_zvfofp8min_sat", E5M2, INF, 0x7B),
    ("riscv_zvfofp8min_sat", E5M2, -61440.0, 0xFB),
    ("ocp_sat", E4M3, INF, 0x7E),
    ("ocp_sat", E4M3, -480.0, 0xFE),
    ("ocp_sat", E5M2, -INF, 0xFB),
    ("ocp_sat", E5M2, 65536.0, 0x7B),
    ("ocp_sat", E4M3, NAN, 0x7F),
    ("ocp_nosat", E4M3, INF, 0x7F),
    ("ocp_nosat", E4M3, 480.0, 0x7F),
    ("ocp_nosat", E5M2, -INF, 0xFC),
    ("ocp_nosat", E5M2, 65536.0, 0x7C),
    # binary8p4s: bias 8, NaN at 0x80; extended: infinity at 0x7F, largest 224; finite: largest 240 at 0x7F.
    (FINITE_MODE, EXTENDED, INF, 0x7E),
    (FINITE_MODE, EXTENDED, -1e9, 0xFE),
    (PROPAGATE, EXTENDED, INF, 0x7F),
    (PROPAGATE, EXTENDED, -1e9, 0xFE),
    (PROPAGATE, FINITE, INF, 0x7F),
    (NONE, EXTENDED, 1e9, 0x7F),
    (NONE, FINITE, 1e9, 0x7F),
    (NONE, FINITE, -INF, 0xFF),
    ("p3109_2026_07", FINITE, 1e9, 0x80),
    (NONE, EXTENDED, -NAN, 0x80),
    (NONE, UNSIGNED, -1.0, 0xFF),
    (FINITE_MODE, UNSIGNED, -1.0, 0x00),
    (NONE, EXTENDED, -0.0, 0x00),
    ("integer", "int4", 2.5, 2),
    ("integer", "int4", 1e9, 7),
    ("integer", "int4", -INF, -8),
    ("integer", "uint4", -3.0, 0),
    ("integer", "int4", NAN, 0),
    ("integer_wrap", "int4", 9.9, -7),
    ("integer_wrap", "uint4", -3.5, 13),
    ("integer_wrap", "int4", INF, 0),
]


@pytest.mark.parametrize(("preset", "fmt", "value", "code"), CASES)
def test_the_case_is_decided_as_published(preset, fmt, value, code):
    assert int(encode(np.array([value]), fmt, policy=preset)[0]) == code


PROOFS = {
    "bitsandbytes": "test_bitsandbytes.py",
    "ggml": "test_ggml.py",
    "ieee": "test_numpy.py",
    "numpy": "test_numpy.py",
    "ml_dtypes": "test_ml_dtypes.py",
    "torch": "test_torch.py",
    "onnxruntime": "test_onnxruntime.py",
    "onnxruntime_nosat": "test_onnxruntime.py",
    "onnx_1_18": "test_onnx_vectors.py",
    "onnx_1_18_nosat": "test_onnx_vectors.py",
    "onnx_1_22": "test_onnx_vectors.py",
    "onnx_1_22_nosat": "test_onnx_vectors.py",
    "cuda": "test_cuda.py",
    "cuda_nosat": "test_cuda.py",
    "gfloat": "test_gfloat.py",
    "gfloat_sat": "test_gfloat.py",
    "p3109_2026_07": "test_gfloat.py",
}


def test_every_preset_is_proved_somewhere():
    here = {case[0] for case in CASES}
    assert set(CAST_PRESETS) == here | set(PROOFS)
    assert {name for name, claim in CAST_PRESETS.claims.items() if claim.evidence == "run"} <= set(PROOFS)
    # The two names are one policy: what NumPy does is what IEEE 754 asks for.
    assert get_policy("ieee").differences(get_policy("numpy")) == {}


def test_overrides_go_by_id_before_kind():
    assert get_policy("onnxruntime", get_format("int4")).rounding == "nearest_away"
    assert get_policy("onnxruntime", get_format("int8")).rounding == "toward_zero"
    assert get_policy("torch", get_format(E4M3)).without_infinity == "saturate"
    assert get_policy("torch", get_format("float8_e4m3fnuz")) is CAST_PRESETS["torch"]
    assert get_policy("torch", get_format(E4M3)).name == "torch"
