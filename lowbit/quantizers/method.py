"""What a published method is: a function, its source, and what it asks for; one file each under methods/."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lowbit.policy.choices import require_choice


@dataclass(frozen=True)
class Method:
    """A quantiser of weight matrices.

    Attributes
    ----------
    name : str
        ``lowbit.quantizers.<name>`` is the function.
    quantize : callable
        ``(weights, activations=None, *, to=..., variant=..., ...) -> QuantizedWeight``.
    title : str
        What it does, in a line.
    source : str
        The paper, and the official code if there is one.
    variants : mapping of str to str
        The choices of ``variant``, and what each follows.
    needs_activations : bool
    to : str
        The format that it works in unasked.
    """

    name: str
    quantize: Callable[..., Any]
    title: str
    source: str
    variants: Mapping[str, str]
    needs_activations: bool
    to: str

    def require_variant(self, variant: str) -> None:
        """Refuse a variant that the method does not have: PolicyError."""
        require_choice("variant", variant, self.variants)


@cache
def methods() -> Mapping[str, Method]:
    """All methods by name: what the modules under methods/ declare as ``METHOD``."""
    package = importlib.import_module("lowbit.quantizers.methods")
    modules = (
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    )
    declared = [module.METHOD for module in modules if hasattr(module, "METHOD")]
    return {method.name: method for method in declared}
