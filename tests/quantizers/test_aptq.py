"""APTQ's Hessians against derivatives by finite differences, and what they do to the output of an attention block."""

import numpy as np
import pytest

from lowbit.allocate import Problem, solve
from lowbit.allocate.sensitivity import attention_traces, two_level_plan
from lowbit.errors import InputError, PolicyError
from lowbit.quantizers import aptq, gptq, round_to_nearest
from lowbit.quantizers.attention import MATRICES, Attention, hessians

TOKENS, WIDTH, HEADS, DEPTH = 5, 6, 2, 3


def output(inputs, matrices, heads, *, causal, biases=None):
    """The block, as the paper of transformers writes it."""
    depth = len(matrices[0]) // heads
    biases = np.zeros((3, len(matrices[0]))) if biases is None else biases
    query, key, value = (inputs @ matrix.T + bias for matrix, bias in zip(matrices[:3], biases, strict=True))
    mixed = []
    for head in range(heads):
        part = slice(head * depth, (head + 1) * depth)
        scores = query[:, part] @ key[:, part].T / np.sqrt(depth)
        if causal:
            scores[np.triu_indices(len(inputs), 1)] = -np.inf
        shares = np.exp(scores - scores.max(1, keepdims=True))
        mixed.append(shares / shares.sum(1, keepdims=True) @ value[:, part])
    return np.concatenate(mixed, axis=1) @ matrices[3].T


def block_of(generator, width, heads, depth):
    matrices = [generator.normal(size=(heads * depth, width)) for _ in range(3)]
    return [*matrices, generator.normal(size=(width, heads * depth))]


@pytest.mark.parametrize("causal", [False, True])
def test_hessians_are_the_squared_derivatives(causal):
    generator = np.random.default_rng(0)
    inputs, matrices = generator.normal(size=(TOKENS, WIDTH)), block_of(generator, WIDTH, HEADS, DEPTH)
    biases = generator.normal(size=(3, HEADS * DEPTH))
    block = Attention(*matrices, heads=HEADS, causal=causal, biases=biases)
    own = output(inputs, matrices, HEADS, causal=causal, biases=biases)
    np.testing.assert_allclose(block.outputs(inputs), own, rtol=1e-12)
    step = 1e-5
    for which, name in enumerate(MATRICES):
        rows, columns = matrices[which].shape
        slopes = np.empty((rows, columns, TOKENS * WIDTH))
        for index in np.ndindex(rows, columns):
            ends = []
            for sign in (1, -1):
                moved = [matrix.copy() for matrix in matrices]
                moved[which][index] += sign * step
                ends.append(output(inputs, moved, HEADS, causal=causal, biases=biases).ravel())
            slopes[index] = (ends[0] - ends[1]) / (2 * step)
        of_rows = np.einsum("rit,rjt->rij", slopes, slopes)
        got = hessians(inputs[None], block, name)
        if name == "output":  # the same for every row
            np.testing.assert_allclose(of_rows, np.broadcast_to(got, of_rows.shape), rtol=1e-6, atol=1e-6)
        else:
            sums = of_rows.reshape(HEADS, DEPTH, columns, columns).sum(axis=1)
            np.testing.assert_allclose(got, sums, rtol=1e-6, atol=1e-6)
        trace = getattr(attention_traces(inputs, *matrices, heads=HEADS, causal=causal), name)
        plain = hessians(inputs[None], Attention(*matrices, heads=HEADS, causal=causal), name)
        times = len(matrices[3]) if name == "output" else 1
        assert trace == pytest.approx(2 * times * np.trace(plain, axis1=1, axis2=2).sum())


def test_the_hessian_of_the_value_is_that_of_inputs_under_attention_and_of_the_output_gptqs_own():
    generator = np.random.default_rng(1)
    inputs, matrices = generator.normal(size=(40, 8)), block_of(generator, 8, 1, 8)
    block = Attention(*matrices, heads=1)
    query, key, value = (inputs @ matrix.T for matrix in matrices[:3])
    shares = np.exp(query @ key.T / np.sqrt(8))
    shares /= shares.sum(axis=1, keepdims=True)
    for name, matrix, rows in (("value", matrices[2], shares @ inputs), ("output", matrices[3], shares @ value)):
        got = aptq(matrix, inputs, to="int3.channel", attention=block, matrix=name)
        np.testing.assert_array_equal(got.tensor.codes, gptq(matrix, rows, to="int3.channel").tensor.codes)


