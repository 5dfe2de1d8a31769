"""The PyTorch modules that I-ViT, I-BERT and HAWQ publish, made to run here, and what lowbit's layers need of them.

I-ViT and HAWQ are not packages: LOWBIT_IVIT and LOWBIT_HAWQ name checkouts of github.com/zkkli/I-ViT and
github.com/Zhen-Dong/HAWQ. Nothing in them is changed. They ask for a GPU, so ``Tensor.cuda`` gives the tensor itself.

The modules compute in floating point, and are exact where every number that they make fits the significand. So they run
in binary64, with scales of 12 bits: a code times such a scale is exact, and so is their quotient, the code; and sums of
products of two such numbers.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lowbit.layers import Conv, Linear, Quantity, Rescale

torch = pytest.importorskip("torch", reason="PyTorch, in which the modules are written, is not installed")

IVIT, HAWQ = "LOWBIT_IVIT", "LOWBIT_HAWQ"
REPOSITORIES = {IVIT: "github.com/zkkli/I-ViT at 380ba99", HAWQ: "github.com/Zhen-Dong/HAWQ at 1616df6"}
SCALE_BITS = 12
SCHEMES = ("single_even", "hawq")
"""HAWQ-V3's requantisation in integers, and with its product rounded to 53 bits, as the three codes make it."""


def module_of(variable, folder, module, stubs=()):
    """A module of a folder of a checkout, whose own ``__init__``, which imports much more, is not run.

    ``stubs`` are what it imports and does not need here: pairs of a module and a name that it takes from it.
    """
    if not os.environ.get(variable):
        pytest.skip(f"{variable} does not name a checkout of {REPOSITORIES[variable]}")
    package = ModuleType(variable.lower())
    package.__path__ = [str(Path(os.environ[variable]) / folder)]
    sys.modules[package.__name__] = package
    for stub, name in stubs:
        parts = stub.split(".")
        for count in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:count]), ModuleType(stub))
        setattr(sys.modules[stub], name, object)
    return importlib.import_module(f"{package.__name__}.{module}")


def without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor, *_, **__: tensor)


def short(number):
    """The number rounded to a scale's bits."""
    fraction, exponent = math.frexp(number)
    return math.ldexp(round(fraction * (1 << SCALE_BITS)), exponent - SCALE_BITS)


def drawn(rng, low, high):
    """A scale in a range."""
    return short(math.exp(rng.uniform(math.log(low), math.log(high))))


def wide(*numbers):
    """A tensor of binary64 numbers."""
    return torch.tensor(numbers, dtype=torch.float64)


def assign(parameter, array):
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.asarray(array, np.float64)))


def values(codes, scale):
    """What codes are worth, exactly."""
    product = torch.from_numpy(codes.astype(np.float64)) * scale
    assert np.array_equal((product / scale).numpy(), codes)
    return product


def codes_of(answer):
    """The integers of what a module gives: values and their scale."""
    quotients = (answer[0] / answer[1]).detach().numpy()
    whole = np.rint(quotients)
    assert np.abs(quotients - whole).max() < 1e-3
    return whole.astype(np.int64)


def integers(tensor, dtype):
    """A tensor of whole numbers as an array of them."""
    array = tensor.detach().numpy()
    assert np.array_equal(array, array.astype(dtype))
    return array.astype(dtype)


def quantity(activation, fmt=""):
    """What the codes of a QuantAct mean."""
    return Quantity(fmt or f"int{activation.activation_bit}", float(activation.act_scaling_factor))


def rescale(units, result, scheme, **clamp):
    """From accumulators worth ``units`` to the codes of a quantity."""
    given = np.asarray(units, np.float64).reshape(-1)
    return Rescale.from_scale(given / result.scale, scheme, result, **clamp)


def linear(module, given, result, scheme, rows=slice(None)):
    """The layer of some outputs of a QuantLinear and of the QuantAct behind it."""
    units = module.fc_scaling_factor[rows].double() * given.scale
    bias = integers(module.bias_integer.reshape(-1)[rows], np.int32)
    return Linear(given, integers(module.weight_integer[rows], np.int8), rescale(units, result, scheme), bias)


def conv(module, convolution, units, given, result, scheme, **clamp):
    """The layer of a quantised convolution, whose accumulators are worth ``units``, and of the QuantAct behind it."""
    weight = np.ascontiguousarray(np.moveaxis(integers(module.weight_integer, np.int8), 1, 3))
    around = tuple((pad, pad) for pad in convolution.padding)
    bias = integers(module.bias_integer.reshape(-1), np.int32)
    return Conv(given, weight, rescale(units, result, scheme, **clamp), bias, convolution.stride, around)


def watched(module, *kinds):
    """Name -> integers of the last answer of each part of these kinds; filled when the module is run."""
    seen = {}
    for name, part in module.named_modules():
        if type(part).__name__ in kinds:
            part.register_forward_hook(lambda _, __, answer, name=name: seen.__setitem__(name, codes_of(answer)))
    return seen


def steps_of(model, codes):
    """Every intermediate of an integer model, ``NODE:LABEL``, and the results, ``NODE``."""
    steps = {}

    def trace(name, step):
        steps[name] = steps[f"{name}:{step.label}"] = step.codes

    model.run(codes, trace)
    return steps


def assert_equal(steps, seen, few=20):
    """Each of the published codes is lowbit's, and there are more than a few of each."""
    for name, codes in seen.items():
        assert np.array_equal(steps[name].reshape(codes.shape), codes), name
        assert len(np.unique(codes)) > few, name
