"""PyTorch on the CPU: ``.to(dtype)``, ``torch._int_mm`` of int8 matrices, and affine quantisation by a given scale.

Of its documentation, ``FakeQuantize`` has ``clamp(round(x / scale + zero_point))`` and
``fake_quantize_per_tensor_affine`` has ``round(input / scale) + zero_point``; ``quantize_per_tensor`` and
``quantize_per_channel`` name no formula, and are compared with the first. How ``quantize_per_tensor_dynamic`` chooses
its scale is not said, so it is not offered.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lowbit.dut.library import NUMPY_FLOATS, NUMPY_INTEGERS, Offer, conversion
from lowbit.vectors.case import Array, Case

VERSION = str(torch.__version__)
OWN = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")
QUANTIZED = {"uint8": "quint8", "int8": "qint8"}
ROUNDED_SUM = "onnx+zero_point_place=before_rounding"


def offers(operation: str) -> Iterator[Offer]:
    """All that is offered of an operation."""
    torch.set_num_threads(1)
    makers: Mapping[str, Callable[[], Iterator[Offer]]]
    makers = {"convert": _casts, "gemm": _products, "quantize_linear": _affine}
    return makers[operation]() if operation in makers else iter(())


def _casts() -> Iterator[Offer]:
    """Conversions from every type shared with NumPy, and PyTorch's own, to each of its low-precision types."""
    for target in (*OWN, *NUMPY_FLOATS):
        for source in (*OWN, *NUMPY_FLOATS, *NUMPY_INTEGERS):
            if source != target and _implemented(source, target):
                yield conversion("torch", VERSION, source, target, "torch", _converter(source, target))


def _products() -> Iterator[Offer]:
    yield Offer("torch", VERSION, "_int_mm", "gemm", "int8_int8", "int32", "int32", _multiply)


def _multiply(case: Case) -> Array:
    a, b = (torch.from_numpy(case.arrays[name].copy()) for name in ("a", "b"))
    return np.asarray(torch._int_mm(a, b).numpy())  # noqa: SLF001  has no public name


def _affine() -> Iterator[Offer]:
    """The operators of a scale and a zero point that are given, to codes and back."""
    quantizers = {
        "quantize_per_tensor": (_per_tensor, ROUNDED_SUM),
        "quantize_per_channel": (_per_channel, ROUNDED_SUM),
        "fake_quantize_per_tensor_affine": (_fake, "onnx"),
    }
    for codes, own in QUANTIZED.items():
        dtype = getattr(torch, own)
        for name, (quantize, rule) in quantizers.items():
            answer = partial(quantize, dtype)
            yield Offer("torch", VERSION, name, "quantize_linear", "float32", codes, rule, answer)
        yield Offer("torch", VERSION, "dequantize", "quantize_linear", codes, "float32", "onnx", _dequantized)


def _operands(case: Case) -> tuple[Any, float, int]:
    (array,) = case.arrays.values()
    return torch.from_numpy(array.copy()), float(case.scalars["scale"]), int(case.scalars["zero_point"])


def _per_tensor(dtype: Any, case: Case) -> Array:
    values, scale, place = _operands(case)
    with warnings.catch_warnings():  # these operators are to be removed some day
        warnings.simplefilter("ignore")
        return np.asarray(torch.quantize_per_tensor(values, scale, place, dtype).int_repr().numpy())


def _per_channel(dtype: Any, case: Case) -> Array:
    values, scale, place = _operands(case)
    scales, places = torch.tensor([scale], dtype=torch.float64), torch.tensor([place])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.quantize_per_channel(values.reshape(1, -1), scales, places, 0, dtype)
        return np.asarray(quantized.int_repr().numpy()).reshape(-1)


def _fake(dtype: Any, case: Case) -> Array:
    """The codes that its values are worth: these are whole multiples of the scale, which binary64 divides exactly."""
    values, scale, place = _operands(case)
    ends = torch.iinfo(dtype)
    rounded = torch.fake_quantize_per_tensor_affine(values, scale, place, ends.min, ends.max).numpy()
    return np.asarray(np.rint(rounded.astype(np.float64) / scale).astype(np.int64) + place)


def _dequantized(case: Case) -> Array:
    codes, scale, place = _operands(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch._make_per_tensor_quantized_tensor(codes, scale, place)  # noqa: SLF001  has no public name
        return np.asarray(quantized.dequantize().numpy().view(np.uint32))


def _implemented(source: str, target: str) -> bool:
    if not (hasattr(torch, source) and hasattr(torch, target)):
        return False
    try:
        torch.zeros(1, dtype=getattr(torch, source)).to(getattr(torch, target))
    except RuntimeError:  # also what torch raises for a conversion that it does not have
        return False
    return True


def _converter(source: str, target: str) -> Any:
    native, wanted = getattr(torch, source), getattr(torch, target)

    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        given = np.ascontiguousarray(codes)
        tensor = torch.from_numpy(given.copy()).view(native) if given.size else torch.empty(0, dtype=native)
        width = 8 * torch.empty(0, dtype=wanted).element_size()
        return np.asarray(tensor.to(wanted).view(getattr(torch, f"uint{width}")).numpy())

    return convert
