import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.errors import PolicyError
from lowbit.format.registry import formats, get_format
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, PRESET_OVERRIDES, PRESET_SUMMARIES, Policy, get_policy

CLOSED_AXES = [axis for axis in Policy.AXES if axis not in ("via", "random_bits")]


def stochastic_bits(rounding):
    return {"random_bits": 8} if rounding.startswith("stochastic_") else {}


@pytest.mark.parametrize("axis", CLOSED_AXES)
def test_every_value_of_every_axis_is_accepted_and_explained(axis):
    for value in Policy.choices(axis):
        policy = Policy(**{axis: value}, **(stochastic_bits(value) if axis == "rounding" else {}))
        assert getattr(policy, axis) == value
        assert Policy.meaning(axis, value)


@pytest.mark.parametrize("axis", CLOSED_AXES)
def test_the_default_of_every_axis_is_one_of_its_values(axis):
    assert getattr(Policy(), axis) in Policy.choices(axis)


@pytest.mark.parametrize("axis", CLOSED_AXES)
def test_an_unknown_value_is_refused_with_the_known_ones(axis):
    with pytest.raises(PolicyError) as caught:
        Policy(**{axis: "nonsense"})
    assert all(value in caught.value.hint for value in Policy.choices(axis))
    assert axis in caught.value.message


def test_a_near_miss_is_suggested():
    with pytest.raises(PolicyError, match="did you mean 'nearest_even'"):
        Policy(rounding="nearest_evn")
    with pytest.raises(PolicyError, match="did you mean 'rounding'"):
        Policy().choose(roundin="toward_zero")
    with pytest.raises(PolicyError, match="did you mean 'ocp_sat'"):
        get_policy("ocp_sta")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "saturate",
            r"a choice of overflow \(and of infinity, .*\): --overflow saturate, or Policy\(overflow='saturate'",
        ),
        ("toward_zero", r"a choice of rounding: --rounding toward_zero, or Policy\(rounding='toward_zero'\)"),
        ("all_ones", r"a choice of nan_code: --choice nan_code=all_ones, or Policy\(nan_code='all_ones'\)"),
    ],
)
def test_a_choice_given_for_a_preset_is_answered_with_its_axis(name, hint):
    with pytest.raises(PolicyError, match=f"'{name}' is {hint}"):
        get_policy(name)
    with pytest.raises(PolicyError, match=f"'{name}' is {hint}"):
        Policy().choose(**{name: "yes"})


@pytest.mark.parametrize("bits", [0, -1, 33])
def test_stochastic_rounding_needs_random_bits(bits):
    with pytest.raises(PolicyError, match="needs random_bits"):
        Policy(rounding="stochastic_a", random_bits=bits)


@pytest.mark.parametrize("count", [8.0, "8", None, True])
@pytest.mark.parametrize("rounding", ["stochastic_a", "nearest_even"])
def test_random_bits_are_an_integer(rounding, count):
    with pytest.raises(PolicyError, match=f"random_bits = {count!r} is not an integer"):
        Policy(rounding=rounding, random_bits=count)


@pytest.mark.parametrize("value", [["nearest_even"], {}, None, 3])
@pytest.mark.parametrize("axis", CLOSED_AXES)
def test_a_choice_is_a_name(axis, value):
    with pytest.raises(PolicyError, match=f"^{axis} = .* is unknown"):
        Policy(**{axis: value})
    with pytest.raises(PolicyError, match="is unknown"):
        Policy.choices(value)
    with pytest.raises(PolicyError, match="is unknown"):
        Policy.meaning(axis, value)


def test_defects_are_a_tuple_of_names():
    with pytest.raises(PolicyError, match="give a tuple of names: Policy\\(defects=\\('e4m3fn_late_overflow',\\)\\)"):
        Policy(defects="e4m3fn_late_overflow")
    for wrong in (None, 3, ["e4m3fn_late_overflow"]):
        with pytest.raises(PolicyError, match="is not a tuple of names"):
            Policy(defects=wrong)
    with pytest.raises(PolicyError, match=r"defects = \['e4m3fn_late_overflow'\] is unknown"):
        Policy(defects=(["e4m3fn_late_overflow"],))


