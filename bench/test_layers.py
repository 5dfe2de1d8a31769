"""Integer-only layers: what a call costs beside its kernels, and an encoder of DeiT-S's shape against PyTorch float32.

The encoder has 12 blocks of 197 tokens of width 384, random weights, 8-bit activations, 16-bit residuals and I-ViT's
nonlinearities; PyTorch has the same products, `layer_norm`, `gelu` and `scaled_dot_product_attention` in float32. Both
run in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import pytest

from bench.measure import Table
from lowbit.layers import (
    Activation,
    Add,
    Attention,
    Interval,
    Layer,
    Linear,
    Nonlinearity,
    Norm,
    Quantity,
    Rescale,
    Sum,
)
from lowbit.ops.gemm.paths import scratch
from lowbit.ops.gemm.quick import _packed_kernel
from lowbit.ops.types import Array

TOKENS, WIDTH, HEADS, BLOCKS = 197, 384, 6, 12
SCHEME = "tflite_double"
OVERHEAD = 10.0
"""Microseconds that a call may take beside its kernels."""
FASTER = 2.5
CODE, RESIDUAL = Quantity("int8", 0.05), Quantity("int16", 0.001)


def linear(rng: np.random.Generator, inputs: int, outputs: int, result: Quantity) -> Linear:
    weight = rng.integers(-127, 128, (outputs, inputs), dtype=np.int8)
    bias = rng.integers(-1000, 1000, outputs, dtype=np.int32)
    scales = 0.02 / np.sqrt(inputs) * rng.uniform(0.5, 1, outputs) * (0.05 / result.scale)
    return Linear(CODE, weight, Rescale.from_scale(scales, SCHEME, result), bias)


def test_overhead_of_a_call(table: Table) -> None:
    rng = np.random.default_rng(1)
    layer = linear(rng, 16, 16, CODE)
    rows = rng.integers(-128, 128, (4, 16), dtype=np.int8)
    packed = layer.packed
    kernel = _packed_kernel(rows.dtype.char, packed.right)
    if kernel is None or packed.path != "vnni":
        pytest.skip("no AVX512-VNNI: products take another way")
    sums, out = np.empty((4, 16), np.int32), np.empty((4, 16), np.int8)
    requantise = layer.output._prepared._parts[-1][1]  # noqa: SLF001 (the kernel itself)

    def kernels() -> None:
        product = (
            rows,
            packed.right.array,
            sums,
            layer.bias,
            kernel.sums,
            scratch(),
            0,
            kernel.offset,
            0,
            kernel.flip,
            1,
        )
        kernel.run(*product)
        requantise(sums, out)

    kernels()
    assert np.array_equal(out, layer(rows))
    differences = [_each(lambda: layer(rows)) - _each(kernels) for _ in range(9)]
    assert table.limit("a call of a linear layer beside its kernels, microseconds", median(differences), OVERHEAD)


def _each(call: Callable[[], object], count: int = 2000) -> float:
    """Microseconds of a call."""
    start = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - start) / count * 1e6


class Block:
    """A block of the encoder in integers."""

    def __init__(self, rng: np.random.Generator) -> None:
        def norm() -> Norm:
            gamma, beta = rng.uniform(0.5, 1.5, WIDTH), rng.uniform(-1, 1, WIDTH)
            return Norm.from_affine(RESIDUAL, Nonlinearity("layernorm", "ivit"), gamma, beta, SCHEME, CODE)

        size = WIDTH // HEADS
        softmax = Nonlinearity("softmax", "ivit", bits=8)
        scores = Rescale.from_scale(CODE.scale**2 / size**0.5 / 0.1, SCHEME, Quantity("int8", 0.1))
        weighted = Rescale.from_scale(1 / 128, SCHEME, CODE)
        residual = Sum.from_scales(RESIDUAL, RESIDUAL, "single_even", RESIDUAL, dyadic=True)
        self.layers: dict[str, Layer] = {
            "norm 1": norm(),
            "qkv": linear(rng, WIDTH, 3 * WIDTH, CODE),
            "attention": Attention(CODE, CODE, CODE, HEADS, size, scores, softmax, weighted, longest=TOKENS),
            "projection": linear(rng, WIDTH, WIDTH, RESIDUAL),
            "add 1": Add(RESIDUAL, RESIDUAL, residual),
            "norm 2": norm(),
            "up": linear(rng, WIDTH, 4 * WIDTH, CODE),
            "gelu": Activation.from_scales(CODE, Nonlinearity("gelu", "ivit"), SCHEME, CODE),
            "down": linear(rng, 4 * WIDTH, WIDTH, RESIDUAL),
            "add 2": Add(RESIDUAL, RESIDUAL, residual),
        }

    def steps(self, x: Array) -> Iterator[tuple[str, tuple[Array, ...], Array]]:
        """The name, the inputs and the result of each layer."""

        def run(name: str, *inputs: Array) -> tuple[str, tuple[Array, ...], Array]:
            return name, inputs, self.layers[name](*inputs)

        for half, names in (("1", ("qkv", "attention", "projection")), ("2", ("up", "gelu", "down"))):
            step = run(f"norm {half}", x)
            yield step
            for name in names:
                inputs = np.split(step[2], 3, axis=-1) if name == "attention" else [step[2]]
                step = run(name, *inputs)
                yield step
            step = run(f"add {half}", x, step[2])
            yield step
            x = step[2]

    def __call__(self, x: Array) -> Array:
        *_, (_, _, result) = self.steps(x)
        return result


def test_encoder_of_deit_small(table: Table) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(1)
    rng = np.random.default_rng(2)
    blocks = [Block(rng) for _ in range(BLOCKS)]
    x = rng.integers(-3000, 3000, (TOKENS, WIDTH), dtype=np.int16)
    for _, inputs, result in blocks[0].steps(x):
        assert result.dtype in (np.int8, np.int16)
        assert all(array.dtype in (np.int8, np.int16) for array in inputs)
    for name, inputs, result in blocks[0].steps(x):
        *_, last = blocks[0].layers[name].intermediates(*inputs)
        assert np.array_equal(last.codes, result)
        wide = [Interval.of(array.min(), array.max()) for array in inputs]
        assert all(bound.culprit is None for bound in blocks[0].layers[name].bounds(*wide)), name

    def ours() -> Array:
        values = x
        for block in blocks:
            values = block(values)
        return values

    theirs = _torch_encoder(torch)
    row = table.compare("encoder of DeiT-S's shape, integers only", ours, "PyTorch float32, SDPA", theirs, FASTER, 1)
    _shares(table, blocks[0], x)
    assert row.met


def _shares(table: Table, block: Block, x: Array) -> None:
    """The share of each layer in the time of a block."""
    times: dict[str, list[float]] = {}
    for _ in range(9):
        for name, inputs, _ in block.steps(x):
            times.setdefault(name, []).append(_each(lambda name=name, inputs=inputs: block.layers[name](*inputs), 1))  # type: ignore[misc]
    medians = {name: median(own) for name, own in times.items()}
    for name, own in medians.items():
        table.limit(f"of that: {name}, share", own / sum(medians.values()), float("inf"))


def _torch_encoder(torch: object) -> Callable[[], object]:
    from torch.nn import functional

    def parameters(outputs: int, inputs: int) -> tuple[object, object]:
        return torch.randn(outputs, inputs) / inputs**0.5, torch.randn(outputs)  # type: ignore[attr-defined]

    sizes = ((3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH))
    weights = [[parameters(*size) for size in sizes] for _ in range(BLOCKS)]
    x = torch.randn(1, TOKENS, WIDTH)  # type: ignore[attr-defined]

    @torch.inference_mode()  # type: ignore[attr-defined, untyped-decorator]
    def run() -> object:
        values = x
        for qkv, projection, up, down in weights:
            normal = functional.layer_norm(values, (WIDTH,))
            parts = functional.linear(normal, *qkv).view(1, TOKENS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(1, TOKENS, WIDTH)
            values = values + functional.linear(mixed, *projection)
            normal = functional.layer_norm(values, (WIDTH,))
            values = values + functional.linear(functional.gelu(functional.linear(normal, *up)), *down)
        return values

    return run
