"""Whole models: what is proved holds for every input, what is refuted happens, and the first layer is named."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

import lowbit
from lowbit.cli import main
from lowbit.errors import InputError
from lowbit.layers import (
    Activation,
    Add,
    Attention,
    Interval,
    Linear,
    Nonlinearity,
    Norm,
    Quantity,
    Requantize,
    Rescale,
    Sum,
)
from lowbit.models.bounds import require_bounded
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.store import write_model
from lowbit.proof.model import prove_model

IMAGE, MIDDLE, WIDE = Quantity("int4", 0.5, 1), Quantity("int8", 0.1, -4), Quantity("int32", 1.0)


def two_layers(bias=None):
    generator = np.random.default_rng(3)
    first = Linear(
        IMAGE,
        generator.integers(-8, 8, (4, 2), np.int8),
        Rescale.from_scale(np.array([0.2, 0.5, 0.9, 0.01]), "tflite_double", MIDDLE),
        None if bias is None else np.full(4, bias, np.int32),
    )
    second = Linear(MIDDLE, generator.integers(-127, 128, (3, 4), np.int8), WIDE)
    doubled = Add(MIDDLE, MIDDLE, Sum.from_scales(MIDDLE, MIDDLE, "tflite_double", Quantity("int8", 0.2)))
    nodes = {
        "first": Node(first, ("image",)),
        "second": Node(second, ("first",)),
        "doubled": Node(doubled, ("first", "first")),
    }
    return IntegerModel(nodes, {"image": IMAGE}, ("second", "doubled"))


def test_no_input_leaves_the_bounds_and_the_first_layers_are_reached():
    model = two_layers()
    proof = prove_model(model)
    assert (proof.verdict, proof.first) == ("proved", None)
    every = np.array(list(itertools.product(range(-8, 8), repeat=2)), np.int8)
    seen = {}
    model.run(every, lambda name, step: seen.update({(name, step.label): step.codes}))
    checked = 0
    for name, bound in proof.bounds:
        codes = seen.get((name, bound.label))
        if codes is None:
            continue
        checked += 1
        assert (codes.min(axis=0) >= bound.low).all(), (name, bound.label)
        assert (codes.max(axis=0) <= bound.high).all(), (name, bound.label)
        if (name, bound.label) in {("first", "accumulator"), ("first", "requantised")}:
            assert codes.min(axis=0).tolist() == np.broadcast_to(bound.low, 4).tolist()
            assert codes.max(axis=0).tolist() == np.broadcast_to(bound.high, 4).tolist()
    assert checked == len(seen)


def test_the_first_layer_that_can_overflow_is_named(tmp_path, capsys):
    model = two_layers(bias=(1 << 31) - 20)
    proof = prove_model(model)
    assert (proof.verdict, proof.first.layer, proof.first.bound.label) == ("refuted", "first", "partial sums")
    assert proof.first.bound.culprit >= 1 << 31
    with pytest.raises(InputError, match=r"layer 'first': partial sums can be 2,147,483,\d+, and has 32 bits, signed"):
        require_bounded(model)
    require_bounded(two_layers())
    require_bounded(model, {"image": Interval.of(1, 1)})  # the zero point
    assert prove_model(model, inputs={"image": (1, 1)}).verdict == "proved"
    with pytest.raises(InputError, match="'picture' is not an input of the model"):
        prove_model(model, inputs={"picture": (1, 1)})
    for ends, what in (((3, 2), "from 3 to 2 is an empty range"), ((0, 99), "codes that int4 does not have")):
        with pytest.raises(InputError, match=what):
            prove_model(model, inputs={"image": ends})
    path = tmp_path / "model.safetensors"
    write_model(path, model)
    assert main(["prove", "model", str(path)]) == 1
    out = capsys.readouterr().out
    assert "the first one: partial sums of layer 'first' is 2,147,483," in out
    assert "does not fit" in out
    for text, status in (("1:1", 0), ("image=1", 0), ("-8:7", 1)):
        assert main(["prove", "model", str(path), f"--input-range={text}"]) == status
        out = capsys.readouterr().out
        assert ("\nPROVED:" in out) == (status == 0)
        assert out.splitlines()[-1].startswith("of input codes image from ")


def test_a_refusal_says_where_the_bounds_are_and_what_would_hold_them():
    with pytest.raises(InputError, match=r"bounds are -?[\d,]+ to 2,147,483,\d+, 33 bits") as error:
        require_bounded(two_layers(bias=(1 << 31) - 20))
    assert "a narrower format of image (int4)" in error.value.hint
    assert "--input-range LOW:HIGH" in error.value.hint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input-range", "3:2"], "input 'image' from 3 to 2 is an empty range"),
        (["--input-range", "0:z"], "--input-range 0:z is not LOW:HIGH"),
        (["--input-range", "0:1:2"], "--input-range 0:1:2 is not LOW:HIGH"),
        (["--input-range", ""], "is not LOW:HIGH"),
        (["--input-range", "x=0:1"], "'x' is not an input of the model"),
        (["--input-range", "0:1", "--input-range", "0:2"], "'image' comes twice"),
        (["--preset", "ivit"], "--preset is for float models"),
    ],
)
def test_ranges_that_are_none_are_told(words, said, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    write_model(path, two_layers())
    assert main(["prove", "model", str(path), *words]) == 2
    assert said in capsys.readouterr().err


def test_what_rests_on_earlier_layers_is_open():
    narrow = Requantize(MIDDLE, Rescale.from_scale(1.0, "hawq", MIDDLE))
    bias = np.full(3, (1 << 31) - 1000, np.int32)
    wide = Linear(MIDDLE, np.full((3, 4), 127, np.int8), WIDE, bias)
    nodes = {"narrow": Node(narrow, ("image",)), "wide": Node(wide, ("narrow",))}
    proof = prove_model(IntegerModel(nodes, {"image": MIDDLE}, ("wide",)))
    assert (proof.verdict, proof.first.layer) == ("open", "wide")


def test_the_command_proves_a_model(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    write_model(path, two_layers())
    assert main(["prove", "model", str(path)]) == 0
    out = capsys.readouterr().out
    assert "PROVED: no accumulator and no intermediate can leave its width" in out
    assert main(["prove", "model", str(path), "--output-format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["first"], document["functions"]) == ("proved", "", [])
    assert {row["layer"] for row in document["bounds"]} == {"first", "second", "doubled"}
    assert all(row["fits"] and row["low"] <= row["high"] for row in document["bounds"])


def block(longest, softmax="tflite_int8"):
    """A norm, an attention and a GELU: layers with nonlinearities inside of them."""
    scores = Rescale.from_scale(0.01, "tflite_double", Quantity("int8", 0.05))
    norm = Norm(MIDDLE, Nonlinearity("layernorm", "lowbit"), 8, Rescale.from_scale(1e-6, "tflite_double", MIDDLE))
    attention = Attention(
        MIDDLE, MIDDLE, MIDDLE, 2, 4, scores, Nonlinearity("softmax", softmax),
        Rescale.from_scale(0.01, "tflite_double", MIDDLE), longest=longest,
    )  # fmt: skip
    gelu = Activation.from_scales(MIDDLE, Nonlinearity("gelu", "lowbit"), "tflite_double", MIDDLE)
    nodes = {
        "norm": Node(norm, ("codes",)),
        "attention": Node(attention, ("norm", "norm", "norm")),
        "gelu": Node(gelu, ("attention",)),
    }
    return IntegerModel(nodes, {"codes": MIDDLE}, ("gelu",))


def test_nonlinearities_inside_of_layers_are_audited(tmp_path, capsys):
    proof = prove_model(block(511))
    assert (proof.verdict, proof.culprit) == ("proved", "")
    assert [(found.layer, found.verdict) for found in proof.functions] == [
        ("norm", "proved"), ("attention", "proved"), ("gelu", "proved")
    ]  # fmt: skip
    proof = prove_model(block(512))  # one more, and a shift of TensorFlow Lite's softmax is by 32 bits
    assert (proof.verdict, proof.first, proof.culprit) == ("open", None, "attention")
    path = tmp_path / "model.safetensors"
    write_model(path, block(512))
    assert main(["prove", "model", str(path)]) == 5
    assert "attention: softmax under tflite_int8, rows of 512 codes from -128 to 127: open: " in capsys.readouterr().out
    assert prove_model(block(300, "exact")).verdict == "proved"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model"], "takes the file of a model"),
        (["int32", "pyproject.toml"], "is for `lowbit prove model`"),
        (["model", "pyproject.toml", "--k", "3"], "--k is for"),
        (["model", "pyproject.toml", "--scheme", "ivit"], "--scheme is for"),
        (["model", "pyproject.toml"], "pyproject.toml"),
    ],
)
def test_what_the_command_refuses(words, said, capsys):
    assert main(["prove", *words]) == 2
    assert said in capsys.readouterr().err


def nothing_floats(model, codes, folder):
    """The command in a process of its own: its status and what it prints."""
    write_model(folder / "model.safetensors", model)
    np.save(folder / "codes.npy", codes)
    command = [sys.executable, "-m", "lowbit", "prove", "model", folder / "model.safetensors"]
    command += ["--nothing-floats", folder / "codes.npy", "--output-format", "json"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not answer.stderr
    return answer.returncode, json.loads(answer.stdout)["floats"]


@pytest.mark.slow
def test_no_kernel_of_an_integer_model_has_a_floating_point_instruction(tmp_path):
    codes = np.random.default_rng(0).integers(-8, 8, (5, 2), np.int8)
    status, found = nothing_floats(two_layers(), codes, tmp_path)
    assert (status, found["arrays"]) == (0, [])
    assert {name.split(".")[2] for name in found["kernels"]} >= {"gemm", "requantize"}
    assert not any(found["kernels"].values())
    codes = np.random.default_rng(0).integers(-128, 128, (2, 17, 8)).astype(np.int8)
    assert nothing_floats(block(300, "lowbit"), codes, tmp_path)[0] == 0


@pytest.mark.slow
def test_a_requantisation_by_floating_point_scales_is_found(tmp_path):
    rescale = Rescale.from_scale(0.3, "xnnpack_fp32", MIDDLE)
    model = IntegerModel({"scaled": Node(Requantize(MIDDLE, rescale), ("image",))}, {"image": MIDDLE}, ("scaled",))
    status, found = nothing_floats(model, np.arange(-9, 9, dtype=np.int8), tmp_path)
    assert status == 1
    assert any("fmul" in line for lines in found["kernels"].values() for line in lines)


def test_loops_that_are_made_for_several_schemes_are_told_apart():
    from lowbit.kernels.instructions import kernels_that_ran

    for scheme in ("xnnpack_fp32", "tflite_single"):
        lowbit.requantize(np.arange(9, dtype=np.int32), scheme=scheme, scale=0.25)
    names = list(kernels_that_ran())
    loop = "lowbit.kernels.requantize.fast_requantize.flat.<locals>.flat_loop of "
    assert {f"{loop}single", f"{loop}binary32_even"} <= {name.split(" #")[0] for name in names}
    assert len(set(names)) == len(names)
