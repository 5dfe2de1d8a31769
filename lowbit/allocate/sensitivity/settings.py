"""What is measured of a model, and what comes out for one layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from lowbit.allocate.sensitivity.group_quantization import GroupScheme
from lowbit.allocate.sensitivity.measure import Errors
from lowbit.errors import InputError
from lowbit.format.registry import scalar_format

LEFT_OUT = r"embed|lm_head|norm"
"""Tensors that are left as they are unless one asks otherwise: embeddings, the output layer, normalisations."""


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Parameters
    ----------
    formats : tuple of str
        Ids of the formats to choose from.
    group : int
        Weights that share a scale; 0 for one scale an output.
    scale_format : str
    include, exclude : str
        Regular expressions, searched in the names of tensors; an empty one matches nothing.
    inputs : str
        A .npz file with the inputs X of layers (samples, inputs), or their second moments XᵀX; empty for none.
    """

    formats: tuple[str, ...]
    group: int = 128
    scale_format: str = "float16"
    include: str = ""
    exclude: str = LEFT_OUT
    inputs: str = ""

    def __post_init__(self) -> None:
        if not self.formats:
            raise InputError("no formats are given to choose from", hint="int2,int3,int4,int8, say")
        ids = tuple(scalar_format(name).id for name in self.formats)
        for name in ids:
            if ids.count(name) > 1:
                raise InputError(f"format {name} is given twice")
        object.__setattr__(self, "formats", ids)
        for pattern in (self.include, self.exclude):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"{pattern!r} is not a regular expression: {error}") from error
        self.schemes()

    def schemes(self) -> list[GroupScheme]:
        """One a format."""
        return [GroupScheme(scalar_format(name), self.group, self.scale_format) for name in self.formats]


@dataclass(frozen=True)
class LayerErrors:
    """One layer: its errors under each format, in the order of the settings."""

    name: str
    shape: tuple[int, ...]
    errors: tuple[Errors, ...]

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return prod(self.shape)
