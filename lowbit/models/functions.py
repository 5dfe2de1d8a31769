"""What the forward passes consist of, over any array namespace that looks like NumPy; each goes through the hook.

Leading axes are a batch. The hook sees activations; parameters it finds by the operation's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from lowbit.errors import InputError
from lowbit.models.hook import Apply, plainly
from lowbit.ops.arrays import as_array
from lowbit.ops.block.values import plain_values

Parameters = Mapping[str, Any]

KINDS = {
    "reshape": "the same values in another shape",
    "linear": "X W^T + b",
    "conv": "a two-dimensional convolution, channels last",
    "batchnorm": "channels by their running statistics",
    "layernorm": "rows less their mean, by their deviation",
    "rmsnorm": "rows by their root mean square",
    "embedding": "rows of a table",
    "add": "two activations",
    "multiply": "two activations",
    "modulate": "an activation by 1 and a scale, and a shift, which other activations are",
    "mean": "over some axes",
    "relu": "max(x, 0)",
    "gelu": "x times the normal distribution's share below x",
    "silu": "x times its logistic function",
    "attention": "all heads; the four kinds below take place inside",
    "rotary": "pairs of channels turned by the place of their token",
    "scores": "queries times keys by the root of their length",
    "softmax": "of the scores of each query",
    "mix": "values by the shares of the softmax",
}
"""Kind of operation -> what it is."""


@dataclass(frozen=True)
class Functions:
    """The operations of a forward pass.

    Attributes
    ----------
    parameters : mapping of str to array
    apply : callable
        The hook at every operation.
    namespace : module
        Arrays come from it: NumPy, or one that can differentiate.
    error_function : callable
        erf for its arrays.
    """

    parameters: Parameters
    apply: Apply = plainly
    namespace: Any = np
    error_function: Callable[[Any], Any] = scipy.special.erf

    def linear(self, name: str, values: Any) -> Any:
        """``X W^T + b``; weight of shape (outputs, inputs), a bias where there is one."""
        weight, bias = self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias")
        return self._run("linear", name, lambda x: _plus(x @ weight.T, bias), values)

    def reshape(self, name: str, function: Callable[[Any], Any], values: Any) -> Any:
        """The same values in another shape."""
        return self._run("reshape", name, function, values)

    def embedding(self, name: str, codes: Any) -> Any:
        """Rows of the table of that name."""
        table = self.parameters[f"{name}.weight"]
        return self._run("embedding", name, lambda numbers: table[numbers], codes)

    def add(self, name: str, one: Any, other: Any) -> Any:
        """The sum of two activations."""
        return self._run("add", name, lambda x, y: x + y, one, other)

    def multiply(self, name: str, one: Any, other: Any) -> Any:
        """The product of two activations."""
        return self._run("multiply", name, lambda x, y: x * y, one, other)

    def modulate(self, name: str, values: Any, shift: Any, scale: Any) -> Any:
        """``x (1 + scale) + shift`` (Perez et al., "FiLM", arXiv 1709.07871)."""
        return self._run("modulate", name, lambda x, shift, scale: x * (1 + scale) + shift, values, shift, scale)

    def mean(self, name: str, values: Any, axis: int | tuple[int, ...]) -> Any:
        """The mean over some axes."""
        return self._run("mean", name, self.namespace.mean, values, axis=axis)

    def layernorm(self, name: str, values: Any, epsilon: float) -> Any:
        """Ba et al., "Layer normalization" (arXiv 1607.06450); a weight and a bias where there are such."""
        weight, bias = (self.parameters.get(f"{name}.{part}") for part in ("weight", "bias"))

        def function(x: Any, epsilon: float) -> Any:
            centred = x - self.namespace.mean(x, axis=-1, keepdims=True)
            variance = self.namespace.mean(centred**2, axis=-1, keepdims=True)
            scaled = centred / self.namespace.sqrt(variance + epsilon)
            return _plus(scaled if weight is None else scaled * weight, bias)

        return self._run("layernorm", name, function, values, epsilon=epsilon)

    def rmsnorm(self, name: str, values: Any, epsilon: float) -> Any:
        """Zhang and Sennrich, "Root mean square layer normalization" (arXiv 1910.07467)."""

        def function(x: Any, epsilon: float) -> Any:
            square = self.namespace.mean(x**2, axis=-1, keepdims=True)
            return x / self.namespace.sqrt(square + epsilon) * self.parameters[f"{name}.weight"]

        return self._run("rmsnorm", name, function, values, epsilon=epsilon)

    def batchnorm(self, name: str, values: Any, epsilon: float) -> Any:
        """Ioffe and Szegedy, "Batch normalization" (arXiv 1502.03167), with the statistics of training."""

        def function(x: Any, epsilon: float) -> Any:
            mean, variance = (self.parameters[f"{name}.running_{part}"] for part in ("mean", "var"))
            scaled = (x - mean) / self.namespace.sqrt(variance + epsilon)
            return scaled * self.parameters[f"{name}.weight"] + self.parameters[f"{name}.bias"]

        return self._run("batchnorm", name, function, values, epsilon=epsilon)

    def relu(self, name: str, values: Any) -> Any:
        """max(x, 0)."""
        return self._run("relu", name, lambda x: self.namespace.maximum(x, x * 0), values)

    def gelu(self, name: str, values: Any) -> Any:
        """Hendrycks and Gimpel, "Gaussian error linear units" (arXiv 1606.08415), by erf."""
        return self._run("gelu", name, lambda x: x * (1 + self.error_function(x / 2**0.5)) / 2, values)

    def silu(self, name: str, values: Any) -> Any:
        """Elfwing et al., "Sigmoid-weighted linear units" (arXiv 1702.03118)."""
        # x / (1 + e^-x), which does not overflow in this form.
        return self._run("silu", name, lambda x: x * (1 + self.namespace.tanh(x / 2)) / 2, values)

    def softmax(self, name: str, values: Any) -> Any:
        """Shares along the last axis."""

        def function(x: Any) -> Any:
            powers = self.namespace.exp(x - self.namespace.amax(x, axis=-1, keepdims=True))
            return powers / self.namespace.sum(powers, axis=-1, keepdims=True)

        return self._run("softmax", name, function, values)

    def conv(self, name: str, values: Any, *, stride: int = 1, padding: int = 0) -> Any:
        """A convolution of (..., height, width, inputs) with weights (outputs, height, width, inputs); zeros around."""
        weight, bias = self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias")

        def function(x: Any, stride: int, padding: int) -> Any:
            *batch, height, width, channels = x.shape
            index, size = windows((height, width), (int(weight.shape[1]), int(weight.shape[2])), stride, padding)
            flat = self.namespace.reshape(x, (*batch, height * width, channels))
            around = self.namespace.concatenate([flat, flat[..., :1, :] * 0], axis=-2)
            columns = self.namespace.reshape(around[..., index, :], (*batch, *size, -1))
            matrix = self.namespace.reshape(weight, (weight.shape[0], -1))
            return _plus(columns @ matrix.T, bias)

        return self._run("conv", name, function, values, stride=stride, padding=padding)

    def attention(
        self,
        name: str,
        query: Any,
        key: Any,
        value: Any,
        *,
        heads: int,
        causal: bool = False,
        rotary: tuple[Any, Any] | None = None,
    ) -> Any:
        """Vaswani et al., "Attention is all you need" (arXiv 1706.03762), section 3.2, without its linear layers.

        Parameters
        ----------
        query, key, value : array, shape (..., tokens, heads * size)
            Keys and values may have fewer heads, which groups of queries share (Ainslie et al., arXiv 2305.13245).
        causal : bool
            Whether a token sees only those up to itself.
        rotary : pair of array, shape (tokens, size), optional
            Cosines and sines of :func:`rotary_tables`.
        """
        keywords = {"heads": heads, "causal": causal, "rotary": rotary}
        return self._run("attention", name, partial(self._attention, name), query, key, value, **keywords)

    def _attention(self, name: str, *inputs: Any, heads: int, causal: bool, rotary: tuple[Any, Any] | None) -> Any:
        space, size = self.namespace, inputs[0].shape[-1] // heads
        query, key, value = (space.swapaxes(space.reshape(x, (*x.shape[:-1], -1, size)), -3, -2) for x in inputs)
        if rotary is not None:
            query = self._run("rotary", f"{name}.query", self._rotary, query, rotary=rotary)
            key = self._run("rotary", f"{name}.key", self._rotary, key, rotary=rotary)
        if key.shape[-3] != heads:
            shared = np.arange(heads) // (heads // key.shape[-3])
            key, value = key[..., shared, :, :], value[..., shared, :, :]
        products = self._run("scores", f"{name}.scores", self._scores, query, key)
        if causal:
            later = np.triu(np.ones(products.shape[-2:]), 1) * MASK
            products = products + space.asarray(later, dtype=products.dtype)
        shares = self.softmax(f"{name}.softmax", products)
        mixed = space.swapaxes(self._run("mix", f"{name}.mix", space.matmul, shares, value), -3, -2)
        return space.reshape(mixed, (*mixed.shape[:-2], -1))

    def _scores(self, query: Any, key: Any) -> Any:
        return self.namespace.matmul(query, self.namespace.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5

    def _rotary(self, x: Any, rotary: tuple[Any, Any]) -> Any:
        """Su et al., "RoFormer" (arXiv 2104.09864); channel i is paired with that of half the size further on."""
        cosines, sines = (self.namespace.asarray(table, dtype=x.dtype) for table in rotary)
        half = x.shape[-1] // 2
        turned = self.namespace.concatenate([-x[..., half:], x[..., :half]], axis=-1)
        return x * cosines + turned * sines

    def _run(self, kind: str, name: str, function: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        return self.apply(kind, name, partial(function, **keywords), *inputs)


@dataclass(frozen=True, kw_only=True)
class Forward:
    """What all architectures have beside their shape.

    Attributes
    ----------
    namespace : module
        Arrays come from it: NumPy, or one that can differentiate.
    error_function : callable
        erf for its arrays.
    """

    namespace: Any = np
    error_function: Callable[[Any], Any] = scipy.special.erf

    def functions(self, parameters: Parameters, apply: Apply = plainly) -> Functions:
        """The operations of a pass over parameters; ``apply`` stands around each: see :mod:`lowbit.models.hook`."""
        return Functions(parameters, apply, self.namespace, self.error_function)


@dataclass(frozen=True)
class OfPatches(Forward):
    """What transformers have whose tokens are squares of pixels.

    Attributes
    ----------
    layers, heads : int
    patch : int
        Rows and columns of pixels in a token.
    epsilon : float
        Of the layer norms.
    """

    layers: int
    heads: int
    patch: int
    epsilon: float = 1e-6

    def patches(self, images: Any) -> Any:
        """The pixels of each token, row by row: shape (..., tokens, patch * patch)."""
        *batch, rows, columns = images.shape
        grid = (rows // self.patch, columns // self.patch)
        split = self.namespace.reshape(images, (*batch, grid[0], self.patch, grid[1], self.patch))
        together = self.namespace.swapaxes(split, -3, -2)
        return self.namespace.reshape(together, (*batch, grid[0] * grid[1], self.patch**2))


def replaced(parameters: Parameters, weights: Parameters, dtype: type) -> dict[str, Any]:
    """The parameters of a model with some of them replaced, by numbers of a dtype.

    Raises InputError: the model lacks one, or it has another shape.
    """
    arrays = {name: as_array(array, f"parameter {name!r}") for name, array in weights.items()}
    for name, array in arrays.items():
        if name not in parameters or parameters[name].shape != array.shape:
            shape = parameters[name].shape if name in parameters else "not there"
            raise InputError(f"parameter {name!r} is {shape} in the model, and {array.shape} here")
    return {**parameters, **{name: plain_values(array).astype(dtype) for name, array in arrays.items()}}


MASK = -1e9
"""What is added to the score of a token that may not be seen: its share of a softmax is 0."""


def rotary_tables(tokens: int, size: int, base: float) -> tuple[Any, Any]:
    """Cosines and sines of the angles ``place * base^(-2i / size)``, twice side by side, shape (tokens, size)."""
    frequencies = base ** (-np.arange(0, size, 2) / size)
    angles = np.tile(np.arange(tokens)[:, None] * frequencies, 2)
    return np.cos(angles), np.sin(angles)


def windows(
    shape: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int
) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """Which pixels a convolution takes: their places in the flat image, and the shape of its result.

    Returns
    -------
    places : ndarray of int, shape (rows * columns of the result, rows * columns of the kernel)
        ``height * width`` for those outside the image.
    size : (int, int)
    """
    size = tuple((length + 2 * padding - part) // stride + 1 for length, part in zip(shape, kernel, strict=True))
    rows, columns = (
        np.arange(count)[:, None] * stride - padding + np.arange(part) for count, part in zip(size, kernel, strict=True)
    )
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    places = np.where(inside, row * shape[1] + column, shape[0] * shape[1])
    return places.reshape(size[0] * size[1], -1), (size[0], size[1])


def _plus(values: Any, bias: Any) -> Any:
    return values if bias is None else values + bias
