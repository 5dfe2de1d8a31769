"""Kernel modules loaded afresh with decorators that do nothing, so that their loops run on Python integers."""

import importlib
import sys
from types import ModuleType

PACKAGE = "lowbit.kernels"
INTRINSICS = ("lib.bits", "lib.divide", "lib.memory", "nonlinear.lookup")
"""Modules of LLVM instructions, which stay as they are: what plain kernels take from them has a twin in Python."""


def load(*names):
    """The modules of ``lowbit.kernels`` of these names, and all kernels that they import, uncompiled."""
    package = importlib.import_module(PACKAGE)
    kept = {f"{PACKAGE}.{name}": importlib.import_module(f"{PACKAGE}.{name}") for name in INTRINSICS}
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(f"{PACKAGE}.")}
    attributes = dict(vars(package))
    plain = ModuleType(f"{PACKAGE}._jit")
    plain.scalar = plain.kernel = plain.routine = plain.part = lambda function: function
    plain.constants = lambda vector, size: tuple(vector[:size])
    sys.modules.update(kept)
    sys.modules[plain.__name__] = plain
    try:
        return [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    finally:
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
        sys.modules.update(before)
        vars(package).clear()
        vars(package).update(attributes)
