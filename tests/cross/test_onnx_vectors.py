"""The Cast node tests of ONNX 1.18 and 1.22 against the presets ``onnx_1_18`` and ``onnx_1_22``.

The two versions disagree: 1.18 truncates into bfloat16, saturates into integers and sends NaN to the largest FP4 value;
1.22 follows ml_dtypes. The vectors are kept in data/ as code patterns; `make exhaustive` reads them again from the
wheels with a small protobuf reader (no ``onnx`` is imported).
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import convert
from lowbit.policy.cast import get_policy

FILE = Path(__file__).parent / "data" / "onnx_cast_vectors.txt"
VERSIONS = ["1.18.0", "1.22.0"]
PRESETS = {
    ("1.18.0", "saturate"): "onnx_1_18",
    ("1.18.0", "nosat"): "onnx_1_18_nosat",
    ("1.22.0", "saturate"): "onnx_1_22",
    ("1.22.0", "nosat"): "onnx_1_22_nosat",
}
WIDENING = {"float32", "float64", "float16"}


def _vectors():
    lines = FILE.read_text(encoding="ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("//")]


VECTORS = _vectors()


def _codes(text, fmt):
    """Bit patterns to codes: two's complement for integers."""
    patterns = [int(item, 16) for item in text.split(",")]
    if fmt.kind != "float" and fmt.signed:
        patterns = [code - (1 << fmt.bits) if code >> (fmt.bits - 1) else code for code in patterns]
    return np.array(patterns, dtype=fmt.code_dtype)


def test_the_vectors_are_all_there():
    assert {row[0] for row in VECTORS} == set(VERSIONS)
    low = [row for row in VECTORS if row[4] not in WIDENING]
    assert len([row for row in low if row[0] == "1.18.0"]) >= 20
    assert {"float8_e8m0fnu", "int2", "uint2"} <= {row[4] for row in low if row[0] == "1.22.0"}


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_preset_gives_the_vectors(row):
    version, _, saturation, source_name, target_name, given, wanted = row
    source, target = get_format(source_name), get_format(target_name)
    policy = get_policy(PRESETS[version, saturation], target)
    ours = convert(_codes(given, source), source, target, policy=policy)
    assert [int(code) for code in ours] == [int(code) for code in _codes(wanted, target)]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The two wheels, downloaded with pip; skipped where there is no index."""
    folder = tmp_path_factory.mktemp("onnx")
    for version in VERSIONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", str(folder), f"onnx=={version}"]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode:
            pytest.skip(f"pip cannot download onnx {version}: {outcome.stderr.strip().splitlines()[-1:]}")
    return {version: next(folder.glob(f"onnx-{version}-*.whl")) for version in VERSIONS}


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_the_kept_vectors_are_those_of_the_wheel(version, wheels):
    with zipfile.ZipFile(wheels[version]) as wheel:
        for row in (row for row in VECTORS if row[0] == version):
            folder = f"onnx/backend/test/data/node/{row[1]}/test_data_set_0"
            for name, text, fmt in (("input_0", row[5], row[3]), ("output_0", row[6], row[4])):
                patterns = _tensor_patterns(wheel.read(f"{folder}/{name}.pb"), get_format(fmt).bits)
                kept = [int(item, 16) for item in text.split(",")]
                assert patterns[: len(kept)] == kept, (row[1], name)


def _fields(message):
    """The fields of a protobuf message: (number, wire type, value). See protobuf.dev/programming-guides/encoding."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, 0, varint()
        elif key & 7 == 2:
            length = varint()
            yield key >> 3, 2, message[at : at + length]
            at += length
        else:
            size = {1: 8, 5: 4}[key & 7]
            yield key >> 3, key & 7, message[at : at + size]
            at += size


def _varints(data):
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


def _tensor_patterns(message, bits):
    """The elements of a TensorProto as bit patterns: fields 4 float_data, 5 int32_data, 9 raw_data, 10 double_data."""
    mask, patterns = (1 << bits) - 1, []
    packed = bits < 8 and bits in {2, 4}
    for number, _, value in _fields(message):
        if number in {4, 10} and value:
            patterns += np.frombuffer(value, dtype="<u4" if number == 4 else "<u8").tolist()
        elif number == 5:
            elements = _varints(value)
            patterns += _unpacked([item & 0xFF for item in elements], bits) if packed else [e & mask for e in elements]
        elif number == 9:
            width = max(8, bits)
            elements = np.frombuffer(value, dtype=f"<u{width // 8}").tolist()
            patterns += _unpacked(elements, bits) if packed else elements
    return patterns


def _unpacked(elements, bits):
    return [element >> shift & ((1 << bits) - 1) for element in elements for shift in range(0, 8, bits)]
