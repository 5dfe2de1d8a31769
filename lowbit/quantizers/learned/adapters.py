"""Adapters of low rank that merge into codes, learned: what training computes forward is stored bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode, encode
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.estimators import fake_quantize, round_through, through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.layer import Layer
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction
from lowbit.quantizers.learned.settings import BATCH, STEPS
from lowbit.quantizers.options import Numbers, Option

Singles = npt.NDArray[np.float32]
TINY = 1e-16
"""IntLoRA's, which is added to magnitudes before their logarithm."""

LEARNED = {
    "rank": Option("of the adapter that is learned where none is given", Numbers(1, 1024, whole=True)),
    "rate": Option("Adam's, for the adapter's factors", Numbers(0)),
    "steps": STEPS,
    "batch": BATCH,
}
"""The options of learning."""
SCALE_RATE = 1e-3
"""What a step of Adam moves a scale by, over its mean."""


def fresh(shape: tuple[int, ...], rank: int, seed: int) -> Arrays:
    """An adapter of nothing: the right factor uniform within 1 / sqrt(inputs), the left one 0, as LoRA's codes have it.

    Source: Hu et al. (arXiv 2106.09685), section 4.1; microsoft/LoRA, which draws by Kaiming's rule with a = sqrt(5).
    """
    bound = shape[1] ** -0.5
    right = np.random.default_rng(seed).uniform(-bound, bound, (rank, shape[1]))
    return {"left": np.zeros((shape[0], rank)), "right": right}


def given(adapter: Any) -> Arrays:
    """An adapter's two factors in binary64."""
    left, right = (np.asarray(part, np.float64) for part in adapter)
    return {"left": left, "right": right}


@dataclass(frozen=True, eq=False)
class Rounded:
    """LR-QAT: ``scale clip(rint(stored + share left right))``, of frozen weights over their first scale.

    Learned are ``left``, ``right`` (binary64) and ``scale`` (binary32).

    Attributes
    ----------
    nearest : BlockTensor
        Codes and scales as round to nearest has them.
    stored : ndarray of float32, shape (outputs, inputs)
    share : float
        What the product counts.
    alone : bool
        Whether the product is rounded by itself: frozen weights are codes.
    """

    nearest: BlockTensor
    stored: Singles
    share: float
    alone: bool = False

    @property
    def scale(self) -> Singles:
        """The first one of each block, shape (outputs, blocks, 1) or (1, 1, 1); 1 where a block is of zeros."""
        field = self.nearest.format.scales[0]
        values = np.asarray(field_values(self.nearest.scale_codes(field.name), field), np.float32)
        return np.where(values != 0, values, np.float32(1)).reshape((*values.shape, 1) if values.ndim else (1, 1, 1))

    def start(self, adapter: Arrays) -> Arrays:
        """What is learned, where it begins."""
        return {**adapter, "scale": self.scale}

    def added(self, learned: Mapping[str, Any]) -> Any:
        """What the adapter adds to the stored weights, in binary32."""
        return (self.share * (learned["left"] @ learned["right"])).astype(np.float32)

    def factor(self, learned: Mapping[str, Any]) -> Any:
        """The scale as it is stored, with a slope of 1."""
        fmt = self.nearest.format.scales[0].format
        return through(learned["scale"], lambda scale: np.asarray(decode(encode(scale, fmt), fmt, dtype=np.float32)))

    def values(self, learned: Mapping[str, Any]) -> Any:
        """The weights (outputs, inputs) in binary32."""
        added = self.added(learned)
        total = self.stored + (round_through(added) if self.alone else added)
        codes = self.nearest.format.number.codes
        whole = fake_quantize(total, np.float32(1), low=codes[0], high=codes[-1])
        scale = self.factor(learned)
        return (whole.reshape((len(self.stored), np.shape(scale)[1], -1)) * scale).reshape(self.stored.shape)

    def tensor(self, added: Singles, scales: Mapping[str, Array] | None = None) -> BlockTensor:
        """The codes with something added to the stored weights, under other scales than the first ones."""
        fmt = self.nearest.format
        codes = rounded(self.stored, added, fmt.number, alone=self.alone).astype(fmt.number.code_dtype)
        own = scales or {name: self.nearest.scale_codes(name) for name in self.nearest.scales}
        return BlockTensor.trusted(fmt, 1, codes, dict(own))

    def merged(self, learned: Arrays) -> BlockTensor:
        """The codes and scales of what was learned: :meth:`values` bit for bit."""
        field = self.nearest.format.scales[0]
        scale = encode(np.asarray(self.factor(learned)), field.format)
        shape = self.nearest.scale_codes(field.name).shape
        return self.tensor(self.added(learned), {field.name: scale.reshape(shape)})

    def kept(self, learned: Arrays) -> Arrays:
        """Scales on their side of 0: what is done after every step."""
        sign, least = np.sign(self.scale), np.abs(self.scale) / np.float32(64)
        return {**learned, "scale": sign * np.maximum(sign * learned["scale"], least)}


