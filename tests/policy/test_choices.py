"""What policies, accumulators and requantisation schemes share."""

import pickle
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.errors import PolicyError
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.cast import CAST_PRESETS, Policy
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme

VOCABULARIES = {Policy: CAST_PRESETS, Accumulator: ACCUMULATORS, RequantizeScheme: REQUANTIZE_SCHEMES}
kinds = pytest.mark.parametrize("kind", VOCABULARIES, ids=lambda kind: kind.__name__)
EVERY = [(kind, preset) for kind, presets in VOCABULARIES.items() for preset in presets.values()]
records = st.sampled_from(EVERY)


def all_fields(record):
    return {item.name: getattr(record, item.name) for item in fields(record)}


@kinds
def test_every_axis_and_choice_has_words(kind):
    assert set(kind.AXES) <= {item.name for item in fields(kind)} - set(kind.CLAIMS)
    for axis, choices in kind.CHOICES.items():
        assert getattr(kind(), axis) in choices
        assert kind.choices(axis) == tuple(choices)
        assert all(kind.meaning(axis, choice) for choice in choices)
    assert all(kind.AXES.values())


@given(records)
def test_a_record_is_a_value(entry):
    _, record = entry
    copy = pickle.loads(pickle.dumps(record))
    assert all_fields(copy) == all_fields(record)
    assert (copy, hash(copy), repr(copy)) == (record, hash(record), repr(record))


@given(records)
def test_parse_is_the_inverse_of_spell(entry):
    kind, record = entry
    unnamed = replace(record, **dict.fromkeys(kind.CLAIMS, ""))
    for separator in (", ", " ", "+"):
        assert all_fields(kind.parse(record.spell(separator=separator))) == all_fields(unnamed)
    # the choices that differ from another preset, changed on that one
    other = next(iter(VOCABULARIES[kind].values()))
    assert kind.parse(record.spell(other), other) == replace(record, name=kind.parse(record.spell(other), other).name)
    assert record.spell(record) == ""


@given(records)
def test_a_changed_preset_loses_its_claims(entry):
    kind, record = entry
    axis = next(axis for axis in ("overflow", "rounding") if axis in kind.CHOICES)
    assert record.choose(**{axis: getattr(record, axis)}) is record
    assert record.choose() is record
    changed = record.choose(name="my own")
    assert [getattr(changed, claim) for claim in kind.CLAIMS] == ["my own", *[""] * (len(kind.CLAIMS) - 1)]
    assert changed.differences(record) == {}


@kinds
def test_what_is_unknown_is_refused_with_the_nearest(kind):
    with pytest.raises(PolicyError, match=f"{kind.AXIS} = 'overflo' is unknown\nhelp: did you mean 'overflow'"):
        kind().choose(overflo="wrap")
    with pytest.raises(PolicyError, match="overflow = 'warp' is unknown\nhelp: did you mean 'wrap'"):
        kind(overflow="warp")
    with pytest.raises(PolicyError, match="'saturate' is a choice of overflow"):
        kind().choose(saturate=True)
    for text in ("overflow", "overflo=wrap", "overflow=warp"):
        with pytest.raises(PolicyError, match=r"is unknown|is not axis=choice"):
            kind.parse(text)
    presets = VOCABULARIES[kind]
    known = next(iter(presets))
    for wrong in (None, 3, object(), {}):
        with pytest.raises(
            PolicyError, match=f"is an? {kind.__name__} or the name of a preset, not.*\nhelp: one of {known}, "
        ):
            presets.named(wrong)
    name = next(iter(presets))
    assert presets.named(name.upper()) is presets[name]
    with pytest.raises(PolicyError, match=f"did you mean {name!r}"):
        presets.named(f"{name}x")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Policy, "random_bits=x", "random_bits = 'x' is not an integer"),
        (Policy, f"random_bits={'1' * 5000}", "random_bits = '1+' is not an integer"),
        (Policy, "random_bits=-1", "random_bits = '-1' is not an integer"),
        (Policy, "random_bits=1..2", "random_bits = '1..2' is not an integer"),
        (Accumulator, "width=", "width = '' is not an integer"),
        (Accumulator, "width=7", "width = 7 is not an integer from 8 to 64"),
        (RequantizeScheme, "bounded=yes", "bounded = 'yes' is unknown"),
        (RequantizeScheme, "shift_range=3", "shift_range = '3' is not low..high"),
        (RequantizeScheme, "shift_range=3..x", r"shift_range = '3\.\.x' is not low..high"),
        (RequantizeScheme, "multiplier_bits=54", "multiplier_bits = 54 is not an integer from 1 to 53"),
    ],
)
def test_numbers_are_read_from_text(kind, text, message):
    with pytest.raises(PolicyError, match=message):
        kind.parse(text)


@pytest.mark.parametrize("value", [8.0, "8", True, None])
def test_numbers_are_integers(value):
    with pytest.raises(PolicyError, match=f"width = {value!r} is not an integer"):
        Accumulator(width=value)
    with pytest.raises(PolicyError, match=f"point = {value!r} is not an integer"):
        RequantizeScheme(point=value)


@kinds
def test_a_name_is_text(kind):
    with pytest.raises(PolicyError, match="name = 3 is not a string"):
        kind(name=3)


@kinds
def test_what_is_neither_a_record_nor_a_name_is_refused(kind):
    what = {Policy: "a policy is a Policy", Accumulator: "an accumulator is an Accumulator"}
    with pytest.raises(PolicyError, match=f"^{what.get(kind, 'a scheme is a RequantizeScheme')} or the name of a"):
        VOCABULARIES[kind].named(3)