@pytest.mark.parametrize("axis", ["via", "name"])
@pytest.mark.parametrize("value", [None, 32, ["float32"]])
def test_names_of_formats_and_policies_are_strings(axis, value):
    with pytest.raises(PolicyError, match=f"^{axis} = .* is not a string"):
        Policy(**{axis: value})


def test_random_bits_without_stochastic_rounding_are_refused():
    with pytest.raises(PolicyError, match="uses none"):
        Policy(random_bits=8)


@pytest.mark.parametrize("mode", ["a", "b", "c"])
@pytest.mark.parametrize("bits", [1, 32])
def test_stochastic_policies(mode, bits):
    assert Policy(rounding=f"stochastic_{mode}", random_bits=bits).stochastic


def test_unknown_defects_and_axes_are_refused():
    with pytest.raises(PolicyError, match="defects = 'none_such'"):
        Policy(defects=("none_such",))
    with pytest.raises(PolicyError, match="policy axis = 'colour'"):
        Policy.choices("colour")
    with pytest.raises(PolicyError, match="policy axis = 'colour'"):
        Policy.meaning("colour", "red")


@given(st.sampled_from(CLOSED_AXES), st.data())
def test_differences_name_the_axes_that_differ(axis, data):
    value = data.draw(st.sampled_from(Policy.choices(axis)))
    base = Policy()
    extra = stochastic_bits(value) if axis == "rounding" else {}
    changed = base.choose(**{axis: value}, **extra)
    expected = {axis: (getattr(base, axis), value)} if value != getattr(base, axis) else {}
    expected |= {"random_bits": (0, 8)} if extra else {}
    assert base.differences(changed) == expected


def test_a_changed_preset_loses_its_name():
    preset = CAST_PRESETS["ocp_sat"]
    assert preset.choose(overflow="saturate") is preset
    assert preset.choose(overflow="nan").name == ""
    assert preset.choose(overflow="nan", name="mine").name == "mine"


def test_without_defects_keeps_the_choices():
    preset = CAST_PRESETS["ml_dtypes"]
    assert preset.defects
    assert preset.without_defects().defects == ()
    assert set(preset.differences(preset.without_defects())) == {"defects"}


@pytest.mark.parametrize("name", CAST_PRESETS)
def test_every_preset_has_its_name_and_a_claim(name):
    assert CAST_PRESETS[name].name == name
    assert PRESET_SUMMARIES[name]
    assert get_policy(name.upper()) is CAST_PRESETS[name]
    assert set(CAST_PRESETS[name].defects) <= set(DEFECTS)


@pytest.mark.parametrize("name", PRESET_OVERRIDES)
def test_overrides_are_for_known_targets(name):
    assert name in CAST_PRESETS
    for target, policy in PRESET_OVERRIDES[name].items():
        fmt = get_format("int8") if target == "integer" else get_format(target)
        assert target in (fmt.id, fmt.kind)
        assert get_policy(name, fmt) is policy


@pytest.mark.parametrize("wrong", [None, 3, object()])
def test_a_policy_is_a_policy_or_a_name(wrong):
    with pytest.raises(PolicyError, match="a Policy or the name of a preset"):
        get_policy(wrong)


@pytest.mark.parametrize("family", [None, "p3109", pytest.param("all", marks=pytest.mark.slow)])
def test_every_format_has_a_default_policy_that_exists(family):
    for name in formats(family=family, kind="scalar"):
        assert get_format(name).default_policy in CAST_PRESETS


def test_policies_are_values():
    assert Policy() == Policy()
    assert len({Policy(), Policy(), Policy(overflow="nan")}) == 2
    with pytest.raises(AttributeError):
        Policy().overflow = "nan"
