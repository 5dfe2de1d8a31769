"""What all comparisons with other people's implementations share: the expected differences, both ways.

``expected_differences.toml`` lists every known difference between lowbit and a peer. A comparison fails on a difference
that no row explains; and each row carries an example that is run by itself, so that a row which has become untrue
fails too.
"""

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from lowbit.dut.libraries import LibraryCast, library_casts, library_version
from lowbit.ops.cast import convert, decode
from lowbit.policy import Policy, get_policy
from lowbit.registry import get_format
from lowbit.spec import Format
from lowbit.vectors.boundary import boundary

HERE = Path(__file__).parent
ANY_VERSION = "LOWBIT_CROSS_ANY_VERSION"
CLAIMED_VERSIONS = {"numpy": "2.", "ml_dtypes": "0.6.", "onnxruntime": "1.31.", "torch": "2.13."}
"""What the presets' summaries claim: a library of another version may behave otherwise, and its tests are skipped."""


@dataclass(frozen=True)
class Difference:
    """One row of expected_differences.toml; the file's head says what the fields mean."""

    id: str
    peer: str
    version: str
    sources: list[str]
    targets: list[str]
    inputs: str
    right: str
    why: str
    link: str
    example: dict[str, str]
    option: str = "*"
    defect: str = ""
    varies: bool = False

    def covers(self, peer: str, option: str, source: str, target: str) -> bool:
        return (
            self.peer == peer
            and fnmatch(option, self.option)
            and any(fnmatch(source, pattern) for pattern in self.sources)
            and any(fnmatch(target, pattern) for pattern in self.targets)
        )


def load_differences() -> list[Difference]:
    with (HERE / "expected_differences.toml").open("rb") as file:
        return [Difference(**row) for row in tomllib.load(file)["difference"]]


@dataclass
class Inputs:
    """Source codes and what is needed to sort them into classes."""

    codes: np.ndarray
    source: Format
    values: np.ndarray = field(init=False)

    def __post_init__(self):
        if self.source.kind == "float":
            self.values = decode(self.codes, self.source, dtype=np.float64)
        else:
            self.values = self.codes.astype(np.float64)

    def mask(self, name: str) -> np.ndarray:
        """Which inputs are of a class."""
        return INPUT_CLASSES[name](self)

    def signalling(self) -> np.ndarray:
        quiet = 1 << (self.source.mantissa_bits - 1)
        return np.isnan(self.values) & (self.codes.astype(np.uint64) & np.uint64(quiet) == 0)

    def not_float32(self) -> np.ndarray:
        if self.source.kind == "float":
            return np.isfinite(self.values) & (self.values.astype(np.float32) != self.values)
        return np.array([int(np.float32(int(code))) != int(code) for code in self.codes], dtype=bool)


def _between(low: float, high: float) -> Callable[[Inputs], np.ndarray]:
    return lambda inputs: (np.abs(inputs.values) > low) & (np.abs(inputs.values) < high)


INPUT_CLASSES: dict[str, Callable[[Inputs], np.ndarray]] = {
    "nan": lambda inputs: np.isnan(inputs.values),
    "negative_nan": lambda inputs: np.isnan(inputs.values) & np.signbit(inputs.values),
    "signalling_nan": Inputs.signalling,
    "zero": lambda inputs: inputs.values == 0,
    "negative": lambda inputs: inputs.values < 0,
    "above_448": lambda inputs: np.abs(inputs.values) > 448,
    "positive_infinity": lambda inputs: inputs.values == np.inf,
    "negative_infinity": lambda inputs: inputs.values == -np.inf,
    "not_float32": Inputs.not_float32,
    "beyond_int32": lambda inputs: np.isfinite(inputs.values) & (np.abs(inputs.values) >= 2.0**31),
    "e8m0_lowest_binade": _between(2.0**-127, 1.5 * 2.0**-127),
    "e8m0_tiny": _between(0.0, 2.0**-127),
    "e8m0_top": _between(2.0**127, 2.0**128),
    "480_to_496": lambda inputs: (np.abs(inputs.values) > 479.99) & (np.abs(inputs.values) < 496),
    "61440_to_65536": lambda inputs: (np.abs(inputs.values) > 61439.99) & (np.abs(inputs.values) < 65536),
}
"""The classes that rows may name in ``inputs``; their ends leave room for products that go through float32."""


