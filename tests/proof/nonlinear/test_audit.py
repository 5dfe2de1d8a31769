"""Audits: bounds that no row leaves, witnesses that overflow, and the defects that they find unaided."""

import random
from itertools import islice

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, IntermediateOverflowError, LowbitError
from lowbit.nonlinear.scheme import get_scheme
from lowbit.proof import AUDITS, audit, longest_row
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.result import row_in_words
from lowbit.proof.nonlinear.search import directed_rows
from lowbit.proof.nonlinear.subject import Request, make_subject
from lowbit.proof.span import Span
from tests.thinned import thinned

INT16_SCALE = 10 / 65535
CASES = [
    ("softmax", "ivit", "torch", 0.05),
    ("softmax", "ivit", "paper", 0.013),
    ("softmax", "ivit", "tvm", 0.25),
    ("exp", "ivit", "torch", 0.05),
    ("exp", "ibert", "paper", 0.05),
    ("softmax", "ibert", "code", 0.05),
    ("softmax", "ibert", "paper", 0.05),
    ("gelu", "ibert", "code", 0.05),
    ("gelu", "ibert", "paper", 0.001),
    ("layernorm", "ibert", "code", None),
    ("layernorm", "ibert", "paper", None),
    ("softmax", "fqvit", "code", 0.05),
    ("softmax", "fqvit", "paper", 0.05),
    ("softmax", "lowbit", "", 0.05),
    ("gelu", "lowbit", "", 0.05),
    ("layernorm", "lowbit", "", None),
    ("rmsnorm", "lowbit", "", None),
    ("softmax", "litert_int16", "double_rounding", INT16_SCALE),
    ("l2norm", "tflite_int8", "single_rounding", None),
    ("gelu", "ivit", "torch", 0.05),
    ("gelu", "ivit", "paper", 0.02),
    ("gelu", "ivit", "tvm", 0.1),
    ("gelu", "ivit", "paper", 0.001),
    ("gelu", "ivit", "tvm", 0.002),
    ("layernorm", "ivit", "torch", None),
    ("layernorm", "ivit", "paper", None),
    ("layernorm", "ivit", "tvm", None),
    ("softmax", "tflite_int8", "double_rounding", 0.05),
    ("softmax", "tflite_int8", "single_rounding", 0.2),
    ("softmax", "tflite_int16", "double_rounding", INT16_SCALE),
    ("softmax", "cmsis_int16", "double_rounding", INT16_SCALE),
    ("logistic", "tflite_int8", "double_rounding", 0.05),
    ("tanh", "tflite_int8", "single_rounding", 0.01),
    ("logistic", "tflite_int16", "", 0.001),
    ("tanh", "tflite_int16", "", 2.0**-12),
]


def test_every_audit_is_tested():
    assert {(operation, scheme) for operation, scheme, _, _ in CASES} >= set(AUDITS)


@pytest.mark.parametrize(("operation", "scheme", "variant", "scale"), thinned(CASES, 10))
def test_no_row_leaves_the_bounds(operation, scheme, variant, scale):
    subject = make_subject(Request(get_scheme(operation, scheme).with_parameters(variant, scale)))
    generator = random.Random(7)
    low, high = subject.inputs
    for length in (1, 2, 9, 33):
        spans = subject.spans(length)
        rows = list(islice(directed_rows(subject, length), 24))
        for _ in range(24):
            narrow = generator.randrange(1, high - low)
            start = generator.randint(low, high - narrow)
            rows.append([generator.randint(start, start + narrow) for _ in range(length)])
        for row in rows:
            steps = Recorder(subject.widths)
            try:
                subject.run(row, steps)
            except (LowbitError, IndexError):
                assert steps.overflows(), "an oracle fails in unlimited integers only after an overflow"
            overflowed = set(steps.overflows())
            for step in subject.widths.steps:
                values = steps.values.get(step.name)
                if not values:
                    continue
                assert step.name not in subject.unused
                if step.name in spans:
                    assert spans[step.name].holds(Span(min(values), max(values))), (step.name, length, row)
                if step.name in overflowed:
                    break  # bounds hold as long as nothing before overflowed


@pytest.mark.parametrize(("operation", "scheme", "variant", "scale"), thinned(CASES, 12))
def test_a_witness_traps_and_a_proof_does_not(operation, scheme, variant, scale):
    length = 1 if operation in ("logistic", "tanh", "exp") else 600
    report = audit(operation, scheme=scheme, variant=variant, scale=scale, length=length)
    public = getattr(lowbit.fixed_point if operation == "exp" else lowbit, operation)
    options = {"scheme": scheme, "overflow": "trap"} | ({"variant": variant} if variant else {})
    options |= {} if scale is None else {"scale": scale}
    dtype = np.int8 if report.inputs.low >= -128 and report.inputs.high < 128 else np.int16
    first = report.first_overflow
    if first is not None:
        with pytest.raises(IntermediateOverflowError) as caught:
            public(np.array([first.witness], dtype), **options)
        assert caught.value.name == first.step.name
        assert not first.step.holds(first.value)
    if report.verdict == "proved":
        generator = np.random.default_rng(3)
        public(generator.integers(*report.inputs, size=(20, length), endpoint=True).astype(dtype), **options)


