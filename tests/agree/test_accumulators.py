"""Every accumulator: the oracle, step by step, and the kernels give the same results, counts and first overflows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.errors import PolicyError
from lowbit.ops.gemm import accumulate as accumulate_module
from lowbit.ops.gemm.accumulate import accumulate
from lowbit.oracle.gemm.gemm import exact_dot, gemm
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from tests.thinned import examples, thinned

DTYPES = {"int8": np.int8, "uint8": np.uint8, "int16": np.int16}
SHAPES = [(1, 1, 1), (2, 3, 5), (3, 16, 17), (1, 33, 2), (5, 7, 16), (2, 64, 3), (1, 0, 3), (0, 4, 2), (2, 5, 0)]


def draw(random, dtype, shape, kind):
    """Operands: anything, the rails only, rails and small numbers, or all at one rail."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    rails = random.choice([low, high], shape)
    return {
        "any": random.integers(low, high, shape, endpoint=True),
        "rails": rails,
        "mixed": np.where(random.random(shape) < 0.5, rails, random.integers(0, 3, shape)),
        "high": np.full(shape, high),
        "low": np.full(shape, low),
    }[kind].astype(dtype)


def operand_types(accumulator):
    if accumulator.operands == "any":
        return [("int8", "int8"), ("uint8", "int8"), ("int16", "int16"), ("int16", "uint8")]
    left, right = accumulator.operands.split("_")
    return [(left, right)] if left == right else [(left, right), (right, left)]


def require_agreement(a, b, accumulator, a_zero=0, b_zero=0, bias=0):
    """Values with and without counting, the counts, and the first overflow in C order."""
    rows, columns = a.shape[0], b.shape[1]
    expected = gemm(
        a.tolist(),
        b.tolist(),
        accumulator,
        a_zero_points=np.broadcast_to(a_zero, rows).tolist(),
        b_zero_points=np.broadcast_to(b_zero, columns).tolist(),
        bias=np.broadcast_to(bias, columns).tolist(),
        columns=columns,
    )
    options = {"a_zero_point": a_zero, "b_zero_point": b_zero, "bias": bias}
    values = accumulate(a, b, accumulator, **options)
    counted, counts = accumulate(a, b, accumulator, return_counts=True, **options)
    wanted = np.array([[cell.value for cell in row] for row in expected], dtype=np.int64).reshape(rows, columns)
    assert np.array_equal(values, wanted), accumulator
    assert np.array_equal(counted, wanted), accumulator
    cells = [(i, j, cell) for i, row in enumerate(expected) for j, cell in enumerate(row) if cell.overflows]
    assert counts["overflows"] == sum(cell.overflows for _, _, cell in cells), accumulator
    assert counts["results"] == len(cells)
    assert counts["first"] == ((cells[0][0], cells[0][1], cells[0][2].first) if cells else None), accumulator


@pytest.mark.parametrize("name", thinned(ACCUMULATORS, 10))
def test_presets(name):
    accumulator = ACCUMULATORS[name]
    random = np.random.default_rng(5)
    for left, right in operand_types(accumulator):
        for shape in SHAPES:
            m, k, n = shape
            for kind in ("any", "rails", "high", "low"):
                a, b = draw(random, DTYPES[left], (m, k), kind), draw(random, DTYPES[right], (k, n), kind)
                require_agreement(a, b, accumulator)


@pytest.mark.parametrize("name", ["int32", "int32_saturate", "x86_vpdpbusds", "fpga_20_saturate", "x86_vpmaddubsw"])
def test_zero_points_and_bias(name):
    random = np.random.default_rng(6)
    a, b = draw(random, np.uint8, (3, 37), "any"), draw(random, np.int8, (37, 18), "rails")
    a_zero, b_zero = random.integers(0, 256, 3), random.integers(-128, 128, 18)
    bias = random.integers(-(1 << 31), 1 << 31, 18)
    for zeros in ((0, 0), (128, 0), (a_zero, b_zero)):
        for offset in (0, bias, (1 << 31) - 1, -(1 << 31)):
            require_agreement(a, b, get_accumulator(name), *zeros, offset)


def orders():
    return st.one_of(
        st.just({"order": "sequential"}),
        st.just({"order": "pairwise"}),
        st.integers(1, 6).map(lambda size: {"order": "blocked", "block": size}),
        st.tuples(st.integers(1, 9), st.sampled_from(["sequential", "adjacent", "halves", "widening"])).map(
            lambda pair: {"order": "lanes", "lanes": pair[0], "reduction": pair[1]}
        ),
    )


@st.composite
def accumulators(draw):
    rule = st.sampled_from(["wrap", "saturate"])
    combine, axes = draw(st.integers(1, 4)), draw(orders())
    if "block" in axes:
        axes["block"] *= combine
    width = draw(st.one_of(st.sampled_from([8, 16, 20, 31, 32, 33, 63, 64]), st.integers(8, 64)))
    if axes.get("reduction") == "widening" or draw(st.booleans()):
        axes |= {
            "spill_every": combine * draw(st.integers(1, 5)),
            "spill_width": draw(st.integers(width, 64)),
            "spill_overflow": draw(rule),
        }
    if draw(st.booleans()):
        axes |= {"combine_width": draw(st.integers(8, 40)), "combine_overflow": draw(rule)}
    if draw(st.booleans()):
        axes["zero_points"] = "compensated"
    else:
        axes["dropped_bits"] = draw(st.integers(0, 4))
    if "spill_every" in axes or axes["order"] in {"sequential", "lanes"}:
        axes["bias"] = draw(st.sampled_from(["added", "preloaded"]))
    return Accumulator(width=width, overflow=draw(rule), combine=combine, **axes)


