"""`lowbit check model` with a library of each kind: in C, in Python, and a file of what one elsewhere computed."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.models.store import write_model
from tests.check.committed_models import committed
from tests.check.plain_models import Library
from tests.check.planted_layers import PLANTED

SOURCE = Path(__file__).parent.parent / "dut" / "model_kernel.c"
LAYERS = "stem.conv", "blocks.0.first.conv", "blocks.0.second.conv", "blocks.0.add"
IN_C = {  # the slip -> where, and what it is called
    1: (1, "the kernel shifts without rounding (toward -infinity)"),
    2: (0, "the kernel ignores the bias"),
    3: (1, "single_even but for overflow wrap"),
    4: (0, "the kernel begins windows later: padding ((0, 2), (0, 2)), not ((1, 1), (1, 1))"),
    5: (3, "the kernel takes the multiplier of each operand for the other one"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The model, what it is asked, and the header of the parameters of its first layers."""
    folder = tmp_path_factory.mktemp("models")
    model, codes = committed("mnist_resnet")
    write_model(folder / "model.safetensors", model)
    np.save(folder / "input.npy", codes)
    (folder / "layers.h").write_text(header(model))
    return folder


def header(model):
    """The parameters of the first layers in C."""
    text, size = [], 28
    for name, node in zip(("STEM", "FIRST", "SECOND"), LAYERS, strict=False):
        layer = model.nodes[node].layer
        right = np.broadcast_to(31 - layer.output.shift, layer.output.multiplier.shape)
        parts = {"int8_t": layer.weight, "int32_t": layer.bias, "int64_t": layer.output.multiplier, "long": right}
        for place, (kind, array) in enumerate(parts.items()):
            numbers = ", ".join(map(str, array.reshape(-1).tolist()))
            text.append(f"static const {kind.replace('long', 'int64_t')} {name}_{place}[] = {{{numbers}}};")
        arrays = ", ".join(f"{name}_{place}" for place in range(4))
        sizes = f"{size}, {layer.weight.shape[3]}, {len(layer.weight)}, {layer.stride[0]}, 1"
        text.append(f"static const conv_t {name} = {{{sizes}, {arrays}, {layer.result.scalar.bits}}};")
        size = (size - 1) // layer.stride[0] + 1
    parts = [getattr(model.nodes[LAYERS[3]].layer.sum, side) for side in ("left", "right")]
    for name, values in (("MULTIPLIERS", [int(one.multiplier[0]) for one in parts]),
                         ("RIGHTS", [31 - int(one.shift[0]) for one in parts])):  # fmt: skip
        text.append(f"static const int64_t {name}[] = {{{values[0]}, {values[1]}}};")
    return "\n".join([*text, f"enum {{ SUMS = {size * size * 16} }};"]) + "\n"


def checked(lowbit, files, *device):
    return lowbit("check", "model", files / "model.safetensors", "--inputs", files / "input.npy", *device)


def by_c(lowbit, files, tmp_path, bug):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path / "layers.so"
    options = ("-O2", "-shared", "-fPIC", f"-DBUG={bug}", f"-I{files}")
    subprocess.run([compiler, *options, "-o", library, SOURCE], check=True, timeout=60)
    return checked(lowbit, files, "--so", f"{library}:layers", "--layers", ",".join(LAYERS))


def plain(text):
    """The lines of a report without their breaks."""
    return " ".join(text.split())


def test_a_right_library_in_c_passes(lowbit, files, tmp_path):
    result = by_c(lowbit, files, tmp_path, 0)
    assert (result.status, "equal; 4 of 18 layers compared" in plain(result.out)) == (0, True), result.out + result.err


@pytest.mark.parametrize("bug", [4, *(pytest.param(bug, marks=pytest.mark.slow) for bug in IN_C if bug != 4)])
def test_a_slip_in_c_is_found_and_named(lowbit, files, tmp_path, bug):
    place, words = IN_C[bug]
    result = by_c(lowbit, files, tmp_path, bug)
    assert result.status == 1, result.err
    assert f"the first layer that differs: {LAYERS[place]} (" in plain(result.out)
    assert words in plain(result.out)
    assert "1 differs from what its own inputs give" in plain(result.out)


