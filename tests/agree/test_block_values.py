"""What elements of block formats are worth: all codes of the elements under all codes of each scale."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from lowbit.format.registry import block_format_of, formats
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor, from_codes
from lowbit.oracle.block.decode import element_value
from lowbit.vectors.cast.representative import representative_codes
from lowbit.vectors.patterns import from_patterns
from tests.agree.test_block import exact_equal

EVERY = [*formats(kind="block"), "float4_e2m1fn.g128.by_sign", "nf4.g64.by_sign", "nf4.g64", "bnb_fp4.g64.float32"]
EVERY += ["int4.g128", "int4.g128.asymmetric", "uint4.g128.asymmetric", "float4_e2m1fn.g16.float8_e5m3fnu"]
FEW, MANY_CODES = 3, 1 << 8


def some_codes(fmt, count):
    """All codes of a format of few bits; of a wider one, codes from both ends and between."""
    codes = representative_codes(fmt)
    codes = np.arange(1 << fmt.bits, dtype=np.uint64) if fmt.bits <= 8 else codes
    chosen = [code for code in from_patterns(codes, fmt).tolist() if code in fmt.codes]
    return chosen if len(chosen) <= count else [*chosen[:: -(-len(chosen) // (count - 1))], chosen[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_element_under_every_code_of_every_scale(name):
    # Each scale takes all codes of at most 8 bits in its turn, while the others take few.
    known = block_format_of(name)
    codes = some_codes(known.element, MANY_CODES)
    fields = tuple(replace(field, block=field.block and (len(codes),)) for field in known.scales)
    fmt = replace(known, block=known.block and (len(codes),), scales=fields)
    for turn in range(len(fields)):
        counts = [MANY_CODES if place == turn else FEW for place in range(len(fields))]
        choices = (some_codes(field.format, count) for field, count in zip(fields, counts, strict=True))
        for scales in itertools.product(*choices):
            own = dict(zip((field.name for field in fields), scales, strict=True))
            arrays = {
                field.name: from_codes(
                    np.full((1,) * bool(field.block), own[field.name], field.format.code_dtype), field.format
                )
                for field in fields
            }
            tensor = BlockTensor(fmt, (len(codes),), 0, np.array(codes, fmt.element.code_dtype), arrays)
            values = dequantize(tensor, dtype=np.float64)
            for code, value in zip(codes, values.tolist(), strict=True):
                exact = element_value(code, own, fmt)
                assert exact_equal(value, exact, "float64"), (name, own, code, value, str(exact))
