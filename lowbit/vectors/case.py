"""One call of a kernel with several operands: what it is given, and the shape of what it must return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.vectors.flags.cast import FLAGS

Array = NDArray[Any]
Number = int | float


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a kernel.

    Attributes
    ----------
    flag : int
        The number of the bug that the case is made to catch (``lowbit.vectors.flags.cast``).
    arrays : mapping of str to array
        Operands by name, in the order of the kernel's parameters.
    sizes : mapping of str to int
        The sizes that the kernel is told, in the order of its parameters.
    scalars : mapping of str to number
        Further parameters, in order: zero points, multiplier, scale.
    shape : tuple of int
        Of the result.
    number : int
        The place among the cases of one flag.
    """

    flag: int
    arrays: Mapping[str, Array]
    sizes: Mapping[str, int]
    shape: tuple[int, ...]
    scalars: Mapping[str, Number] = field(default_factory=lambda: MappingProxyType({}))
    number: int = 0

    @property
    def name(self) -> str:
        """``KTail.16``."""
        return f"{FLAGS[self.flag].name}.{self.number}"

    @property
    def outputs(self) -> int:
        """How many results there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    def words(self) -> str:
        """``m=3 n=2 k=64 a_zero_point=-5``."""
        return " ".join(f"{name}={value}" for name, value in {**self.sizes, **self.scalars}.items())
