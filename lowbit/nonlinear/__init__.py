"""Integer-only nonlinearities as data: constants derived from a scale, and the declared width of every intermediate.

One file a published scheme. Standard library only: the oracle, the kernels' array layer and the width audit all read
the same constants, and each computes with them on its own.
"""
