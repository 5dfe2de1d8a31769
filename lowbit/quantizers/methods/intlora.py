"""IntLoRA: a low-rank adapter merged into integer weights by multiplication or by shifts."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.inputs import Doubles, activation_rows, adapter_product, weight_format, weight_matrix
from lowbit.quantizers.learned.adapters import LEARNED, Multiplied, fresh, given, learn_adapter, rates
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.layer import REPORT, Layer, report_of
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.round_to_nearest import round_to_nearest
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import Products, QuantizedWeight

LAPLACE_SCALE = 0.5
SMALLEST_AUXILIARY = 1e-8
Integers = npt.NDArray[np.int64]


def intlora(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.channel.asymmetric.float32",
    variant: str = "multiply",
    adapter: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    factors: FormatLike = "int8.channel.asymmetric.float32",
    exponent: float = 1.5,
    rank: int = 4,
    rate: float = 1e-3,
    steps: int = 0,
    batch: int = 64,
    seed: int = 0,
) -> QuantizedWeight:
    """Quantise weights less a random matrix, and multiply the codes by factors that hold that matrix and the adapter.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        What the adapter and the scales of the factors are learned from, where there are steps.
    to : str or BlockFormat
        Integers with one scale and one zero point an output.
    exponent : float
        How the random matrix grows with the weights of an output: its entries follow Laplace's distribution, times
        ``(max|w| / r)^exponent``, with r the magnitude of its largest or its smallest entry, whichever is less.
    seed : int
        Of that matrix, of the adapter's start, and of the rows of each step.

    Returns
    -------
    QuantizedWeight
        ``tensor.codes`` and ``tensor.factors``. ``report["zero_codes"]`` is the share of codes that are 0,
        ``report["identity_error"]`` the largest error of the others, over the largest weight, before factors are
        rounded.

    Raises
    ------
    InputError
        The format has other scales, the adapter's shapes do not fit, or there are steps and no activations.

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
    parts = given(adapter) if adapter is not None else fresh(matrix.shape, rank, seed)
    frozen = frozen_layer(matrix, to, variant, added, factors, exponent, seed)
    learned, report = None, {}
    if steps:
        rows = activation_rows(activations, matrix.shape[1], METHOD.name)
        settings = Settings(steps, seed, rates(frozen.merging, rate))
        result = learn_adapter(frozen.merging, parts, Layer.of(matrix, rows), settings, batch)
        learned, report = result.learned, report_of(result)
    report |= {"zero_codes": float((frozen.merging.integers == 0).mean()), "identity_error": frozen.missed}
    return QuantizedWeight(frozen.merged(learned), report=report)


class Frozen(NamedTuple):
    """A layer's weights as integers, its factors before anything is learned, and what these miss of the identity."""

    merging: Multiplied
    factors: Doubles
    widths: tuple[int, int]
    missed: float

    def merged(self, learned: Arrays | None = None) -> Products:
        """The codes and factors as they are stored: with what was learned, its values bit for bit."""
        factors, own, widths = self.factors, self.merging.own, self.widths
        if learned is not None:
            factors, own = np.asarray(self.merging.factors(learned)), learned.get("own", own)
            widths = self.widths[0], self.widths[1] if "own" in learned else _bits_of_powers(factors)
        codes = self.merging.integers.astype(np.int16)
        return Products(codes, factors.astype(np.float32), own.astype(np.float32), widths)


def frozen_layer(
    matrix: Doubles,
    to: FormatLike,
    variant: str,
    added: Doubles,
    factors: FormatLike = "int8.channel.asymmetric.float32",
    exponent: float = 1.5,
    seed: int = 0,
) -> Frozen:
    """A layer's weights as integers under one scale an output, and factors that hold what the adapter adds."""
    auxiliary = _auxiliary(matrix, exponent, seed)
    codes, scale, _, width = _integers(matrix - auxiliary, to)
    ones = np.ones((len(matrix), 1))
    merging = Multiplied(codes.astype(np.float64), scale, auxiliary, ones, 0 * ones, None)
    exact, wanted = merging.exact(added), scale * codes + auxiliary + added
    missed = np.abs(np.where(codes == 0, 0, exact * codes - wanted)).max() / (np.abs(matrix).max() or 1)
    if variant == "multiply":
        whole, own, zero, wide = _integers(exact, factors)
        number = weight_format(factors, matrix.shape[1], METHOD.name).number
        own = np.where(own > 0, own, 1)
        merging = replace(merging, own=own, zero=zero.astype(np.float64), codes=number.codes)
        return Frozen(merging, whole.astype(np.float64), (width, wide), float(missed))
    powers = merging.powers(exact)
    return Frozen(merging, powers, (width, _bits_of_powers(powers)), float(missed))


def _bits_of_powers(powers: Doubles) -> int:
    """Of a sign and of the difference of the exponents."""
    exponents = np.log2(np.abs(powers[powers != 0]))
    return 1 + int(np.ptp(exponents) if exponents.size else 0).bit_length()


def _auxiliary(matrix: Doubles, exponent: float, seed: int) -> Doubles:
    drawn = np.random.default_rng(seed).laplace(scale=LAPLACE_SCALE, size=matrix.shape)
    least = np.minimum(np.abs(drawn.max(axis=1)), np.abs(drawn.min(axis=1)))
    share: Doubles = (np.abs(matrix).max(axis=1) / (least + SMALLEST_AUXILIARY)) ** exponent
    return share[:, None] * drawn


def _integers(matrix: Doubles, to: FormatLike) -> tuple[Integers, Doubles, Integers, int]:
    """Codes less their zero points, the scale and the zero point of each output, and the bits of a code."""
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
    return tensor.codes.astype(np.int64) - zero, scale, zero, fmt.element.bits


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
        **LEARNED,
    },
    report=REPORT
    | {
        "zero_codes": "the share of codes that are 0",
        "identity_error": "the largest error before factors are rounded, over the largest weight",
    },
    layer_alone="without steps=200, say, nothing is trained: what shows is the rounding of the weights that an adapter "
    "would be multiplied into",
)
