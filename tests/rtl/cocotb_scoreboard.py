"""A cocotb test of float_encode.v with lowbit as the reference; test_cocotb.py runs it in the simulator."""

import cocotb
import numpy as np
from cocotb.triggers import Timer

import lowbit


@cocotb.test()
async def casts_like_lowbit(dut):
    # Every sign and exponent, with mantissas at, beside and off the midpoints of three bits.
    top = np.arange(1 << 9, dtype=np.uint32)[:, None] << 23
    low = np.array([0, 1, 0x07FFFF, 0x080000, 0x080001, 0x100000, 0x180000, 0x600000, 0x680000, 0x780000, 0x7FFFFF])
    bits = (top | low.astype(np.uint32)).ravel()
    expected = lowbit.encode(bits.view(np.float32), "float8_e4m3fn", policy="ocp_sat")
    wrong = []
    for source, code in zip(bits.tolist(), expected.tolist(), strict=True):
        dut.bits.value = source
        await Timer(1, "step")
        if int(dut.code.value) != code:
            wrong.append(f"{source:08x}: expected {code:02x}, got {int(dut.code.value):02x}")
    assert not wrong, f"{len(wrong)} of {len(bits)} differ; {wrong[0]}"
