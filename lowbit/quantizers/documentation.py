"""The docstrings of the methods: what their records say of parameters, variants and reports is written into them."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import TYPE_CHECKING

from lowbit.ops.docstrings import docstring_of, entries_of, entry, listed, sections_of
from lowbit.quantizers.options import Option

if TYPE_CHECKING:
    from lowbit.quantizers.method import Method

TYPES = {
    "to": "str or BlockFormat",
    "factors": "str or BlockFormat",
    "policy": "BlockPolicy or str, optional",
    "hessian": "array_like, shape (inputs, inputs), optional",
    "adapter": "pair of array_like, optional",
}
"""Of options that are neither words, flags nor numbers, and not arrays that may be left out."""


def documented(method: Method) -> str:
    """The docstring of a method's function, with what it leaves to the record.

    A parameter that the docstring has itself is told in its words. Those of the others are the record's, and what all
    methods share.
    """
    summary, sections = sections_of(method.quantize.__doc__ or "")
    told = entries_of(sections.pop("Parameters", ""))
    parameters = signature(method.quantize).parameters
    beside = {name for entry in told for name in _names(told[entry])}
    own = {name: one for name, one in parameters.items() if name in told or name not in beside}
    texts = [told.get(name) or _described(method, one) for name, one in own.items()]
    returned = sections.pop("Returns", "QuantizedWeight").rstrip()
    report = [f'"{key}": {meaning}.' for key, meaning in method.report.items() if f'"{key}"' not in returned]
    if report:
        returned += f"\n    ``report`` has:\n\n{listed(report)}"
    return docstring_of(summary, {"Parameters": "\n".join(texts), "Returns": returned, **sections})


def _names(text: str) -> list[str]:
    """The parameters that an entry is for: those before its colon."""
    head = text.partition("\n")[0].partition(" : ")[0]
    return [name.strip().lstrip("*") for name in head.split(",")]


def _described(method: Method, parameter: Parameter) -> str:
    name = parameter.name
    if name == "weights":
        return entry("weights : array_like, shape (outputs, inputs)")
    if name == "activations":
        if not method.needs_activations:
            return entry("activations : array_like, optional", "Not looked at.")
        return entry("activations : array_like, shape (rows, inputs)", "What goes into the layer.")
    if name == "variant":
        words = [
            f'"{word}"{", the default" if word == parameter.default else ""}: {meaning}.'
            for word, meaning in method.variants.items()
        ]
        return f"variant : str\n{listed(words)}"
    return _of_option(name, method.options[name])


def _of_option(name: str, option: Option) -> str:
    text = option.meaning[0].upper() + option.meaning[1:]
    if option.choices:
        words = [f'"{word}": {meaning}.' for word, meaning in option.choices.items()]
        return f"{entry(f'{name} : str', f'{text}:')}\n\n{listed(words)}"
    if option.flag:
        return entry(f"{name} : bool", f"{text}.")
    if option.numbers is None:
        return entry(f"{name} : {TYPES.get(name, 'array_like, optional')}", f"{text}.")
    kind = "int" if option.numbers.whole else "float"
    kind += f" or sequence of {kind}" * option.several + ", optional" * option.optional
    return entry(f"{name} : {kind}", f"{text}: {option.numbers}.")
