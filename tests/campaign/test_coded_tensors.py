"""Matrices that a method has quantised: inputs that were scaled or reordered, there and back, and damaged."""

import json
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.errors import InputError
from lowbit.files.own_tensors import KEY
from lowbit.files.parts import CodedTensor
from lowbit.files.safetensors import Entry, read_header, write_tensors

GENERATOR = np.random.default_rng(11)
WEIGHTS = GENERATOR.normal(size=(12, 64)).astype(np.float32)
SCALE = np.exp(GENERATOR.normal(size=64))
ORDER = GENERATOR.permutation(64)
CHANGED = {"input_scale": (SCALE, WEIGHTS * SCALE), "input_order": (ORDER, WEIGHTS[:, ORDER])}
"""The vector that is stored, and the matrix that is quantised."""


def write(path, tensors, metadata=None):
    names = {"float32": "F32", "float64": "F64", "uint8": "U8", "int64": "I64", "float16": "F16"}
    entries = [Entry(name, names[array.dtype.name], array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values(), metadata)
    return path


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model", {"a.weight": WEIGHTS, "b.weight": WEIGHTS})


def coded(kind, name="int4.g32"):
    vector, matrix = CHANGED[kind]
    return CodedTensor(lowbit.quantize(matrix, name, axis=1), (kind, vector))


@pytest.mark.parametrize("kind", CHANGED)
@pytest.mark.parametrize(("dtype", "bits"), [("float32", 24), ("bfloat16", 8), ("float16", 11)])
def test_values_are_those_of_the_matrix_as_it_was_rounded_once(model, tmp_path, kind, dtype, bits):
    item = coded(kind)
    converted = quantize_file(
        model, tmp_path / "q", dict.fromkeys(("a.weight", "b.weight"), "int4.g32"), coded={"a.weight": item}
    )
    assert converted.container == "lowbit"
    assert "no place for factors or an order" in converted.notes[0]
    dequantize_file(tmp_path / "q", tmp_path / "values", dtype=dtype)
    back = read_header(tmp_path / "values").tensor("a.weight")
    wide = lowbit.dequantize(item.tensor, dtype=np.float64)
    for row, column in [(0, 0), (3, 17), (11, 63), *GENERATOR.integers(0, (12, 64), (40, 2)).tolist()]:
        if kind == "input_scale":
            exact = Fraction(wide[row, column] / SCALE[column])
        else:
            exact = Fraction(wide[row, list(ORDER).index(column)])
        assert Fraction(float(back[row, column])) == nearest(exact, bits)
    plain = read_header(tmp_path / "values").tensor("b.weight")
    values = lowbit.dequantize(lowbit.quantize(WEIGHTS, "int4.g32"))
    assert np.array_equal(plain, values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype))


def nearest(value, bits):
    """A fraction to ``bits`` bits, a tie to the even one; no value here is subnormal."""
    if not value:
        return value
    unit = Fraction(1)
    while abs(value) / unit >= 2**bits:
        unit *= 2
    while abs(value) / unit < 2 ** (bits - 1):
        unit /= 2
    return round(value / unit) * unit


def test_compressed_tensors_has_no_place_for_them(model, tmp_path):
    with pytest.raises(InputError, match=r"tensor 'a.weight'.*has no place for factors"):
        quantize_file(
            model,
            tmp_path / "q",
            dict.fromkeys(("a.weight", "b.weight"), "int4.g32"),
            container="compressed_tensors",
            coded={"a.weight": coded("input_order")},
        )
    assert not (tmp_path / "q").exists()


def test_codes_alone_go_where_quantize_puts_them(model, tmp_path):
    """One code is another one: those that are given are written."""
    tensor = lowbit.quantize(WEIGHTS, "int4.g32", axis=1)
    tensor.codes[5, 6] = -tensor.codes[5, 6] or 1
    converted = quantize_file(model, tmp_path / "q", {"a.weight": "int4.g32"}, coded={"a.weight": CodedTensor(tensor)})
    assert converted.container == "compressed_tensors"
    dequantize_file(tmp_path / "q", tmp_path / "values", dtype="float32")
    assert np.array_equal(read_header(tmp_path / "values").tensor("a.weight"), lowbit.dequantize(tensor))


@pytest.mark.parametrize("kind", CHANGED)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (np.zeros_like, "damaged"),
        (lambda vector: vector[:-1], "is .*, not"),
        (None, "is missing"),
    ],
)
def test_damaged_vectors_are_refused_in_words(model, tmp_path, kind, damage, words):
    quantize_file(model, tmp_path / "q", {"a.weight": "int4.g32"}, coded={"a.weight": coded(kind)})
    file = read_header(tmp_path / "q")
    tensors = {name: np.array(file.tensor(name)) for name in file.entries}
    vector = tensors.pop(f"a.weight.{kind}")
    if damage is not None:
        tensors[f"a.weight.{kind}"] = damage(vector)
    path = write(tmp_path / "damaged", tensors, file.metadata)
    with pytest.raises(InputError, match=words):
        dequantize_file(path, tmp_path / "values")
    assert not (tmp_path / "values").exists()


def test_an_unknown_change_is_refused(model, tmp_path):
    quantize_file(model, tmp_path / "q", {"a.weight": "int4.g32"}, coded={"a.weight": coded("input_scale")})
    file = read_header(tmp_path / "q")
    metadata = {KEY: file.metadata[KEY].replace("input_scale", "input_square")}
    assert json.loads(metadata[KEY])
    path = write(tmp_path / "damaged", {name: np.array(file.tensor(name)) for name in file.entries}, metadata)
    with pytest.raises(InputError, match="input_square"):
        dequantize_file(path, tmp_path / "values")
