"""Numbers of public bug reports that are not about a kernel's pattern: input, choices, and the answer by the standard.

Those with a kernel behind them are planted in tests/check/test_reported.py. Of one report only a refusal is held:
the dot product of E5M2 numbers in NumKong's issue 308 needs a floating-point accumulator, and ``gemm`` has integers.
"""

import numpy as np
import pytest

import lowbit
from lowbit.oracle.cast.projection import flag_names

NUMBERS = [5.5, 2.5, 1.6, 1.1, 1.0, -1.0, -1.1, -1.6, -2.5, -5.5]

FLAGS = [
    # report, source, bits of the input, target, result, flags
    ("openhwgroup/cvfpu#154", "float64", 0xC1E0000000000020, "int32", -(2**31), "NX"),
    ("openhwgroup/cvfpu#123", "float64", 0x380FFFFFE0000000, "float32", 0x00800000, "UF NX"),
    ("openhwgroup/cvfpu#11", "int32", 70000, "float16", 0x7C00, "OF NX"),
    ("riscv/riscv-bfloat16#17", "float32", 0x35800000, "float16", 0x0010, ""),
    ("llvm/llvm-project#215445", "float32", 0xC0000000, "float8_e8m0fnu", 0xFF, "NV"),
    ("llvm/llvm-project#215445", "float32", 0, "float8_e8m0fnu", 0x00, "NX"),
]

ROUNDINGS = {
    # fastmachinelearning/qonnx PR 110: the table of java.math.RoundingMode
    "nearest_even": [6, 2, 2, 1, 1, -1, -1, -2, -2, -6],
    "toward_positive": [6, 3, 2, 2, 1, -1, -1, -1, -2, -5],
    "toward_negative": [5, 2, 1, 1, 1, -1, -2, -2, -3, -6],
    "away_from_zero": [6, 3, 2, 2, 1, -1, -2, -2, -3, -6],
    "toward_zero": [5, 2, 1, 1, 1, -1, -1, -1, -2, -5],
    "nearest_away": [6, 3, 2, 1, 1, -1, -1, -2, -3, -6],
    "nearest_zero": [5, 2, 2, 1, 1, -1, -1, -2, -2, -5],
}

STOCHASTIC = [
    # report, target, value, overflow, the random integers of 8 bits, codes
    ("ROCm/llvm-project PR 3275", "float8_e5m3fnu", 63 / 32, "nan", range(256), [0x7F] * 64 + [0x80] * 192),
    ("ROCm/rocm-systems PR 8800", "float8_e4m3fn", 449, "nan", (0, 255), [0x7E, 0x7F]),
    ("ROCm/rocm-systems PR 8800", "float8_e4m3fn", 500, "nan", (0,), [0x7F]),
]


@pytest.mark.parametrize(("report", "source", "pattern", "target", "code", "flags"), FLAGS)
def test_flags_at_the_ends_of_a_range(report, source, pattern, target, code, flags):
    codes = np.array([pattern], lowbit.get_format(source).code_dtype)
    results, raised = lowbit.convert(codes, source, target, return_flags=True)
    assert (results.item(), flag_names(raised.item())) == (code, flags), report


@pytest.mark.parametrize(("rounding", "expected"), ROUNDINGS.items(), ids=list(ROUNDINGS))
def test_seven_roundings_of_ten_numbers(rounding, expected):
    assert lowbit.encode(NUMBERS, "int8", policy=lowbit.Policy(rounding=rounding)).tolist() == expected


@pytest.mark.parametrize(("report", "target", "value", "overflow", "random", "codes"), STOCHASTIC)
def test_noise_keeps_its_carry(report, target, value, overflow, random, codes):
    policy = lowbit.Policy(rounding="stochastic_a", random_bits=8, overflow=overflow)
    values = np.full(len(random), value, np.float32)
    assert lowbit.encode(values, target, policy=policy, random_bits=np.array(random)).tolist() == codes, report


def test_a_carry_out_of_the_subnormals():  # apytypes/apytypes#1023: E5M5 to E3M4
    narrow, wide = lowbit.float_format(3, 4), lowbit.float_format(5, 5)
    code = lowbit.convert(lowbit.encode([0.24609375], wide), wide, narrow)
    assert (code.item(), lowbit.decode(code, narrow).item()) == (0x10, 0.25)


@pytest.mark.parametrize(("overflow", "code"), [("wrap", 15), ("saturate", 0)])
def test_a_zero_point_of_minus_one(overflow, code):  # ModelCloud/GPTQModel#2350
    assert lowbit.encode([-1], "uint4", policy=lowbit.Policy(overflow=overflow)).item() == code


def test_the_largest_number_and_the_nans_of_e5m2():  # kohya-ss/musubi-tuner#192, EricLBuehler/float8#8
    numbers = lowbit.decode(np.arange(256, dtype=np.uint8), "float8_e5m2")
    assert numbers[np.isfinite(numbers)].max() == 57344
    assert np.flatnonzero(np.isnan(numbers)).tolist() == [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]


