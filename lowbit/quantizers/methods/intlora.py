"""IntLoRA: a low-rank adapter merged into integer weights by multiplication or by shifts."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.inputs import Doubles, adapter_product, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.round_to_nearest import round_to_nearest
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import Products, QuantizedWeight

LAPLACE_SCALE = 0.5
SMALLEST_AUXILIARY, SMALLEST_FACTOR = 1e-8, 1e-16
Integers = npt.NDArray[np.int64]


def intlora(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "int4.channel.asymmetric.float32",
    variant: str = "multiply",
    adapter: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    factors: FormatLike = "int8.channel.asymmetric.float32",
    exponent: float = 1.5,
    seed: int = 0,
) -> QuantizedWeight:
    """Quantise weights less a random matrix, and multiply the codes by factors that hold that matrix and the adapter.

    Parameters
    ----------
    to : str or BlockFormat
        Integers with one scale and one zero point an output.
    exponent : float
        How the random matrix grows with the weights of an output: its entries follow Laplace's distribution, times
        ``(max|w| / r)^exponent``, with r the magnitude of its largest or its smallest entry, whichever is less.

    Returns
    -------
    QuantizedWeight
        ``tensor.codes`` and ``tensor.factors``. ``report["zero_codes"]`` is the share of codes that are 0,
        ``report["identity_error"]`` the largest error of the others, over the largest weight, before factors are
        rounded.

    Raises
    ------
    InputError
        The format has other scales, or the adapter's shapes do not fit.

    Notes
    -----
    With codes q of ``W - R`` under the scale s, ``U = s + (R + A B) / q`` gives ``U q = s q + R + A B``. A code of 0
    has no such factor: the official code divides by 1 there, and the weight is 0, whatever R and the adapter hold.
    With 4 bits that is one weight in seven where they are normal. Ranges are narrowed in 80 steps as for
    ``round_to_nearest``'s "norm_2.4"; in the official code they need not hold 0, and factors are clipped to as many
    bits as weights have. Source: Guo et al., "IntLoRA", ICML 2025 (arXiv 2410.21759), sections 3.2 to 3.4;
    csguoh/IntLoRA at 65a8257, utils/intlora_mul.py and intlora_shift.py.

    Examples
    --------
    >>> import numpy as np
    >>> layer = np.random.default_rng(0).normal(size=(8, 64))
    >>> result = intlora(layer, to="int8.channel.asymmetric.float32")
    >>> result.error(layer) < 0.01, result.report["identity_error"] < 1e-15
    (True, True)
    """
    matrix = weight_matrix(weights)
    added = adapter_product(adapter, matrix.shape)
    auxiliary = _auxiliary(matrix, exponent, seed)
    codes, scale, width = _integers(matrix - auxiliary, to)
    exact = scale + (auxiliary + added) / np.where(codes == 0, 1, codes)
    wanted = scale * codes + auxiliary + added
    missed = np.abs(np.where(codes == 0, 0, exact * codes - wanted)).max() / (np.abs(matrix).max() or 1)
    if variant == "multiply":
        rounded, own, wide = _integers(exact, factors)
    else:
        powers = np.rint(np.log2(np.abs(exact) + SMALLEST_FACTOR))
        rounded, own = np.sign(exact) * np.exp2(powers), np.ones((len(matrix), 1))
        wide = 1 + int(np.ptp(powers)).bit_length()
    tensor = Products(codes.astype(np.int16), rounded.astype(np.float32), own.astype(np.float32), (width, wide))
    report = {"zero_codes": float((codes == 0).mean()), "identity_error": float(missed)}
    return QuantizedWeight(tensor, report=MappingProxyType(report))


def _auxiliary(matrix: Doubles, exponent: float, seed: int) -> Doubles:
    drawn = np.random.default_rng(seed).laplace(scale=LAPLACE_SCALE, size=matrix.shape)
    least = np.minimum(np.abs(drawn.max(axis=1)), np.abs(drawn.min(axis=1)))
    share: Doubles = (np.abs(matrix).max(axis=1) / (least + SMALLEST_AUXILIARY)) ** exponent
    return share[:, None] * drawn


def _integers(matrix: Doubles, to: FormatLike) -> tuple[Integers, Doubles, int]:
    """Codes less their zero points, the scale of each output, and the bits of a code."""
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    if not is_affine(fmt) or fmt.scales[0].block != (0,):
        raise InputError(
            f"intlora multiplies integers under one scale and zero point an output, and {fmt.id} is otherwise",
            hint=METHOD.to,
        )
    tensor = round_to_nearest(matrix, to=fmt, variant="norm_2.4").tensor
    assert isinstance(tensor, BlockTensor)
    zero = tensor.scale_codes(fmt.scales[1].name).astype(np.int64)
    scale = field_values(tensor.scale_codes(fmt.scales[0].name), fmt.scales[0])
    return tensor.codes.astype(np.int64) - zero, scale, fmt.element.bits


METHOD = Method(
    name="intlora",
    quantize=intlora,
    title="a low-rank adapter multiplied into integer weights",
    source="Guo et al., ICML 2025 (arXiv 2410.21759); csguoh/IntLoRA 65a8257",
    variants={"multiply": "factors are integers under one scale", "shift": "factors are signed powers of two"},
    needs_activations=False,
    to="int4.channel.asymmetric.float32",
    own={
        "factors": Option("the format of the factors that are integers"),
        "exponent": Option("how the random matrix grows with the weights of an output; 1.5 is usual", Numbers(0, 16)),
    },
    report={
        "zero_codes": "the share of codes that are 0",
        "identity_error": "the largest error before factors are rounded, over the largest weight",
    },
    layer_alone="no adapter is given: what shows is the rounding of the weights that it would be multiplied into",
)
