"""The layouts of packed codes by name: which bit goes where, in which product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lowbit.ops.arrays import Array
from lowbit.ops.pack import placement
from lowbit.ops.pack.placement import Way, in_words, nibbles


@dataclass(frozen=True)
class Layout:
    """A way to place codes in bytes or words."""

    summary: str  # where each bit goes, and who does it so
    # low, high: the widths of code that it takes
    low: int
    high: int
    group: int  # the number of codes along the last axis must be a multiple of this
    pack: Way  # ``(patterns, bits) -> words``; patterns are unsigned
    unpack: Way  # its inverse, ``(words, bits) -> patterns``; may return more than were packed where ``group`` is 1
    word: str = "uint8"  # dtype of what it packs into; words of 32 bits may come as int32 or uint32
    # The number of rows, along the axis before the last, must be a multiple of this; 0 for a layout of one axis.
    rows: int = 0
    except_widths: tuple[int, ...] = ()  # widths between ``low`` and ``high`` that it does not take
    # How a code is written: "" as it is; "offset_binary": a signed one plus 2**(bits - 1); "minus_one": less one,
    # modulo 2**bits.
    stored: str = ""

    def takes(self, bits: int) -> bool:
        """Whether codes may be so wide."""
        return self.low <= bits <= self.high and bits not in self.except_widths

    def written(self, patterns: Array, bits: int, signed: bool) -> Array:
        """The patterns as the layout stores them; those of a signed format are two's complement."""
        if self.stored == "minus_one":
            return (patterns - 1) & ((1 << bits) - 1)
        return patterns ^ (1 << bits - 1) if self.stored and signed else patterns

    def read(self, stored: Array, bits: int, signed: bool) -> Array:
        """The inverse of ``written``."""
        if self.stored == "minus_one":
            return (stored + 1) & ((1 << bits) - 1)
        return self.written(stored, bits, signed)


LAYOUTS: Mapping[str, Layout] = {
    "lsb_first": Layout(
        "dense bit stream: code i occupies bits i*b to i*b+b-1, bit 0 of byte 0 first, zeros after the last code "
        "(ONNX int2, int4, float4, float6; zarr packbits)",
        1,
        16,
        1,
        *placement.STREAM,
    ),
    "low_nibble_first": Layout(
        "two a byte, the first in bits 3:0 (ONNX int4 and float4e2m1; CUDA __nv_fp4x2_storage_t; PyTorch "
        "float4_e2m1fn_x2)",
        4,
        4,
        2,
        *nibbles(1, 0),
    ),
    "high_nibble_first": Layout(
        "two a byte, the first in bits 7:4 (bitsandbytes 4-bit weights)", 4, 4, 2, *nibbles(1, 1)
    ),
    "ggml_split": Layout(
        "blocks of 32 in 16 bytes: code j in the low nibble of byte j, code j+16 in its high nibble (ggml Q4_0, "
        "Q4_1, MXFP4)",
        4,
        4,
        placement.GGML_BLOCK,
        *nibbles(placement.GGML_BLOCK // 2, 0),
    ),
    "fp6_dense": Layout(
        "four 6-bit codes in three bytes, code i in bits 6i+5:6i of the little-endian 24-bit word: lsb_first in "
        "whole groups (ONNX FLOAT6E2M3 and FLOAT6E3M2)",
        6,
        6,
        4,
        *placement.STREAM,
    ),
    "one_per_byte": Layout(
        "a byte each, in its low bits, zeros above (ml_dtypes; CUDA __nv_fp6_storage_t)",
        1,
        8,
        1,
        *placement.BYTES,
    ),
    "tf32_in_float32": Layout(
        "a 19-bit TF32 code as the leading bits of a binary32 word, 13 zeros below (PTX .tf32 operands)",
        19,
        19,
        1,
        *placement.TF32,
        "uint32",
    ),
    "compressed_tensors": Layout(
        "dense bit stream in int32 words, zeros after the last code of a row; signed codes plus 2^(b-1) "
        "(pack-quantized of compressed-tensors, where codes lie across words)",
        1,
        8,
        1,
        *placement.STREAM_WORDS,
        "int32",
        stored="offset_binary",
    ),
    "compressed_tensors_0_9": Layout(
        "32 // b whole codes in each int32 word, the first lowest; signed codes plus 2^(b-1) (pack-quantized of "
        "compressed-tensors 0.9)",
        1,
        8,
        1,
        *in_words(),
        "int32",
        stored="offset_binary",
    ),
    "gptq": Layout(
        "weights (outputs, inputs) of 2, 3, 4 or 8 bits: dense int32 words along the inputs, as "
        "(inputs * b / 32, outputs) (qweight of AutoGPTQ and ExLlama)",
        2,
        8,
        32,
        *placement.COLUMNS,
        "int32",
        rows=1,
        except_widths=(5, 6, 7),
    ),
    "gptq_zeros": Layout(
        "zero points (groups, outputs) of 2, 3, 4 or 8 bits: dense int32 words along the outputs, each less one, "
        "so that 0 is stored as 2^b - 1 (qzeros of AutoGPTQ and ExLlama; adding one without a mask then gives 2^b)",
        2,
        8,
        32,
        *placement.STREAM_WORDS,
        "int32",
        except_widths=(5, 6, 7),
        stored="minus_one",
    ),
    "squeezellm": Layout(
        "labels (outputs, inputs) as in gptq: of 3 bits, code 10 of 32 lies across words 0 and 1, code 21 across 1 "
        "and 2 (qweight of SqueezeLLM)",
        3,
        4,
        32,
        *placement.COLUMNS,
        "int32",
        rows=1,
    ),
    "awq_gemm": Layout(
        "int32 words along the outputs: the nibbles, lowest first, hold codes 0, 2, 4, 6, 1, 3, 5, 7 of eight "
        "(qweight (inputs, outputs / 8) and qzeros of AutoAWQ GEMM)",
        4,
        4,
        8,
        *in_words(placement.AWQ_ORDER),
        "int32",
    ),
    "tinychat_v2": Layout(
        "weights (outputs, inputs): of 32 codes 0, 8, 16, 24, 1, 9, ..., four an int16 word; 16 words of each of "
        "four rows in turn (qweight (outputs / 4, inputs) of llm-awq)",
        4,
        4,
        placement.TINYCHAT_TILE,
        *placement.TINYCHAT,
        "int16",
        rows=placement.TINYCHAT_ROWS,
    ),
    "scales_128x4": Layout(
        "scales of a byte in tiles of 128 rows by 4 blocks, 512 bytes each: row r, block c of a tile at byte "
        "(r % 32) * 16 + r // 32 * 4 + c (cuBLAS 1D block scaling factors; torchao to_blocked)",
        8,
        8,
        placement.SCALE_COLUMNS,
        *placement.SCALES,
        rows=placement.SCALE_ROWS,
    ),
    "spqr_tile": Layout(
        "18 codes a 64-bit word: scale, zero point and 16 weights of a row of a tile; bits 61:54, a byte of the "
        "second-order scales, are written as zeros and not read (SpQR)",
        3,
        3,
        placement.SPQR_CODES,
        *placement.SPQR,
        "uint64",
    ),
}
"""Name -> layout."""
