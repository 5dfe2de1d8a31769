"""What a problem refuses, and its exact arithmetic."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from lowbit.allocate import Problem, solve
from lowbit.allocate.amounts import amount, format_amount, integer_row
from lowbit.errors import AllocationError

TWO = ["int4", "int8"]


def make(losses=((2, 1), (2, 1)), choices=TWO, **options):
    options.setdefault("costs", {"bytes": [[1, 2], [1, 2]]})
    return Problem.from_arrays(losses, choices, **options)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"costs": {"bytes": [[1, float("nan")], [1, 2]]}}, ("bytes of 'int8' in layer 'layer0'", "is NaN")),
        ({"costs": {"bytes": [[1, 2], [-1, 2]]}}, ("bytes of 'int4' in layer 'layer1'", "-1 is negative")),
        ({"costs": {"bytes": [[1, 2], [1, float("inf")]]}}, ("'int8' in layer 'layer1'", "is infinite")),
        ({"costs": {"bytes": np.array([[1, 2], [1, np.nan]])}}, ("'int8' in layer 'layer1'", "is NaN")),
        ({"costs": {"bytes": [[1, 2], [1, "2"]]}}, ("'int8' in layer 'layer1'", "not a number")),
        ({"costs": {"bytes": [[1, 2], [1, True]]}}, ("True is not a number",)),
        ({"costs": {"bytes": [[1, 2]]}}, ("costs of bytes: 1 rows for 2 layers",)),
        ({"costs": {"bytes": [[1, 2], [1]]}}, ("'layer1' has 1 numbers for 2 choices",)),
        ({"losses": [[2, float("nan")], [2, 1]]}, ("loss of 'int8' in layer 'layer0'", "nan is not finite")),
        ({"losses": [[2, "x"], [2, 1]]}, ("loss of 'int8' in layer 'layer0'", "not a number")),
        ({"losses": []}, ("no layer",)),
        ({"losses": np.zeros(3)}, ("shape (3,)",)),
        ({"choices": [["int4", "int8"], []]}, ("layer 'layer1' has an empty list of choices",)),
        ({"choices": []}, ("an empty list of choices",)),
        ({"choices": "int4"}, ("one name instead of a list",)),
        ({"choices": ["int4", "int4"]}, ("lists a choice twice",)),
        ({"layers": ["a", "a"]}, ("two layers are called 'a'",)),
        ({"layers": ["a"]}, ("1 names for 2 layers",)),
        ({"limits": {"byte": 3}}, ("'byte' is unknown", "did you mean 'bytes'")),
        ({"limits": {"bytes": -3}}, ("-3 is negative",)),
        ({"limits": {"bytes": "3 parsecs"}}, ("'parsecs'",)),
        ({"limits": {"bytes": "lots"}}, ("'lots' is not an amount",)),
        ({"limits": {"bytes": float("nan")}}, ("not a finite number",)),
        ({"units": {"bits": "b"}}, ("'bits' is unknown",)),
        ({"divisors": {"bytes": 0}}, ("is not positive",)),
        ({"ties": [(0,)]}, ("a tie of 1 layers",)),
        ({"ties": [(0, 7)]}, ("layer 7 is not one of the 2 layers",)),
        ({"ties": [("layer0", "layer9")]}, ("'layer9' is unknown",)),
        ({"choices": [["int4", "int8"], ["a", "b"]], "ties": [(0, 1)]}, ("'layer0', 'layer1' are tied", "in common")),
        ({"fixed": {0: "int4", 1: "int8"}, "ties": [(0, 1)]}, ("no choice in common",)),
        ({"fixed": {0: "int3"}}, ("fixed to 'int3'", "int4, int8")),
        ({"pairs": [(0, 0, [[0, 0], [0, 0]])]}, ("one layer is not a pair",)),
        ({"pairs": [(0, 1, [[0, 0]])]}, ("shape (1, 2) instead of (2, 2)",)),
        ({"pairs": [(0, 1, [[0, 0], [0, float("inf")]])]}, ("a loss is not finite",)),
        ({"pairs": [(0, 1, [[0], [0, 1]])]}, ("not a table",)),
        ({"max_switches": -1}, ("max_switches: -1 is negative",)),
    ],
)
def test_refuses(options, parts):
    with pytest.raises(AllocationError) as caught:
        make(**options)
    assert caught.value.code == "LB700"
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.2MB", 3_200_000),
        ("512KiB", 2**19),
        ("1e3", 1000),
        ("1/3", Fraction(1, 3)),
        (0.1, Fraction(1, 10)),
        (np.float64(0.1), Fraction(1, 10)),
        (np.int64(7), 7),
        (Decimal("0.125"), Fraction(1, 8)),
        ("2 G", 2 * 10**9),
    ],
)
def test_amounts_are_exact(text, value):
    assert amount(text, where="x", unit="bytes") == value


@pytest.mark.parametrize("text", ["", "1/0", "1..2", "-3", "3.2 XB", "nan", "٣"])
def test_no_amount(text):
    with pytest.raises(AllocationError):
        amount(text, where="x", unit="bytes")


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.25, 3.0],
        [1, 2, 3],
        [1, 0.5],
        [Fraction(1, 3), 2],
        [2**70, 1],
        [2**64 - 1],
        [0.1 + 0.2, 1e-9, 123456.789],
        np.array([2**64 - 1, 5], dtype=np.uint64),
        np.array([1.5, 2.25], dtype=np.float32),
        [],
    ],
)
def test_integer_rows_are_exact(values):
    numerators, denominator = integer_row(values, where="x")
    exact = [
        Fraction(repr(float(v)))
        if isinstance(v, float | np.floating)
        else Fraction(int(v))
        if isinstance(v, np.integer)
        else Fraction(v)
        for v in values
    ]
    assert [Fraction(int(n), denominator) for n in numerators] == exact


def test_sums_are_exact_where_binary64_is_not():
    # Ten times 0.1 is 0.9999999999999999 in binary64, and 0.1 + 0.2 is above 0.3.
    ten = Problem.from_arrays([[1, 0]] * 10, TWO, costs={"ms": [[0, 0.1]] * 10}, limits={"ms": 1})
    assert solve(ten).choices == ("int8",) * 10
    three = Problem.from_arrays([[1, 0]] * 2, TWO, costs={"ms": [[0, 0.1], [0, 0.2]]}, limits={"ms": 0.3})
    assert solve(three).uses[0].slack == 0


@pytest.mark.parametrize("scale", [1, 2**40, 2**62, 2**90])
def test_a_limit_met_exactly_and_missed_by_one(scale):
    costs = [[0, 3 * scale], [0, 5 * scale + 1], [0, 7 * scale]]
    problem = Problem.from_arrays(
        [[1, 0], [2, 0], [4, 0]], TWO, costs={"bytes": costs}, limits={"bytes": 12 * scale + 1}
    )
    assert solve(problem).choices == ("int4", "int8", "int8")
    below = problem.with_limits({"bytes": 12 * scale})
    assert solve(below).choices == ("int8", "int4", "int8")


def test_limits_by_share():
    problem = make()
    assert problem.with_limits({"bytes": "50%"}).budgets[0].limit == 3
    assert problem.between("bytes", 0) == 2
    assert problem.between("bytes", "1/4") == Fraction(5, 2)
    assert problem.with_limits({"bytes": None}).budgets[0].limit is None


def test_a_divisor_makes_an_average():
    problem = make(costs={"avg_bits": [[40, 80], [400, 800]]}, divisors={"avg_bits": 110}, limits={"avg_bits": 4})
    assert solve(problem).choices == ("int4", "int4")
    assert solve(problem).uses[0].used == 4


def test_arrays_are_frozen():
    problem = make()
    with pytest.raises(ValueError, match="read-only"):
        problem.losses[0] = 1


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (Fraction(1, 3), "0.333333"), (Fraction(1, 8), "0.125")]
)
def test_amounts_for_people(value, text):
    assert format_amount(Fraction(value)) == text


def test_losses_whose_sums_overflow_are_refused():
    for losses, pairs in (([[1e308, 0]] * 2, []), ([[1, 0]] * 2, [(0, 1, [[1e308, 0], [0, -1e308]])])):
        with pytest.raises(AllocationError, match="too large"):
            Problem.from_arrays(losses, ["a", "b"], pairs=pairs)
    with pytest.raises(AllocationError, match="not a table"):
        Problem.from_arrays([[1, 0]] * 2, ["a", "b"], pairs=[(0, 1, [[10**400, 0], [0, 1]])])


@pytest.mark.parametrize("switches", [True, 1.5, "1"])
def test_switches_are_a_whole_number(switches):
    with pytest.raises(AllocationError, match="not a whole number"):
        Problem.from_arrays([[1, 0]] * 2, ["a", "b"], max_switches=switches)


@pytest.mark.parametrize("row", [[10**400, 1], [Fraction(1, 10**400), 1]])
def test_costs_beyond_binary64_are_refused(row):
    with pytest.raises(AllocationError, match="round the costs"):
        Problem.from_arrays([[1, 0]] * 2, ["a", "b"], costs={"k": [row, [1, 2]]})
