"""What a published method is: a function, its source, and what it asks for; one file each under methods/."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial, wraps
from inspect import Parameter, signature
from types import FunctionType
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.choices import require_choice
from lowbit.printable import excerpt
from lowbit.quantizers.documentation import documented
from lowbit.quantizers.options import OPTIONS, Option

FOLDERS = ("methods", "learned")
"""Where methods stand, a file each."""

FIRST, SIGNS = 4096, 2
"""Codes that are looked at first, and the codes of 0 that there may be among them."""


@dataclass(frozen=True)
class Method:
    """A quantiser of weight matrices.

    Attributes
    ----------
    name : str
        ``lowbit.quantizers.<name>`` is the function.
    quantize : callable
        ``(weights, activations=None, *, to=..., variant=..., ...) -> QuantizedWeight``. Options are checked before it
        runs: PolicyError for names and choices that do not exist, InputError for values out of range. InputError also
        where scales underflow, so that nothing but zeros is left of weights that are not 0.
    title : str
        What it does, in a line.
    source : str
        The paper, and the official code if there is one.
    variants : mapping of str to str
        The choices of ``variant``, and what each follows.
    needs_activations : bool
    to : str
        The format that it works in unasked.
    own : mapping of str to Option
        Its keyword arguments that ``OPTIONS`` does not have, or that mean something else here; of one that is chosen
        with a variant those of the method inside too.
    report : mapping of str to str
        The keys of a result's ``report``, and what each holds. A method that forwards to another one has its keys.
    joint : bool
        Whether layers that read the same activations share what it makes of them: they are quantised as one matrix,
        their outputs one below the other.
    layer_alone : str
        What is not there of the method where it is given the weights of one layer and rows of activations alone, as by
        `lowbit evaluate`; empty where that is all of it.
    """

    name: str
    quantize: Callable[..., Any]
    title: str
    source: str
    variants: Mapping[str, str]
    needs_activations: bool
    to: str
    own: Mapping[str, Option] = field(default_factory=dict)
    report: Mapping[str, str] = field(default_factory=dict)
    joint: bool = False
    layer_alone: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantize", _checked(self))

    @property
    def options(self) -> Mapping[str, Option]:
        """Its keyword-only arguments, and what each may be."""
        parameters = signature(self.quantize).parameters.values()
        names = [one.name for one in parameters if one.kind is Parameter.KEYWORD_ONLY]
        return {name: self.own.get(name) or OPTIONS[name] for name in names if name in self.own or name in OPTIONS}

    @property
    def accepts(self) -> Mapping[str, Option]:
        """Its options, and those that it hands on to another method."""
        inside = _inside(self, str(signature(self.quantize).parameters["variant"].default))
        return {**(inside.options if inside else {}), **self.options, **self.own}

    @property
    def fits_hessian(self) -> bool:
        """Whether errors are spread by the Hessian of the activations, which it then dampens: as GPTQ does."""
        return "damping" in self.accepts

    def bound(self, options: Mapping[str, Any]) -> Method:
        """The same with some options set."""
        return replace(self, quantize=partial(self.quantize, **options)) if options else self


def _checked(method: Method) -> Callable[..., Any]:
    """The function of a method, with options checked first."""
    function, known = method.quantize, method.options
    parameters = signature(function).parameters
    # a method that hands the others on to another method leaves them to that one's check
    closed = not _forwards(function)

    if isinstance(function, FunctionType) and function.__doc__:  # it is not there under python -OO
        function.__doc__ = documented(method)

    @wraps(function)
    def quantize(*arrays: Any, **options: Any) -> Any:
        for name, value in options.items():
            if name not in parameters and closed:
                require_choice(f"option of {method.name}", name, known)
            if name == "variant":
                require_choice("variant", value, method.variants)
            elif name in known:
                options[name] = known[name].checked(name, value)
        try:
            with np.errstate(over="raise", invalid="raise"):
                result = function(*arrays, **options)
        except FloatingPointError as error:
            what = f"{method.name}: numbers on the way to the result are beyond its arithmetic ({error})"
            raise InputError(what, hint="scale the weights and the activations to an ordinary size") from error
        _require_values(arrays[0] if arrays else options.get("weights"), result)
        return result

    return quantize


def _require_values(weights: Any, result: Any) -> None:
    """Refuse a result of zeros alone of weights that are not: their scales are too small for the format."""
    tensor = result.tensor
    blocks = isinstance(tensor, BlockTensor)
    if blocks and len(set(tensor.codes.ravel()[:FIRST].tolist())) > SIGNS:
        return
    if np.any(weights) and not result.dequantize(dtype=np.float64).any():
        largest = float(np.abs(np.asarray(weights, np.float64)).max())
        kind = tensor.format.id if blocks else "what the method stores"
        what = f"all weights would be 0 in {kind}, and the largest is {largest:.9g}"
        raise InputError(
            what, hint="larger values, or scales of a wider range: int4.g128.float32 in place of int4.g128"
        )


def _forwards(function: Callable[..., Any]) -> bool:
    """Whether a method hands options that it does not have on to another one."""
    return any(one.kind is Parameter.VAR_KEYWORD for one in signature(function).parameters.values())


@cache
def methods() -> Mapping[str, Method]:
    """All methods by name: what the modules of the folders of methods declare as ``METHOD``."""
    packages = [importlib.import_module(f"lowbit.quantizers.{folder}") for folder in FOLDERS]
    names = [f"{package.__name__}.{one.name}" for package in packages for one in pkgutil.iter_modules(package.__path__)]
    declared = [module.METHOD for module in map(importlib.import_module, names) if hasattr(module, "METHOD")]
    return {method.name: method for method in declared}


ALIASES = {"rtn": "round_to_nearest"}
"""Other names of methods, as papers and tools have them."""


def chosen(text: str) -> Method:
    """A method by its name, with a variant and options that its function then has: NAME[:VARIANT][:OPTION=VALUE]...

    ``"awq:duo_scaling"``, ``"gptq:order=activation:damping=0.02"``.

    Raises
    ------
    PolicyError
        There is no such method, or it does not have the variant, the option or the choice.
    InputError
        A value is out of range, an option is there twice, or is one that words cannot say.
    """
    name, *parts = (part.strip() for part in text.split(":"))
    if "," in text or "=" in name:
        what = f"{excerpt(text)}: what follows a method's name has colons before it"
        raise InputError(what, hint="gptq:order=activation:damping=0.02")
    name = ALIASES.get(name, name)
    require_choice("method", name, methods())
    if not parts:
        return methods()[name]
    method = methods()[name]
    words = _words_of(method, parts)
    inside = _inside(method, words.get("variant", ""))
    known = {**(inside.options if inside else {}), **method.options}
    for option in words:
        require_choice(f"option of {name}", option, known)
    values = {key: word if key == "variant" else known[key].read(key, word) for key, word in words.items()}
    return replace(
        method,
        name=":".join((name, *parts)),
        quantize=partial(method.quantize, **values),
        own={**method.own, **known},
        needs_activations=method.needs_activations or (inside is not None and inside.needs_activations),
    )


def _inside(method: Method, variant: str) -> Method | None:
    """The method that a variant hands its options on to, if it does."""
    return methods().get(variant) if _forwards(method.quantize) else None


def _words_of(method: Method, parts: list[str]) -> dict[str, str]:
    """VARIANT and OPTION=VALUE by the names of the options.

    Raises InputError and PolicyError: one is there twice, or the method does not have the variant.
    """
    words: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        option, word = (key.strip(), value.strip()) if equals else ("variant", part)
        if option in words:
            raise InputError(f"{method.name} has {option} twice: {excerpt(words[option])} and {excerpt(word)}")
        words[option] = word
    if "variant" in words:
        require_choice("variant", words["variant"], method.variants)
    return words
