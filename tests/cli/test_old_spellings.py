"""Spellings of earlier and later releases are refused and the new one is named; a thing has one name in every verb."""

import pytest

from lowbit.cli import VERBS
from lowbit.cli.old_spellings import LATER_VERBS, OLD_OPTIONS, OLD_VERBS

OPTIONS = [(verb or "show", old, new) for verb, names in OLD_OPTIONS.items() for old, new in names.items()]


@pytest.mark.parametrize(("verb", "old", "new"), OPTIONS)
@pytest.mark.parametrize("form", [("{}", "value"), ("{}=value",)])
def test_an_old_option_names_the_new_one(lowbit, verb, old, new, form):
    result = lowbit(verb, "int4", *(word.format(old) for word in form))
    assert (result.status, result.out) == (2, "")
    assert f"error[LB100]: {old} is now {new}\n" in result.err
    assert f"`lowbit {verb} ... {new}" in result.err


@pytest.mark.parametrize(("old", "new"), OLD_VERBS.items())
def test_an_old_verb_names_the_new_one(lowbit, old, new):
    result = lowbit(old, "softmax", "--scheme", "ivit")
    assert (result.status, result.out) == (2, "")
    assert f"`lowbit {old}` is now `lowbit {new}`\nhelp: lowbit {new} softmax" in result.err


@pytest.mark.parametrize("verb", LATER_VERBS)
def test_a_verb_of_a_later_release_is_named_as_such(lowbit, verb):
    result = lowbit(verb, "model.safetensors")
    assert (result.status, result.out) == (2, "")
    assert f"`lowbit {verb}` comes with a later release" in result.err
    assert "verb of a later release" in lowbit("explain", verb).out
    assert verb in " ".join(lowbit("--help").out.split())


def test_the_verbs_are_those_of_the_vocabulary_and_no_other():
    """Looking, values, kernels, proof, models, and `formats`, which stays an alias."""
    look, values = ["list", "formats", "show", "explain"], ["encode", "decode"]
    kernels = ["check", "gen", "golden", "export", "conformance"]
    models = ["scan", "quantize", "dequantize", "evaluate", "sensitivity", "allocate", "run"]
    assert {*VERBS, *LATER_VERBS} == {*look, *values, *kernels, "prove", *models, "doctor"}
    assert not set(VERBS) & set(LATER_VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_takes_an_old_option_and_the_new_ones_are_there(lowbit, verb):
    page = lowbit(verb, "--help").out
    words = {word.strip("[],=") for word in page.split()}
    assert not words & ({*OLD_OPTIONS[""], *OLD_OPTIONS.get(verb, {})})
    assert set(OLD_OPTIONS.get(verb, {}).values()) <= words


def test_options_are_not_abbreviated(lowbit):
    """Or an old --result would be a new --results."""
    result = lowbit("formats", "--fam", "int")
    assert result.status == 2
    assert "--fam" in result.err


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("prove exp --scale 0.05 --length 4", "--scheme ivit"),
        ("gen requantize --n 1", "--scheme tflite_double"),
        ("gen logistic --scale 0.05 --n 1", "--scheme tflite_int8"),
    ],
)
def test_a_default_that_decides_the_results_is_said(lowbit, words, note):
    result = lowbit(*words.split())
    assert result.status == 0, result.err
    assert f"note: {note} is taken, the default" in result.err
    scheme = note.split()[1]
    assert "note:" not in lowbit(*words.split(), "--scheme", scheme).err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("check softmax --scheme ivit --so f.so:f", "--scale 0.05, say"),
        ("prove gelu --scheme lowbit", "--scale 0.05, say"),
        ("prove softmax --scheme tflite_int16 --scale 0.1 --to int8", "--to int8: softmax under tflite_int16"),
        ("prove softmax --scale 0.1 --k 3", "--k is for an accumulator, not for `lowbit prove softmax`"),
        ("prove int32 --length 3", "--length is for a nonlinearity, not for `lowbit prove int32`"),
        ("prove softmax --scheme ivit --scale 0.1 --from float8_e4m3fn", "--from float8_e4m3fn: integer codes"),
        ("prove softmax --scheme ivit --scale 0.1 --length 0", "--length 0 is not"),
        ("gen gemm --to int8", "requantize, linear, conv, quantize and nonlinearities, not for `gen gemm`"),
        ("check gemm --to int8", "--to is for conversions"),
        ("check requantize --to float8_e4m3fn", "--to float8_e4m3fn is not a format of a requantisation"),
    ],
)
def test_messages_name_the_options_of_the_verb(lowbit, words, part):
    result = lowbit(*words.split())
    assert result.status == 2
    assert part in result.err
    assert "scale=" not in result.err
