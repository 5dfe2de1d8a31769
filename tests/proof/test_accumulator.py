"""Bounds are proofs: nothing overflows within them, and the witness overflows just beyond, by the oracle's account."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lowbit.errors import InputError, PolicyError
from lowbit.oracle.gemm.gemm import dot
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from lowbit.proof.accumulator import largest_safe_k
from lowbit.proof.weights import prove_weights
from tests.thinned import examples, thinned

LONGEST = 200_000
"""Chains up to here are run through the oracle."""


def run(accumulator, a, b, count, zeros=(0, 0), bias=0):
    return dot([a] * count, [b] * count, accumulator, a_zero_point=zeros[0], b_zero_point=zeros[1], bias=bias)


@pytest.mark.parametrize("name", thinned(ACCUMULATORS, 8))
def test_presets(name):
    accumulator = ACCUMULATORS[name]
    left, right = ("int8", "int8") if accumulator.operands == "any" else accumulator.operands.split("_")
    answer = largest_safe_k(accumulator, left, right)
    if answer.witness.k > LONGEST:
        assert accumulator.width > 32
        return
    _, a, b, bias = answer.witness
    assert answer.witness.k == answer.k + 1
    assert run(accumulator, a, b, answer.k + 1, bias=bias).overflows > 0
    for code_a in (np.iinfo(left).min, np.iinfo(left).max):
        for code_b in (np.iinfo(right).min, np.iinfo(right).max):
            assert run(accumulator, int(code_a), int(code_b), answer.k).overflows == 0


@pytest.mark.parametrize(("mantissa", "chain"), [(16, 2), (15, 8), (14, 32), (13, 128), (12, 512)])
def test_chains_of_dynamic_fixed_point(mantissa, chain):
    """The paper's chains hold for symmetric mantissas, and are the longest; -32768 shortens each by one."""
    register = ACCUMULATORS[f"dfp16_{mantissa}bit"].choose(spill_every=0, spill_width=0, combine=1)
    top = (1 << mantissa - 1) - 1
    mantissas = (-top << 16 - mantissa, top << 16 - mantissa)
    assert chain <= largest_safe_k(register, mantissas, mantissas).k < 2 * chain
    assert largest_safe_k(register, "int16", "int16").k == chain - 1
    assert run(ACCUMULATORS[f"dfp16_{mantissa}bit"], *mantissas, 4 * chain).overflows == 0


@st.composite
def small_accumulators(draw):
    combine = draw(st.integers(1, 3))
    order = draw(st.sampled_from(["sequential", "pairwise", "blocked", "lanes"]))
    axes = {"order": order}
    if order == "blocked":
        axes["block"] = combine * draw(st.integers(1, 4))
    if order == "lanes":
        axes |= {
            "lanes": draw(st.integers(1, 5)),
            "reduction": draw(st.sampled_from(["sequential", "adjacent", "halves", "widening"])),
        }
    width = draw(st.integers(8, 12))
    if axes.get("reduction") == "widening" or draw(st.booleans()):
        axes |= {"spill_every": combine * draw(st.integers(1, 6)), "spill_width": draw(st.integers(width, 14))}
    if draw(st.booleans()):
        axes["combine_width"] = draw(st.integers(8, 12))
    axes["zero_points"] = draw(st.sampled_from(["subtracted", "compensated"]))
    if axes["zero_points"] == "subtracted":
        axes["dropped_bits"] = draw(st.integers(0, 2))
    if "spill_every" in axes or order in {"sequential", "lanes"}:
        axes["bias"] = draw(st.sampled_from(["added", "preloaded"]))
    overflow = draw(st.sampled_from(["wrap", "saturate"]))
    return Accumulator(width=width, overflow=overflow, combine=combine, **axes)


