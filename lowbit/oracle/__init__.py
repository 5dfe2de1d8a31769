"""The executable specification: Python integers and the standard library, slow and obvious.

Written from the standards and the axes of :class:`lowbit.policy.Policy`, apart from the kernels and from
``lowbit.lowering``, so that an error in one is an error in one. See :mod:`lowbit.oracle.project` for the order of
things.
"""

from __future__ import annotations

from lowbit.oracle.cast import convert, encode
from lowbit.oracle.decode import decode
from lowbit.oracle.project import project
from lowbit.oracle.projection import Projection

__all__ = ["Projection", "convert", "decode", "encode", "project"]
