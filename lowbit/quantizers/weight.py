"""What every method returns: a quantised weight matrix, with all that its values are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lowbit.entropy.rans import saved_bits
from lowbit.errors import InputError
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import numpy_dtype
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_matrix
from lowbit.quantizers.objective import relative_error
from lowbit.quantizers.transform import Reassembly, Transform

INDEX_BITS = 32
SMALLEST, LARGEST = float(np.finfo(np.float16).smallest_normal), float(np.finfo(np.float16).max)


class Coded(Protocol):
    """Codes of a matrix that are not a block tensor's: tables, vectors, whatever a method makes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(outputs, inputs)."""

    @property
    def bits_per_value(self) -> Fraction:
        """All that is stored over the number of values."""

    def values(self) -> Doubles:
        """The values, shape (outputs, inputs)."""


@dataclass(frozen=True, eq=False)
class RowTables:
    """Codes of tables of values, one table a row (SqueezeLLM).

    Attributes
    ----------
    codes : ndarray of uint8, shape (outputs, inputs)
    tables : ndarray of float32, shape (outputs, count)
    """

    codes: npt.NDArray[np.uint8]
    tables: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def bits_per_value(self) -> Fraction:
        count = self.tables.shape[1]
        return Fraction((count - 1).bit_length()) + Fraction(self.tables.size * 32, self.codes.size)

    def values(self) -> Doubles:
        return np.take_along_axis(self.tables.astype(np.float64), self.codes.astype(np.int64), axis=1)


@dataclass(frozen=True, eq=False)
class VectorTable:
    """Codes of a table of vectors, one code for a few neighbouring weights.

    Attributes
    ----------
    codes : ndarray of uint16, shape (outputs, vectors)
    table : ndarray of float32, shape (count, length)
    """

    codes: npt.NDArray[np.uint16]
    table: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape[0], self.codes.shape[1] * self.table.shape[1]

    @property
    def bits_per_value(self) -> Fraction:
        count, length = self.table.shape
        return Fraction((count - 1).bit_length(), length) + Fraction(self.table.size * 32, self.codes.size * length)

    def values(self) -> Doubles:
        return self.table.astype(np.float64)[self.codes].reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Products:
    """Codes times factors, one each (IntLoRA).

    Attributes
    ----------
    codes : ndarray of int16, shape (outputs, inputs)
    factors : ndarray of float32, shape (outputs, inputs)
        Integers, or signed powers of two.
    scale : ndarray of float32, shape (outputs, 1)
    widths : pair of int
        Bits that a code and a factor are stored in, and the zero points of an output.
    """

    codes: npt.NDArray[np.int16]
    factors: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    widths: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def bits_per_value(self) -> Fraction:
        both = sum(self.widths)
        return both + Fraction(self.scale.size * (32 + both), self.codes.size)

    def values(self) -> Doubles:
        return self.scale.astype(np.float64) * (self.factors.astype(np.float64) * self.codes)


@dataclass(frozen=True, eq=False)
class Bilevel:
    """Codes of blocks whose scale and zero point are codes themselves, in tiles of a few outputs (SpQR).

    ``value = scale * (code - zero)``, scale and zero being values of their own tensors.

    Attributes
    ----------
    codes : ndarray of uint8, shape (outputs, inputs)
    bits : int
        Of a code.
    scales, zeros : BlockTensor
        Shape (outputs, blocks), their own blocks along the outputs.
    """

    codes: npt.NDArray[np.uint8]
    bits: int
    scales: BlockTensor
    zeros: BlockTensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def bits_per_value(self) -> Fraction:
        of_block = self.scales.bits_per_value + self.zeros.bits_per_value
        return self.bits + of_block * self.scales.codes.size / self.codes.size

    def values(self) -> Doubles:
        length = self.shape[1] // self.scales.shape[1]
        parts = (dequantize(part, dtype=np.float64) for part in (self.scales, self.zeros))
        scale, zero = (np.repeat(part, length, axis=1) for part in parts)
        result: Doubles = scale * (self.codes - zero)
        return result