def test_the_int16_softmax_defect_is_found():
    """CMSIS-NN's arm_softmax_s16 doubles every result of this row: the reciprocal's table index wraps."""
    report = audit("softmax", scheme="cmsis_int16", scale=INT16_SCALE, length=9)
    by_name = {finding.step.name: finding for finding in report.findings}
    assert report.first_overflow is by_name["rounded sum"]
    assert by_name["reciprocal index"].verdict == "refuted"
    witness = np.array(by_name["reciprocal index"].witness, np.int16)
    wrong = lowbit.softmax(witness, scheme="cmsis_int16", scale=INT16_SCALE)
    right = lowbit.softmax(witness, scheme="tflite_int16", scale=INT16_SCALE)
    assert int(right.sum()) < 33_000
    assert int(wrong.astype(np.int64).sum()) > 64_000
    assert longest_row("softmax", scheme="cmsis_int16", scale=INT16_SCALE) == 8
    assert audit("softmax", scheme="tflite_int16", scale=INT16_SCALE, length=9).verdict == "proved"


@pytest.mark.parametrize(("bits", "longest"), [(8, 511), (16, 4095)])
def test_tflites_limits_on_row_length_are_found(bits, longest):
    assert longest_row("softmax", scheme="tflite_int8", scale=0.05, bits=bits) == longest
    report = audit("softmax", scheme="tflite_int8", scale=0.05, bits=bits, length=longest + 1)
    assert report.verdict == "refuted"
    assert set(report.first_overflow.witness) == {127}
    assert report.first_overflow.step.name == {8: "exponent", 16: "sum"}[bits]


def test_tvms_gelu_overflows_for_negative_rows():
    report = audit("gelu", scheme="ivit", variant="tvm", scale=0.05, length=197)
    assert report.first_overflow.step.name == "exponential_of_maximum"
    assert report.first_overflow.value >= 1 << 31
    assert longest_row("gelu", scheme="ivit", variant="tvm", scale=0.05) == 0


def test_iberts_layernorm_needs_33_bits():
    """2^31 / deviation times a code that is the whole deviation is 2^31 again, which int32 does not hold."""
    report = audit("layernorm", scheme="ibert", variant="paper", length=300)
    by_name = {finding.step.name: finding for finding in report.findings}
    assert by_name["factor"].value == by_name["product"].value == 1 << 31
    assert sorted(set(by_name["product"].witness)) == [0, 64]


def test_the_papers_isoftmax_holds_one_hot_rows():
    report = audit("softmax", scheme="ibert", variant="paper", scale=0.05, length=197)
    assert report.verdict == "proved"
    assert report.findings[-1].span.high == 255


def test_int16_inputs_overflow_tvms_layernorm_sum():
    report = audit("layernorm", scheme="ivit", variant="tvm", length=768, inputs=(-32768, 32767))
    assert report.first_overflow.step.name == "sum"
    assert audit("layernorm", scheme="ivit", variant="tvm", length=197).verdict == "proved"


def test_reports_in_words_and_as_json():
    report = audit("softmax", scheme="tflite_int8", scale=0.05, length=512)
    document = report.as_dict()
    assert document["verdict"] == "refuted"
    assert document["intermediates"][0] == {
        "name": "difference",
        "bits": 32,
        "signed": True,
        "range": [-255, 0],
        "verdict": "proved",
        "value": None,
        "witness": None,
    }
    assert row_in_words((5, 5, -1)) == "2 times 5, -1"
    assert row_in_words(tuple(range(20))).endswith("... (20 codes)")


@pytest.mark.parametrize(
    ("operation", "options", "message"),
    [
        ("sorting", {"scheme": "ivit"}, "no audit of 'sorting'"),
        ("softmax", {"scheme": "magic"}, "under 'magic'"),
        ("softmax", {"scheme": "ivit"}, "depends on the scale"),
        ("softmax", {"scheme": "ivit", "scale": 0}, "scale is zero"),
        ("softmax", {"scheme": "ivit", "scale": float("nan")}, "scale is not a number"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "variant": "jax"}, "no variant 'jax'"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "beta": 2}, "no option 'beta'"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "length": 0}, "length = 0"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "inputs": (3, 2)}, "the first number is the lowest code"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "inputs": "int9x"}, "not a range of integers"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "inputs": 1.5}, "not a range of integers"),
        ("softmax", {"scheme": "ivit", "scale": 0.1, "inputs": (0, 1 << 20)}, "gone through"),
        ("softmax", {"scheme": "tflite_int8", "scale": 0.1, "inputs": (0, 255)}, "takes int8 codes"),
    ],
)
def test_requests_that_make_no_sense(operation, options, message):
    with pytest.raises(InputError, match=message):
        audit(operation, **{"length": 8, **options})


@pytest.mark.parametrize("scale", [2.0**-15, 1e-6, 10.0])
@pytest.mark.parametrize("scheme", ["ibert", "fqvit"])
def test_scales_without_an_i_exp(scheme, scale):
    with pytest.raises(InputError, match="gives i-exp the constants"):
        audit("softmax", scheme=scheme, length=16, scale=scale)
