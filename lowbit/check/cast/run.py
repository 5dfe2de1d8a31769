"""Compare one device with the reference on a set of inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.compare import compare, differing
from lowbit.check.cast.exhaustive import (
    AT_ONCE_BITS,
    all_codes,
    check_exhaustive_bits,
    sweep_device,
    sweep_shared_object,
)
from lowbit.check.cast.reference import reference
from lowbit.check.cast.sweep import Progress
from lowbit.check.result import CheckResult, conclude
from lowbit.dut.device import Device
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy
from lowbit.vectors.cast.boundary import boundary, from_patterns
from lowbit.vectors.splitmix import random_patterns

SETS = ("boundary", "random", "exhaustive")


@dataclass(frozen=True)
class Job:
    """What to compare.

    Attributes
    ----------
    source, target : FloatFormat or FixedFormat
    policy : Policy
        The rules to compare against; defects are left out.
    set : {"boundary", "random", "exhaustive"}
    count, seed : int
        Size and seed of the random set.
    nan : {"exact", "any"}
    max_errors : int
        Examples shown of each group.
    timeout : float
        Seconds that a chunk of rows may take.
    """

    source: Scalar
    target: Scalar
    policy: Policy
    set: str = "boundary"
    count: int = 1_000_000
    seed: int = 1
    nan: str = "exact"
    max_errors: int = 3
    timeout: float = 60.0


def inputs(job: Job) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The source codes of a set, and the flags of the boundary vectors."""
    if job.set == "boundary":
        vectors = boundary(job.source, job.target)
        return np.ascontiguousarray(vectors.codes.astype(job.source.code_dtype)), vectors.flags
    if job.set == "random":
        return random_codes(job.source, job.count, job.seed), None
    check_exhaustive_bits(job.source)
    return all_codes(job.source), None


def random_codes(fmt: Scalar, count: int, seed: int) -> NDArray[Any]:
    """Uniformly random codes, the same for the same seed everywhere."""
    codes = from_patterns(random_patterns(fmt, count, seed), fmt)
    if fmt.codes[0]:
        codes = np.maximum(codes, codes.dtype.type(fmt.codes[0]))  # a narrow range lacks the lowest code
    return np.ascontiguousarray(codes.astype(fmt.code_dtype))


def unseen(done: int, differences: int) -> None:
    """Progress that nobody looks at."""
    del done, differences


def check_device(device: Device, job: Job, progress: Progress = unseen) -> CheckResult:
    """Run a device on the inputs of a job and compare."""
    if job.set == "exhaustive" and job.source.bits > AT_ONCE_BITS:
        check_exhaustive_bits(job.source)
        return _check_sweep(device, job, progress)
    codes, flags = inputs(job)
    return check_results(device.name, codes, flags, device.run(codes), job)


def check_results(
    name: str, codes: NDArray[Any], flags: NDArray[np.uint8] | None, got: NDArray[Any], job: Job
) -> CheckResult:
    """Compare answers that are already there."""
    policy = job.policy.without_defects()
    expected = reference(codes, job.source, job.target, policy)
    comparison = compare(job.source, job.target, policy, codes, expected, got, flags=flags, nan=job.nan)
    return conclude(comparison, name, max_errors=job.max_errors)


def _check_sweep(device: Device, job: Job, progress: Progress) -> CheckResult:
    """All inputs; the diagnosis looks at the boundary set and the first differences."""
    policy = job.policy.without_defects()
    small, _ = inputs(replace(job, set="boundary"))
    answers = device.run(small)
    wrong = differing(reference(small, job.source, job.target, policy), answers, job.target, nan=job.nan)
    options: dict[str, Any] = {"nan": job.nan, "progress": progress, "failed": np.unique(small[wrong])}
    if isinstance(device, SharedObjectDevice):
        found = sweep_shared_object(device.name, job.source, job.target, policy, timeout=job.timeout, **options)
    else:
        found = sweep_device(device, job.source, job.target, policy, **options)
    codes, first = np.unique(np.concatenate([small, found.codes]), return_index=True)
    got = np.concatenate([answers, found.got])[first]
    result = check_results(device.name, codes, None, got, job)
    return replace(result, vectors=found.rows, differences=found.differences)
