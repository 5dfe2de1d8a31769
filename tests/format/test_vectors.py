"""Tables of vectors as elements of block formats: lists of one's own, pyramids, files, and what is refused."""

import itertools
import json
import pickle
import tomllib
from fractions import Fraction
from math import comb

import jsonschema
import numpy as np
import pytest

import lowbit
from lowbit.errors import FormatError, InputError, LowbitError
from lowbit.exact import finite
from lowbit.format.block import ScaleField
from lowbit.format.registry import data_directory
from lowbit.format.vector import pyramid, pyramid_values
from lowbit.quantizers import METHODS
from lowbit.quantizers.pyramid import vector_count, vector_indices

FILE = """\
id = "own_pairs"
kind = "vector"
bits = 2
values = [[0, 0], [1, 0.5], [-1, 2]]

[defaults]
policy = "ocp_sat"

[facts]
max = "2"
vectors = "3"
dimension = "2"
"""
PYRAMID = FILE[: FILE.index("values")].replace("pairs", "pyramid").replace("bits = 2", "bits = 7") + (
    '[pyramid]\ndimension = 8\npulses = 2\n[defaults]\npolicy = "ocp_sat"\n[facts]\nvectors = "128"\n'
)


def e8_roots():
    """The 240 vectors of the lattice E8 of squared length 2 (Conway and Sloane, Sphere Packings, chapter 4, 8.1)."""
    for first, second in itertools.combinations(range(8), 2):
        for signs in itertools.product((1, -1), repeat=2):
            vector = [0.0] * 8
            vector[first], vector[second] = signs
            yield vector
    yield from (list(signs) for signs in itertools.product((0.5, -0.5), repeat=8) if sum(x < 0 for x in signs) % 2 == 0)


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(json.loads((data_directory("formats") / "schema.json").read_text()))


