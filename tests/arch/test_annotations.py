"""What py.typed promises: the signatures of public functions say what goes in and what comes out."""

import importlib
import inspect
import re

PUBLIC = (
    "lowbit",
    "lowbit.allocate",
    "lowbit.campaign",
    "lowbit.entropy",
    "lowbit.fixed_point",
    "lowbit.metrics",
    "lowbit.proof",
    "lowbit.testing",
)

UNTYPED = {
    "lowbit.allocate.Problem.from_arrays": ["fixed"],  # a mapping, invariant in its keys: names, numbers, or both
}
"""Public signatures with arguments that are a bare Any: a short list, with reasons."""

UNSAID = re.compile(r"(?:^|[\[|,] *)Any *(?=$|[\]|,])")
"""Any on its own, as an item of a tuple, or beside others in a union."""

OF_ANY = re.compile(
    r"\b(?:NDArray|dtype|type|floating|integer)\[Any\]|\b(?:dict|Mapping)\[\w+, Any\]|Callable\[\[Any\]"
)
"""Any where it says "of whatever element type", or what a document of JSON holds."""


def functions(owner, name):
    """Qualified name and function of a public name, and of the public methods of a class."""
    value = getattr(owner, name)
    if not inspect.isclass(value):
        return [(name, value)] if callable(value) and inspect.isfunction(inspect.unwrap(value)) else []
    own = [
        (method, vars(value)[method]) for method in vars(value) if not method.startswith("_") or method == "__init__"
    ]
    own = [(method, getattr(part, "fget", None) or getattr(part, "__func__", part)) for method, part in own]
    return [(f"{name}.{method}", part) for method, part in own if inspect.isfunction(part)]


def unsaid(function):
    """The arguments of a function, or "return", whose annotation is missing or a bare Any."""
    signature = inspect.signature(function)
    parts = {
        **{name: part.annotation for name, part in signature.parameters.items()},
        "return": signature.return_annotation,
    }
    parts.pop("self", None)
    parts.pop("cls", None)
    return [
        name
        for name, annotation in parts.items()
        if annotation is inspect.Signature.empty or UNSAID.search(OF_ANY.sub("", str(annotation)))
    ]


def test_public_signatures_are_annotated_and_say_more_than_any():
    owners = [importlib.import_module(module) for module in PUBLIC]
    every = {
        f"{owner.__name__}.{name}": unsaid(function)
        for owner in owners
        for public in owner.__all__
        for name, function in functions(owner, public)
    }
    assert len(every) > 150
    assert {name: parts for name, parts in every.items() if parts} == UNTYPED


def test_the_rule_sees_what_it_forbids():
    def bad(a: "Any", b: "tuple[int, Any]", c: "Any | None", d) -> "Any": ...  # noqa: F821

    def good(a: "NDArray[Any]", b: "dict[str, Any]", c: "np.dtype[Any] | None", d: int) -> "list[str]": ...  # noqa: F821

    assert unsaid(bad) == ["a", "b", "c", "d", "return"]
    assert unsaid(good) == []