def rounded(stored: Singles, added: Singles, element: Scalar, *, alone: bool = False) -> Singles:
    """The codes of the sum, as whole numbers; ``alone``: of what is added, rounded by itself."""
    total = stored + np.rint(added) if alone else np.rint(stored + added)
    codes: Singles = np.clip(total, element.codes[0], element.codes[-1])
    return codes


@dataclass(frozen=True, eq=False)
class Multiplied:
    """IntLoRA: ``own (factor code)`` with the factors ``scale + (random + left right) / code``, brought into integers.

    Learned are ``left``, ``right`` and, where factors are integers, their scale ``own``, all in binary64.

    Attributes
    ----------
    integers : ndarray of float64, shape (outputs, inputs)
        Codes less their zero points, frozen.
    scale : ndarray of float64, shape (outputs, 1)
    random : ndarray of float64, shape (outputs, inputs)
        What was taken from the weights.
    own : ndarray of float64, shape (outputs, 1)
        The first scale of the factors; 1 where they are powers of two.
    zero : ndarray of float64, shape (outputs, 1)
        Zero points of the factors.
    codes : range, optional
        Of the factors; without it they are signed powers of two.
    """

    integers: Doubles
    scale: Doubles
    random: Doubles
    own: Doubles
    zero: Doubles
    codes: range | None

    def start(self, adapter: Arrays) -> Arrays:
        """What is learned, where it begins."""
        return {**adapter, **({} if self.codes is None else {"own": self.own})}

    def exact(self, product: Any) -> Any:
        """The factors before they are rounded, of the adapter's product."""
        return self.scale + (self.random + product) / np.where(self.integers == 0, 1, self.integers)

    @staticmethod
    def powers(exact: Doubles) -> Doubles:
        """Signed powers of two, the nearest by their exponents."""
        result: Doubles = np.sign(exact) * np.exp2(np.rint(np.log2(np.abs(exact) + TINY)))
        return result

    def factors(self, learned: Mapping[str, Any]) -> Any:
        """The factors as they are stored: integers less their zero points, or signed powers of two."""
        exact = self.exact(learned["left"] @ learned["right"])
        if self.codes is None:
            names = differentiable().namespace
            size = names.abs(exact) + TINY
            return names.sign(exact) * names.exp2(round_through(names.log2(size)))
        own = through(learned["own"], _binary32)
        return fake_quantize(exact / own, np.ones_like(self.zero), self.zero, low=self.codes[0], high=self.codes[-1])

    def values(self, learned: Mapping[str, Any]) -> Any:
        """The weights (outputs, inputs) in binary32: products of integers or shifts, and one rounding."""
        products = self.factors(learned) * self.integers
        own = self.own if self.codes is None else through(learned["own"], _binary32)
        return (own * products).astype(np.float32)

    def kept(self, learned: Arrays) -> Arrays:
        """Scales of factors above 0."""
        return learned if self.codes is None else {**learned, "own": np.maximum(learned["own"], self.own / 64)}


Merging = Rounded | Multiplied


def rates(merging: Merging, rate: float) -> dict[str, float]:
    """Of an adapter's factors, and of the scale beside them, where there is one to learn."""
    scales = {name: SCALE_RATE * float(np.abs(scale).mean()) for name, scale in merging.start({}).items()}
    return {"left": rate, "right": rate, **scales}


def learn_adapter(merging: Merging, adapter: Arrays, layer: Layer, settings: Settings, batch: int) -> Reconstruction:
    """Learn an adapter and the scale from a layer's outputs."""
    return layer.learn(merging.values, merging.start(adapter), settings, batch=batch, after=merging.kept)


def _binary32(values: Array) -> Array:
    return values.astype(np.float32).astype(values.dtype)
