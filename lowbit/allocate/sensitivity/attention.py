"""APTQ's sensitivity: the trace of the Gauss-Newton Hessian of a whole attention block, for each of its four matrices.

The Hessian is that of :mod:`lowbit.quantizers.attention`; its trace is twice the sum of the squared derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lowbit.errors import InputError
from lowbit.quantizers.attention import MATRICES, Attention, derivatives

ROUNDING = 1e-12
"""By which an average that is reached exactly may seem exceeded."""


@dataclass(frozen=True)
class AttentionTraces:
    """Traces of the Gauss-Newton Hessians, one a matrix, summed over the tokens that were given."""

    query: float
    key: float
    value: float
    output: float

    def averages(self, parameters: int) -> dict[str, float]:
        """The traces over the number of parameters of a matrix: what APTQ ranks layers by."""
        return {name: getattr(self, name) / parameters for name in MATRICES}


def attention_traces(
    inputs: ArrayLike,
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    output: ArrayLike,
    *,
    heads: int,
    causal: bool = False,
) -> AttentionTraces:
    """The trace of ``2 JᵀJ`` for each matrix of a multi-head attention block.

    Parameters
    ----------
    inputs : array_like, shape (tokens, width) or (sequences, tokens, width)
        What goes into the block, biases and positions included as the model adds them before the block.
    query, key, value : array_like, shape (heads * d, width)
    output : array_like, shape (width, heads * d)
    heads : int
    causal : bool
        Whether a token sees only itself and those before it.

    Raises
    ------
    InputError
        The shapes do not fit each other.

    Notes
    -----
    Source: Guan et al., "APTQ: Attention-aware Post-Training Mixed-Precision Quantization for Large Language Models",
    DAC 2024, section 3.2 (no public code). Rotary positions and grouped-query heads are not modelled.
    """
    block = Attention(query, key, value, output, heads, causal)
    totals = np.zeros(4)
    for sequence in block.sequences(inputs, "attention_traces"):
        products = sequence @ sequence.T
        for part in derivatives(sequence, block):
            traces = [float((matrix * products).sum()) for matrix in part[:3]]  # of Xᵀ M X
            totals += [*traces, len(np.asarray(output)) * float((part.output**2).sum())]
    return AttentionTraces(*(2.0 * float(total) for total in totals))


def two_level_plan(
    sensitivities: Mapping[str, float], sizes: Mapping[str, int], average: float, *, bits: tuple[int, int] = (4, 2)
) -> dict[str, int]:
    """APTQ's plan: the most sensitive layers get 4 bits, the others 2, as many as keep the average.

    Parameters
    ----------
    sensitivities : mapping of str to float
        Of each layer: its average trace. Of equal ones the first is taken first.
    sizes : mapping of str to int
        Numbers of weights.
    average : float
        Bits a weight that the plan may have on average, ``4 R + 2 (1 - R)``.
    bits : pair of int
        The widths in place of 4 and 2.

    Returns
    -------
    plan : dict of str to int
        In the order of the layers. Layers are taken by their rank, and the first that does not fit ends it.

    Raises
    ------
    InputError
        A layer has no size, a sensitivity is not finite, or even the lower width is above the average.

    Notes
    -----
    Source: Guan et al., "APTQ", DAC 2024 (arXiv 2402.14866), section 3.3. ``lowbit allocate`` finds plans that are
    optimal for given losses.

    Examples
    --------
    >>> two_level_plan({"a": 0.5, "b": 7.0, "c": 1.0}, {"a": 100, "b": 100, "c": 100}, 3.4)
    {'a': 2, 'b': 4, 'c': 4}
    """
    if not all(np.isfinite(value) for value in sensitivities.values()):
        raise InputError("a sensitivity is not a finite number", hint="traces come from attention_traces")
    missing = next((name for name in sensitivities if sizes.get(name, 0) < 1), None)
    if missing is not None:
        raise InputError(f"layer {missing!r} has no number of weights")
    high, low = bits
    whole = sum(sizes[name] for name in sensitivities)
    used, most = low * whole, average * whole * (1 + ROUNDING)
    if used > most:
        raise InputError(f"an average of {average} bits is below the {low} bits of the cheapest plan")
    plan = dict.fromkeys(sensitivities, low)
    for name in sorted(sensitivities, key=sensitivities.__getitem__, reverse=True):
        used += (high - low) * sizes[name]
        if used > most:
            break
        plan[name] = high
    return plan
