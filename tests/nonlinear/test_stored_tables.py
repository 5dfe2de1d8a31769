"""The shipped tables are what exact arithmetic gives."""

import pytest

from lowbit.errors import InputError
from lowbit.nonlinear.stored_tables import stored_table, stored_tables
from tests.nonlinear.generate_tables import TABLES, litert_softmax_exp_table


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_can_be_generated_again(name):
    assert list(stored_table(name)) == TABLES[name]()


def test_litert_builds_its_tables_in_binary64():
    assert litert_softmax_exp_table() == list(stored_table("tflite_softmax_exp"))
    single, double = stored_table("tflite_softmax_reciprocal"), stored_table("litert_softmax_reciprocal")
    differing = [(i, a, b) for i, (a, b) in enumerate(zip(single, double, strict=True)) if a != b]
    assert differing == [(160, 24966, 24967), (294, 20816, 20815)]


def test_every_table_has_a_generator():
    assert stored_tables() == sorted(TABLES)


def test_entries_by_hand():
    # exp(0) is 32762 and not 32767: the table's output step is 2/65535 of a range that ends at 32767, less a bias of 5
    assert stored_table("tflite_softmax_exp")[-2:] == (32133, 32767)
    assert stored_table("tflite_softmax_reciprocal")[0] == 32767
    assert stored_table("tflite_softmax_reciprocal")[-1] == 16384
    assert stored_table("tflite_sigmoid")[0] == 32768
    assert stored_table("tosa_tanh")[256] == 0
    assert stored_table("tosa_sigmoid")[256] == 16384


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(InputError, match="no stored table is called 'exp'") as error:
        stored_table("exp")
    assert "tflite_softmax_exp" in error.value.hint