def spans():
    return st.tuples(st.integers(-20, 20), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(small_accumulators(), spans(), spans(), st.integers(-9, 9), st.integers(-9, 9), spans(), st.randoms())
@settings(max_examples=examples(300))
def test_random_accumulators(accumulator, a, b, a_zero, b_zero, bias, random):
    zeros = {"a_zero_point": a_zero, "b_zero_point": b_zero}
    answer = largest_safe_k(accumulator, a, b, bias=bias, **zeros)
    if answer.k is not None:
        assume(answer.k < 2000)
        length, *codes, start = answer.witness
        assert a[0] <= codes[0] <= a[1]
        assert b[0] <= codes[1] <= b[1]
        assert length == answer.k + 1
        assert run(accumulator, *codes, length, (a_zero, b_zero), start).overflows > 0
    safe = 200 if answer.k is None else answer.k
    for attempt in range(6):
        count = random.randint(0, safe) if attempt else safe
        ends = attempt < 4
        row = [random.choice(a) if ends else random.randint(*a) for _ in range(count)]
        column = [random.choice(b) if ends else random.randint(*b) for _ in range(count)]
        if attempt < 2:
            row, column = [random.choice(a)] * count, [random.choice(b)] * count
        assert dot(row, column, accumulator, bias=random.choice(bias), **zeros).overflows == 0


@given(
    small_accumulators(), spans(), st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 30), st.integers(0, 1 << 30)
)
@settings(max_examples=examples(300))
def test_bounds_of_weights(accumulator, activations, a_zero, b_zero, count, seed):
    random = np.random.default_rng(seed)
    weights = random.integers(-8, 9, (count, 3)).astype(np.int8)
    bias = random.integers(-100, 101, 3)
    zeros = {"a_zero_point": a_zero, "b_zero_point": b_zero}
    proof = prove_weights(
        weights,
        accumulator,
        activations=activations,
        activation_zero_point=a_zero,
        weight_zero_point=b_zero,
        bias=bias,
    )
    rows = [proof.worst_low, proof.worst_high, proof.corrected_low, proof.corrected_high]
    for column in range(3):
        codes, start = weights[:, column].tolist(), int(bias[column])

        def overflows(row, codes=codes, start=start):
            return dot(row, codes, accumulator, bias=start, **zeros).overflows

        worst = [overflows(row[:, column].tolist()) for row in rows]
        assert proof.safe[column] == (max(worst) == 0)
        if proof.safe[column]:
            for _ in range(5):
                assert overflows(random.integers(*activations, count, endpoint=True).tolist()) == 0


@given(spans(), st.integers(1, 40), st.integers(0, 1 << 30), st.sampled_from(["sequential", "pairwise"]))
@settings(max_examples=examples(100))
def test_bounds_are_tight(activations, count, seed, order):
    """The width that a column needs is enough for it, and one bit less is not."""
    weights = np.random.default_rng(seed).integers(-100, 101, (count, 1)).astype(np.int8)
    wide = Accumulator(width=40, order=order)
    proof = prove_weights(weights, wide, activations=activations)
    needed = int(proof.widths["accumulator"][0])
    rows = [proof.worst_low[:, 0].tolist(), proof.worst_high[:, 0].tolist()]
    for width, enough in ((needed, True), (needed - 1, False)):
        if width >= 8:
            found = [dot(row, weights[:, 0].tolist(), wide.choose(width=width)).overflows for row in rows]
            assert (max(found) == 0) == enough


