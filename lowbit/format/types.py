"""What a ``fmt`` argument may be, for annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from lowbit.format.common import Format

if TYPE_CHECKING:
    import numpy as np


class TorchType(Protocol):
    """A dtype of PyTorch, which is not asked for here."""

    @property
    def is_floating_point(self) -> bool: ...


FormatLike: TypeAlias = Union[str, Format, "np.dtype[Any]", type[Any], TorchType]
"""A name, a Format, or a dtype or scalar type of NumPy, ml_dtypes or PyTorch."""
