"""Integer exponentials and square roots, the building blocks of the integer-only schemes, element by element."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.ops.nonlinear.dispatch import Array, dispatch

EXP_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "ivit": "lowbit.ops.nonlinear.exp_ivit",
        "ibert": "lowbit.ops.nonlinear.exp_ibert",
    }
)
"""Scheme -> the module that runs it, imported when it is first asked for (dispatch.py says what it holds)."""

SQUARE_ROOT_SCHEMES: Mapping[str, str] = MappingProxyType({"ibert": "lowbit.ops.nonlinear.sqrt_ibert"})
"""The same for integer square roots."""


def exp(
    codes: Any,
    *,
    scheme: str = "ivit",
    variant: str | None = None,
    scale: Any = None,
    overflow: str = "wrap",
    return_scale: bool = False,
    out: Array | None = None,
    threads: int = 1,
) -> Any:
    """Exponential of integer codes that are not positive, as the integer-only softmaxes compute it.

    Parameters
    ----------
    codes : array_like of int
        Differences from a maximum: at most 0.
    scheme : {"ivit", "ibert"}
        ShiftExp of I-ViT, i-exp of I-BERT.
    variant : str, optional
        As for :func:`lowbit.softmax`.
    scale : float
        The real value of one unit of a code.
    overflow : {"wrap", "saturate", "trap"}
        What an intermediate beyond its declared width becomes.
    return_scale : bool
        Also return the real value of one unit of the result.
    out : ndarray, optional
        Where the result goes: int64, of the shape of ``codes``.
    threads : int

    Returns
    -------
    codes : ndarray of int64
    scale : float, if ``return_scale``

    Raises
    ------
    InputError
        A positive code, an unknown scheme, or a scale that is zero, negative, NaN or out of the scheme's range.
    IntermediateOverflowError
        Under ``overflow="trap"``.

    Notes
    -----
    Source: I-ViT, arXiv 2207.01405, algorithm 1 (ShiftExp); I-BERT, arXiv 2101.01321, algorithm 3 (i-exp).

    Examples
    --------
    >>> exp([0, -10, -20], scale=0.1, scheme="ivit").tolist()
    [327680, 131072, 49152]
    """
    return dispatch(
        "exp",
        EXP_SCHEMES,
        codes,
        scheme=scheme,
        variant=variant,
        scale=scale,
        overflow=overflow,
        axis=-1,
        bits=None,
        return_scale=return_scale,
        out=out,
        threads=threads,
        options={},
    )


def integer_sqrt(
    values: Any,
    *,
    scheme: str = "ibert",
    overflow: str = "wrap",
    out: Array | None = None,
    threads: int = 1,
) -> Any:
    """Floor of the square root of non-negative integers: I-BERT's i-sqrt.

    Parameters
    ----------
    values : array_like of int
        From 0 to 2^62 - 1; the scheme declares 32 bits for its iterates, which are about the root's size.
    scheme : {"ibert"}
    overflow : {"wrap", "saturate", "trap"}
    out : ndarray, optional
        Where the result goes: int64, of the shape of ``values``.
    threads : int

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
    return dispatch(
        "integer_sqrt",
        SQUARE_ROOT_SCHEMES,
        values,
        scheme=scheme,
        variant=None,
        scale=None,
        overflow=overflow,
        axis=-1,
        bits=None,
        return_scale=False,
        out=out,
        threads=threads,
        options={},
    )
