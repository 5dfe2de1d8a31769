"""One exact value to one code: round, then decide overflow on the rounded value, then encode.

This is the projection of P3109 v4.0 4.7.3 and SoftFloat's roundPack, with every choice that implementations make
differently taken from the policy. Rounding and range live in a file for each kind of target: floating point
(:mod:`lowbit.oracle.cast.floating`), integers and fixed point (:mod:`lowbit.oracle.cast.fixed`), and formats that are
known by the list of their values (:mod:`lowbit.oracle.cast.table`).
"""

from __future__ import annotations

from lowbit.errors import InputError
from lowbit.exact import Exact
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.oracle.cast.fixed import project_fixed
from lowbit.oracle.cast.floating import project_floating
from lowbit.oracle.cast.projection import Projection
from lowbit.oracle.cast.table import project_table
from lowbit.policy.cast import Policy

__all__ = ["Projection", "project"]


def project(value: Exact, fmt: Scalar, policy: Policy, random: int = 0) -> Projection:
    """Round a value into a format and encode it.

    The axes ``via``, ``flush_inputs`` and ``defects`` speak of what happens before: :func:`lowbit.oracle.encode`
    sees to them.

    ``fmt``: the target. ``random``: R of the stochastic modes, ``0 <= R < 2**policy.random_bits``; 0 for the others.

    Raises InputError: the policy refuses the value (an axis says ``error``), or R is out of range; PolicyError:
    ``overflow="wrap"`` with a floating-point target.
    """
    if not 0 <= random < 1 << policy.random_bits:
        raise InputError(
            f"R = {random} is not {policy.random_bits} random bits"
            if policy.stochastic
            else f"R = {random} is given, but rounding {policy.rounding!r} takes no random bits"
        )
    if isinstance(fmt, FixedFormat):
        return project_fixed(value, fmt, policy, random)
    if isinstance(fmt, FloatFormat):
        return project_floating(value, fmt, policy, random)
    return project_table(value, fmt, policy, random)
