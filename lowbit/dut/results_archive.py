"""A device somewhere else with several results: an .npz with an array for each result of each case."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.process import joined
from lowbit.dut.prototype import Parameter, Prototype, container, packed_hint
from lowbit.dut.results import Results
from lowbit.errors import DeviceError, InputError
from lowbit.files.npz import npz_array, npz_names
from lowbit.vectors.case import Array, Case


class ResultsArchive(Results):
    """Arrays ``ScaledTie.0.codes``, ``ScaledTie.0.block``, ... in one .npz.

    ``prototype``: the results and their formats.
    """

    def __init__(self, path: str, prototype: Prototype, cases: Sequence[Case]) -> None:
        super().__init__(path, cases)
        self._prototype = prototype

    def _read(self) -> None:
        """Read the file.

        Raises InputError: it cannot be read; DeviceError: a result is missing, or has another shape or type.
        """
        if not self.name.endswith(".npz"):
            hint = f"{self._key(0)} and so on, as `lowbit gen ... --output FILE.npz` names the inputs"
            raise InputError(
                f"{self.name}: a kernel with several results needs an .npz file", hint=hint, code=CANNOT_LOAD
            )
        names = set(npz_names(self.name))
        for index, case in enumerate(self._cases):
            missing = [key for output in self._prototype.outputs if (key := f"{case.name}.{output.name}") not in names]
            if missing:
                raise DeviceError(f"{self.name} has no array {missing[0]!r}", hint=self._hint(index), code="LB604")
            arrays = [self._codes(case, output) for output in self._prototype.outputs]
            self._answers[id(case)] = joined(arrays)

    def _key(self, index: int) -> str:
        return f"{self._cases[index].name}.{self._prototype.output.name}"

    def _hint(self, index: int) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self._cases[index].shapes.items())
        return f"each case has its results, {shapes} here; inputs are those of --set, --n and --seed"

    def _codes(self, case: Case, output: Parameter) -> Array:
        array = npz_array(self.name, f"{case.name}.{output.name}")
        shape = case.shape_of(output.name)
        if array.shape != shape:
            what = f"{self.name}: {case.name}.{output.name} has the shape {array.shape}, not {shape}"
            raise DeviceError(what, hint=packed_hint(output, array.size, math.prod(shape)), code="LB604")
        if array.dtype.kind == "f" and array.dtype.name == output.dtype:
            return np.ascontiguousarray(array).reshape(-1).view(container(output)).reshape(shape)
        if array.dtype.kind not in "iub":
            raise DeviceError(
                f"{self.name}: {case.name}.{output.name} is of {array.dtype}, not {output.dtype}", code="LB604"
            )
        return array.astype(np.int64)
