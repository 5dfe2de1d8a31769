"""Words that lowbit prints and that are neither an option nor a name in a table, each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "accumulator": "The register that the products of a matrix product are summed in: its width, and what it does "
        "when a sum does not fit. `lowbit explain accumulators` lists those with a name.",
        "case": "One call of a kernel with all its operands: a matrix product, or an array of codes. Reports name "
        "cases as KTail.16, the flag and a number; `lowbit gen ... --case KTail.16` writes one.",
        "code": "The bits of a number in a format, as an integer: 0x38 is 1 in float8_e4m3fn.",
        "DAZ": "Denormals are zero: a subnormal input is taken for zero (the axis flush_inputs).",
        "evidence": "How well the claim of a preset or a scheme is founded: run, source, specification or fitted.",
        "exact": "As a verdict: the kernel gives the bits that were asked for. As --from exact: a value is taken as it "
        "is typed and not rounded to a source format first.",
        "FNUZ": "The 8-bit floats without infinities and without -0, whose code 0x80 is the one NaN (float8_e4m3fnuz).",
        "FTZ": "Flush to zero: a subnormal result becomes zero (the axis flush_results).",
        "HAWQ": "Hessian-aware quantisation (arXiv 1911.03852): the score `hessian` weighs errors by the trace.",
        "kernel": "What is checked: a C function in a shared object (--so), a Python function (--python), a file of "
        "results (--results), or an operation of an installed library (--library).",
        "known": "A verdict: the kernel differs, and only in ways that are published; exit status 0.",
        "midpoint": "The number half-way between two neighbours of a format; an input on it is a tie.",
        "MISMATCH": "A verdict: results differ from the reference in a way that is not published; exit status 1.",
        "MX": "The microscaling formats of OCP (MX v1.0): small floats that share a scale of a power of two.",
        "neighbour": "The next value of a format above or below.",
        "normal": "The class of a value with the leading bit of its significand set.",
        "OCP": "Open Compute Project: OFP8, its 8-bit floats (float8_e4m3fn, float8_e5m2), and MX.",
        "optimal": "The status of a plan: no plan within the budgets loses less, which is proven to the tolerance "
        "that is printed.",
        "pass": "A verdict: all results are those of the reference; exit status 0.",
        "plan": "A choice for each layer of a model, as `lowbit allocate` makes it.",
        "plain": "A kernel that follows the definition step by step; fast kernels are proved equal to it.",
        "policy": "What implementations of a cast disagree on, one choice an axis: rounding, overflow, NaN, signed "
        "zeros, subnormals. A preset is a policy with a name.",
        "reference": "What lowbit computes: the bits that the format, the policy or the scheme asks for.",
        "saturate": "A result beyond the largest value becomes the largest value of its side.",
        "scheme": "How an integer-only operation is computed, step by step, by one product or paper: `lowbit list "
        "schemes`.",
        "SQNR": "Signal to quantisation noise ratio: the squares of the values over the squares of the errors; the "
        "score relative_error is its inverse.",
        "subnormal": "The class of a value below the smallest normal one, with leading zeros in its significand.",
        "tie": "An input exactly half-way between two neighbours of the format; the rounding mode decides.",
        "ulp": "Unit in the last place: the distance of neighbouring values at a number.",
        "value": "The number that a code stands for.",
        "vector": "One input with its expected result, and a flag that says which bug it is made to catch.",
        "witness": "A row of codes, or operands, that make an overflow happen: run them and see.",
        "wrap": "What does not fit keeps its low bits: modulo two to the width.",
        "zero": "The class of 0 and -0.",
        "nan": "The class of codes that are not a number.",
        "infinity": "The class of the two infinities.",
    }
)
"""Word -> what it means."""
