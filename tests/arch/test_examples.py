"""Every public function has an example, and every example of a docstring runs."""

import doctest
import importlib
import inspect

import pytest

from lowbit.format import registry
from lowbit.format.files.catalogue import Catalogue

MODULES = (
    "lowbit",
    "lowbit.allocate",
    "lowbit.campaign",
    "lowbit.entropy",
    "lowbit.fixed_point",
    "lowbit.models",
    "lowbit.proof",
    "lowbit.testing",
)


def functions():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isfunction(value):
                yield pytest.param(value, id=f"{name}.{public}")


@pytest.mark.parametrize("function", list(functions()))
def test_a_public_function_has_an_example_that_runs(function, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", Catalogue())  # what load_format adds is gone afterwards
    names = dict(importlib.import_module(function.__module__).__dict__)
    (session,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs=names)
    assert session.examples, "it has no example"
    assert doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE).run(session).failed == 0
