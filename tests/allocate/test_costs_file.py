"""Files of costs: reading, writing, and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given, settings

from lowbit.allocate import Problem, example, parse_costs, read_costs, solve, write_costs
from lowbit.allocate.amounts import amount
from lowbit.allocate.costs_text import costs_text
from lowbit.errors import AllocationError
from tests.allocate.instances import problems
from tests.thinned import examples

GOOD = """
name = "small"
choices = ["int4", "int8"]
ties = [["q", "k"]]
max_switches = 1

[budgets.bytes]
limit = "0.3kB"
[budgets.latency]
unit = "ms"

[fixed]
head = "int8"

[[layers]]
name = "q"
loss = [0.5, 0.1]
bytes = [50, 100]
latency = [0.1, 0.2]

[[layers]]
name = "k"
loss = [0.4, 0.1]
bytes = [50, 100]
latency = [0.1, 0.2]

[[layers]]
name = "head"
choices = ["int8", "float16"]
loss = [0.2, 0.0]
bytes = [100, 200]
latency = ["1/3", 0.7]

[[pairs]]
layers = ["k", "head"]
loss = [[0.0, 0.5], [0.1, 0.0]]
"""


def test_reads_everything():
    problem = parse_costs(GOOD)
    assert problem.name == "small"
    assert problem.layers == ("q", "k", "head")
    assert problem.choices[2] == ("int8", "float16")
    assert problem.ties == ((0, 1),)
    assert dict(problem.fixed) == {2: "int8"}
    assert problem.max_switches == 1
    assert problem.budget("bytes").limit == 300
    assert problem.budget("latency").unit == "ms"
    assert problem.budget("latency").denominator == 30
    assert problem.pairs[0].losses.tolist() == [[0.0, 0.5], [0.1, 0.0]]
    plan = solve(problem)
    assert plan.choices == ("int8", "int8", "int8")
    assert plan.loss == pytest.approx(0.1 + 0.1 + 0.2 + 0.1)


@settings(max_examples=examples(150))
@given(problems())
def test_what_is_written_reads_back_the_same(problem):
    again = parse_costs(costs_text(problem))
    assert (again.layers, again.choices, again.ties) == (problem.layers, problem.choices, problem.ties)
    assert dict(again.fixed) == dict(problem.fixed)
    assert again.max_switches == problem.max_switches
    assert again.losses.tolist() == problem.losses.tolist()
    for one, other in zip(again.budgets, problem.budgets, strict=True):
        assert (one.name, one.limit, one.divisor, one.unit) == (other.name, other.limit, other.divisor, other.unit)
        assert [one.amount_of(int(cost)) for cost in one.costs] == [other.amount_of(int(c)) for c in other.costs]
    for one, other in zip(again.pairs, problem.pairs, strict=True):
        assert (one.first, one.second, one.losses.tolist()) == (other.first, other.second, other.losses.tolist())


def test_the_example_as_a_file(tmp_path):
    path = tmp_path / "costs.toml"
    problem = example("hawq_v3_resnet18").with_limits({"latency": "50%"})
    write_costs(problem, path)
    assert solve(read_costs(path)).choices == solve(problem).choices


def test_bytes_and_average_bits_follow_from_formats():
    problem = parse_costs("""
        choices = ["int4", "float8_e4m3fn", "uint3"]
        [budgets.bytes]
        [budgets.avg_bits]
        limit = 4
        [[layers]]
        parameters = 100
        loss = [2, 1, 3]
        [[layers]]
        parameters = 300
        loss = [2, 1, 3]
    """)
    assert problem.budget("bytes").amount_of(int(problem.budget("bytes").costs[2])) * 8 == 300
    assert problem.budget("avg_bits").divisor == 400
    plan = solve(problem)
    assert {use.name: use.used for use in plan.uses} == {"bytes": 200, "avg_bits": 4}


def test_formulations():
    calibtip = """
        formulation = "calibtip"
        layers = ["a", "b"]
        parameters = [10, 10]
        base_loss = 1.0
        compression = 0.1875
        [losses]
        4 = [1.5, 1.25]
    """
    assert solve(parse_costs(calibtip)).choices == ("int8", "int4")
    with pytest.raises(AllocationError, match="formulation calibtip: field: 'traces' is unknown"):
        parse_costs(calibtip.replace("parameters", "traces"))
    with pytest.raises(AllocationError, match="'eight' is not a number of bits"):
        parse_costs(calibtip.replace("4 =", "eight ="))
    with pytest.raises(AllocationError, match="missing 1 required positional argument"):
        parse_costs(calibtip.replace("parameters = [10, 10]", ""))


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("max_switches", "max_switch", "did you mean 'max_switches'"),
        ("bytes = [50, 100]", "byte = [50, 100]", "layer 'q': field: 'byte' is unknown: did you mean"),
        ("unit =", "units =", "budget 'latency': field: 'units' is unknown"),
        ("bytes = [50, 100]", "", "layer 'q': bytes is missing"),
        ("loss = [0.5, 0.1]", "loss = 0.5", "layer 'q': loss is not a list"),
        ("bytes = [50, 100]", "bytes = [50, -100]", "-100 is negative"),
        ("bytes = [50, 100]", "bytes = [50, nan]", "NaN"),
        ("bytes = [50, 100]", "bytes = [50]", "1 numbers for 2 choices"),
        ('choices = ["int8", "float16"]', "choices = []", "empty list of choices"),
        ('ties = [["q", "k"]]', 'ties = [["q", "v"]]', "'v' is unknown"),
        ('"0.3kB"', '"0.3 s"', "'0.3 s' is in 's'"),
        ('head = "int8"', 'head = "int4"', "fixed to 'int4'"),
        ('layers = ["k", "head"]', 'layers = ["k"]', "instead of two layers"),
        ("[[pairs]]", "[pairs]", "not a list of tables"),
        ("[budgets.latency]", "[budgets.latency", "not valid TOML"),
        ('choices = ["int4", "int8"]', "", "layer 'q' has no choices"),
        ('name = "small"', 'formulation = "hawq"', "'hawq' is unknown"),
    ],
)
def test_refuses(old, new, part, tmp_path):
    path = tmp_path / "costs.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(AllocationError) as caught:
        read_costs(path)
    assert str(path) in str(caught.value)
    assert part.split(": did")[0] in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(AllocationError, match="No such file"):
        read_costs(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AllocationError, match="it is not text"):
        read_costs(tmp_path / "binary.toml")


def test_no_layers():
    with pytest.raises(AllocationError, match=r"there is no \[\[layers\]\]"):
        parse_costs('choices = ["a"]')


def test_any_text_is_a_name(tmp_path):
    names = ["\U0001f600 \N{SNOWMAN}", 'quoted "\\" \x7f\x1b\n']
    problem = Problem.from_arrays([[1, 2]] * 2, [[names[0], "b"]] * 2, layers=names[:2], name=names[1])
    write_costs(problem, tmp_path / "costs.toml")
    read = read_costs(tmp_path / "costs.toml")
    assert (read.layers, read.choices, read.name) == (problem.layers, problem.choices, problem.name)


@pytest.mark.parametrize("value", ["1e999999999", "1e-999999999", Decimal("1e999999999"), Decimal("1e-999999999")])
def test_exponents_without_end_are_refused_at_once(value):
    with pytest.raises(AllocationError, match="out of range"):
        amount(value, where="limit")


@pytest.mark.parametrize(
    "line",
    [
        "ties = 5",
        "ties = [[0, 1]]",
        "fixed = 5",
        "max_switches = '1'",
        "max_switches = true",
        "name = 5",
        "a = " + "[" * 10**5,
    ],
)
def test_fields_of_another_type_are_refused(line):
    with pytest.raises(AllocationError):
        parse_costs(f"{line}\nchoices = ['int4']\nlayers = [{{name = 'a', loss = [1]}}]")


@pytest.mark.parametrize(
    "rest", ["errors = 5", "errors = {}", "errors = {4 = ['x']}", "errors = {4 = [1]}\nmacs = ['x']"]
)
def test_formulations_with_other_things_than_numbers_are_refused(rest):
    with pytest.raises(AllocationError):
        parse_costs(f"formulation = 'hawq_v3'\nlayers = ['a']\ntraces = [1]\nparameters = [1]\n{rest}")
