"""Does anything float between the input codes and the output codes of a model? Its kernels and arrays, of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lowbit.layers.layer import Step
from lowbit.models.graph import IntegerModel
from lowbit.ops.types import Array


@dataclass(frozen=True)
class FloatReport:
    """The answer of :func:`nothing_floats`.

    Attributes
    ----------
    kernels : dict of str to tuple of str
        Every kernel that has run in this process, and the instructions of its LLVM code that compute with
        floating-point numbers.
    arrays : tuple of str
        Intermediates of the run that are not integers, as ``layer: label``.
    """

    kernels: dict[str, tuple[str, ...]]
    arrays: tuple[str, ...]

    @property
    def floating(self) -> dict[str, tuple[str, ...]]:
        """The kernels that have such instructions."""
        return {name: lines for name, lines in self.kernels.items() if lines}

    @property
    def holds(self) -> bool:
        """Whether nothing floats."""
        return not self.floating and not self.arrays


def nothing_floats(model: IntegerModel, codes: Array | Mapping[str, Array]) -> FloatReport:
    """Run a model and look at the LLVM code of every kernel that has run, and at every intermediate.

    In a process that has done other work before, the kernels of that are among them; ``lowbit prove model
    --nothing-floats`` has a process of its own.

    Raises
    ------
    InputError
        As for ``IntegerModel.run``.
    """
    from lowbit.kernels.instructions import float_instructions, kernels_that_ran

    arrays: list[str] = []

    def trace(name: str, step: Step) -> None:
        if step.codes.dtype.kind not in "iu":
            arrays.append(f"{name}: {step.label}")

    model.run(codes)  # once as it runs without a trace
    model.run(codes, trace)
    kernels = {name: tuple(float_instructions(kernel)) for name, kernel in kernels_that_ran().items()}
    return FloatReport(kernels, tuple(arrays))
