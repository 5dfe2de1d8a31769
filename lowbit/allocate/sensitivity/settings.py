"""What is measured of a model, and what comes out for one layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from lowbit.allocate.sensitivity.measure import Errors
from lowbit.allocate.sensitivity.stored_weights import stored_format
from lowbit.errors import InputError
from lowbit.files.selection import LEFT_OUT, check_patterns
from lowbit.format.block import BlockFormat
from lowbit.format.registry import get_format
from lowbit.quantizers.method import chosen


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Parameters
    ----------
    formats : tuple of str
        Names of the formats to choose from: block formats such as ``"mxfp4"``, and scalar ones.
    group : int
        Weights that share a scale under a scalar format; 0 for one scale an output.
    scale_format : str
        Of these scales.
    include, exclude : str
        Regular expressions, searched in the names of tensors; an empty one matches nothing.
    inputs : str
        A .npz file with the inputs X of layers (samples, inputs), or their second moments XᵀX; empty for none.
    method : str
        A quantiser (:func:`lowbit.quantizers.method.chosen`); empty for round to nearest.
    calibration : tuple of str
        Sentences whose way through the model gives the inputs instead; the file's folder is then that of a BERT model.
    """

    formats: tuple[str, ...]
    group: int = 128
    scale_format: str = "float16"
    include: str = ""
    exclude: str = LEFT_OUT
    inputs: str = ""
    method: str = ""
    calibration: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.formats:
            raise InputError("no formats are given to choose from", hint="int2,int3,int4,int8, say")
        ids = tuple(get_format(name).id for name in self.formats)
        for name in ids:
            if ids.count(name) > 1:
                raise InputError(f"format {name} is given twice")
        object.__setattr__(self, "formats", ids)
        check_patterns(self.include, self.exclude)
        if self.inputs and self.calibration:
            raise InputError("inputs of layers and sentences are two sources of the same rows", hint="give one of them")
        if self.method:
            chosen(self.method)
        stored = [self.stored(name).id for name in ids]
        for name, own in zip(ids, stored, strict=True):
            if stored.count(own) > 1:
                raise InputError(f"format {own} is given twice, once as {name}", hint="another group, or leave one out")

    def stored(self, name: str) -> BlockFormat:
        """The block format that a choice stands for."""
        return stored_format(name, self.group, self.scale_format)

    @property
    def scales(self) -> str:
        """What the scales of scalar formats are, in words; "" where there is no such format."""
        if all(isinstance(get_format(name), BlockFormat) for name in self.formats):
            return ""
        group = f"groups of {self.group}" if self.group else "one scale an output"
        return f"{group}, scales in {self.scale_format}"


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
