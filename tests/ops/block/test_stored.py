"""BlockTensor.to_bytes and from_bytes: by hand, there and back, and what is refused."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.pack.layouts import LAYOUTS

VALUES = np.random.default_rng(5).normal(size=(128, 256)).astype(np.float32)
NAMES = [
    "nvfp4",
    "mxfp6_e2m3",
    "mxfp4",
    "int4.g128.asymmetric",
    "int3.g32",
    "fp8_128x128",
    "mxint8",
    "int4.g32.by_sign",
]
NAMES += ["bfp2_b", "dfp16", "dfp8", "int8.tensor"]


def require_equal(one, other):
    assert (one.format, one.shape, one.axis) == (other.format, other.shape, other.axis)
    for name in one.scales:
        assert one.scales[name].dtype == other.scales[name].dtype
        assert one.scales[name].shape == other.scales[name].shape
        assert one.scales[name].tobytes() == other.scales[name].tobytes()
    assert one.codes.dtype == other.codes.dtype
    assert np.array_equal(one.codes, other.codes)


def test_by_hand():
    # 1, -2, 3 and 6 over 2^2 in quarters: 1, 8 + 2, 3, 6; the exponent 127 + 2 = 0x81 follows.
    tensor = lowbit.quantize([1.0, -2.0, 3.0, 6.0] * 4, "bfp4_b")
    assert tensor.to_bytes().hex() == "a163" * 4 + "81"
    assert tensor.to_bytes("high_nibble_first").hex() == "1a36" * 4 + "81"
    # Two codes, then a binary16 scale of 7/7 = 1 = 0x3c00, its low byte first.
    assert lowbit.quantize([7.0, -1.0], "int4.g2").to_bytes().hex() == "f7" + "003c"
    # Along the first axis the columns are packed: the codes 7, -7 and, of 1 under a scale of 1/7, 7, 0.
    columns = lowbit.quantize([[7.0, 1.0], [-7.0, 0.0]], "int4.channel", axis=0)
    assert columns.to_bytes()[:2].hex() == "9707"


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name, axis):
    tensor, count = lowbit.quantize(VALUES, name, axis=axis), 0
    for layout in LAYOUTS:
        try:
            data = tensor.to_bytes(layout)
        except InputError:  # the layout is for codes of another width
            continue
        count += 1
        require_equal(BlockTensor.from_bytes(data, name, tensor.shape, axis=axis, layout=layout), tensor)
        for damaged in (data[:-1], data + b"\0", b""):
            with pytest.raises(InputError, match="bytes are"):
                BlockTensor.from_bytes(damaged, name, tensor.shape, axis=axis, layout=layout)
    assert count >= 1


def test_rows_and_fields_begin_at_a_byte_and_blocks_may_be_short():
    tensor = lowbit.quantize(VALUES[:5, :77], "int3.g32")
    data = tensor.to_bytes()
    assert len(data) == 5 * -(-77 * 3 // 8) + 5 * 3 * 2
    require_equal(BlockTensor.from_bytes(data, "int3.g32", (5, 77)), tensor)
    empty = lowbit.quantize(np.zeros((0, 32), np.float32), "mxfp4")
    require_equal(BlockTensor.from_bytes(empty.to_bytes(), "mxfp4", (0, 32)), empty)


@pytest.mark.parametrize(
    ("data", "name", "shape", "message"),
    [
        (b"\x80\x00", "dfp8", (1,), "is not a code of int8_narrow"),
        (b"\xf1\x3c\x00", "int4.g1", (1,), "other than zeros"),
        (b"", "mxfp4", (10**12, 32), "0 bytes are too few"),
        (bytes(16), "mxfp4", (32,), "16 bytes are too few for mxfp4 of shape .*, which has 17"),
        (bytes(18), "mxfp4", (32,), "18 bytes are not the 17"),
        (bytes(36), "nf4.g64.nested", (64,), "36 bytes are too few"),
        (bytes(38), "nf4.g64.nested", (64,), "38 bytes are not the 37"),
        (b"", "mxfp4", (0, 10**30, 32), "is more than"),
        (memoryview(b"ab"), "mxfp4", (32,), "memoryview is not bytes"),
        (b"", "mxfp4", (-1, 32), "is not a tuple of lengths"),
        (b"", "mxfp4", 32, "is not a tuple of lengths"),
        (b"", "mxfp4", (True,), "is not a tuple of lengths"),
        ("ab", "mxfp4", (32,), "str is not bytes"),
        (b"", "mxfp4", (), "has no axis"),
    ],
)
def test_what_is_refused(data, name, shape, message):
    with pytest.raises(InputError, match=message):
        BlockTensor.from_bytes(data, name, shape)


def test_an_unknown_layout_is_named():
    tensor = lowbit.quantize(VALUES[:1], "mxfp4")
    with pytest.raises(InputError, match="layout 'lsb_frist' is unknown"):
        tensor.to_bytes("lsb_frist")
    with pytest.raises(InputError, match="layout 'lsb_frist' is unknown"):
        BlockTensor.from_bytes(tensor.to_bytes(), "mxfp4", tensor.shape, layout="lsb_frist")
