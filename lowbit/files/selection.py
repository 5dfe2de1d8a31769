"""Which tensors of a model are layers, and why each of the others is not.

``include`` and ``exclude`` are regular expressions, searched in names without regard to case; an empty one says
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lowbit.errors import InputError
from lowbit.files.safetensors import DTYPES, Entry, TensorFile
from lowbit.printable import excerpt

_SCALE_NAME = re.compile(
    r"(?P<owner>.*?)[._](scales?|scale_inv|scale_2|zeros|zero_points?|qzeros|absmax)$", re.IGNORECASE
)
"""As compressed-tensors, FP8 checkpoints of DeepSeek and ModelOpt, GPTQ, AWQ and bitsandbytes name them."""
_LISTED_REASONS = 3

LEFT_OUT = r"embed|lm_head|norm"
"""Tensors that are left as they are unless one asks otherwise: embeddings, the output layer, normalisations."""


@dataclass(frozen=True)
class LeftOut:
    """A tensor that is left as it is."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    reason: str

    @property
    def record(self) -> dict[str, object]:
        """It and the reason, as JSON has them."""
        return {"tensor": self.name, "dtype": self.dtype, "shape": list(self.shape), "reason": self.reason}


def check_patterns(*patterns: str) -> None:
    """Refuse what is not a regular expression.

    Raises InputError.
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(f"{pattern!r} is not a regular expression: {error}") from error


def select(file: TensorFile, include: str = "", exclude: str = LEFT_OUT) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    """The tensors that are layers, in the order of the file, and the others with the reason of each.

    Raises InputError: none is chosen; the message has the reasons.
    """
    reasons = {name: _reason(entry, file, include, exclude) for name, entry in file.entries.items()}
    left_out = tuple(
        LeftOut(name, entry.dtype, entry.shape, entry.size, reasons[name])
        for name, entry in file.entries.items()
        if reasons[name]
    )
    chosen = [entry for name, entry in file.entries.items() if not reasons[name]]
    if not chosen:
        listed = dict.fromkeys(f"{excerpt(item.name)}: {item.reason}" for item in left_out[:_LISTED_REASONS])
        raise InputError(
            f"{file.path}: none of {len(file.entries)} tensors is chosen ({'; '.join(listed) or 'there are none'})",
            hint="weights with two axes or more are, unless --exclude matches; --exclude '' leaves nothing out",
        )
    return chosen, left_out


def _reason(entry: Entry, file: TensorFile, include: str, exclude: str) -> str:
    """Why a tensor is left as it is; "" for a layer."""
    if entry.dtype not in DTYPES:
        return f"its dtype {excerpt(entry.dtype, quoted=False)} cannot be read"
    if _is_scale(entry.name, file):
        return "it holds scales or zero points of another tensor"
    if entry.dtype == "F8_E8M0":
        return f"{entry.dtype} is a type of scales, not of weights"
    if not entry.floating:
        return f"{entry.dtype} is not a floating-point type"
    if len(entry.shape) < 2 or not entry.size:
        return "it has fewer than two axes" if entry.size else "it is empty"
    if include and not re.search(include, entry.name, re.IGNORECASE):
        return "its name does not match --include"
    if exclude and re.search(exclude, entry.name, re.IGNORECASE):
        return "its name matches --exclude"
    scales = scales_of(entry.name, file)
    if entry.dtype.startswith("F8") and scales:
        return (
            f"its values need the scales in {excerpt(scales, quoted=False)}, which are not applied: dequantise it first"
        )
    return ""


def scales_of(name: str, file: TensorFile) -> str:
    """The tensor with the scales of another one; "" where there is none."""
    for other in file.entries:
        match = _SCALE_NAME.match(other)
        if match and (match["owner"] == name or match["owner"] == name.removesuffix(".weight")):
            return other
    return ""


def _is_scale(name: str, file: TensorFile) -> bool:
    """Whether a tensor is named as scales, and what it would scale stands beside it."""
    match = _SCALE_NAME.match(name)
    if not match:
        return False
    owner = match["owner"]
    module = owner.rpartition(".")[0]
    beside = {
        owner,
        *(f"{place}.{kind}" for place in (owner, module) for kind in ("weight", "qweight", "weight_packed")),
    }
    return not beside.isdisjoint(file.entries)
