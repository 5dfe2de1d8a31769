"""What a program can see of docs/explanation/api-constitution.md, over every public function."""

import importlib
import inspect
import re

import pytest

import lowbit
from lowbit.errors import LowbitError
from lowbit.policy.choices import Choices
from tests.arch.test_examples import MODULES

POSITIONAL = {"target", "fmt", "accumulator", "a", "b", "zero_point", "jobs"}
"""Optional parameters by position: a format, what a proof is about, what belongs to an array, a number of workers."""
RUN_OVER_ARRAYS = ("encode", "decode", "convert", "gemm", "requantize", "quantized_add", "quantized_multiply")
NONLINEARITIES = ("softmax", "gelu", "layernorm", "rmsnorm", "logistic", "tanh", "l2norm")


def functions():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            if inspect.isfunction(getattr(module, public)):
                yield pytest.param(inspect.signature(getattr(module, public)).parameters, id=f"{name}.{public}")


@pytest.mark.parametrize("parameters", list(functions()))
def test_options_are_keywords_and_none_is_an_empty_text(parameters):  # rules 5 and 11
    optional = [item for item in parameters.values() if item.default is not item.empty]
    positional = {item.name for item in optional if item.kind is item.POSITIONAL_OR_KEYWORD}
    assert positional <= POSITIONAL
    assert {item.name for item in optional if isinstance(item.default, str) and not item.default} <= {"name"}


@pytest.mark.parametrize("name", [*RUN_OVER_ARRAYS, *NONLINEARITIES])
def test_what_runs_over_arrays_has_memory_and_threads(name):  # rule 14
    assert {"out", "threads"} <= set(inspect.signature(getattr(lowbit, name)).parameters)


def test_each_vocabulary_has_presets_of_its_name():  # rule 1
    kind = type(lowbit.CAST_PRESETS)
    names = [name for name in lowbit.__all__ if isinstance(getattr(lowbit, name), kind)]
    assert {"ACCUMULATORS", "BLOCK_PRESETS", "CAST_PRESETS", "REQUANTIZE_SCHEMES"} <= set(names)
    assert "PRESETS" not in names
    assert all(isinstance(value, Choices) for name in names for value in getattr(lowbit, name).values())
    assert lowbit.PRESETS is lowbit.CAST_PRESETS


@pytest.mark.parametrize(
    "call",
    [
        lambda: lowbit.format_exact(1.5),
        lambda: lowbit.format_decimal("1"),
        lambda: lowbit.format_hexfloat(None),
        lambda: lowbit.parse_exact(1.5),
        lambda: lowbit.parse_exact("one"),
        lambda: lowbit.parse_exact("0.1"),
        lambda: lowbit.load_format(3),
        lambda: lowbit.PackedCodes([[1]], "int4"),
        lambda: lowbit.PackedCodes(lowbit.pack([[1]], "int4"), "float4_e2m1fn"),
        lambda: lowbit.PackedCodes(lowbit.pack([[1]], "int4"), "int4", "nosuch"),
        lambda: lowbit.prepack([[1, 2]], a_dtype="float16"),
        lambda: lowbit.prepack([[1, 2]], a_dtype="int32"),
        lambda: lowbit.next_after(0, "int4", direction="left"),
    ],
)
def test_a_wrong_argument_is_an_error_of_ours(call):  # rule 18
    with pytest.raises(LowbitError):
        call()


def test_the_list_of_violations_is_empty(repository):
    page = (repository / "docs" / "explanation" / "api-constitution.md").read_text(encoding="utf-8")
    assert re.search(r"## Known violations\n\nNone\. ", page)
