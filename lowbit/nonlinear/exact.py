"""Softmax, LayerNorm and RMSNorm as the exact function of the codes, rounded once: scheme id ``exact``.

The zero line of every table of errors: no integer scheme of that result's format can be nearer. The codes, the scale,
gamma and beta (binary32 numbers) are taken at their exact values; only the result is rounded, in any way that does not
need random bits, and then limited to its width.

Source: the definitions, of softmax (ONNX operator Softmax), of LayerNorm (Ba et al., arXiv 1607.06450) and of RMSNorm
(Zhang and Sennrich, arXiv 1910.07467), without an epsilon under the root; a row without variance normalises to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lowbit.nonlinear.scheme import Example, Parameters, Scheme, unknown
from lowbit.nonlinear.widths import Intermediate, signed
from lowbit.policy.cast import ROUNDINGS, Policy

LONGEST = 1 << 20
SOFTMAX_BITS = 16
NORM_LONGEST = 1 << 15
NORM_CODE_BITS = 16
NORM_FRACTIONS = {8: 4, 16: 10, 32: 20}
"""Width of the result of a normalisation -> its fraction bits; multiply gamma and beta for other units."""
DETERMINISTIC = tuple(name for name in ROUNDINGS if not name.startswith("stochastic_"))


def rounding_of(options: Mapping[str, Any]) -> Policy:
    """The cast policy that says how a result is rounded, by its option ``rounding``.

    Raises InputError: there is no such rounding, or it needs random bits.
    """
    name = options.get("rounding", DETERMINISTIC[0])
    if not isinstance(name, str) or name not in DETERMINISTIC:
        raise unknown("rounding", name, DETERMINISTIC)
    return Policy(rounding=name)


def _result(call: Parameters) -> tuple[Intermediate, ...]:
    return signed(call.result_bits, "result", note="limited to its width")


def _norm(operation: str) -> Scheme:
    return Scheme(
        operation,
        "exact",
        "the exact function, gamma and beta applied, rounded once to 4, 10 or 20 fraction bits",
        _result,
        evidence="",
        options=("gamma", "beta", "rounding"),
        takes_scale=False,
        own_bits=32,
        bits=NORM_FRACTIONS,
        audited=False,
        trials={"rounding": ("nearest_even", "toward_zero", "toward_negative")},
        examples=(Example({}),),
    )


SCHEMES = (
    Scheme(
        "softmax",
        "exact",
        "the exact function, rounded once",
        _result,
        evidence="",
        options=("rounding",),
        own_bits=SOFTMAX_BITS,
        bits=range(2, 33),
        audited=False,
        trials={"rounding": ("nearest_even", "toward_zero", "toward_positive")},
    ),
    *map(_norm, ("layernorm", "rmsnorm")),
)
