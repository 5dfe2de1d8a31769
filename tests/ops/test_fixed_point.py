"""The namespace of fixed-point functions."""

import lowbit


def test_the_functions_are_there_and_not_at_the_top():
    # `lowbit.reciprocal` and `lowbit.exp` are names of arithmetic and elementwise functions.
    names = lowbit.fixed_point.__all__
    assert len(names) == 15
    assert not set(names) & set(lowbit.__all__)
    for name in names:
        assert getattr(lowbit.fixed_point, name).__doc__
        assert not hasattr(lowbit, name)
