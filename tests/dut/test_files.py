"""Results that were computed elsewhere."""

import numpy as np
import pytest

from lowbit.dut.code_files import read_codes
from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.results import ResultsFile
from lowbit.errors import DeviceError, InputError, LowbitError
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case


def results_of(file, fmt, count):
    case = rows_case(np.zeros(count, np.uint32), 0)
    return ResultsFile(str(file), fmt, [case]).run(case)


@pytest.mark.parametrize("suffix", [".hex", ".npy", ".bin"])
@pytest.mark.parametrize(
    ("name", "codes"), [("float8_e5m2", [0, 0x7C, 0xFF]), ("int4", [-8, 7, -1]), ("float16", [1, 65535])]
)
def test_round_trip(tmp_path, suffix, name, codes):
    fmt = get_format(name)
    array = np.array(codes, fmt.code_dtype)
    file = tmp_path / f"results{suffix}"
    if suffix == ".hex":
        file.write_text("// results\n" + "\n".join(f"{code & ((1 << fmt.bits) - 1):x}" for code in codes) + "\n")
    elif suffix == ".npy":
        np.save(file, array)
    else:
        file.write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
    got = read_codes(file, fmt)
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)


def test_wrong_count_is_the_devices_fault(tmp_path):
    file = tmp_path / "results.hex"
    file.write_text("38\n38\n")
    with pytest.raises(DeviceError, match="2 results for 3 inputs"):
        results_of(file, get_format("float8_e4m3fn"), 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("results.hex", b"38\n3x\n", "unresolved"),
        ("results.hex", b"38\nhello\n", "not a hexadecimal code"),
        ("results.hex", b"138\n", "not a code"),
        ("results.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "truncated"),
        ("results.npy", b"", "truncated"),
        ("results.npy", b"PK\x05\x06" + bytes(18), "damaged"),  # an .npz under another name
        ("results.bin", b"\x00\x01\x02", "truncated"),
        ("results.dat", b"", "suffix"),
        ("results.hex", b"-1\n", "'-1' is not a hexadecimal code"),
        ("results.hex", b"@2\n38\n", "the word at address 0x0 is missing; the last one is at 0x2"),
        ("results.hex", b"38\n@ffffffffffff\n38\n", "the word at address 0x1 is missing; the last one is at 0xff"),
        ("results.hex", b"38\n3f @0 38\n@2 xx\n", "the word at address 0x2 is unresolved"),
    ],
)
def test_damaged_files(tmp_path, name, content, words):
    file = tmp_path / name
    file.write_bytes(content)
    fmt = get_format("float16" if name.endswith(".bin") else "float8_e4m3fn")
    with pytest.raises(LowbitError, match=words) as caught:
        read_codes(file, fmt)
    assert not isinstance(caught.value, DeviceError)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_codes(tmp_path / "none.hex", get_format("int8"))
    assert caught.value.code == CANNOT_LOAD


@pytest.mark.parametrize(
    ("name", "text", "results"),
    [("float4_e2m1fn", "7\n80\n0\n", [7, 0x80, 0]), ("int4", "7\n1f\nf\n", [7, 0x1F, -1]), ("int4", "7\nf\n", [7, -1])],
)
def test_results_that_are_no_codes_are_kept_to_be_compared(tmp_path, name, text, results):
    file = tmp_path / "results.hex"
    file.write_text(text)
    assert results_of(file, get_format(name), len(results)).tolist() == results


def test_addresses_are_honoured(tmp_path):
    fmt = get_format("float8_e4m3fn")
    file = tmp_path / "codes.mem"
    file.write_text("@3 41 /* the last but one is written twice */ @1 40 3f @0 38 @2 3e\n")
    assert read_codes(file, fmt).tolist() == [0x38, 0x40, 0x3E, 0x41]
    assert results_of(file, fmt, 4).tolist() == [0x38, 0x40, 0x3E, 0x41]


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("@1 38\n", [None, 0x38, None, None]),
        ("@0 38\n@3 40\n", [0x38, None, None, 0x40]),
        ("38 xx 3x 40\n", [0x38, None, None, 0x40]),
        ("38 39 3a 40 @2 zz\n", [0x38, 0x39, None, 0x40]),
    ],
)
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float64", "int8"])
def test_results_that_were_not_written_are_masked(tmp_path, text, results, name):
    file = tmp_path / "results.hex"
    file.write_text(text)
    assert results_of(file, get_format(name), 4).tolist() == results


@pytest.mark.parametrize(
    "text", ["@4 38\n", "@ffffffffffff 38\n", "@ffffffffffffffff 38\n", "38 39 3a 3b 3c\n", "38\n"]
)
def test_results_beyond_the_inputs_are_the_devices_fault(tmp_path, text):
    file = tmp_path / "results.hex"
    file.write_text(text)
    with pytest.raises(DeviceError, match=r"holds .*results.* for 4 inputs") as caught:
        results_of(file, get_format("float8_e4m3fn"), 4)
    assert caught.value.code == "LB604"


def test_a_header_that_asks_for_more_memory_than_there_is(tmp_path):
    file = tmp_path / "results.npy"
    np.save(file, np.zeros(4, np.uint8))
    file.write_bytes(file.read_bytes().replace(b"(4,), }".ljust(18), b"(10000000000000,)}"))
    with pytest.raises(LowbitError, match="damaged or truncated"):
        read_codes(file, get_format("float8_e4m3fn"))
