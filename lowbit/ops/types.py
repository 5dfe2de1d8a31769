"""What public functions take and return, for annotations: ``from lowbit import Codes, FormatLike``."""

from __future__ import annotations

from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from lowbit.format.types import FormatLike

__all__ = ["Array", "Codes", "FormatLike", "RangeLike", "Results", "ScaleLike"]

Array: TypeAlias = npt.NDArray[Any]

Codes: TypeAlias = npt.ArrayLike
"""What codes may be given as: an array of integers or of the format's own ml_dtypes dtype, lists, or a number."""

Results: TypeAlias = Array | Any
"""An array; a NumPy scalar where numbers came in; a tuple where counts, flags or a scale are asked for.

``Any`` spares callers a cast where they know which of these it is (typeshed's "Any trick", CONTRIBUTING.md there).
"""

ScaleLike: TypeAlias = Union[float, "np.floating[Any]", "np.integer[Any]", Array]
"""One number: Python's, NumPy's, or in an array of one element."""

RangeLike: TypeAlias = Union[FormatLike, int, "np.integer[Any]", tuple[int, int]]
"""A range of integer codes: a format or dtype for all that it has, one code, or the lowest and the highest."""
