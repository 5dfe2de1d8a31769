"""HAWQ-V3's eighteen published budgets: the optimum is reached, and seventeen published policies are it."""

import pytest

from lowbit.allocate import EXAMPLES, calibtip, example, hawq_v3, solve
from lowbit.allocate.presets import example_data
from lowbit.errors import AllocationError

CASES = [(name, place) for name in EXAMPLES for place in range(9)]

# The objective of ILP.ipynb: the sum of trace * (error at 8 bits - error at 4 bits) over the layers at 8 bits.
NOTEBOOK = {
    ("hawq_v3_resnet18", "bytes"): (-1.274273, -1.233207, -1.189414),
    ("hawq_v3_resnet18", "bops"): (-1.227748, -1.092024, -0.847289),
    ("hawq_v3_resnet18", "latency"): (-1.227748, -1.105039, -0.847289),
    ("hawq_v3_resnet50", "bytes"): (-0.894121, -0.875313, -0.831387),
    ("hawq_v3_resnet50", "bops"): (-0.882231, -0.849897, -0.757389),
    ("hawq_v3_resnet50", "latency"): (-0.883678, -0.851476, -0.768832),
}


@pytest.mark.parametrize(("name", "place"), CASES)
def test_published_budget(name, place):
    published = example_data(name)["published"][place]
    budget = published["budget"]
    problem = example(name)
    problem = problem.with_limits({budget: problem.between(budget, published["share"])})
    plan = solve(problem)
    assert plan.status == "optimal"
    all_four = problem.loss_of([0] * len(problem.layers))
    assert plan.loss - all_four == pytest.approx(NOTEBOOK[name, budget][place % 3], abs=1e-6)

    picks = [("4", "8").index(digit) for digit in published["bits"]]
    assert problem.violations(picks) == []
    if (name, budget, float(published["share"])) == ("hawq_v3_resnet50", "bytes", 0.25):
        # Published with stage3.unit6.quant_convbn1 at 4 bits, though 8 fit as well: strictly worse than the optimum.
        layer = problem.layers.index("stage3.unit6.quant_convbn1")
        promoted = [1 if index == layer else pick for index, pick in enumerate(picks)]
        assert picks[layer] == 0
        assert problem.violations(promoted) == []
        assert problem.loss_of(promoted) < problem.loss_of(picks)
        assert tuple(promoted) == plan.picks
    else:
        assert tuple(picks) == plan.picks


@pytest.mark.parametrize("name", EXAMPLES)
def test_ties_of_the_examples_matter_to_the_model(name):
    problem = example(name)
    assert len(problem.ties) == {"hawq_v3_resnet18": 3, "hawq_v3_resnet50": 4}[name]
    plan = solve(problem.with_limits({"bops": "50%"}))
    for one, other in problem.ties:
        assert plan.choices[one] == plan.choices[other]


def test_hawq_v3_from_arrays():
    problem = hawq_v3(["a", "b"], [2.0, 1.0], {4: [1.0, 1.0], 8: [0.1, 0.1]}, [100, 300], macs=[10, 10])
    assert problem.losses.tolist() == [2.0, 0.2, 1.0, 0.1]
    assert problem.budget("bytes").costs.tolist() == [50, 100, 150, 300]
    assert problem.budget("bops").costs.tolist() == [160, 640, 160, 640]
    with pytest.raises(AllocationError, match=r"latencies are for \[4\] bits"):
        hawq_v3(["a"], [1.0], {4: [1.0], 8: [1.0]}, [1], latencies={4: [1.0]})


def test_calibtip():
    # Half of the 8-bit size is an eighth of that in 32 bits; b's degradation is below 1e-6 and counts as that.
    problem = calibtip(
        ["a", "b", "c"], [10, 10, 20], {4: [2.5, 1.0, 1.75], 2: [4.0, 3.0, 2.0]}, base_loss=1.0, compression=0.125
    )
    assert problem.choices[0] == ("int2", "int4", "int8")
    assert problem.losses.tolist() == [3.0, 1.5, 0.0, 2.0, 1e-6, 0.0, 1.0, 0.75, 0.0]
    assert problem.budget("bits").limit == 40 * 32 * 0.125
    plan = solve(problem)
    assert plan.choices == ("int8", "int4", "int2")
    assert plan.loss == 1.0 + 1e-6
    with pytest.raises(AllocationError, match="which is the base"):
        calibtip(["a"], [1], {8: [1.0]}, base_loss=0.0, compression=0.2)


def test_unknown_example():
    with pytest.raises(AllocationError, match="did you mean 'hawq_v3_resnet18'"):
        example("hawq_v3_resnet19")
