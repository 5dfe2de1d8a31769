"""The fast path: integer-only scalar functions and their array loops, compiled by Numba.

A kernel takes plain integers and int64 arrays, never objects: ``lowbit.ops.cast.lowering`` turns a source, a target and
a policy into one flat int64 vector whose places ``lowbit.kernels.cast.layout`` names.
"""
