"""What ``sensitivity`` and ``allocate`` say of a checkpoint's tensors, and what their files hold."""

import json

import ml_dtypes
import numpy as np
import pytest

import lowbit as library
from lowbit.allocate.sensitivity import Settings, measure_model, read_header
from lowbit.files.safetensors import DTYPES, Entry, write_tensors

FORMATS = ("--formats", "int4,int8", "--group", "16")


def checkpoint(path, *tensors):
    """A file of (name, dtype, shape): small numbers, or bytes of 0 where the dtype is of less than a byte."""
    generator = np.random.default_rng(5)
    entries, arrays, start = [], [], 0
    for name, dtype, shape in tensors:
        size = int(np.prod(shape))
        if dtype in DTYPES:
            array = generator.standard_normal(shape).astype(np.float32).astype(DTYPES[dtype])
        else:
            size = size * int(dtype[1]) // 8
            array = np.zeros(size, np.uint8)
        entries.append(Entry(name, dtype, shape, start, start + size))
        arrays.append(array)
        start += size
    write_tensors(path, entries, arrays)
    return path


@pytest.mark.parametrize(
    ("scale", "weight"),
    [
        ("a.weight_scale", "a.weight"),
        ("a.weight_scale_inv", "a.weight"),
        ("a.weight_scale_2", "a.weight"),
        ("a.input_scale", "a.weight"),
        ("a.scales", "a.qweight"),
        ("a.zeros", "a.qweight"),
        ("a.weight_zero_point", "a.weight_packed"),
        ("a.weight.absmax", "a.weight"),
        ("w_scale", "w"),
    ],
)
def test_scales_are_not_layers(tmp_path, scale, weight):
    path = checkpoint(tmp_path / "m", (weight, "F32", (4, 32)), (scale, "F32", (4, 2)))
    measured = measure_model(path, Settings(("int4",), 16))
    assert [layer.name for layer in measured.layers] == [weight]
    ((name, reason),) = [(item.name, item.reason) for item in measured.left_out]
    assert (name, reason) == (scale, "it holds scales or zero points of another tensor")


def test_a_weight_that_is_called_scale_is_a_layer_where_nothing_is_beside_it(tmp_path):
    path = checkpoint(tmp_path / "m", ("film.scale", "F32", (4, 32)), ("upscale.weight", "F32", (4, 32)))
    measured = measure_model(path, Settings(("int4",), 16))
    assert len(measured.layers) == 2


def test_every_tensor_is_a_layer_or_has_a_reason(lowbit, tmp_path):
    path = checkpoint(
        tmp_path / "m.safetensors",
        ("block.weight", "BF16", (4, 32)),
        ("fp8.weight", "F8_E4M3", (4, 32)),
        ("fp8.weight_scale_inv", "F32", (1, 1)),
        ("bare.weight", "F8_E5M2", (4, 32)),
        ("packed.weight", "F4", (4, 16)),
        ("exponents", "F8_E8M0", (4, 16)),
        ("ids", "I64", (4, 4)),
        ("bias", "F32", (4,)),
        ("norm.weight", "F32", (4, 4)),
        ("nothing", "F32", (0, 4)),
    )
    result = lowbit("sensitivity", path, *FORMATS)
    assert result.status == 0, result.err
    told = " ".join(result.out.split())
    for words in (
        "its values need the scales in fp8.weight_scale_inv, which are not applied: dequantise it first: fp8.weight",
        "8-bit floats without scales beside them are measured by the values that they hold: bare.weight",
        "its dtype F4 cannot be read: packed.weight",
        "F8_E8M0 is a type of scales, not of weights: exponents",
        "I64 is not a floating-point type: ids",
        "it has fewer than two axes: bias",
        "its name matches --exclude: norm.weight",
        "it is empty: nothing",
        "it holds scales or zero points of another tensor: fp8.weight_scale_inv",
    ):
        assert words in told
    document = lowbit("sensitivity", path, *FORMATS, "--output-format", "json").json
    layers, left_out = (
        {item[key] for item in document[part]} for part, key in (("layers", "layer"), ("left_out", "tensor"))
    )
    assert layers | left_out == set(read_header(path).entries)
    assert not layers & left_out
    assert document["unscaled"] == ["bare.weight"]


def test_no_layer_at_all_says_why(lowbit, tmp_path):
    path = checkpoint(tmp_path / "m", ("norm.weight", "F32", (4, 4)), ("bias", "F32", (4,)))
    result = lowbit("sensitivity", path, *FORMATS)
    assert result.status == 2
    assert "its name matches --exclude" in result.err
    assert "it has fewer than two axes" in result.err


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_apply_keeps_the_dtype_and_rounds_to_it(lowbit, tmp_path, dtype):
    path = checkpoint(tmp_path / "m", ("a.weight", dtype, (4, 32)), ("bias", "F16", (4,)))
    applied, plan = tmp_path / "applied", tmp_path / "plan.json"
    words = ("--budget", "avg_bits=6", "--no-more", "--apply", applied, "--output", plan)
    result = lowbit("allocate", "--model", path, *FORMATS, *words)
    assert result.status == 0, result.err
    assert f"written: {plan}\nwritten: {applied}\n" in result.err
    before, after = read_header(path), read_header(applied)
    assert {name: (entry.dtype, entry.shape) for name, entry in after.entries.items()} == {
        name: (entry.dtype, entry.shape) for name, entry in before.entries.items()
    }
    assert applied.stat().st_size == path.stat().st_size
    assert np.array_equal(after.raw("bias"), before.raw("bias"))
    difference = after.tensor("a.weight").astype(float) - before.tensor("a.weight").astype(float)
    assert 0 < np.abs(difference).max() < 0.4


def test_values_are_rounded_once(tmp_path):
    """bfloat16 from binary64 by way of binary32 is rounded twice: 1 + 2^-8 + 2^-30 would become 1."""
    from lowbit.allocate.model import _in_dtype

    values = np.array([[1 + 2.0**-8 + 2.0**-30, 1 + 2.0**-8]])
    rounded = _in_dtype(values, Entry("w", "BF16", (1, 2), 0, 4))
    assert rounded.dtype == ml_dtypes.bfloat16
    assert rounded.astype(float).tolist() == [[1 + 2.0**-7, 1.0]]
    with pytest.raises(library.InputError, match="beyond float16"):
        _in_dtype(np.array([[1e6]]), Entry("w", "F16", (1, 1), 0, 2))


def test_a_plan_records_what_was_measured(lowbit, tmp_path):
    path = checkpoint(
        tmp_path / "m", ("a.weight", "F32", (4, 32)), ("b.weight", "F32", (4, 32)), ("norm", "F32", (4, 4))
    )
    plan = tmp_path / "plan.json"
    words = ("--scale-format", "bfloat16", "--score", "squared_error", "--budget", "avg_bits=7", "--no-more")
    result = lowbit("allocate", "--model", path, *FORMATS, *words, "--output", plan)
    assert result.status == 0, result.err
    document = json.loads(plan.read_text())
    model = document["model"]
    assert (model["group"], model["scale_format"], model["score"]) == (16, "bfloat16", "squared_error")
    assert model["formats"] == ["int4", "int8"]
    assert model["left_out"] == [
        {"tensor": "norm", "dtype": "F32", "shape": [4, 4], "reason": "its name matches --exclude"}
    ]
    for budget in document["budgets"]:
        assert isinstance(budget["used"], int | float)
    jsonschema = pytest.importorskip("jsonschema")
    from pathlib import Path

    schema = json.loads((Path(library.__file__).parent / "allocate" / "plan.schema.json").read_text())
    jsonschema.validate(document, schema)
