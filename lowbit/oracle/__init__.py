"""The executable specification: Python integers and the standard library, slow and obvious.

Written from the standards and the axes of :class:`lowbit.policy.cast.Policy`, apart from the kernels and from
``lowbit.ops.cast.lowering``, so that an error in one is an error in one. See :mod:`lowbit.oracle.cast.project` for the
order of things.
"""

from lowbit.oracle.cast.cast import convert, encode
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.oracle.cast.projection import Projection

__all__ = ["Projection", "convert", "decode", "encode", "project"]