@dataclass(frozen=True, eq=False)
class Sparse:
    """Weights that are kept apart, in binary16 or binary32.

    Attributes
    ----------
    rows, columns : ndarray of int64, shape (count,)
    values : ndarray of float, shape (count,)
    replaces : bool
        Whether a value stands in place of the coded one, or is added to it.
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    values: Array
    replaces: bool = True

    @classmethod
    def narrow(cls, places: npt.NDArray[np.bool_], values: Doubles, *, replaces: bool = True) -> Sparse:
        """The values of some places of a matrix: binary16 if it holds them all as normal numbers, else binary32."""
        rows, columns = np.nonzero(places)
        kept = values[rows, columns]
        held = (np.abs(kept) >= SMALLEST) & (np.abs(kept) <= LARGEST) | (kept == 0)
        return cls(rows, columns, kept.astype(np.float16 if held.all() else np.float32), replaces)

    def into(self, dense: Doubles) -> None:
        """Put them into a matrix, or add them to it."""
        place = (self.rows, self.columns)
        dense[place] = self.values if self.replaces else dense[place] + self.values

    def bits(self, outputs: int) -> int:
        """Compressed sparse rows: a value and a 16-bit column each, and a 32-bit offset a row."""
        return self.values.size * (8 * self.values.dtype.itemsize + 16) + INDEX_BITS * (outputs + 1)


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight matrix (outputs, inputs), quantised.

    Attributes
    ----------
    tensor : BlockTensor, or codes of another kind
        Codes and scales, of the weights as the transform has them.
    sparse : Sparse, optional
        Weights that are kept apart.
    low_rank : pair of ndarray, optional
        ``left (outputs, rank)`` and ``right (rank, inputs)``, whose product is added.
    transform : Transform, optional
        What the weights went through before; activations go through its other half.
    report : mapping
        What the method says of its work: choices, losses, the smallest distance from a tie.
    """

    tensor: BlockTensor | Coded
    sparse: Sparse | None = None
    low_rank: tuple[Array, Array] | None = None
    transform: Transform | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "report", MappingProxyType(dict(self.report)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(outputs, inputs) of the layer, which a transform may have given other inputs."""
        outputs, inputs = self.tensor.shape
        return outputs, self.transform.inputs if isinstance(self.transform, Reassembly) else inputs

    @property
    def bits_per_weight(self) -> Fraction:
        """All that is stored over the number of weights: codes, scales, tables, sparse and low-rank parts."""
        size = self.shape[0] * self.shape[1]
        bits = self.tensor.bits_per_value * self.tensor.shape[0] * self.tensor.shape[1]
        bits += self.sparse.bits(self.tensor.shape[0]) if self.sparse else 0
        bits += sum(8 * part.nbytes for part in self.low_rank or ())
        bits += self.transform.bits if self.transform else 0
        return Fraction(bits) / size

    @property
    def saved_by_coding(self) -> int:
        """The bits that are not stored where the codes of a block tensor are coded by rANS (:mod:`lowbit.entropy`)."""
        tensor = self.tensor
        return saved_bits(tensor.codes, tensor.format.element.bits) if isinstance(tensor, BlockTensor) else 0

    def transformed(self) -> Doubles:
        """The values of the weights as the transform has them, in binary64."""
        tensor = self.tensor
        values: Doubles = dequantize(tensor, dtype=np.float64) if isinstance(tensor, BlockTensor) else tensor.values()
        if self.sparse is not None:
            self.sparse.into(values)
        if self.low_rank is not None:
            left, right = self.low_rank
            values = values + left.astype(np.float64) @ right.astype(np.float64)
        return values

    def dequantize(self, *, dtype: npt.DTypeLike = np.float32) -> Array:
        """The weights that this stands for, as the layer had them before any transform.

        Parameters
        ----------
        dtype : dtype
            float32 or float64; binary64 arithmetic, rounded once.
        """
        wanted = numpy_dtype(dtype)
        if wanted not in (np.float32, np.float64):
            raise InputError(f"dtype {wanted} is not float32 or float64", hint="dtype=numpy.float32")
        values = self.transformed()
        return (values if self.transform is None else self.transform.undo(values)).astype(wanted)

    def of_outputs(self, first: int, last: int) -> QuantizedWeight:
        """Some outputs of a block tensor: one layer of those that were quantised as one, with the same transform.

        Raises InputError: the codes are of another kind, or a block has several outputs.
        """
        tensor = self.tensor
        if not isinstance(tensor, BlockTensor) or tensor.axis != 1 or self.sparse or self.low_rank:
            raise InputError("only outputs of a block tensor along its inputs can be taken alone", hint="axis=1")
        names, whole = list(tensor.scales), tensor.shape[0]
        fields = {name: tensor.scale_codes(name) for name in names}
        scales = {name: codes[first:last] if codes.shape[:1] == (whole,) else codes for name, codes in fields.items()}
        part = BlockTensor.trusted(tensor.format, 1, np.ascontiguousarray(tensor.codes[first:last]), scales)
        return replace(self, tensor=part)

    def error(self, weights: npt.ArrayLike, activations: npt.ArrayLike | None = None) -> float:
        """The squared error over the squared weights or, with activations, of the layer's outputs."""
        matrix = weight_matrix(weights)
        rows = None if activations is None else activation_rows(activations, matrix.shape[1], "error")
        return relative_error(matrix, self.dequantize(dtype=np.float64), rows)