@dataclass(frozen=True)
class Comparison:
    """A peer's outputs against lowbit's, with the rows that may explain the differences."""

    peer: str
    option: str
    source: Format
    target: Format
    inputs: Inputs
    got: np.ndarray

    def check(self, policy: Policy) -> None:
        """Every difference from the choices alone is explained; a defect explains none under the full policy."""
        self._check(policy.without_defects(), with_defects=False)
        if policy.defects:
            self._check(policy, with_defects=True)

    def _check(self, policy: Policy, *, with_defects: bool) -> None:
        expected = convert(self.inputs.codes, self.source, self.target, policy=policy)
        differs = np.asarray(expected).astype(np.int64) != np.asarray(self.got).astype(np.int64)
        for row in load_differences():
            known = row.covers(self.peer, self.option, self.source.id, self.target.id)
            if known and differs.any() and not (with_defects and row.defect):
                differs &= ~self.inputs.mask(row.inputs)
        where = np.flatnonzero(differs)
        shown = [
            f"{int(self.inputs.codes[i]):#x} ({self.inputs.values[i]:g}): lowbit {int(expected[i]):#x}, "
            f"{self.peer} {int(self.got[i]):#x}"
            for i in where[:8]
        ]
        assert not where.size, (
            f"{self.source.id} -> {self.target.id}, {self.peer} {self.option or '(no option)'}, "
            f"{'with' if with_defects else 'without'} its defects: {where.size} of {differs.size} differ and no row "
            f"of expected_differences.toml explains them: {'; '.join(shown)}"
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


def casts_of(product: str) -> list[LibraryCast]:
    """The conversions of an installed library; the test is skipped where it is missing or not the one that is meant."""
    pytest.importorskip(product, reason=f"{product} is not installed")
    installed, claimed = library_version(product), CLAIMED_VERSIONS[product]
    if not installed.startswith(claimed) and not os.environ.get(ANY_VERSION):
        pytest.skip(f"the preset claims {product} {claimed}*, and {installed} is installed ({ANY_VERSION}=1 tries it)")
    return list(library_casts(product))


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
                comparison = Comparison(product, cast.option, source, target, Inputs(codes, source), cast.run(codes))
                comparison.check(preset_of(product, cast.option, target))

    return check


@pytest.fixture(scope="session")
def compare() -> Callable[..., None]:
    """Compare outputs of a peer that is no library cast, such as CUDA's tables and gfloat, with its preset."""

    def check(
        peer: str, option: str, source: str, target: str, codes: np.ndarray, got: np.ndarray, **axes: object
    ) -> None:
        from_format, to_format = get_format(source), get_format(target)
        inputs = Inputs(np.asarray(codes), from_format)
        policy = preset_of(peer, option, to_format).choose(**axes)
        Comparison(peer, option, from_format, to_format, inputs, np.asarray(got)).check(policy)

    return check


@pytest.fixture(scope="session")
def run_example() -> Callable[[Difference], tuple[int, int, int]]:
    """The example of a row: lowbit's code by the choices alone, by the whole preset, and whether the row covers it."""

    def run(row: Difference) -> tuple[int, int, int]:
        option = row.example.get("option", "")
        source, target = get_format(row.example["source"]), get_format(row.example["target"])
        codes = np.array([int(row.example["input"], 16)]).astype(source.code_dtype)
        covered = row.covers(row.peer, option, source.id, target.id) and Inputs(codes, source).mask(row.inputs).all()
        policy = preset_of(row.peer, option, target)
        plain = convert(codes, source, target, policy=policy.without_defects())
        whole = convert(codes, source, target, policy=policy)
        return int(plain[0]), int(whole[0]), int(covered)

    return run


@pytest.fixture(scope="session")
def run_library() -> Callable[[Difference], int]:
    """What the installed library gives for the example of a row, at the start of an array of 64 copies."""

    def run(row: Difference) -> int:
        source, target, option = row.example["source"], row.example["target"], row.example.get("option", "")
        chosen = [
            cast for cast in casts_of(row.peer) if (cast.source, cast.target, cast.option) == (source, target, option)
        ]
        assert len(chosen) == 1, f"{row.id}: no such conversion of {row.peer}"
        codes = np.full(64, int(row.example["input"], 16)).astype(get_format(source).code_dtype)
        with np.errstate(all="ignore"):
            return int(chosen[0].run(codes)[0])

    return run


@pytest.fixture(scope="session")
def differences() -> dict[str, Difference]:
    return {row.id: row for row in load_differences()}
