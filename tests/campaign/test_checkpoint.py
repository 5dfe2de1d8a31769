"""Checkpoints into block formats and back: the bits of quantize and dequantize, and clear words on damaged files."""

import json
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.errors import InputError
from lowbit.files.safetensors import DTYPES, Entry, read_header, write_tensors
from lowbit.policy.block import get_block_policy

GENERATOR = np.random.default_rng(7)
WEIGHTS = {
    "model.a.weight": GENERATOR.normal(size=(48, 64)).astype(np.float16),
    "model.b.weight": GENERATOR.standard_t(2, size=(32, 128)).astype(ml_dtypes.bfloat16),
}
OTHERS = {
    "model.norm.weight": np.ones(64, np.float16),
    "lm_head.weight": GENERATOR.normal(size=(8, 64)).astype(np.float32),
    "steps": np.array(3, np.int64),
}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
THERE = {
    "nvfp4": "nvfp4-pack-quantized",
    "mxfp4": "mxfp4-pack-quantized",
    "mxfp6_e2m3": "mxfp6-pack-quantized",
    "mxfp8_e4m3": "mxfp8-quantized",
    "fp8_128x128": "float-quantized",
    "float8_e4m3fn.channel.bfloat16": "float-quantized",
    "float8_e4m3fn.tensor.float32": "float-quantized",
    "float8_e4m3fn.g32": "float-quantized",
    "int8.channel": "pack-quantized",
    "int8.tensor": "pack-quantized",
    "int4.g32": "pack-quantized",
    "int4.g32.asymmetric": "pack-quantized",
    "uint4.channel.asymmetric.float32": "pack-quantized",
    "int4.tensor.asymmetric": "pack-quantized",
    "uint8.tensor.asymmetric": "pack-quantized",
    "int3.g64": "pack-quantized",
}
OWN = ["nf4.g64", "nf4.g64.nested", "nf3.g32", "float4_e2m1fn.g32.by_sign", "bnb_fp4.g64.float32"]
OWN += [
    name
    for name in lowbit.formats(kind="block")
    if name not in {*THERE, "nvfp4_reciprocal"} and max(lowbit.get_format(name).block, default=0) <= 64  # as rows are
]


