"""Kernel modules loaded afresh with decorators that do nothing, so that their loops run on Python integers."""

import importlib
import sys
from types import ModuleType


def load_plain(*names):
    """The modules of ``lowbit.kernels`` of these names, uncompiled; a module comes after those that it imports."""
    package = importlib.import_module("lowbit.kernels")
    plain = ModuleType("lowbit.kernels._jit")
    plain.scalar = plain.kernel = plain.routine = lambda function: function
    plain.constants = lambda vector, size: tuple(vector[:size])
    replaced = {f"lowbit.kernels.{name}": None for name in ("_jit", *names)}
    before = {name: sys.modules.pop(name, None) for name in replaced}
    attributes = {name: getattr(package, name) for name in names if hasattr(package, name)}
    sys.modules["lowbit.kernels._jit"] = plain
    try:
        return [importlib.import_module(f"lowbit.kernels.{name}") for name in names]
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        for name in names:
            if name in attributes:
                setattr(package, name, attributes[name])
            elif hasattr(package, name):
                delattr(package, name)
