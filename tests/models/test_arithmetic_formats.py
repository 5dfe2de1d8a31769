"""Exact match of 5-digit addition tells formats apart, in the order that their bits promise."""

import pytest

from bench.arithmetic_formats import FORMATS, ORDER, exact_match, integer_only, largest_inputs
from lowbit.models import load

pytestmark = pytest.mark.slow
PROBLEMS = 1024


@pytest.mark.parametrize("seed", range(3))
def test_addition_falls_off_in_the_order_of_the_formats(seed):
    model = load(f"addition_{seed}")
    largest = largest_inputs(model, "add")
    shares = {name: exact_match(model, "add", FORMATS[name], largest, PROBLEMS) for name in ("float32", "FP8", *ORDER)}
    assert shares["float32"] >= 0.999
    assert shares["W8A8"] >= 0.999
    assert shares["FP8"] >= 0.99
    ordered = [shares[name] for name in ORDER]
    assert ordered == sorted(ordered, reverse=True)
    assert ordered[-1] < 0.9


@pytest.mark.parametrize(
    ("name", "task"),
    [("addition_0", "add"), ("addition_1", "add"), ("addition_2", "add"), ("multiplication", "multiply")],
)
def test_integer_only_models_are_right(name, task):
    assert integer_only(name, task, "mobilequant_w8a8", PROBLEMS) >= 0.999
