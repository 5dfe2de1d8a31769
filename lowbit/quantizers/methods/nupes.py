"""PowerQuant and NUPES: even steps on an axis that is raised to a power, the power searched."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.build import MAX_POWER, power_format
from lowbit.format.types import FormatLike
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.clip import nearest
from lowbit.quantizers.inputs import Doubles, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight

COARSE = tuple(round(step / 20, 2) for step in range(4, 25))
FINE = tuple(step / 100 for step in range(-4, 5))


def nupes(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "int4.channel",
    variant: str = "nearest",
    exponent: float | Sequence[float] | None = None,
) -> QuantizedWeight:
    """Round to nearest on a power grid, of all exponents the one with the smallest squared error.

    Parameters
    ----------
    activations : array_like, optional
        Not looked at: the search needs no data.
    to : str or BlockFormat
        Integers of 2 to 8 bits and one scale a block: how many bits, and the blocks.
    exponent : float or sequence of float, optional
        This one, or the best of these; by default hundredths around the best of 0.2, 0.25, ..., 1.2.

    Returns
    -------
    QuantizedWeight
        ``report["exponent"]``, and ``report["errors"]``: the squared error over the squared weights for each that was
        tried. With 1/2 values are squares of integers times the scale: products need integers only.

    Raises
    ------
    InputError
        The format has other elements than integers, or a zero point.

    Notes
    -----
    Powers are the only continuous automorphisms of positive numbers under multiplication. Source: Yvinec et al.,
    "PowerQuant", ICLR 2023 (arXiv 2301.09858), equations 2 to 5; "NUPES" (arXiv 2308.05600). Learned exponents and
    weights come with the learned methods.

    Examples
    --------
    >>> nupes([[1.0, 0.25, 0.04, -0.01]], to="int4.channel", exponent=0.5).tensor.codes.tolist()
    [[7, 3, 1, 0]]
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    bits = fmt.element.bits
    if not fmt.element.wraps or not fmt.element.signed or [field.role for field in fmt.scales] != ["multiply"]:
        raise InputError(f"nupes replaces integers by a power grid, which {fmt.id} does not have", hint="int4.channel")
    tried: dict[float, tuple[float, BlockTensor]] = {}

    def error(power: float) -> float:
        if power not in tried:
            tensor = _on_grid(matrix, _grid(fmt, bits, power), power, variant)
            tried[power] = (float(((matrix - dequantize(tensor, dtype=np.float64)) ** 2).sum()), tensor)
        return tried[power][0]

    if exponent is None:
        middle = min(COARSE, key=error)
        best = min((round(middle + step, 2) for step in FINE), key=error)
    else:
        best = min([exponent] if isinstance(exponent, int | float) else exponent, key=error)
    whole = float((matrix**2).sum()) or 1.0
    errors = {power: square / whole for power, (square, _) in sorted(tried.items())}
    return QuantizedWeight(tried[best][1], report=MappingProxyType({"exponent": best, "errors": errors}))


def _grid(fmt: BlockFormat, bits: int, power: float) -> BlockFormat:
    field = fmt.scales[0]
    block: int | str = "tensor" if not field.block else field.block[0] or "channel"
    return block_format(power_format(bits, power), block=block, scale=field.format)


def _on_grid(matrix: Doubles, fmt: BlockFormat, power: float, variant: str) -> BlockTensor:
    tensor = nearest(matrix, fmt)
    if variant == "nearest":
        return tensor
    ones = BlockTensor.trusted(fmt, 1, np.full_like(tensor.codes, _largest(fmt)), _scales(tensor))
    share = np.abs(matrix) / np.maximum(dequantize(ones, dtype=np.float64), np.finfo(np.float64).tiny)
    steps = np.rint(np.minimum(share, 1) ** power * _largest(fmt)) * np.sign(matrix)
    codes = steps.astype(np.int64) & ((1 << fmt.element.bits) - 1)
    return BlockTensor.trusted(fmt, 1, codes.astype(tensor.codes.dtype), _scales(tensor))


def _largest(fmt: BlockFormat) -> int:
    return (1 << fmt.element.bits - 1) - 1


def _scales(tensor: BlockTensor) -> dict[str, npt.NDArray[np.generic]]:
    return {name: tensor.scale_codes(name) for name in tensor.scales}


METHOD = Method(
    name="nupes",
    quantize=nupes,
    title="a power grid, its exponent searched",
    source="Yvinec et al., ICLR 2023 (arXiv 2301.09858); NUPES (arXiv 2308.05600)",
    variants={"nearest": "the code whose value is nearest", "paper": "the code rint(sign(x) |x / scale|^a m)"},
    needs_activations=False,
    to="int4.channel",
    own={
        "exponent": Option(
            "the power of the grid, or some of which the best is taken; 0.5 makes values squares of integers",
            Numbers(0, MAX_POWER, excluded=0),
            several=True,
            optional=True,
        )
    },
    report={
        "exponent": "the power that was best",
        "errors": "the squared error under each power that was tried, over the squared weights",
    },
)
