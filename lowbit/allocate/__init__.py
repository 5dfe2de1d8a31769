"""Bit allocation: which format each layer gets, so that the loss is least within the budgets, with a certificate."""

from lowbit.allocate.plan import Plan
from lowbit.allocate.problem import Budget, Pair, Problem
from lowbit.allocate.solver import METHODS, solve

__all__ = ["METHODS", "Budget", "Pair", "Plan", "Problem", "solve"]