@pytest.mark.parametrize("text", [FILE, PYRAMID], ids=["values", "pyramid"])
def test_a_file_of_ones_own(text, tmp_path, validator):
    path = tmp_path / "own.toml"
    path.write_text(text)
    validator.validate(tomllib.loads(text))
    fmt = lowbit.load_format(path)
    assert fmt.kind == "vector"
    assert lowbit.get_format(fmt.id) is fmt
    assert fmt.id in lowbit.formats(kind="vector")
    assert fmt.id not in lowbit.formats(kind="scalar")
    blocks = lowbit.get_format(f"{fmt.id}.g16")
    assert blocks.bits_per_value == Fraction(fmt.bits, fmt.dimension) + 1
    values = np.random.default_rng(1).normal(size=(2, 32)).astype(np.float32)
    tensor = lowbit.quantize(values, blocks)
    assert tensor.codes.shape == (2, 32 // fmt.dimension)
    vectors = np.array([[float(x.fraction()) for x in fmt.vector(code)] for code in fmt.codes])
    scales = np.repeat(tensor.scales["block"].astype(np.float64), 16, axis=1)
    assert np.array_equal(lowbit.dequantize(tensor, dtype=np.float64), vectors[tensor.codes].reshape(2, 32) * scales)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("values = [[0, 0], [1, 0.5], [-1, 2, 3]]", "vectors of 2 and 3 numbers"),
        ("values = [[0], [1]]", "vectors of 1 numbers"),
        ("values = []", "0 vectors for 2"),
        ("values = [[0, 0], [1, nan]]", "not a finite number"),
        ("values = [[0, 0], [1, 1e300]]", "beyond 2"),
        ("values = [[0, 0], 1]", r"values\[1\]: 1 is not a list of numbers"),
        ("values = [[0, 0], [0, 0]]", "no number differs from zero"),
        ("values = [[0, 1], [1, 1], [1, 2], [1, 3], [1, 4]]", "5 vectors for 2"),
        ("values = [[0, 0], [1, 2]]", "facts.vectors = '3'"),
        ("values = [[0, 0], [1, 2]]\n[pyramid]\ndimension = 2\npulses = 1", "a pyramid has its vectors from"),
        ("[pyramid]\ndimension = 2\npulses = 0", "0 is outside 1..256"),
        ("[pyramid]\ndimension = 64\npulses = 9", "has more than 65536 vectors"),
    ],
)
def test_files_that_contradict_themselves(change, message, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(FILE.replace("values = [[0, 0], [1, 0.5], [-1, 2]]", change))
    with pytest.raises(FormatError, match=message):
        lowbit.load_format(path)


@pytest.mark.parametrize(("dimension", "pulses"), [(1, 3), (2, 3), (4, 2), (5, 4), (8, 2), (3, 0)])
def test_pyramids(dimension, pulses):
    vectors = list(pyramid(dimension, pulses))
    assert all(sum(map(abs, vector)) == pulses for vector in vectors)
    assert len(set(vectors)) == len(vectors) == vector_count(dimension, pulses)
    assert vector_indices(vectors).tolist() == list(range(len(vectors)))
    # Fischer 1986: so many places differ from zero, with pulses shared among them, and a sign each.
    shares = (comb(dimension, k) * comb(pulses - 1, k - 1) * 2**k for k in range(1, min(dimension, pulses) + 1))
    assert len(vectors) == (sum(shares) if pulses else 1)
    if dimension > 1 and pulses:
        assert pyramid_values(dimension, pulses)[0] == tuple(map(finite, vectors[0]))


def test_points_of_a_lattice():
    roots = np.array(list(e8_roots()))
    assert roots.shape == (240, 8)
    fmt = lowbit.block_format(lowbit.vector_format(roots, id="e8_roots"), block=16)
    assert fmt.bits_per_value == 1 + 1
    # Beside a root of integers, which makes the scale 1, every root and what is near it has the code of the root.
    apart = np.random.default_rng(2).uniform(-0.2, 0.2, roots.shape)  # less than half of the distance of two roots
    apart[np.abs(roots) == 1] = 0
    values = np.concatenate([np.tile(roots[0], (240, 1)), roots + apart], axis=1)
    tensor = lowbit.quantize(values, fmt)
    assert tensor.codes.tolist() == [[0, code] for code in range(240)]
    assert np.array_equal(lowbit.dequantize(tensor)[:, 8:], roots)
    assert lowbit.quantize(np.zeros(16), fmt).codes.tolist() == [0, 0]  # 240 vectors are equally near


def test_a_grid_of_eight_magnitudes_a_code():
    grid = np.random.default_rng(3).choice([8.0, 25.0, 43.0], size=(256, 8))  # as ggml's IQ2_XXS has
    fmt = lowbit.block_format(lowbit.vector_format(grid), block=32)
    assert fmt.element.signed is False
    tensor = lowbit.quantize(np.tile(grid.ravel(), 2) / 43 * 8, fmt)
    assert tensor.bits_per_value == 1 + Fraction(16, 32)
    assert np.allclose(lowbit.dequantize(tensor), np.tile(grid.ravel(), 2) / 43 * 8, rtol=1e-2)


def test_a_list_of_ones_own():
    fmt = lowbit.vector_format([[0, 1], [1, -0.0], [-2, 0.5]])
    assert (fmt.id, fmt.bits, fmt.dimension, len(fmt.codes)) == ("custom_vector2x2", 2, 2, 3)
    assert fmt.vector(1) == (finite(1), finite(0))
    assert (str(fmt.component.max), str(fmt.component.min)) == ("1", "-2")
    assert pickle.loads(pickle.dumps(fmt)) == fmt
    block = lowbit.block_format(fmt, block=(2, 4), scale="float8_e4m3fn", tensor="float32")
    assert block.id == "custom_vector2x2.2x4.float8_e4m3fn.tensor.float32"
    assert pickle.loads(pickle.dumps(block)) == block


@pytest.mark.parametrize(
    ("values", "message"),
    [(3, "not a list of vectors"), ([1, 2], "not a list of vectors"), ([["a", 1]], "'a', in the vector of code 0")],
)
def test_lists_that_are_refused(values, message):
    with pytest.raises(FormatError, match=message):
        lowbit.vector_format(values)


PAIRS = lowbit.vector_format([[0, 1], [1, 0], [-2, 0.5]], id="three_pairs")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"block": 3}, "rows of 3 values are not whole vectors of 2"),
        ({"block": (2, 5)}, "not whole vectors"),
        ({"block": 4, "asymmetric": "int8"}, "scale 'zero_point': the role 'zero_point' is for elements of one value"),
        (
            {"block": 4, "offset": True},
            "of one value, and three_pairs has vectors of 2",
        ),
    ],
)
def test_block_formats_that_are_refused(parts, message):
    with pytest.raises(FormatError, match=message):
        lowbit.block_format(PAIRS, **parts)


