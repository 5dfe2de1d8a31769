"""Nonlinearities of integer codes as data: the table of schemes, the declared widths, constants derived from a scale.

One file a family of schemes. Standard library only. The table and the widths are read on every floor; the constants by
the array layer, for the kernels. The oracle derives its own.
"""
