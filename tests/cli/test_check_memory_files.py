"""Addresses, holes and unknown digits of ``.hex`` files, through every verb that reads them."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import lowbit.check

CAST = ("encode", "--from", "float16", "--to", "float8_e4m3fn")
OPERATIONS = {
    "gemm": (),
    "requantize": ("--scheme", "single_up"),
    "softmax": ("--scheme", "lowbit", "--scale", "0.1"),
    "gelu": ("--scheme", "lowbit", "--scale", "0.1"),
}
RANDOM = ("--set", "random", "--n", "3", "--seed", "3")


def conversion_results(lowbit, tmp_path):
    """The inputs' option and the right results."""
    path = tmp_path / "vectors.npy"
    assert lowbit("gen", *CAST, "--expected", "--layout", "npy", "-o", path).status == 0
    return CAST, np.load(path)["expected"]


def operation_results(lowbit, tmp_path, name):
    path = tmp_path / "cases.npz"
    words = (name, *OPERATIONS[name], *RANDOM)
    assert lowbit("gen", *words, "-o", path).status == 0
    with np.load(path) as arrays:
        cases = [arrays[key].reshape(-1) for key in arrays.files if key.endswith(".expected")]
    return words, np.concatenate(cases)


# Where a nonlinearity's results are wrong, all its schemes are tried.
LONGER = ("softmax", "gelu")


@pytest.fixture(
    params=["cast", *(pytest.param(name, marks=pytest.mark.slow if name in LONGER else ()) for name in OPERATIONS)]
)
def checked(request, lowbit, tmp_path):
    """``checked(writes)`` checks a file of (address, result or text) pairs; ``checked.results`` are right."""
    if request.param == "cast":
        words, results = conversion_results(lowbit, tmp_path)
    else:
        words, results = operation_results(lowbit, tmp_path, request.param)

    def run(writes, *options):
        bits = 8 * results.itemsize
        file = tmp_path / "results.hex"
        lines = (
            f"@{place:x} {word if isinstance(word, str) else format(int(word) % (1 << bits), f'0{bits // 4}x')}"
            for place, word in writes
        )
        file.write_text("\n".join(lines))
        return lowbit("check", *words, "--results", file, *options)

    run.results = results
    return run


def test_words_in_any_order_are_where_their_addresses_say(checked):
    places = np.random.default_rng(1).permutation(len(checked.results))
    assert checked([(place, checked.results[place]) for place in places]).status == 0


def test_results_at_the_wrong_addresses_are_a_mismatch(checked):
    assert checked(enumerate(checked.results[::-1])).status == 1


@pytest.mark.parametrize("unwritten", ["a hole", "unknown digits", "the end"])
def test_what_was_not_written_is_a_mismatch_and_told(checked, unwritten):
    count = len(checked.results)
    # Results of 0 are left out: whatever stands where nothing was written, it must not pass for them.
    zeros = [row for row in range(count) if not checked.results[row]][:5]
    rows = {0, 1, *zeros} if unwritten != "the end" else {count - 2, count - 1}
    writes = [(row, word) for row, word in enumerate(checked.results) if row not in rows]
    if unwritten == "unknown digits":
        writes += [(row, "xx") for row in rows]
    result = checked(writes, "--max-errors", "all", "--output-format", "json")
    assert result.status == 1
    jsonschema.validate(
        result.json,
        json.loads(Path(lowbit.check.__file__).with_name("report").joinpath("report.schema.json").read_text()),
    )
    one = result.json["results"][0]
    assert one["differences"] == len(rows)
    assert not one["complete"]
    assert f"but {len(rows)} of {count:,} results were not written" in one["words"]
    assert {example["got"] for group in one["groups"] for example in group["examples"]} == {None}
    text = checked(writes)
    assert text.status == 1
    assert "not written\n" in text.out
    assert text.lines[-1].startswith(f"MISMATCH: {len(rows)} of {count:,} vectors differ; the first one: lowbit ")


def test_holes_beside_wrong_results(checked):
    wrong = [(row, int(word) ^ 1) for row, word in enumerate(checked.results) if row]
    result = checked(wrong, "--output-format", "json")
    assert result.status == 1
    assert result.json["results"][0]["differences"] == len(checked.results)
    # What a conversion makes of the inputs of a kind, all wrong in one way, is told before what is left.
    left = result.json["results"][0]["words"].partition("; but ")[2]
    assert f"1 of {len(checked.results):,} results was not written" in left


@pytest.mark.parametrize("place", [0, 0xFFFFFFFFFFFF])
def test_results_beyond_the_last_input(checked, place):
    """One beyond the last, and one beyond every memory."""
    place = place or len(checked.results)
    result = checked([*enumerate(checked.results), (place, 0)])
    assert result.status == 4
    assert f"holds results up to row {place} (@{place:x})" in result.err


def test_nothing_but_unknown_digits(checked):
    result = checked([(row, "x") for row in range(len(checked.results))], "--output-format", "json")
    assert result.status == 1
    assert result.json["results"][0]["differences"] == len(checked.results)
    assert result.json["results"][0]["words"].startswith(("wrote nothing; but", "gives no codes: "))


def test_addresses_of_inputs(lowbit, tmp_path):
    inputs, results = tmp_path / "inputs.hex", tmp_path / "results.hex"
    words = ("check", "encode", "--to", "float8_e4m3fn", "--inputs", inputs, "--results", results)
    results.write_text("38 40 30\n")
    inputs.write_text("@2 3f00_0000 @0 3f800000 /* 1.0 */ 40000000 // 2.0\n")
    assert lowbit(*words).status == 0
    inputs.write_text("@1 3f800000 40000000\n")
    hole = lowbit(*words)
    assert hole.status == 2
    assert "the word at address 0x0 is missing" in hole.err
    inputs.write_text("3f800000 4000000x 3f000000\n")
    assert "the word at address 0x1 is unresolved (x or z)" in lowbit(*words).err
    inputs.write_text("@ffffffffffff 3f800000\n")
    assert lowbit(*words).status == 2
