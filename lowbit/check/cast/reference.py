"""The reference that a device is compared with: the array API, on codes of the formats' containers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy


def reference(codes: NDArray[Any], source: Scalar, target: Scalar, policy: Policy) -> NDArray[Any]:
    """The target codes that the policy asks for."""
    from lowbit.ops.cast.cast import convert

    return np.asarray(convert(codes, source, target, policy=policy))
