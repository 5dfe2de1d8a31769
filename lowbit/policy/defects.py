"""The known bugs of products, as data: a preset names them, ``encode`` reproduces them and ``check`` reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lowbit.exact import ZERO, Exact, finite


@dataclass(frozen=True)
class Defect:
    """A known bug of a product: an interval of inputs that it sends to a wrong code, or a step it should not take.

    The steps (``via``) of a policy's defects are taken before its intervals are looked at.
    """

    summary: str  # what happens, and the public thread about it
    via: str = ""  # the intermediate format of a double rounding; "" where the defect is an interval
    sources: tuple[str, ...] = ()  # ids of the source formats that are affected, () for all
    target: str = ""  # id of the only target affected, "" for all
    # above, below: the magnitudes strictly between them get ``code``, with the sign of the input where the format has
    # one; a negative value into an unsigned format has no magnitude here unless the policy's ``negative`` is "absolute"
    above: Exact | None = None
    below: Exact | None = None
    code: int = 0  # the wrong magnitude code

    def applies(self, source: str, target: str) -> bool:
        """Whether a conversion between these formats meets the defect."""
        return (not self.sources or source in self.sources) and self.target in ("", target)


WIDER_THAN_FLOAT32 = ("float64", "int32", "uint32", "int64", "uint64")

DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {
        "double_rounding_via_float32": Defect(
            "sources with more than 24 significant bits are rounded to float32 first (ml_dtypes PR #401)",
            via="float32",
            sources=WIDER_THAN_FLOAT32,
        ),
        "e8m0_lowest_binade": Defect(
            "every value between 2^-127 and 3/2*2^-127 becomes 2^-126 instead of the nearer 2^-127",
            target="float8_e8m0fnu",
            above=finite(1, -127),
            below=finite(3, -128),
            code=1,
        ),
        "e8m0_tiny_is_nan": Defect(
            "every value below 2^-127 becomes NaN, even one that rounds to 2^-127 (ONNX Runtime, saturate=0)",
            target="float8_e8m0fnu",
            above=ZERO,
            below=finite(1, -127),
            code=0xFF,
        ),
        "e8m0_early_overflow": Defect(
            "every value above 2^127 becomes NaN, even one that rounds to 2^127: overflow is decided before rounding "
            "(ONNX Runtime, saturate=0, round_mode nearest and down)",
            target="float8_e8m0fnu",
            above=finite(1, 127),
            below=finite(1, 128),
            code=0xFF,
        ),
        "e4m3fn_late_overflow": Defect(
            "values from 480 to below 496 become 448 instead of NaN, as if 480 were the largest value (ONNX Runtime, "
            "saturate=0)",
            target="float8_e4m3fn",
            above=finite((480 << 15) - 1, -15),
            below=finite(496),
            code=0x7E,
        ),
        "e5m2_overflow_carry": Defect(
            "values from 61440, the tie above the largest value, to below 65536 become NaN instead of infinity: the "
            "overflow is or-ed onto the code of the largest value (ONNX Runtime, saturate=0)",
            target="float8_e5m2",
            above=finite((61440 << 8) - 1, -8),
            below=finite(1, 16),
            code=0x7F,
        ),
    }
)
"""Id -> defect."""