@pytest.mark.parametrize("lanes", range(1, 9))
@pytest.mark.parametrize("order", ["sequential", "pairwise", "blocked", "adjacent", "halves", "in turn"])
@pytest.mark.parametrize("spill", [{}, {"spill_every": 24, "spill_width": 32}])
def test_nothing_is_left_out(order, lanes, spill):
    """Where no product is negative, the accumulator's highest value is the sum of a whole chunk, in any order."""
    axes = {"order": order}
    if order == "blocked":
        axes["block"] = lanes
    elif order in {"adjacent", "halves", "in turn"}:
        reduction = order.replace("in turn", "sequential")
        axes = {"order": "lanes", "lanes": lanes, "reduction": reduction}
    weights = np.arange(1, 24 + 1, dtype=np.int8).reshape(-1, 1)
    proof = prove_weights(weights, Accumulator(width=20, **axes, **spill), activations=(0, 10))
    assert proof.bounds["accumulator"][1].tolist() == [10 * 24 * 25 // 2]
    assert proof.bounds["result"][1].tolist() == [10 * 24 * 25 // 2]


def test_the_worst_prefix_counts():
    """Without zero among the activations the sum falls back: the worst prefix is not the whole."""
    weights = np.array([[1], [1], [-1], [-1]], dtype=np.int8)
    proof = prove_weights(weights, "int8", activations=(60, 70))
    lowest, highest = proof.bounds["accumulator"]
    assert (lowest[0], highest[0]) == (-20, 140)
    assert not proof.safe[0]
    assert prove_weights(weights[[0, 2, 1, 3]], "int8", activations=(60, 70)).safe[0]


def test_a_bias_does_not_undo_an_overflow_before_it():
    """7 * 20 leaves eight bits when the zero point is corrected, whatever the bias of -50 makes of it afterwards."""
    accumulator = Accumulator(width=8, zero_points="compensated")
    answer = largest_safe_k(accumulator, 10, 1, a_zero_point=-10, bias=-50)
    assert (answer.k, answer.register, answer.value) == (6, "result", 140)
    assert run(accumulator, 10, 1, 7, (-10, 0), -50).overflows == 2  # there, and back
    weights = np.ones((7, 1), np.int8)
    proof = prove_weights(weights, accumulator, activations=10, activation_zero_point=-10, bias=-50)
    assert not proof.safe[0]
    assert prove_weights(weights[1:], accumulator, activations=10, activation_zero_point=-10, bias=-50).safe[0]


def test_no_limit():
    assert largest_safe_k("int8", "int8", (0, 0)).k is None
    assert largest_safe_k("int8", 5, 5, a_zero_point=5).witness is None


def test_bad_input():
    with pytest.raises(InputError, match="does not fit the 16 bits"):
        largest_safe_k("int16", bias=1 << 15)
    with pytest.raises(InputError, match="lowest"):
        largest_safe_k("int16", (5, -5))
    with pytest.raises(InputError, match="not a range"):
        largest_safe_k("int16", "int99x")
    with pytest.raises(InputError, match="not an integer format"):
        largest_safe_k("int16", "float8_e4m3fn")
    with pytest.raises(PolicyError, match="did you mean 'x86_vpdpbusds'"):
        largest_safe_k("vpdpbusds")
    with pytest.raises(InputError, match="one matrix"):
        prove_weights(np.zeros((2, 3, 4), np.int8), get_accumulator("int32"))


def test_bounds_beyond_64_bits():
    """Sums near the ends of int64, where NumPy's integers would wrap and call everything safe."""
    weights = np.array([[127, 3], [127, -5], [127, 7]], np.int8)
    high, low = (1 << 63) - 1, -(1 << 63)
    proof = prove_weights(weights, "int64", bias=high)
    assert proof.safe.tolist() == [False, False]
    assert proof.bounds["result"][1].tolist() == [high + 3 * 127 * 127, high + (3 + 7) * 127 + 5 * 128]
    assert prove_weights(weights, "int64", bias=low).safe.tolist() == [False, False]
    far = 1 << 60
    proof = prove_weights(weights, "int64", activation_zero_point=far)
    assert proof.bounds["accumulator"][0].tolist()[0] == 3 * 127 * (-128 - far)
    assert proof.safe.tolist()[0] is False
    with pytest.raises(InputError, match="beyond 64 bits"):
        prove_weights(weights, "int64", activations=(-(1 << 70), 1 << 70))


def test_numpy_integers_do_not_wrap():
    """-128 - int8(100) is -228, and not 28."""
    assert largest_safe_k("int32", a_zero_point=np.int8(100)) == largest_safe_k("int32", a_zero_point=100)
    pair = (np.int8(-128), np.int8(127))
    assert largest_safe_k("int32", pair, np.int8(-128)) == largest_safe_k("int32", (-128, 127), -128)
    weights = np.array([[127, -128]], np.int8)
    by_numpy = prove_weights(weights, activation_zero_point=np.int8(100), weight_zero_point=np.int8(100))
    by_python = prove_weights(weights, activation_zero_point=100, weight_zero_point=100)
    for name, (low, high) in by_python.bounds.items():
        assert by_numpy.bounds[name][0].tolist() == low.tolist()
        assert by_numpy.bounds[name][1].tolist() == high.tolist()


@pytest.mark.parametrize("zero", [1.5, "1", None, [1, 2], True])
def test_zero_points_are_integers(zero):
    with pytest.raises(InputError, match=r"a_zero_point = .* is not one integer"):
        largest_safe_k("int32", a_zero_point=zero)
    with pytest.raises(InputError, match=r"weight_zero_point = .* is not one integer"):
        prove_weights(np.ones((2, 2), np.int8), weight_zero_point=zero)