@given(
    accumulators(),
    st.sampled_from(["any", "rails", "mixed", "high", "low"]),
    st.sampled_from([("int8", "int8"), ("uint8", "int8"), ("int16", "int16"), ("int16", "uint8")]),
    st.tuples(st.integers(1, 3), st.integers(0, 40), st.integers(1, 3)),
    st.integers(0, 1 << 32),
)
@settings(max_examples=examples(600))
def test_random_accumulators(accumulator, kind, types, shape, seed):
    random = np.random.default_rng(seed)
    m, k, n = shape
    left, right = (DTYPES[name] for name in types)
    a, b = draw(random, left, (m, k), kind), draw(random, right, (k, n), kind)
    a_zero = draw(random, left, m, "any") * (seed & 1)
    b_zero = draw(random, right, n, "any") * (seed >> 1 & 1)
    top = 1 << accumulator.result_width - 1
    limit = min(2 * top, 1 << (31 if accumulator.result_width <= 32 else 62))
    bias = random.integers(-limit, limit, n) * (seed >> 2 & 1)
    require_agreement(a, b, accumulator, a_zero, b_zero, bias)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 255, 256, 257, 600])
@pytest.mark.parametrize("name", ["int32_saturate", "fpga_20_saturate", "x86_vpmaddubsw", "fbgemm_acc16"])
def test_lanes_and_tiles(name, columns):
    """32-bit lanes, 64-bit lanes and counting agree on whole tiles and their tails."""
    random = np.random.default_rng(columns)
    a, b = draw(random, np.uint8, (4, 300), "any"), draw(random, np.int8, (300, columns), "rails")
    narrow = accumulate(a, b, name)
    assert np.array_equal(accumulate(a, b, name, return_counts=True)[0], narrow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accumulate_module, "fits_narrow_lanes", lambda *_: False)
        assert np.array_equal(accumulate(a, b, name), narrow)
    for threads in (2, 3, 7):
        assert np.array_equal(accumulate(a, b, name, threads=threads), narrow)


def test_shortcut_where_nothing_overflows():
    """Where magnitudes rule an overflow out, the exact product is the result, counts included."""
    random = np.random.default_rng(8)
    a, b = draw(random, np.int8, (4, 100), "any"), draw(random, np.int8, (100, 9), "any")
    exact = [[exact_dot(row, column) for column in b.T.tolist()] for row in a.tolist()]
    values, counts = accumulate(a, b, "int32_saturate", return_counts=True)
    assert values.tolist() == exact
    assert counts == {"overflows": 0, "results": 0, "first": None}


LIMITS = {
    "accumulator": Accumulator(width=8),
    "a saturating one": Accumulator(width=8, overflow="saturate", order="pairwise"),
    "term": Accumulator(width=16, combine=4, combine_width=8),
    "chunk": Accumulator(width=8, spill_every=4, spill_width=20, overflow="saturate"),
    "spilled": Accumulator(width=8, spill_every=1, spill_width=8, spill_overflow="saturate"),
    "compensated": Accumulator(width=8, zero_points="compensated", overflow="saturate"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_shortcut_ends_at_the_limit(name):
    """Sums of 127 and 128 on either side of what eight bits hold: nothing is called exact that is not."""
    accumulator = LIMITS[name]
    overflows = []
    for total in range(120, 135):
        parts = np.array([[32], [32], [32], [total - 96]], dtype=np.int8)
        for sign in (1, -1):
            require_agreement(np.full((1, 4), sign, np.int8), parts, accumulator)
            values, counts = accumulate(np.full((1, 4), sign, np.int8), parts, accumulator, return_counts=True)
            overflows.append((sign * total, counts["overflows"] > 0))
            assert (values.item() == sign * total) == (counts["overflows"] == 0)
    assert [total for total, found in overflows if found] == [
        total for total, _ in overflows if not -128 <= total <= 127
    ]


@pytest.mark.parametrize("place", ["bias", "correction"])
def test_shortcut_minds_what_comes_last(place):
    for last in range(20, 35):
        accumulator = Accumulator(width=8, overflow="saturate", zero_points="compensated")
        a, b = np.full((1, 4), 25, np.int8), np.ones((4, 1), np.int8)
        if place == "bias":
            require_agreement(a, b, accumulator, bias=last)
        else:
            require_agreement(a, b, accumulator, a_zero=-last // 4)


def test_the_first_overflow_is_the_first_in_c_order():
    a = np.array([[[1, 1, 1]], [[100, 100, 100]]], dtype=np.int8)
    b = np.array([[1, 100], [1, 100], [1, 100]], dtype=np.int8)
    _, counts = accumulate(a, b, get_accumulator("int16").choose(width=15), return_counts=True)
    assert counts == {"overflows": 1, "results": 1, "first": (1, 0, 1, 1)}


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"width": 7}, "width = 7"),
        ({"width": 65}, "width = 65"),
        ({"width": 32.0}, "width = 32.0"),
        ({"overflow": "clamp"}, "overflow = 'clamp'"),
        ({"order": "blocked"}, "needs block"),
        ({"lanes": 4}, "means nothing"),
        ({"order": "blocked", "block": 3, "combine": 2}, "in two"),
        ({"spill_every": 8}, "one needs the other"),
        ({"spill_every": 8, "spill_width": 16}, "narrower"),
        ({"order": "lanes", "lanes": 4, "reduction": "widening"}, "wider accumulator"),
        ({"order": "pairwise", "bias": "preloaded"}, "no register"),
        ({"dropped_bits": 1, "zero_points": "compensated"}, "correction"),
    ],
)
def test_contradictions(axes, words):
    with pytest.raises(PolicyError, match=words):
        Accumulator(**axes)
