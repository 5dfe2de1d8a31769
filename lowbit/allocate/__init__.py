"""Bit allocation: which format each layer gets, so that the loss is least within the budgets, with a certificate."""

from lowbit.allocate.analysis import More, pareto_front, smallest_limit, with_more
from lowbit.allocate.costs_file import parse_costs, read_costs
from lowbit.allocate.costs_text import write_costs
from lowbit.allocate.picture import picture
from lowbit.allocate.plan import Plan
from lowbit.allocate.presets import EXAMPLES, calibtip, example, hawq_v3
from lowbit.allocate.problem import Budget, Pair, Problem
from lowbit.allocate.search.linear import write_lp, write_mps
from lowbit.allocate.solver import METHODS, solve

__all__ = [
    "EXAMPLES",
    "METHODS",
    "Budget",
    "More",
    "Pair",
    "Plan",
    "Problem",
    "calibtip",
    "example",
    "hawq_v3",
    "pareto_front",
    "parse_costs",
    "picture",
    "read_costs",
    "smallest_limit",
    "solve",
    "with_more",
    "write_costs",
    "write_lp",
    "write_mps",
]
