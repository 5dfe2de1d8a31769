"""Small numbers of each quantiser, published ones and some worked out by hand: ``published.toml``."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from lowbit.quantizers import METHODS
from lowbit.quantizers.attention import Attention

TABLE = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
COMPARED = {
    "compressed_tensors": "tests/cross/test_quantizer_methods.py::test_schemes_of_compressed_tensors",
    "hqq": "tests/cross/test_quantizer_methods.py::test_zero_points_of_hqq",
    "round_to_nearest": "tests/cross/test_quantizer_methods.py::test_rounding_of_torchao",
}
"""Methods whose codes somebody else's code gives as well, and the test that compares them."""

LEAST = 3
NUMBERS = {f"{name}-{place}": (name, entry) for name, rows in TABLE.items() for place, entry in enumerate(rows)}


def value(entry):
    """Text is an expression of NumPy's names; a list is of numbers and texts."""
    if isinstance(entry, list):
        return [value(one) for one in entry]
    return eval(entry, vars(np).copy()) if isinstance(entry, str) else entry


def option(name, entry):
    """An option of a method, as it takes it."""
    if name == "attention":
        return Attention(**entry)
    return value(entry) if name == "hessian" else entry


@pytest.mark.parametrize(("name", "entry"), NUMBERS.values(), ids=NUMBERS)
def test_the_number_is_what_the_method_computes(name, entry):
    options = {key: option(key, one) for key, one in entry.get("options", {}).items()}
    result = METHODS[name].quantize(value(entry["weights"]), value(entry.get("activations")), **options)
    shown = eval(entry["shows"], {**vars(np), "result": result})
    np.testing.assert_allclose(np.asarray(shown, np.float64), value(entry["is"]), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_three_numbers_or_is_compared_with_other_code(repository, name):
    assert (name in COMPARED) != (name in TABLE)
    if name in COMPARED:
        file, _, test = COMPARED[name].partition("::")
        assert f"def {test}(" in (repository / file).read_text(encoding="utf-8")
        return
    entries = {(entry["shows"], str(entry["is"]), str(entry.get("options"))): entry for entry in TABLE[name]}
    assert len(entries) >= LEAST
    assert min(len(entry[key].split()) for entry in entries.values() for key in ("why", "source")) > 1


def test_the_table_is_of_methods():
    assert set(TABLE) <= set(METHODS)
