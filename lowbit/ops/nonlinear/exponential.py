"""Integer exponentials and square roots, the building blocks of the integer-only schemes, element by element."""

from __future__ import annotations

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def exp(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "ivit",
    variant: str | None = None,
    scale: ScaleLike | None = None,
    overflow: str = "wrap",
    return_scale: bool = False,
    return_values: bool = False,
    out: Array | None = None,
    threads: int = 1,
) -> Results:
    """Exponential of integer codes that are not positive, as the integer-only softmaxes compute it.

    Parameters
    ----------
    codes : array_like of int
        Differences from a maximum: at most 0.
    out : ndarray, optional
        Where the result goes: int64, of the shape of ``codes``.

    Returns
    -------
    codes : ndarray of int64
    scale : float, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, algorithm 1 (ShiftExp); I-BERT, arXiv 2101.01321, algorithm 3 (i-exp).

    Examples
    --------
    >>> exp([0, -10, -20], scale=0.1, scheme="ivit").tolist()
    [327680, 131072, 49152]
    """
    returns = (return_scale, return_values)
    return dispatch("exp", codes, scheme, variant, scale, overflow, -1, None, returns, out, threads, {})


@documented
def integer_sqrt(
    values: Codes,
    *,
    scheme: str = "ibert",
    overflow: str = "wrap",
    out: Array | None = None,
    threads: int = 1,
) -> Results:
    """Floor of the square root of non-negative integers: I-BERT's i-sqrt.

    Parameters
    ----------
    values : array_like of int
        From 0 to 2^62 - 1; the scheme declares 32 bits for its iterates, which are about the root's size.
    out : ndarray, optional
        Where the result goes: int64, of the shape of ``values``.

    Returns
    -------
    roots : ndarray of int64

    Raises
    ------
    InputError
        A negative value, or one of more than 62 bits.

    Notes
    -----
    Source: I-BERT, arXiv 2101.01321, algorithm 4.

    Examples
    --------
    >>> integer_sqrt([0, 15, 16, 1 << 40]).tolist()
    [0, 3, 4, 1048576]
    """
    return dispatch("integer_sqrt", values, scheme, None, None, overflow, -1, None, (False, False), out, threads, {})
