"""The searches against each other where brute force does not reach, and what the outside solvers say."""

import time
import warnings

import numpy as np
import pytest

from lowbit.allocate import Problem, solve, write_lp, write_mps
from lowbit.allocate.search.core import Core, reduce
from lowbit.allocate.search.dual import Lagrangian, maximise
from lowbit.allocate.search.linear import linear_model
from lowbit.errors import AllocationError, InfeasibleError
from tests.allocate.generators import coupled, large

GAP = 1e-7
PROBLEMS = {
    "one budget": lambda: large(80, 6, 1, budgets=1),
    "two budgets": lambda: large(60, 5, 2),
    "coupled": lambda: coupled(25, 4, 3),
    "switches": lambda: coupled(25, 4, 4, max_switches=8),
}
OUTSIDE = {"milp": "scipy", "highs": "highspy", "cbc": "pulp"}


def has_cbc():
    pulp = pytest.importorskip("pulp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return any(name in pulp.listSolvers(onlyAvailable=True) for name in ("PULP_CBC_CMD", "COIN_CMD"))


@pytest.fixture(scope="module", params=PROBLEMS)
def solved(request):
    problem = PROBLEMS[request.param]()
    return problem, solve(problem, gap=GAP)


def test_proven(solved):
    problem, plan = solved
    assert plan.status == "optimal"
    assert plan.gap <= GAP
    assert problem.violations(plan.picks) == []
    relaxed = maximise(Lagrangian(reduce(problem).core)).bound
    assert relaxed <= plan.loss


@pytest.mark.parametrize("method", OUTSIDE)
def test_an_outside_solver_agrees(solved, method):
    pytest.importorskip(OUTSIDE[method])
    if method == "cbc" and not has_cbc():
        pytest.skip("PuLP finds no CBC")
    problem, plan = solved
    other = solve(problem, method=method, gap=GAP, time_limit=120)
    assert problem.violations(other.picks) == []
    assert other.loss == pytest.approx(plan.loss, rel=3 * GAP)
    assert other.bound <= plan.loss + GAP * abs(plan.loss)
    assert other.prices == pytest.approx(plan.prices, rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("method", OUTSIDE)
def test_an_outside_solver_finds_nothing(method):
    pytest.importorskip(OUTSIDE[method])
    if method == "cbc" and not has_cbc():
        pytest.skip("PuLP finds no CBC")
    # Either layer's smaller costs fit, never both rows at once.
    costs = {"a": [[0, 2], [0, 2]], "b": [[2, 0], [2, 0]]}
    problem = Problem.from_arrays([[0, 0]] * 2, ["x", "y"], costs=costs, limits={"a": 1, "b": 1})
    with pytest.raises(InfeasibleError) as caught:
        solve(problem, method=method)
    assert caught.value.smallest == {"a": 4, "b": 4}


def test_a_plan_over_the_limit_is_refused_and_the_limit_lowered(monkeypatch):
    from lowbit.allocate.search import external

    problem = Problem.from_arrays(
        [[1, 0]] * 2, ["x", "y"], costs={"bytes": [[0, 853_000_001], [0, 10]]}, limits={"bytes": 853_000_010}
    )
    calls = []
    honest = external._scipy

    def tolerant(model, state):
        calls.append(model.upper[-1])
        if len(calls) == 1:  # both layers at y: one byte over, as a solver with relative tolerances has it
            values = np.array([0.0, 1.0, 0.0, 1.0])
            return external.Answer(values, 0.0)
        return honest(model, state)

    monkeypatch.setattr(external, "_scipy", tolerant)
    plan = solve(problem, method="milp")
    assert problem.violations(plan.picks) == []
    assert plan.loss == 1
    assert plan.status == "feasible"  # the bound of the first answer stands: nothing is claimed that is not proven
    assert calls[1] < calls[0]


@pytest.mark.parametrize("write", [write_mps, write_lp])
def test_files_for_other_solvers(solved, write, tmp_path):
    highspy = pytest.importorskip("highspy")
    problem, plan = solved
    path = tmp_path / f"model.{write.__name__[-3:].strip('_')}"
    write(problem, path)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("mip_rel_gap", GAP)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.run()
    assert highs.getInfo().objective_function_value == pytest.approx(plan.loss, rel=3 * GAP)


@pytest.mark.parametrize("write", [write_mps, write_lp])
def test_files_with_names_of_budgets_that_the_format_has_not(write, tmp_path):
    highspy = pytest.importorskip("highspy")
    limits = {"my bytes \n\u00e9": 3, "- x": 3, "k": 3, "n" * 300: 3}
    problem = Problem.from_arrays(
        [[1, 0], [2, 0]], ["a", "b"], costs=dict.fromkeys(limits, [[1, 2]] * 2), limits=limits
    )
    path = tmp_path / f"model.{write.__name__[-3:].strip('_')}"
    write(problem, path)
    assert "row_0: budget my bytes \\n\\xe9" in path.read_text("ascii")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    assert highs.getNumRow() == 2 + len(limits)
    highs.run()
    assert highs.getInfo().objective_function_value == pytest.approx(1)


@pytest.mark.parametrize("write", [write_mps, write_lp])
def test_integers_of_more_than_53_bits_are_exported_rounded_down(write, tmp_path):
    costs = [[1, 2**60 + 2**29 - 1]] * 2
    problem = Problem.from_arrays([[1, 0]] * 2, ["a", "b"], costs={"k": costs}, limits={"k": 2**61 + 2**29 - 1})
    path = tmp_path / "model"
    write(problem, path)
    rounded = [line.split() for line in path.read_text().splitlines() if str(2**30) in line or str(2**31) in line]
    assert sum(str(2**30) in words for words in rounded) == 2
    assert sum(str(2**31) in words for words in rounded) == 1


def test_the_linear_model_keeps_integers():
    model = linear_model(reduce(large(10, 3, 5)).core)
    assert (model.coefficients == np.rint(model.coefficients)).all()
    assert (model.upper == np.rint(model.upper)).all()


def test_neighborhoods_find_the_optimum_from_a_poor_start():
    problem = coupled(40, 4, 6, max_switches=12)
    best = solve(problem, gap=GAP)
    core = reduce(problem).core
    from lowbit.allocate.search.neighbourhoods import NeighbourhoodSearch

    start = reduce(problem).to_nodes(_cheapest(problem))
    around = NeighbourhoodSearch(core, maximise(Lagrangian(core)).prices, start, seed=1)
    first = around.loss
    around.run(lambda: False, rounds=150)
    assert core.keeps(core.totals_of(around.picks))
    assert best.loss - 1e-9 <= around.loss
    assert around.loss - best.loss <= 0.02 * (first - best.loss)


def _cheapest(problem):
    return [0] * len(problem.layers)  # two bits everywhere: the cheapest, without a switch


def test_the_same_seed_gives_the_same_plan():
    problem = coupled(30, 4, 8)
    core = reduce(problem).core
    from lowbit.allocate.search.neighbourhoods import NeighbourhoodSearch

    plans = []
    for _ in range(2):
        around = NeighbourhoodSearch(
            core, maximise(Lagrangian(core)).prices, reduce(problem).to_nodes(_cheapest(problem)), 5
        )
        around.run(lambda: False, rounds=20)
        plans.append(around.picks.tolist())
    assert plans[0] == plans[1]


def test_time_out_is_never_called_optimal():
    problem = coupled(150, 6, 9, max_switches=20)
    started = time.monotonic()
    plan = solve(problem, gap=1e-9, time_limit=0.3)
    assert time.monotonic() - started < 10
    if plan.status == "feasible":
        assert plan.stopped == "time limit"
        assert plan.gap > plan.tolerance
    assert plan.bound <= plan.loss
    assert problem.violations(plan.picks) == []


def test_a_wrong_plan_cannot_be_made():
    problem = large(5, 3, 1)
    plan = solve(problem)
    with pytest.raises(AllocationError, match="the plan breaks budget"):
        type(plan)(problem, (2,) * 5, 0.0, 0.0, "", "", {})


def test_warm_start_and_prices():
    problem = large(60, 5, 2)
    plan = solve(problem)
    again = solve(problem, warm_start=plan, prices=plan.prices)
    assert again.loss == plan.loss
    tighter = problem.with_limits({"bits": plan.uses[0].used * 9 / 10})
    assert solve(tighter, warm_start=plan).loss >= plan.loss  # a start that breaks the new limit is ignored
    dominated = Problem.from_arrays(
        [[1, 2], [5, 0]], ["x", "y"], costs={"bytes": [[1, 2], [1, 2]]}, limits={"bytes": 4}
    )
    assert solve(dominated, warm_start=["y", "x"]).choices == ("x", "y")
    with pytest.raises(AllocationError, match="3 choices for 60 layers"):
        solve(problem, warm_start=["int2"] * 3)


def test_monotone_in_every_budget():
    problem = large(30, 4, 3)
    losses = [solve(problem.with_limits({"bits": share})).loss for share in ("20%", "30%", "45%", "70%")]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("options", [{"method": "magic"}, {"gap": -1}, {"gap": float("nan")}, {"time_limit": 0}])
def test_bad_arguments(options):
    with pytest.raises(AllocationError):
        solve(large(3, 2, 0), **options)


def test_equal_plans_take_the_first_choice():
    problem = Problem.from_arrays(
        [[1, 1, 1]] * 4, ["a", "b", "c"], costs={"bytes": [[1, 1, 1]] * 4}, limits={"bytes": 9}
    )
    assert solve(problem).choices == ("a",) * 4


def test_prices_tell_what_more_is_worth():
    # One more byte of four saves 3: the price at the margin, as the Lagrangian bound has it.
    problem = Problem.from_arrays(
        [[9, 6, 3, 0]] * 2, list("abcd"), costs={"bytes": [[0, 1, 2, 3]] * 2}, limits={"bytes": 4}
    )
    plan = solve(problem)
    assert plan.prices["bytes"] == pytest.approx(3)
    assert solve(problem.with_limits({"bytes": 5})).loss == plan.loss - 3


def test_core_is_what_it_says():
    problem = coupled(5, 3, 0, max_switches=2)
    core = reduce(problem).core
    assert isinstance(core, Core)
    picks = np.array([0, 1, 1, 2, 0])
    assert core.loss_of(picks) == pytest.approx(problem.loss_of(picks.tolist()))
    assert core.totals_of(picks)[-1] == problem.switches_of(picks.tolist()) == 3


def test_a_short_time_limit_does_not_blur_the_smallest_budget():
    problem = large(40, 4, 2)
    least = sum(int(row.min()) for row in problem.budget("bits").costs.reshape(40, 4))
    with pytest.raises(InfeasibleError) as caught:
        solve(problem.with_limits({"bits": least - 1, "latency": None}), time_limit=1e-6)
    assert caught.value.smallest == {"bits": least}
    free = problem.with_limits({"latency": None})
    with pytest.raises(AllocationError, match="no plan was found in") as caught:
        solve(coupled(60, 4, 1, max_switches=1).with_limits({"bits": "3%", "latency": "4%"}), time_limit=1e-6)
    assert caught.value.code == "LB702"
    assert solve(free, time_limit=1e-6).bound <= solve(free).loss


@pytest.mark.parametrize("method", ["auto", "milp", "highs", "cbc"])
@pytest.mark.parametrize("loss", [5e-324, 1e-310, 1e-200, 1e200])
def test_losses_of_any_size(tmp_path, method, loss):
    for needed in {"milp": ("scipy",), "highs": ("pulp", "highspy"), "cbc": ("pulp",)}.get(method, ()):
        pytest.importorskip(needed)
    costs = {"k": [[1, 2], [1, 2]]}
    problem = Problem.from_arrays([[3 * loss, loss], [loss, 2 * loss]], ["x", "y"], costs=costs, limits={"k": 3})
    plan = solve(problem, method=method)
    assert (plan.choices, plan.loss) == (("y", "x"), 2 * loss)
    for write, name in ((write_mps, "p.mps"), (write_lp, "p.lp")):
        write(problem, tmp_path / name)
        assert repr(3 * loss) in (tmp_path / name).read_text(encoding="utf-8")
