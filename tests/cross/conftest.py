"""What all comparisons with other people's implementations share: the published differences, both ways.

A comparison fails on a difference that no row of lowbit/check/published_differences.toml explains, by the very
code that the row asks for; and each row carries an example that is run by itself, so that a row which has become untrue
fails too.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from lowbit.check.cast.operation import CastOperation
from lowbit.check.comparison import Comparison
from lowbit.check.comparison import compare as compare_answers
from lowbit.check.known import KnownDifference, explain_known, known_differences
from lowbit.dut.library import Offer, library_offers, library_version
from lowbit.format.registry import get_format
from lowbit.format.scalar import Format
from lowbit.ops.cast.cast import convert
from lowbit.policy.cast import Policy, get_policy
from lowbit.vectors.case import rows_case
from lowbit.vectors.cast.boundary import boundary
from lowbit.vectors.flags.cast import RANDOM

ANY_VERSION = "LOWBIT_CROSS_ANY_VERSION"
CLAIMED_VERSIONS = {"numpy": "2.", "ml_dtypes": "0.6.", "onnxruntime": "1.32.", "torch": "2.13."}
"""What the presets' summaries claim: a library of another version may behave otherwise, and its tests are skipped."""


def published(peer: str, option: str, source: str, target: str, *, with_defects: bool) -> list[KnownDifference]:
    """The rows that speak of a conversion; where the policy has the defects already, only those of other causes."""
    rows = [row for row in known_differences() if row.applies(peer, source, target, option)]
    return [row for row in rows if not (with_defects and row.defects)]


def compare_codes(source: Format, target: Format, policy: Policy, codes: np.ndarray, got: np.ndarray) -> Comparison:
    """Answers to codes beside those that a policy asks for."""
    operation, case = CastOperation(source, target, policy), rows_case(codes, RANDOM)
    return compare_answers(operation, [case], [got], [operation.expected(case)])


@dataclass(frozen=True)
class Outputs:
    """A peer's answers to source codes."""

    peer: str
    option: str
    source: Format
    target: Format
    codes: np.ndarray
    got: np.ndarray

    def check(self, policy: Policy) -> None:
        """Every difference from the choices alone is explained; a defect explains none under the full policy."""
        self._check(policy.without_defects(), with_defects=False)
        if policy.defects:
            self._check(policy, with_defects=True)

    def _check(self, policy: Policy, *, with_defects: bool) -> None:
        comparison = compare_codes(self.source, self.target, policy, self.codes, self.got)
        rows = published(self.peer, self.option, self.source.id, self.target.id, with_defects=with_defects)
        left = explain_known(comparison, rows)[1]
        shown = [
            f"{int(self.codes[i]):#x}: lowbit {int(comparison.expected[i]):#x}, {self.peer} {int(self.got[i]):#x}"
            for i in left[:8]
        ]
        assert not left.size, (
            f"{self.source.id} -> {self.target.id}, {self.peer} {self.option or '(no option)'}, "
            f"{'with' if with_defects else 'without'} its defects: {left.size} of {self.codes.size} differ and no row "
            f"of published_differences.toml explains them: {'; '.join(shown)}"
        )


def codes_to_try(source: Format, target: Format) -> np.ndarray:
    """All codes of a source of at most 16 bits; of a wider one the boundary neighbourhoods, and some of all sizes."""
    if source.bits > 16:
        near = np.asarray(boundary(source, target).codes).astype(source.code_dtype)
        return np.concatenate([near, _of_all_sizes(source)])
    if source.kind == "float" or not source.signed:
        return np.arange(1 << source.bits).astype(source.code_dtype)
    return np.arange(-(1 << (source.bits - 1)), 1 << (source.bits - 1)).astype(source.code_dtype)


def _of_all_sizes(source: Format) -> np.ndarray:
    """Pseudo-random codes of a wide source: uniform bit patterns for a float, every bit length for an integer."""
    random = np.random.default_rng(source.bits)
    codes = random.integers(0, (1 << source.bits) - 1, size=1 << 13, dtype=np.uint64, endpoint=True)
    if source.kind != "float":
        codes >>= random.integers(0, source.bits, size=codes.size, dtype=np.uint64)
    return codes.astype(source.code_dtype)


def preset_of(peer: str, option: str, target: Format) -> Policy:
    """The preset that a peer is compared with, under its own option."""
    not_saturating = any(word in option for word in ("saturate=0", "nosat"))
    policy = get_policy(f"{peer}_nosat" if not_saturating else peer, target)
    if "sat=True" in option:
        policy = get_policy(f"{peer}_sat", target)
    for mode, rounding in (("up", "away_from_zero"), ("down", "toward_zero"), ("nearest", "nearest_even")):
        if f"round_mode={mode}" in option:
            policy = policy.choose(rounding=rounding)
    return policy