def write(path, tensors, metadata=None):
    entries = [Entry(name, NAMES[array.dtype], array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values(), metadata)
    return path


@pytest.fixture
def model(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "config.json").write_text('{"model_type": "llama"}')
    return write(tmp_path / "in" / "model.safetensors", WEIGHTS | OTHERS, {"format": "pt"})


@pytest.fixture
def quantized(model, tmp_path):
    return tmp_path / "out" / "quantized.safetensors"


@pytest.fixture
def values(tmp_path):
    return tmp_path / "values.safetensors"


def bits(array):
    return np.asarray(array).view(f"u{array.itemsize}").tolist()


@pytest.mark.parametrize("name", [*THERE, *OWN])
def test_there_and_back(model, quantized, values, name):
    converted = quantize_file(model, quantized, name, threads=2)
    assert converted.container == ("compressed_tensors" if name in THERE else "lowbit")
    assert ("lowbit's own" in "".join(converted.notes)) == (name in OWN)
    assert [tensor.name for tensor in converted.tensors] == list(WEIGHTS)
    reasons = {item.name: item.reason for item in converted.left_out}
    assert list(reasons) == list(OTHERS)
    assert "--exclude" in reasons["lm_head.weight"]
    assert dequantize_file(quantized, values, dtype="float32", exact=True).container == converted.container
    file = read_header(values)
    assert file.metadata == {"format": "pt"}
    for tensor in converted.tensors:
        expected = lowbit.dequantize(lowbit.quantize(WEIGHTS[tensor.name], tensor.format))
        assert bits(file.tensor(tensor.name)) == bits(expected)
    for label, array in OTHERS.items():
        assert bits(file.tensor(label)) == bits(array)


@pytest.mark.parametrize(("name", "kind"), THERE.items())
def test_the_config_says_what_is_there(model, quantized, name, kind):
    converted = quantize_file(model, quantized, name)
    document = json.loads((quantized.parent / "config.json").read_text())
    assert converted.config == quantized.parent / "config.json"
    assert document["model_type"] == "llama"
    config = document["quantization_config"]
    assert config == json.loads(read_header(quantized).metadata["quantization_config"])
    assert (config["quant_method"], config["format"]) == ("compressed-tensors", kind)
    assert config["ignore"] == ["lm_head"]
    (group,) = config["config_groups"].values()
    assert group["targets"] == ["model.a", "model.b"]
    assert group["format"] == kind


@pytest.mark.parametrize("name", ["int8.channel", "int8.tensor.float32", "int8.g32", "int8.channel.asymmetric"])
def test_integers_of_a_byte_each(model, quantized, values, name):
    converted = quantize_file(model, quantized, name, integers="bytes")
    file = read_header(quantized)
    assert file.entries["model.a.weight"].dtype == "I8"
    assert "model.a.weight_packed" not in file.entries
    expected = lowbit.quantize(WEIGHTS["model.a.weight"], name)
    assert (file.tensor("model.a.weight") == expected.codes).all()
    config = json.loads((quantized.parent / "config.json").read_text())["quantization_config"]
    assert config["format"] == config["config_groups"]["group_0"]["format"] == "int-quantized"
    assert [tensor.format.id for tensor in converted.tensors] == [name, name]
    dequantize_file(quantized, values, dtype="float32")
    assert bits(read_header(values).tensor("model.a.weight")) == bits(lowbit.dequantize(expected))


@pytest.mark.parametrize("name", ["int4.g32", "uint8.g32.asymmetric", "nf4.g64"])
def test_only_int8_has_a_byte_each(model, quantized, name):
    with pytest.raises(InputError, match="int-quantized is for int8 in compressed-tensors, not for"):
        quantize_file(model, quantized, name, integers="bytes")
    with pytest.raises(InputError, match="integers = 'byte' is unknown"):
        quantize_file(model, quantized, name, integers="byte")


def test_a_file_alone_is_enough(model, quantized, values):
    quantize_file(model, quantized, "mxfp4")
    (quantized.parent / "config.json").unlink()
    dequantize_file(quantized, values)
    quantize_file(model, quantized, "mxfp4")
    alone = write(
        quantized.parent / "alone.safetensors",
        {name: np.array(read_header(quantized).tensor(name)) for name in read_header(quantized).entries},
    )
    dequantize_file(alone, values.parent / "again.safetensors")
    for name in WEIGHTS:
        assert bits(read_header(values).tensor(name)) == bits(
            read_header(values.parent / "again.safetensors").tensor(name)
        )


def test_beside_the_model_its_config_stays(model):
    before = (model.parent / "config.json").read_bytes()
    converted = quantize_file(model, model.parent / "new.safetensors", "mxfp4")
    assert converted.config is None
    assert "metadata of" in converted.notes[0]
    assert (model.parent / "config.json").read_bytes() == before


def test_the_parts_of_a_model_have_one_config(model, quantized):
    other = write(model.parent / "other.safetensors", {"model.c.weight": WEIGHTS["model.a.weight"]})
    quantize_file(model, quantized, "mxfp4")
    quantize_file(other, quantized.parent / "other.safetensors", "mxfp4")
    config = json.loads((quantized.parent / "config.json").read_text())["quantization_config"]
    assert config["config_groups"]["group_0"]["targets"] == ["model.a", "model.b", "model.c"]
    assert config["ignore"] == ["lm_head"]
    before = sorted(quantized.parent.iterdir())
    with pytest.raises(InputError, match="another quantization_config"):
        quantize_file(other, quantized.parent / "third.safetensors", "nvfp4")
    with pytest.raises(InputError, match="has a quantization_config"):
        quantize_file(other, quantized.parent / "third.safetensors", "nf4.g64")
    assert sorted(quantized.parent.iterdir()) == before


def test_a_module_that_one_part_quantises_is_not_ignored(model, quantized):
    quantize_file(model, quantized, "mxfp4")
    head = write(model.parent / "head.safetensors", {"lm_head.weight": WEIGHTS["model.a.weight"]})
    quantize_file(head, quantized.parent / "head.safetensors", "mxfp4", exclude="")
    config = json.loads((quantized.parent / "config.json").read_text())["quantization_config"]
    assert config["ignore"] == []
    assert "lm_head" in config["config_groups"]["group_0"]["targets"]


@pytest.mark.parametrize("container", ["compressed_tensors", "lowbit"])
def test_what_is_quantised_is_not_quantised_again(model, quantized, container):
    quantize_file(model, quantized, "mxfp4", container=container)
    (quantized.parent / "config.json").unlink()
    with pytest.raises(InputError, match="is quantised already"):
        quantize_file(quantized, quantized.parent / "again", "mxfp4", exclude="")


def test_lowbits_own_nvfp4_is_rounded_once(model, quantized, values):
    quantize_file(model, quantized, "nvfp4_reciprocal", container="lowbit")
    dequantize_file(quantized, values)
    for name, array in WEIGHTS.items():
        expected = lowbit.dequantize(lowbit.quantize(array, "nvfp4_reciprocal"), dtype=ml_dtypes.bfloat16)
        assert bits(read_header(values).tensor(name)) == bits(expected)


@pytest.mark.parametrize("dtype", [np.float64, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("name", ["nvfp4", "int8.tensor", "fp8_128x128"])
def test_weights_of_other_dtypes(tmp_path, dtype, name):
    weights = GENERATOR.normal(size=(40, 64)).astype(dtype)
    path = write(tmp_path / "in", {"a.weight": weights})
    (tensor,) = quantize_file(path, tmp_path / "out", name).tensors
    dequantize_file(tmp_path / "out", tmp_path / "values", dtype="float32", exact=True)
    expected = lowbit.dequantize(lowbit.quantize(weights, tensor.format))
    assert bits(read_header(tmp_path / "values").tensor("a.weight")) == bits(expected)


def test_names_that_parts_would_have_are_not_given_twice(tmp_path):
    tensors = {"a.weight": np.ones((4, 32), np.float32), "a.weight_packed": np.ones(3, np.float32)}
    with pytest.raises(InputError, match=r"two tensors would have the name 'a\.weight_packed'"):
        quantize_file(write(tmp_path / "in", tensors), tmp_path / "out", "mxfp4")
    assert [item.name for item in tmp_path.iterdir()] == ["in"]


def test_formats_by_name(model, quantized, values):
    formats = {"model.a.weight": "int4.g32", "lm_head.weight": "mxfp8_e4m3"}
    converted = quantize_file(model, quantized, formats)
    assert {tensor.name: tensor.format.id for tensor in converted.tensors} == formats
    assert {item.name: item.reason for item in converted.left_out}["model.b.weight"] == "no format is given for it"
    config = json.loads(read_header(quantized).metadata["quantization_config"])
    assert config["format"] == "mixed-precision"
    assert [group["format"] for group in config["config_groups"].values()] == ["pack-quantized", "mxfp8-quantized"]
    dequantize_file(quantized, values, dtype="float32")
    for name, fmt in formats.items():
        expected = lowbit.dequantize(lowbit.quantize((WEIGHTS | OTHERS)[name], fmt))
        assert bits(read_header(values).tensor(name)) == bits(expected)
    with pytest.raises(InputError, match="is not in"):
        quantize_file(model, quantized, {"model.d.weight": "mxfp4"})
    with pytest.raises(InputError, match="is not a weight of"):
        quantize_file(model, quantized, {"steps": "mxfp4"})


def test_what_is_not_a_matrix_named_weight(tmp_path):
    tensors = {"a.weight": WEIGHTS["model.a.weight"], "conv.weight": np.ones((4, 2, 1, 32), np.float32)}
    path, output = write(tmp_path / "in", tensors), tmp_path / "out"
    converted = quantize_file(path, output, "mxfp4")
    assert "container lowbit" in {item.name: item.reason for item in converted.left_out}["conv.weight"]
    converted = quantize_file(path, output, "mxfp4", container="lowbit")
    assert [tensor.name for tensor in converted.tensors] == list(tensors)
    dequantize_file(output, tmp_path / "values", dtype="float32")
    assert np.array_equal(read_header(tmp_path / "values").tensor("conv.weight"), tensors["conv.weight"])


def test_nvfp4_in_the_steps_of_compressed_tensors(tmp_path):
    """1 over 256/257, rounded to binary32, is a little above 1 + 2^-8, and that itself once it is rounded there: a tie
    of bfloat16, which goes to 1."""
    weights = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
    config = {"config_groups": {"x": {"targets": ["Linear"], "weights": weights}}, "format": "nvfp4-pack-quantized"}
    whole = np.float32(256 / 257)
    tensors = {
        "a.weight_packed": np.full((1, 8), 0x22, np.uint8),
        "a.weight_scale": np.ones((1, 1), ml_dtypes.float8_e4m3fn),
        "a.weight_global_scale": np.array([whole]),
    }
    path = write(tmp_path / "a", tensors, {"quantization_config": json.dumps(config)})
    assert 1 + Fraction(1, 256) < 1 / Fraction(float(whole)) < 1 + Fraction(1, 256) + Fraction(1, 2**25)
    for exact, expected in ((False, 1), (True, 1 + 1 / 128)):
        dequantize_file(path, tmp_path / "b", dtype="bfloat16", exact=exact)
        assert set(read_header(tmp_path / "b").tensor("a.weight").ravel().tolist()) == {expected}


REFUSED = {
    "a block that does not fit": ({"fmt": "int4.g96", "policy": "ocp_mx"}, "do not divide an axis of 64"),
    "no short blocks there": ({"fmt": "mxfp4", "include": "odd"}, "do not divide an axis of 50"),
    "no short groups": ({"fmt": "int4.g96"}, "groups of 96 do not divide a row of 64"),
    "no short tiles": ({"fmt": "fp8_1x128"}, "groups of 128 do not divide a row of 64"),
    "nan under error": ({"fmt": "dfp8", "include": "bad"}, "'bad.weight': the value at .* is nan"),
    "nan in a scale": ({"fmt": "mxfp4", "include": "bad"}, "'bad.weight': a block has NaN"),
    "nan in a scale of float16": ({"fmt": "int4.g32", "include": "bad"}, "'bad.weight': a block has NaN"),
    "nan in both scales": ({"fmt": "nvfp4", "include": "bad"}, "'bad.weight': a block has NaN"),
    "nan in lowbit's own": ({"fmt": "mxfp4", "include": "bad", "container": "lowbit"}, "'bad.weight': a block has NaN"),
    "infinity that a scale hides": ({"fmt": "nvfp4", "include": "inf"}, r"'inf.weight': .* at \(40, 3\) is inf"),
    "infinity in lowbit's own": ({"fmt": "nvfp4", "include": "inf", "container": "lowbit"}, r"at \(40, 3\) is inf"),
    "a scale of float16 that overflows": (
        {"fmt": "int4.g32", "include": "large", "policy": get_block_policy("nearest").choose(scale="ieee")},
        "'large.weight': a scale 'block' is NaN or infinite",
    ),
    "no format": ({"fmt": {}}, "no tensor has a format"),
    "nothing chosen": ({"fmt": "mxfp4", "include": "zzz"}, "none of 7 tensors is chosen"),
    "a bad pattern": ({"fmt": "mxfp4", "include": "("}, "not a regular expression"),
    "an unknown container": ({"fmt": "mxfp4", "container": "zip"}, "'zip' is unknown"),
    "not there": ({"fmt": "nf4.g32", "container": "compressed_tensors"}, "does not have the format nf4.g32"),
    "a scalar format": ({"fmt": "int4"}, "int4"),
    "an unknown policy": ({"fmt": "mxfp4", "policy": "ocp"}, "ocp"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_leaves_nothing(tmp_path, settings, words):
    bad = np.array(WEIGHTS["model.a.weight"])
    infinite, large = np.array(bad), bad.astype(np.float32)
    bad[40, 3], infinite[40, 3], large[40, 3] = np.nan, np.inf, 1e9
    others = {"odd.weight": np.ones((4, 50), np.float32), "bad.weight": bad, "n": np.ones(1)}
    path = write(tmp_path / "in", WEIGHTS | others | {"inf.weight": infinite, "large.weight": large})
    settings = {"include": "model", **settings}
    with pytest.raises(lowbit.LowbitError, match=words):
        quantize_file(path, tmp_path / "out", settings.pop("fmt"), **settings)
    assert [item.name for item in tmp_path.iterdir()] == ["in"]


def without(name):
    return lambda tensors, config: tensors.pop(f"model.a.{name}")


def with_tensor(name, change):
    return lambda tensors, config: tensors.update({f"model.a.{name}": change(tensors.get(f"model.a.{name}"))})


def with_group(**changes):
    return lambda tensors, config: config["config_groups"]["group_0"].update(changes)


def with_weights(**changes):
    return lambda tensors, config: config["config_groups"]["group_0"]["weights"].update(changes)


DAMAGES = {
    "scale": (without("weight_scale"), "has no weight_scale"),
    "codes": (without("weight_packed"), "'model.a' has a weight_scale, and no weight_packed or weight"),
    "zero point": (without("weight_zero_point"), "'model.a.weight_zero_point' is missing"),
    "shape": (without("weight_shape"), "has no weight_shape"),
    "misshapen scale": (
        with_tensor("weight_scale", lambda scale: scale[:, :1]),
        r"'model.a.weight_scale' is F16 \(48, 1\), not F16 \(48, 2\)",
    ),
    "scale of integers": (with_tensor("weight_scale", lambda scale: scale.view(np.int16)), "dtype I16 are not read"),
    "misshapen zero point": (
        with_tensor("weight_zero_point", lambda zeros: zeros[:1]),
        r"weight_zero_point' is I32 \(1, 2\), not I32 \(6, 2\)",
    ),
    "negative shape": (with_tensor("weight_shape", lambda shape: shape * [1, -1]), "are not in I32"),
    "large shape": (with_tensor("weight_shape", lambda shape: shape << 40), "are not in I32"),
    "shape of floats": (with_tensor("weight_shape", lambda shape: shape * 1.0), "weight_shape is F64"),
    "order": (with_tensor("weight_g_idx", lambda none: np.arange(64)), "order of activations"),
    "method": (lambda tensors, config: config.update(quant_method="fp8"), "quant_method is 'fp8'"),
    "no groups": (lambda tensors, config: config.pop("config_groups"), "has no config_groups"),
    "preset": (lambda tensors, config: config.update(config_groups={"W4A16": ["Linear"]}), "has no config_groups"),
    "format": (with_group(format="marlin-24"), "marlin-24"),
    "format of lists": (with_group(format=["pack-quantized"]), "has the format"),
    "no weights": (with_group(weights=None), "or no weights"),
    "targets": (with_group(targets=["re:other.*"]), "no group .* has the module 'model.a'"),
    "targets of numbers": (with_group(targets=[3]), "are lists of names"),
    "pattern": (with_group(targets=["re:("]), "not a regular expression"),
    "bits": (with_weights(num_bits=40), "int of 40 bits"),
    "text": (with_weights(num_bits="four"), "int of four bits"),
    "kind": (with_weights(type=["int"]), "are not read here"),
    "strategy": (with_weights(strategy="token"), "strategy token"),
    "list": (with_weights(strategy=["group"]), "are not read here"),
    "block": (with_weights(strategy="block", block_structure=[0, "x"]), "are not read here"),
    "blocks": (with_weights(strategy="block", block_structure=3), "not read here"),
    "group": (with_weights(group_size=48), "do not divide an axis of 64"),
    "no group size": (with_weights(group_size=None), "are not read here"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_words(model, quantized, what):
    quantize_file(model, quantized, "int4.g32.asymmetric")
    file = read_header(quantized)
    config = json.loads(file.metadata["quantization_config"])
    tensors = {name: np.array(file.tensor(name)) for name in file.entries}
    damage, words = DAMAGES[what]
    damage(tensors, config)
    path = write(quantized.parent / "damaged", tensors, {"quantization_config": json.dumps(config)})
    before = sorted(quantized.parent.iterdir())
    with pytest.raises(InputError, match=words):
        dequantize_file(path, quantized.parent / "values")
    assert sorted(quantized.parent.iterdir()) == before


def record(name="a", fmt="nf4.g64", shape=(2, 64), schema="lowbit/checkpoint/1"):
    return json.dumps({"schema": schema, "tensors": {name: {"format": fmt, "shape": shape}}})


OWN_DAMAGES = {
    "{": "does not say what the tensors are",
    "[]": "does not say what the tensors are: a schema, and",
    '{"schema": "lowbit/checkpoint/1"}': "does not say what the tensors are: a schema, and",
    record(schema="x"): "is 'x', not 'lowbit/checkpoint/1'",
    record(fmt="nf5.g64"): "nf5",
    record(fmt=4): "'a'",
    record(shape=[2, -64]): "does not say",
    record(shape=[]): "does not say",
    record(shape=3): "does not say what the tensors are: a schema, and",
    record(): "'a.codes' is U8",
    record(name="b"): "'b.codes' is missing",
}


@pytest.mark.parametrize(("text", "words"), OWN_DAMAGES.items())
def test_a_damaged_record_is_refused_in_words(tmp_path, text, words):
    path = write(tmp_path / "in", {"a.codes": np.zeros((2, 31), np.uint8)}, {"lowbit": text})
    with pytest.raises(InputError, match=words):
        dequantize_file(path, tmp_path / "out")
    assert [item.name for item in tmp_path.iterdir()] == ["in"]


def test_a_truncated_file_and_a_broken_config(model, quantized):
    quantize_file(model, quantized, "mxfp4")
    short = quantized.parent / "short"
    short.write_bytes(quantized.read_bytes()[:-1])
    for run in (lambda: dequantize_file(short, "/dev/null"), lambda: quantize_file(short, "/dev/null", "mxfp4")):
        with pytest.raises(InputError, match="is truncated"):
            run()
    (model.parent / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        dequantize_file(model, "/dev/null")
    (model.parent / "config.json").write_text("[]")
    with pytest.raises(InputError, match="is not a JSON object"):
        quantize_file(model, quantized.parent / "again", "mxfp4")
    (model.parent / "config.json").unlink()
    with pytest.raises(InputError, match="is not quantised"):
        dequantize_file(model, "/dev/null")


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_run_leaves_nothing(model, quantized, threads):
    def stop(done, total, name):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_file(model, quantized, "mxfp4", threads=threads, progress=stop)
    assert list(quantized.parent.iterdir()) == []


def test_neither_the_model_nor_its_config_is_written_over(model, quantized):
    (quantized.parent / "config.json").symlink_to(model.parent / "config.json")
    with pytest.raises(InputError, match=r"its config\.json itself"):
        quantize_file(model, quantized, "mxfp4")
    with pytest.raises(InputError, match="the checkpoint itself"):
        quantize_file(model, model, "mxfp4")


@pytest.mark.parametrize("layout", ["compressed_tensors", "compressed_tensors_0_9"])
def test_words_of_both_eras_are_read(tmp_path, layout):
    codes = GENERATOR.integers(-4, 4, size=(6, 64)).astype(np.int8)
    scale = np.array([[0.5], [1], [2], [4], [8], [16]], np.float16)
    tensors = {
        "a.weight_packed": lowbit.pack(codes, "int3", layout=layout),
        "a.weight_scale": scale,
        "a.weight_shape": np.array([6, 64]),
    }
    config = {"config_groups": {"x": {"targets": ["Linear"], "weights": {"num_bits": 3, "group_size": -1}}}}
    path = write(tmp_path / "a", tensors, {"quantization_config": json.dumps(config | {"format": "pack-quantized"})})
    dequantize_file(path, tmp_path / "b", dtype="float16")
    assert np.array_equal(read_header(tmp_path / "b").tensor("a.weight"), codes * scale)


def test_int_quantized_is_read(tmp_path):
    codes, zeros = GENERATOR.integers(-128, 128, size=(6, 10)).astype(np.int8), np.arange(6, dtype=np.int8)[:, None]
    scale = np.full((6, 1), 0.5, ml_dtypes.bfloat16)
    tensors = {"a.weight": codes, "a.weight_scale": scale, "a.weight_zero_point": zeros, "a.input_scale": np.ones(1)}
    weights = {"num_bits": 8, "strategy": "channel", "symmetric": False}
    config = {"config_groups": {"x": {"targets": ["Linear"], "weights": weights}}, "format": "int-quantized"}
    path = write(tmp_path / "a", tensors, {"quantization_config": json.dumps(config)})
    dequantize_file(path, tmp_path / "b", dtype="bfloat16")
    file = read_header(tmp_path / "b")
    assert list(file.entries) == ["a.weight"]
    expected = ((codes.astype(np.int64) - zeros) * 0.5).astype(ml_dtypes.bfloat16)
    assert np.array_equal(file.tensor("a.weight"), expected)


BEYOND = [("mxfp8_e4m3", 2.0**17, "float16"), ("int8.channel.float32", 3.4e38, "bfloat16")]


@pytest.mark.parametrize("container", ["compressed_tensors", "lowbit"])
@pytest.mark.parametrize(("name", "largest", "narrow"), BEYOND)
def test_values_beyond_the_dtype_are_counted_and_refused(model, quantized, values, container, name, largest, narrow):
    weights = WEIGHTS["model.a.weight"].astype(np.float32)
    weights[3, 5] = weights[40, 7] = -largest
    quantize_file(write(model, {"model.a.weight": weights}), quantized, name, container=container)
    with pytest.raises(
        InputError, match=f"tensor 'model.a.weight': 2 of its 3,072 values are beyond {narrow}"
    ) as caught:
        dequantize_file(quantized, values, dtype=narrow)
    assert "float32" in caught.value.hint
    assert not values.exists()
    dequantize_file(quantized, values, dtype="float32")
    assert np.isfinite(read_header(values).tensor("model.a.weight")).all()


def test_values_beside_the_quantised_file_are_not_quantised(model, quantized, values):
    """config.json is one for both: which tensors are quantised, the file itself shows."""
    quantize_file(model, quantized, "nvfp4")
    beside = quantized.parent / "values.safetensors"
    converted = dequantize_file(quantized, beside)
    assert "has the quantization_config of quantized.safetensors" in converted.notes[0]
    with pytest.raises(InputError, match="none of its 5 tensors is quantised") as caught:
        dequantize_file(beside, values)
    assert "that of other files" in caught.value.hint
    again = quantized.parent / "again.safetensors"
    assert len(quantize_file(beside, again, "int4.g32").tensors) == 2
    assert len(dequantize_file(again, values).tensors) == 2
    with pytest.raises(InputError, match="is quantised already"):
        quantize_file(quantized, values, "int4.g32")


def test_values_whose_folder_gets_a_quantised_file_are_not_quantised(model, quantized, values):
    quantize_file(model, quantized, "nvfp4")
    assert dequantize_file(quantized, values).notes == ()
    quantize_file(model, values.parent / "other.safetensors", "int4.g32")
    assert len(quantize_file(values, values.parent / "again.safetensors", "int8.channel").tensors) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "config.json is not a JSON object"),
        ("{", "config.json is not JSON: Expecting property name"),
        ('{"quantization_config": 3}', "the quantization_config is not a JSON object"),
        ('{"quantization_config": {"quant_method": "gptq"}}', "quant_method is 'gptq'.*\nhelp: move config.json away"),
    ],
)
def test_a_config_that_is_not_of_this_kind_is_told_of_the_file(model, quantized, text, words):
    (model.parent / "config.json").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        quantize_file(model, quantized, "mxfp4")
    assert "metadata" not in caught.value.message
    assert not quantized.exists()
