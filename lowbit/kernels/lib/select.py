"""Selection without a branch."""

from lowbit.kernels._jit import scalar


@scalar
def pick(condition, chosen, other):
    """``chosen if condition else other`` with both evaluated: a select instruction instead of a branch."""
    return chosen if condition else other
