"""Which tensors of a checkpoint are quantised by an importance matrix, and what is to be said of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lowbit.errors import InputError
from lowbit.files.gguf_values import Value
from lowbit.files.importance import Importance, read_importance
from lowbit.files.parts import LEFT_AS_IS, StoredTensor
from lowbit.ops.arrays import Array
from lowbit.ops.block.search import usual_policy, weighs
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.printable import counted, excerpt, first_names

LISTED = 4


@dataclass(frozen=True)
class Weighing:
    """The importance of tensors.

    Attributes
    ----------
    importance : Importance or None
    names : frozenset of str
        The tensors that it says something of.
    notes : tuple of str
        What a user should know of the others.
    """

    importance: Importance | None = None
    names: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def of(self, tensor: StoredTensor) -> Array | None:
        """The importance of a tensor's columns, as quantising takes it."""
        if self.importance is None or tensor.name not in self.names:
            return None
        return self.importance.rows(tensor.name, tensor.shape)

    def quantized(
        self, tensor: StoredTensor, values: Array, policy: BlockPolicy | str | None, threads: int
    ) -> tuple[list[Array], int]:
        """The words of each part of a tensor, and its lost blocks: see :meth:`StoredTensor.quantized`.

        Raises InputError: as there; where the importance is at fault, that is said of it.
        """
        weights = self.of(tensor)
        try:
            return tensor.quantized(values, policy, threads, weights)
        except InputError as error:
            if weights is None:
                raise
            tensor.quantized(values, None, threads)  # which raises what is the fault of the values
            what = f"{error.message} by an importance of up to {weights.max():.6g}, and finite without it"
            raise InputError(what, hint=f"is the importance matrix damaged? or {LEFT_AS_IS}") from error

    def metadata(self) -> dict[str, Value]:
        """What a GGUF file says of it."""
        return {} if self.importance is None else self.importance.metadata()


def weighing(
    path: str | Path | None, tensors: Mapping[str, StoredTensor], policy: BlockPolicy | str | None
) -> Weighing:
    """Read an importance matrix for tensors that are to be quantised.

    Raises
    ------
    InputError
        It is damaged, says nothing of any of them, or has rows of other lengths; or no format is made by it.
    """
    if path is None:
        return Weighing()
    importance = read_importance(path)
    weighed: list[str] = []
    others: list[str] = []
    for name, tensor in tensors.items():
        fmt = tensor.format
        own = get_block_policy(usual_policy(fmt, path) if policy is None else policy)
        (weighed if weighs(fmt, own) else others).append(name)
    if not weighed:
        what = f"and {tensors[others[0]].format.id} is made without"
        what = f"importance is for ggml's K-quants, IQ4, and Q4_0 to Q5_1, {what}"
        raise InputError(what, hint="--to ggml_q4_k, say, or no --importance")
    known = [name for name in weighed if importance.rows(name, tensors[name].shape) is not None]
    if not known:
        what = f"{path} says nothing of any of the {counted(len(weighed), 'tensor')} that could be weighed by it"
        theirs = excerpt(next(iter(importance.sums)), quoted=False)
        raise InputError(
            f"{what}; it has {theirs}", hint="names are those of GGUF: quantise the GGUF file of the model"
        )
    missing = [name for name in weighed if name not in importance.sums]
    notes = [f"{counted(len(known), 'tensor')} weighed by {path}"]
    notes += [f"it says nothing of {first_names(missing, LISTED)}: all columns count alike"] * bool(missing)
    notes += [f"importance does not change {first_names(others, LISTED)}: the formats are made without"] * bool(others)
    return Weighing(importance, frozenset(known), tuple(notes))