def test_the_blocks_output_changes_less_than_under_gptq():
    """Keys and values are seen through the softmax; for a query the block's inputs say nearly as much."""
    width, heads, errors = 32, 4, {}
    for seed in range(3):
        generator = np.random.default_rng(seed)
        sequences = generator.normal(size=(6, 24, width)) @ generator.normal(size=(width, width)) / 6
        matrices = [matrix / 6 for matrix in block_of(generator, width, heads, width // heads)]
        block = Attention(*matrices, heads=heads)
        for which, name in enumerate(MATRICES[:3]):
            options = {"to": "int4.channel", "attention": block, "matrix": name}
            results = {
                "nearest": round_to_nearest(matrices[which], to="int4.channel"),
                "gptq": gptq(matrices[which], sequences, to="int4.channel"),
                **{one: aptq(matrices[which], sequences, variant=one, **options) for one in ("heads", "matrix")},
            }
            for variant, result in results.items():
                changed = [*matrices]
                changed[which] = result.dequantize(dtype=np.float64)
                for inputs in sequences:
                    exact, got = (output(inputs, own, heads, causal=False) for own in (matrices, changed))
                    errors[name, variant] = errors.get((name, variant), 0) + ((got - exact) ** 2).sum()
    for name, most in (("query", 1.02), ("key", 0.8), ("value", 0.75)):
        assert errors[name, "heads"] < most * errors[name, "gptq"]
        assert errors[name, "gptq"] < 0.6 * errors[name, "nearest"]
    assert errors["value", "matrix"] < errors["value", "gptq"]


def test_without_a_block_it_is_gptq_and_two_heads_are_two_layers():
    generator = np.random.default_rng(3)
    inputs, matrices = generator.normal(size=(50, 16)), block_of(generator, 16, 2, 8)
    plain = aptq(matrices[0], inputs, to="int4.g8")
    np.testing.assert_array_equal(plain.tensor.codes, gptq(matrices[0], inputs, to="int4.g8").tensor.codes)
    block = Attention(*matrices, heads=2)
    for order in ("none", "static"):
        result = aptq(matrices[1], inputs, to="nf4.g8.by_sign", attention=block, matrix="key", order=order)
        for head, hessian in enumerate(hessians(inputs[None], block, "key")):
            part = slice(8 * head, 8 * head + 8)
            alone = gptq(matrices[1][part], hessian=hessian, to="nf4.g8.by_sign", order=order)
            np.testing.assert_array_equal(result.dequantize()[part], alone.dequantize())


def test_sequences_may_differ_in_length():
    generator = np.random.default_rng(6)
    inputs, matrices = generator.normal(size=(60, 16)), block_of(generator, 16, 2, 8)
    options = {"to": "int4.g8", "attention": Attention(*matrices, heads=2), "matrix": "key"}
    whole = aptq(matrices[1], inputs.reshape(3, 20, 16), **options).tensor.codes
    np.testing.assert_array_equal(aptq(matrices[1], list(inputs.reshape(3, 20, 16)), **options).tensor.codes, whole)
    uneven = aptq(matrices[1], [inputs[:50], inputs[50:]], **options)
    assert uneven.shape == (16, 16)


def test_a_broken_request_is_refused():
    generator = np.random.default_rng(4)
    inputs, matrices = generator.normal(size=(50, 16)), block_of(generator, 16, 2, 8)
    block = Attention(*matrices, heads=2)
    with pytest.raises(InputError, match="needs activations"):
        aptq(matrices[0], to="int4.g8", attention=block)
    with pytest.raises(InputError, match=r"block's output is \(16, 16\)"):
        aptq(matrices[0][:8], inputs, to="int4.g8", attention=block, matrix="output")
    with pytest.raises(PolicyError, match="matrix"):
        aptq(matrices[0], inputs, to="int4.g8", attention=block, matrix="gate")
    with pytest.raises(PolicyError, match="order"):
        aptq(matrices[0], inputs, to="int4.g8", attention=block, order="activation")
    with pytest.raises(InputError, match="a scale for all heads"):
        aptq(matrices[0], inputs, to="nvfp4", attention=block)
    aptq(matrices[0], inputs, to="nvfp4", attention=block, variant="matrix")
    with pytest.raises(InputError, match=r"key\[0, 0\] is nan"):
        Attention(matrices[0], np.full((16, 16), np.nan), *matrices[2:], heads=2)
    with pytest.raises(InputError, match="biases has shape"):
        Attention(*matrices, heads=2, biases=np.zeros((2, 16)))


def test_the_plan_gives_four_bits_by_rank():
    """``4 R + 2 (1 - R)``: 3.8 bits are 90 of 100 equal layers at four bits, 3 bits are half of them."""
    names = [f"layer{number}" for number in range(100)]
    traces = dict(zip(names, np.random.default_rng(5).permutation(100).astype(float), strict=True))
    sizes = dict.fromkeys(names, 1000)
    for average, high in ((3.8, 90), (3.0, 50), (4.0, 100), (2.0, 0), (2.019, 0)):
        plan = two_level_plan(traces, sizes, average)
        assert list(plan) == names
        assert sorted(plan.values()) == [2] * (100 - high) + [4] * high
        assert min((traces[name] for name in names if plan[name] == 4), default=99) >= 100 - high - (high == 0)
    with pytest.raises(InputError, match="below the 2 bits"):
        two_level_plan(traces, sizes, 1.9)
    with pytest.raises(InputError, match="'layer0' has no number"):
        two_level_plan(traces, {}, 3)
    with pytest.raises(InputError, match="not a finite"):
        two_level_plan({"a": np.nan}, {"a": 1}, 3)


@pytest.mark.parametrize("equal", [True, False])
def test_the_plan_by_rank_beside_the_best_one(equal):
    """For losses that are the trace times 4^-bits; of unequal layers the rank says nothing of what a bit costs."""
    random = np.random.default_rng(7)
    names = [f"layer{number}" for number in range(24)]
    traces = dict(zip(names, random.lognormal(0, 1, 24), strict=True))
    sizes = dict(zip(names, [1000] * 24 if equal else random.integers(100, 5000, 24).tolist(), strict=True))
    losses = np.array([[traces[name] / 4**bits for bits in (2, 4)] for name in names])
    costs = [[bits * sizes[name] for bits in (2, 4)] for name in names]
    whole = sum(sizes.values())
    problem = Problem.from_arrays(losses, ("2", "4"), costs={"bits": costs}, limits={"bits": 3 * whole}, layers=names)
    plan = two_level_plan(traces, sizes, 3.0)
    assert sum(plan[name] * sizes[name] for name in names) <= 3 * whole
    loss = sum(losses[place, int(plan[name] == 4)] for place, name in enumerate(names))
    best = solve(problem, gap=1e-9).loss
    assert loss == pytest.approx(best) if equal else 1.05 * best < loss < 2 * best