RUNTIME = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from lowbit.models.store import read_model
from tests.check.plain_models import Library
from tests.check.planted_layers import PLANTED

def f(input):
    fault = PLANTED["nibbles swapped"]
    return Library(read_model({model!r}), {{fault.layer: fault.steps}})(input)
"""


@pytest.mark.slow
def test_a_slip_in_python_is_found_and_named(lowbit, files, tmp_path):
    root = str(Path(__file__).parent.parent.parent)
    (tmp_path / "runtime.py").write_text(RUNTIME.format(root=root, model=str(files / "model.safetensors")))
    result = checked(lowbit, files, "--python", f"{tmp_path / 'runtime.py'}:f", "--layers", "all")
    assert result.status == 1, result.err
    assert "the first layer that differs: blocks.2.first.conv (conv), requantised" in plain(result.out)
    assert "the kernel takes the two weights of a byte in the other order" in plain(result.out)


def dump_of(name):
    fault = PLANTED[name]
    model, codes = committed(fault.model)
    return Library(model, {fault.layer: fault.steps})(codes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual not added", "two causes"])
def test_a_slip_in_a_dump_is_found(lowbit, files, tmp_path, name):
    np.savez(tmp_path / "dump.npz", **dump_of(name))
    result = checked(lowbit, files, "--results", tmp_path / "dump.npz")
    assert result.status == 1, result.err
    assert f"the first layer that differs: {PLANTED[name].layer} (" in plain(result.out)
    known = PLANTED[name].words or "what the kernel does instead is not known"
    assert known in plain(result.out)


def damaged(content, member):
    """The archive with a byte of an array changed."""
    place = content.index(member) + 400
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {"head": arrays["head"].astype(np.float32) * np.nan}, "layer 'head' has a NaN"),
        (lambda arrays: {"head": arrays["head"] * 0.5}, "layer 'head' is float64 of shape (3, 10) in the dump"),
        (lambda arrays: {"head": arrays["head"][:2]}, "layer 'head' is int16 of shape (2, 10) in the dump"),
        (lambda arrays: {"head": arrays["head"] > 0}, "layer 'head' is bool of shape (3, 10) in the dump"),
        (lambda arrays: {"haed": arrays["head"]}, "'haed' is not a layer of the model"),
        (lambda _: {}, "the dump does not have a layer of the model"),
        (lambda arrays: {"head": np.array([arrays["head"], None], object)}, "array 'head' is damaged"),
    ],
)
def test_a_dump_that_is_not_of_the_model_is_refused(lowbit, files, tmp_path, change, message):
    model, codes = committed("mnist_resnet")
    np.savez(tmp_path / "dump.npz", **change({"head": model.run(codes)}))
    result = checked(lowbit, files, "--results", tmp_path / "dump.npz")
    assert (result.status, message in plain(result.err)) == (2, True), result.err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "is not a .npz file, or a damaged one"),
        (lambda content: damaged(content, b"head.npy"), "array 'head' is damaged"),
        (lambda _: b"", "is not a .npz file, but an empty file"),
    ],
)
def test_a_damaged_dump_is_refused(lowbit, files, tmp_path, spoil, message):
    model, codes = committed("mnist_resnet")
    path = tmp_path / "dump.npz"
    np.savez(path, head=np.tile(model.run(codes), (1, 100)), mean=np.zeros(3, np.int8))
    path.write_bytes(spoil(path.read_bytes()))
    result = checked(lowbit, files, "--results", path)
    assert (result.status, message in plain(result.err)) == (2, True), result.err


def test_a_dump_without_layers_in_between_says_which_may_be_wrong(lowbit, files, tmp_path):
    dump = dump_of("residual not added")
    np.savez(tmp_path / "dump.npz", **{name: dump[name] for name in ("stem.conv", "blocks.1.add", "head")})
    result = checked(lowbit, files, "--results", tmp_path / "dump.npz")
    assert result.status == 1
    assert "the first layer that differs: blocks.1.add (add), requantised" in plain(result.out)
    assert "6 layers before it were not handed out, and one of them may be wrong: blocks.0.first.conv" in plain(
        result.out
    )