@pytest.mark.parametrize(("shift", "scheme"), [(-32, "cmsis_nn_single"), (-40, "cmsis_nn_double"), (31, "single_up")])
def test_a_shift_of_a_word_and_more_is_refused(shift, scheme):  # ARM-software/CMSIS-NN#114
    with pytest.raises(lowbit.InputError, match=f"shift {shift} is out of range"):
        lowbit.requantize(np.int32([1000]), scheme=scheme, multiplier=1 << 30, shift=shift)


@pytest.mark.parametrize(("policy", "scale", "value"), [("ocp_mx", 2, 896), ("torchao_ceil", 4, 960)])
def test_957_in_a_block(policy, scale, value):  # microsoft/microxcaling#4, pytorch/ao#436, vllm-project/vllm PR 43557
    block = lowbit.quantize(np.float32([957] + 31 * [0]), "mxfp8_e4m3", policy=policy)
    assert lowbit.decode(block.scales["block"], "float8_e8m0fnu").item() == scale
    assert lowbit.dequantize(block)[0] == value


def test_products_of_floats_are_refused():  # ashvardanian/NumKong#308, deepseek-ai/DeepGEMM#43
    numbers = np.zeros((1, 1), np.float32)
    with pytest.raises(lowbit.InputError, match="a has dtype float32"):
        lowbit.gemm(numbers, numbers)


@pytest.mark.parametrize(
    ("scheme", "row", "scale", "codes"),
    [
        ("ibert", [60, 20, 0, -30], 0.25, [255, 0, 0, 0]),
        ("ibert", [5], 0.25, [255]),
        ("ivit", [5], 1 / 16, [127]),
        ("ivit", [5, 5], 1 / 16, [64, 64]),  # IntDiv's numerator is 2^31 all the same
    ],
)
@pytest.mark.parametrize("dtype", [np.int8, np.int32])
@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
def test_a_probability_of_one_is_the_largest_code(scheme, row, scale, codes, dtype, overflow):  # D1
    got = lowbit.softmax(np.array([row], dtype), scheme=scheme, variant="paper", scale=scale, overflow=overflow)
    assert got.tolist() == [codes]


def test_equal_maxima_end_the_process_of_tflite():  # C64, tensorflow/tflite-micro#3499
    rows = np.zeros((1, 512), np.int8)
    assert set(lowbit.softmax(rows[:, :511], scheme="tflite_int8", scale=0.05)[0].tolist()) == {-127}
    with pytest.raises(lowbit.InputError, match=r"shift by 32 is outside 0\.\.31 and TFLite ends its process"):
        lowbit.softmax(rows, scheme="tflite_int8", scale=0.05)


def test_the_differences_of_int32_codes_are_defined():  # attack C7: they wrap, and the shift after them stays one
    row = np.int32([[-(1 << 31), (1 << 31) - 1, 0]])
    assert lowbit.softmax(row, scheme="ibert", variant="paper", scale=0.05).tolist() == [[0, 255, 0]]


def test_shiftgelu_divides_the_numerator_of_the_code():  # D2: binary32 makes 2584 of it
    assert lowbit.gelu([[34]], scheme="ivit", scale=1 / 128).tolist() == [[1292]]


def test_a_shift_beyond_the_register_is_the_declared_one():  # D11
    assert lowbit.gelu(np.int32([[-450, -450]]), scheme="ivit", variant="tvm", scale=0.05).tolist() == [[-56700] * 2]


SENTENCES = {
    "D2": ("what-the-official-codes-do", "33.5 % of results differ", "one change: codes are integers"),
    "D3": ("what-the-official-codes-do", "24 comes back as 23.999998", "25.000002"),
    "D4": ("nonlinearities", "for codes worth ±8, one or two for ±1", "four or five significant bits remain."),
    "D5": ("nonlinearities", 'M "sufficiently large"', "lgorithms 1 to 3"),
    "D6": ("nonlinearities", "some up to 183,183 one that is one too large", "34,596"),
    "D7": ("nonlinearities", "range of a trained checkpoint lags behind its scale", "never moves"),
    "D8": ("what-the-official-codes-do", "9.4 % of wide accumulators differ, at most by 64", "differ by 1 "),
    "D9": ("llm-int8", "in eval mode gives the same codes", "bit for bit on a CPU"),
    "D10": ("what-the-official-codes-do", "the maximum of a row starts at −FLT_MIN", "starts at 0"),
    "D11": ("nonlinearities", "which TVM leaves undefined", "TVM gives 0"),
    "published": ("what-the-official-codes-do", "72.24", "at most four iterations suffice"),
}
"""Correction -> page, what it says, and what it no longer does."""


@pytest.mark.parametrize("correction", SENTENCES)
def test_sentences_about_the_official_codes_are_true(correction, repository):
    name, said, no_longer = SENTENCES[correction]
    text = " ".join((repository / "docs" / "explanation" / f"{name}.md").read_text(encoding="utf-8").split())
    assert said in text
    assert no_longer not in text


def test_dyadic_cites_the_section_that_it_is_in():  # D12
    assert "HAWQ-V3, section 3.1" in lowbit.Dyadic.__doc__