def test_vectors_do_not_divide_an_axis():
    with pytest.raises(InputError, match="codes of 2 values, which do not divide an axis of 5"):
        lowbit.quantize(np.ones(5), lowbit.block_format(PAIRS, block=2), policy=lowbit.BlockPolicy(tail="short"))


@pytest.mark.parametrize(
    "call",
    [
        lambda: lowbit.encode([1.0], PAIRS),
        lambda: lowbit.decode([1], PAIRS),
        lambda: lowbit.convert([1], PAIRS, "float32"),
        lambda: lowbit.block_format("int4", scale=PAIRS),
        lambda: lowbit.quantize([1.0], PAIRS),
        lambda: lowbit.ordinal([1], PAIRS),
    ],
)
def test_functions_of_single_numbers_say_so(call):
    with pytest.raises(LowbitError, match=r"three_pairs is not a (scalar|block) format"):
        call()


def test_codes_of_a_tensor():
    fmt = lowbit.block_format(PAIRS, block=4)
    scales = {"block": np.ones((1, 2), np.float16)}
    tensor = lowbit.BlockTensor(fmt, (1, 8), 1, np.array([[0, 1, 2, 1]], np.uint8), scales)
    assert lowbit.dequantize(tensor).tolist() == [[0, 1, 1, 0, -2, 0.5, 1, 0]]
    for codes, message in (([[0] * 8], r"the tensor \(1, 8\), whose codes have \(1, 4\)"), ([[0, 1, 3, 1]], "0x3")):
        with pytest.raises(InputError, match=message):
            lowbit.BlockTensor(fmt, (1, 8), 1, np.array(codes, np.uint8), scales)


def test_packed_codes():
    codes = np.array([0, 1, 2, 1, 0], np.uint8)
    packed = lowbit.pack(codes, PAIRS)
    assert packed.tolist() == [0b01100100, 0]
    assert lowbit.unpack(packed, PAIRS, count=5).tolist() == codes.tolist()
    with pytest.raises(InputError, match="not a code of three_pairs"):
        lowbit.unpack(np.array([0xFF], np.uint8), PAIRS)


def test_exponents_below_a_scale_are_of_single_values():
    scale = ScaleField("block", lowbit.get_format("float16"), (8,))
    below = ScaleField("fours", lowbit.get_format("uint1"), (4,), "exponent")
    with pytest.raises(FormatError, match="'fours': the role 'exponent' is for elements of one value"):
        lowbit.BlockFormat(id="mine", element=PAIRS, block=(8,), scales=(scale, below))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_quantisers_take_vectors_or_say_why_not(name):
    drawn = np.random.default_rng(4)
    weights, activations = drawn.normal(size=(8, 64)), drawn.normal(size=(16, 64))
    result, hint = None, ""
    try:
        result = getattr(lowbit.quantizers, name)(weights, activations, to="pyramid8_2.g32")
    except LowbitError as error:
        hint = error.hint
    if result is None:
        assert hint
    else:
        assert 0 < result.error(weights) < 0.6
        assert result.tensor.format.element.id == "pyramid8_2"
