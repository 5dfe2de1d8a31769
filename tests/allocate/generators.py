"""Larger problems for the tests and the benchmarks; NumPy is all they need."""

from __future__ import annotations

import numpy as np

from lowbit.allocate import Problem


def large(layers, choices, seed, *, budgets=2, share=0.35):
    """Layers of log-normal sizes and sensitivities, whose losses fall about fourfold a bit."""
    random = np.random.default_rng(seed)
    bits = np.arange(2, 2 + choices)
    sizes = np.exp(random.normal(10.5, 1.2, layers)).astype(np.int64) + 64
    fall = random.uniform(0.5, 1.1, layers)[:, None]
    losses = np.exp(random.normal(0, 1.5, layers))[:, None] * 4.0 ** (-(bits - 2.0) * fall)
    losses *= np.exp(random.normal(0, 0.15, (layers, choices)))
    costs = {"bits": sizes[:, None] * bits}
    if budgets > 1:
        costs["latency"] = (sizes[:, None] * (1 + bits // 4) * random.uniform(0.5, 1.5, (layers, choices))).astype(int)
    problem = Problem.from_arrays(losses, [f"int{width}" for width in bits], costs=costs)
    return problem.with_limits({name: problem.between(name, share) for name in costs})


def coupled(layers, choices, seed, *, max_switches=None):
    """As ``large``, with a loss between neighbours."""
    random = np.random.default_rng(seed + 1000)
    base = large(layers, choices, seed)
    losses = base.losses.reshape(layers, choices)
    least = np.sqrt(losses.min(axis=1)[:-1] * losses.min(axis=1)[1:])
    return Problem.from_arrays(
        losses,
        base.choices,
        costs={budget.name: budget.costs.reshape(layers, choices) for budget in base.budgets},
        limits={budget.name: budget.limit for budget in base.budgets},
        pairs=[(i, i + 1, least[i] * random.random((choices, choices))) for i in range(layers - 1)],
        max_switches=max_switches,
    )
