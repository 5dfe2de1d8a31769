"""A model that is measured and applied: what is copied, what is refused, and journals of something else."""

import json
import os

import numpy as np
import pytest

from lowbit.allocate.model import problem_of, write_applied
from lowbit.allocate.sensitivity import Settings, measure, measure_model, read_header
from lowbit.allocate.sensitivity.stored_weights import stored_format
from lowbit.allocate.solver import solve
from lowbit.errors import InputError


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.fixture
def model(tmp_path):
    weights = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]},
        "other": {"dtype": "F4", "shape": [2, 2], "data_offsets": [128, 130]},
        "none": {"dtype": "F8_E8M0", "shape": [0], "data_offsets": [130, 130]},
    }
    return write(tmp_path / "model.safetensors", header, weights.tobytes() + b"\x12\x34")


def test_what_is_not_quantised_is_copied_whatever_it_is(model, tmp_path):
    measured = measure_model(model, Settings(("int4", "int8"), group=4))
    plan = solve(problem_of(measured))
    output = tmp_path / "applied.safetensors"
    write_applied(model, measured, plan, output)
    file = read_header(output)
    assert file.metadata == {"format": "pt"}
    assert file.raw("other").tobytes() == b"\x12\x34"
    assert file.entries["other"].dtype == "F4"
    assert file.entries["none"].size == 0


def test_the_model_is_not_overwritten(model, tmp_path):
    measured = measure_model(model, Settings(("int4",), group=4))
    before = model.read_bytes()
    link = tmp_path / "link.safetensors"
    link.symlink_to(model)
    for output in (model, link):
        with pytest.raises(InputError, match="is the model itself"):
            write_applied(model, measured, solve(problem_of(measured)), output)
    with pytest.raises(InputError, match="directory"):
        write_applied(model, measured, solve(problem_of(measured)), tmp_path)
    assert model.read_bytes() == before
    assert not list(tmp_path.glob("*.new"))


def test_values_beyond_their_dtype_are_not_written_as_infinity(tmp_path):
    weights = np.full((1, 2), 65504, np.float16)  # the scale is rounded up: 7 times 9360 is 65520
    header = {"a": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}}
    model = write(tmp_path / "model.safetensors", header, weights.tobytes())
    measured = measure_model(model, Settings(("int4",), scale_format="float16"))
    with pytest.raises(InputError, match="beyond float16"):
        write_applied(model, measured, solve(problem_of(measured)), tmp_path / "applied.safetensors")
    assert not (tmp_path / "applied.safetensors").exists()


@pytest.mark.parametrize("group", [8, 9, 10**6, 10**25])
def test_a_group_longer_than_the_row_is_the_row(group):
    weights = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    assert measure(weights, stored_format("int4", group)) == measure(weights, stored_format("int4", 0))


def test_other_inputs_are_another_measurement(tmp_path, model):
    inputs, journal = tmp_path / "inputs.npz", tmp_path / "journal"
    np.savez(inputs, a=np.ones((3, 8)))
    settings = Settings(("int4",), group=4, inputs=str(inputs))
    measure_model(model, settings, journal=journal)
    np.savez(inputs, a=np.eye(8))
    os.utime(inputs, ns=(1, 1))
    with pytest.raises(InputError, match="other inputs"):
        measure_model(model, settings, journal=journal)


@pytest.mark.parametrize("line", [b"{}\n", b"[]\n", b"7\n", b'{"name": "a", "result": [{}]}\n'])
def test_a_journal_with_foreign_lines_is_refused(tmp_path, model, line):
    journal = tmp_path / "journal"
    settings = Settings(("int4",), group=4)
    measure_model(model, settings, journal=journal)
    journal.write_bytes(journal.read_bytes() + line)
    with pytest.raises(InputError, match="not a journal"):
        measure_model(model, settings, journal=journal)


def test_a_journal_that_cannot_be_written(tmp_path, model):
    settings = Settings(("int4",), group=4)
    for journal in (tmp_path, tmp_path / "none" / "journal"):
        with pytest.raises(InputError, match="cannot be"):
            measure_model(model, settings, journal=journal)