def casts_of(product: str) -> list[Offer]:
    """The conversions of an installed library; the test is skipped where it is missing or not the one that is meant."""
    pytest.importorskip(product, reason=f"{product} is not installed")
    installed, claimed = library_version(product), CLAIMED_VERSIONS[product]
    if not installed.startswith(claimed) and not os.environ.get(ANY_VERSION):
        pytest.skip(f"the preset claims {product} {claimed}*, and {installed} is installed ({ANY_VERSION}=1 tries it)")
    return list(library_offers(product, "convert"))


@pytest.fixture(scope="session")
def check_casts() -> Callable[[str, str], None]:
    """Compare all conversions of a library to a target with the preset of that name."""

    def check(product: str, target_name: str) -> None:
        target = get_format(target_name)
        chosen = [cast for cast in casts_of(product) if cast.target == target_name]
        assert chosen, f"{product} converts nothing to {target_name}"
        for cast in chosen:
            source = get_format(cast.source)
            codes = codes_to_try(source, target)
            with np.errstate(all="ignore"):
                outputs = Outputs(product, cast.option, source, target, codes, cast.run(rows_case(codes, RANDOM)))
                outputs.check(preset_of(product, cast.option, target))

    return check


@pytest.fixture(scope="session")
def compare() -> Callable[..., None]:
    """Compare outputs of a peer that is no library cast, such as CUDA's tables and gfloat, with its preset."""

    def check(
        peer: str, option: str, source: str, target: str, codes: np.ndarray, got: np.ndarray, **axes: object
    ) -> None:
        from_format, to_format = get_format(source), get_format(target)
        policy = preset_of(peer, option, to_format).choose(**axes)
        Outputs(peer, option, from_format, to_format, np.asarray(codes), np.asarray(got)).check(policy)

    return check


@dataclass(frozen=True)
class Example:
    """The example of a row: its input, lowbit's code by the choices alone and by the whole preset, and the peer's."""

    source: Format
    target: Format
    option: str
    code: np.ndarray
    plain: int
    whole: int
    ours: int
    theirs: int
    policy: Policy


def _example(row: KnownDifference) -> Example:
    option = row.example.get("option", "")
    source, target = get_format(row.example["source"]), get_format(row.example["target"])
    code = np.array([int(row.example["input"], 16)]).astype(source.code_dtype)
    policy = preset_of(row.product, option, target)
    plain, whole = (int(convert(code, source, target, policy=rules)[0]) for rules in (policy.without_defects(), policy))
    ours, theirs = (int(row.example[side], 16) for side in ("ours", "theirs"))
    return Example(source, target, option, code, plain, whole, ours, theirs, policy.without_defects())


@pytest.fixture(scope="session")
def example_of() -> Callable[[KnownDifference], Example]:
    return _example


@pytest.fixture(scope="session")
def explained_by() -> Callable[[KnownDifference, int], bool]:
    """Whether a row by itself, as `lowbit check` applies it, explains one answer to the input of its example."""

    def explains(row: KnownDifference, answer: int) -> bool:
        example = _example(row)
        if not row.applies(row.product, example.source.id, example.target.id, example.option):
            return False
        got = np.array([answer & (1 << 64) - 1], np.uint64).view(np.int64)
        comparison = compare_codes(example.source, example.target, example.policy, example.code, got)
        return comparison.differences == 1 and not explain_known(comparison, [row])[1].size

    return explains


@pytest.fixture(scope="session")
def run_library() -> Callable[[KnownDifference], set[int]]:
    """What the installed library gives for the example of a row, in an array of 61 copies: its tail counts, too."""

    def run(row: KnownDifference) -> set[int]:
        example = _example(row)
        name = (example.source.id, example.target.id, example.option)
        chosen = [cast for cast in casts_of(row.product) if (cast.source, cast.target, cast.option) == name]
        assert len(chosen) == 1, f"{row.id}: no such conversion of {row.product}"
        with np.errstate(all="ignore"):
            return {int(code) for code in chosen[0].run(rows_case(np.repeat(example.code, 61), RANDOM))}

    return run


@pytest.fixture(scope="session")
def differences() -> dict[str, KnownDifference]:
    return {f"{row.product}-{row.id}": row for row in known_differences()}


@pytest.fixture(scope="session")
def onnxruntime_saturates_pairs():
    """Whether ONNX Runtime saturates pairs of uint8 times int8 to 16 bits, as on x86 without VNNI.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When and why do I need to
    try U8U8?".
    """
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is the peer")
    pair = SimpleNamespace(arrays={"a": np.full((1, 2), 255, np.uint8), "b": np.full((2, 1), 127, np.int8)}, scalars={})
    offers = {offer.source: offer for offer in library_offers("onnxruntime", "gemm") if not offer.zero_points}
    return offers["uint8_int8"].run(pair).item() == 2**15 - 1
