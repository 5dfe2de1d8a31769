"""What each verb writes is written whole or not at all, and it touches no file but those that its options name."""

import json
import os
import re
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lowbit.cli import VERBS, _build_parser
from lowbit.cli.file_options import FileName
from lowbit.files.safetensors import Entry, write_tensors
from lowbit.layers import Quantity, Requantize, Rescale
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.store import write_model
from lowbit.vectors import digest, golden
from tests.cli.file_actions import file_actions
from tests.files.importance_files import write_importance
from tests.models import tiny_bert
from tests.thinned import thinned

BEFORE = b"# what must not be lost\n"
MODEL = "--formats int4,int8 --group 16"
ALLOCATE = f"allocate --model model {MODEL} --budget avg_bits=6 --no-more"
EXAMPLE = "allocate --example hawq_v3_resnet18 --budget bytes=50% --no-more"
QUANTIZE = "quantize model --container lowbit"
ENCODE = "gen encode --from float16 --to float8_e4m3fn --expected"
WRITES = [
    (f"{ENCODE} -o", "set.vec"),
    (f"{ENCODE} --layout npy -o", "set.npy"),
    (f"{ENCODE} --layout hex -o", "set.hex"),
    (f"{ENCODE} --layout csv -o", "set.csv"),
    ("gen gemm --n 9 -o", "set.vec"),
    ("gen requantize --set random --n 3 -o", "cases.npz"),
    (f"sensitivity model {MODEL} --journal /dev/null -o", "costs.toml"),
    (f"sensitivity model {MODEL} -o", "costs.toml"),
    (f"sensitivity model {MODEL} --score hessian --traces traces --inputs inputs.npz --journal", "journal"),
    (f"{ALLOCATE} --journal", "journal"),
    (
        f"allocate --model model {MODEL} --budget avg_bits=6 --no-more --traces traces --inputs inputs.npz --apply",
        "applied.safetensors",
    ),
    ("allocate costs --budget avg_bits=6 --no-more --warm-start plan -o", "plan.json"),
    (f"{EXAMPLE} --picture", "plan.svg"),
    (f"{EXAMPLE} --export", "program.mps"),
    (f"{EXAMPLE} --export", "program.lp"),
    ("export prototypes -o", "prototypes.h"),
    (f"{QUANTIZE} --to nvfp4 -o", "new.safetensors"),
    (f"{QUANTIZE} --plan plan -o", "new.safetensors"),
    ("dequantize quantized --to float32 -o", "values.safetensors"),
    ("scan quantized --clean", "clean.safetensors"),
]
SENTENCES = "--calibrate sentences --held-out sentences"
EVALUATE = f"evaluate tiny {SENTENCES} --methods gptq --to int4.g8 --include query"
WRITES += [
    (f"{EVALUATE} -o", "evaluation.html"),
    (f"{EVALUATE} --plan plan_of_tiny -o", "evaluation.svg"),
    (f"{EVALUATE} --journal", "journal"),
    ("quantize tiny/model.safetensors --calibrate sentences --method gptq --to int4.g8 -o", "tiny/new.safetensors"),
    (
        "quantize tiny/model.safetensors --calibrate sentences --method gptq --to int4.g8 -o /dev/null --journal",
        "journal",
    ),
    ("sensitivity tiny --calibrate sentences --method gptq --formats int4.g8 -o", "costs.toml"),
]
WRITES += [
    ("run integer.safetensors codes.npy -o", "results.npz"),
    ("run integer.safetensors codes.npy -o", "results.safetensors"),
    ("run integer.safetensors codes.npy --dump", "dump.npz"),
    ("run integer.safetensors codes.npy --calibrate sentences --held-out sentences --save", "copy.safetensors"),
]
READS = [
    "run addition_0 codes.npy --plan plan_of_tiny",
    "check model integer.safetensors --inputs codes.npy --results dump.npy",
    "prove --weights matrix.npy",
    "prove model integer.safetensors",
    "export onnx integer.safetensors -o model.onnx",
    "export vectors integer.safetensors codes.npy -o vectors",
    "check gemm --n 1 --set random --inputs cases --results results.npy",
    "quantize model --to ggml_iq4_nl --importance imatrix -o weighed.gguf",
]
IN_ANOTHER_PROCESS = {("check", "so"), ("check", "python"), ("prove", "nothing_floats")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model and what goes with it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    arrays = {"one": np.ones((4, 32), np.float32), "other": np.arange(128, dtype=np.float32).reshape(4, 32)}
    write_tensors("model", [Entry(name, "F32", array.shape, 0, 0) for name, array in arrays.items()], arrays.values())
    np.savez("inputs.npz", one=np.eye(32))
    write_importance("imatrix", {"one": ([1], np.ones((1, 32)))})
    Path("traces").write_text("one = 1\nother = 2\n")
    np.save("matrix.npy", np.ones((2, 2), np.int8))
    codes = Quantity("int8", 1.0)
    layer = Requantize(codes, Rescale.from_scale(0.5, "hawq", codes))
    write_model("integer.safetensors", IntegerModel({"half": Node(layer, ("codes",))}, {"codes": codes}, ("half",)))
    np.save("codes.npy", np.array([[4, 6]], np.int8))
    np.save("dump.npy", np.array([[2, 3]], np.int8))
    Path("tiny").mkdir()
    tiny_bert.folder(Path("tiny"), tiny_bert.tiny_parameters())
    Path("sentences").write_text("a cafe\nunaffable!\n")
    layers = [{"layer": "encoder.layer.0.attention.self.query.weight", "choice": "int4.g8"}]
    Path("plan_of_tiny").write_text(json.dumps({"layers": layers}))
    return tmp_path


@contextmanager
def full_disk():
    """Files cannot grow beyond a byte, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare(lowbit, words):
    """What other verbs write for this one to read."""
    if "quantized" in words:
        assert lowbit(*QUANTIZE.split(), "--to", "int4.g16", "-o", "quantized").status == 0
    if {"costs", "plan"} & set(words):
        assert lowbit("sensitivity", "model", *MODEL.split(), "-o", "costs").status == 0
        assert lowbit("allocate", "costs", "--budget", "avg_bits=6", "-o", "plan").status == 0


@pytest.mark.parametrize(("words", "name"), thinned(WRITES, 9))
def test_a_full_disk_loses_nothing(lowbit, folder, words, name):
    words = [*words.split(), name]
    prepare(lowbit, words)
    before = contents(folder)
    assert lowbit(*words).status == 0  # kernels are compiled and kept
    whole = contents(folder)
    assert len(whole[name]) > 1
    Path(name).unlink()
    states = [before] if name == "journal" else [before, {**before, name: BEFORE}]  # a journal is continued
    for state in states:
        for file, content in state.items():
            Path(file).write_bytes(content)
        with full_disk():
            result = lowbit(*words)
        assert result.status == 2
        assert "error[LB101]" in result.err
        assert "File too large" in result.err
        assert contents(folder) == state
    Path(name).unlink(missing_ok=True)
    assert lowbit(*words).status == 0
    assert contents(folder).keys() == whole.keys()


@pytest.fixture
def small_golden(folder, monkeypatch):
    """A golden folder of two sets and one digest."""
    recipes = [recipe for recipe in golden.core_recipes() if recipe.op == "decode"][:2]
    monkeypatch.setattr(golden, "core_recipes", lambda: recipes)
    monkeypatch.setattr(digest, "core_conversions", lambda: [("float16", "float8_e4m3fn", "ocp_sat")])
    return folder / "golden"


def test_a_full_disk_loses_no_golden_file(lowbit, small_golden):
    words = ["golden", "--directory", small_golden, "regen", "--overwrite"]
    assert lowbit(*words).status == 0
    whole = contents(small_golden)
    assert len(whole) == 6
    for path in [path for path in small_golden.rglob("*") if path.is_file()]:
        changed = path.read_bytes() + (b"// " if path.suffix == ".vec" else b"") + BEFORE
        path.write_bytes(changed)
        before = contents(small_golden)
        with full_disk():
            result = lowbit(*words)
        assert (result.status, contents(small_golden)) == (2, before)
        assert "cannot be written: File too large" in result.err
        assert lowbit(*words).status == 0
    assert contents(small_golden) == whole


def test_devices_may_be_named_twice(lowbit, folder):
    before = contents(folder)
    words = ["sensitivity", "model", *MODEL.split(), "-o", os.devnull, "--journal", os.devnull]
    assert lowbit(*words).status == 0
    assert lowbit("sensitivity", "model", *MODEL.split(), "-o", os.devnull).status == 0  # no journal beside a device
    assert contents(folder) == before
    assert not Path(f"{os.devnull}.partial").exists()


_events = []


def _note(event, arguments):
    if _events and event in {"open", "os.rename", "os.remove"}:
        _events.append((event, arguments))


sys.addaudithook(_note)


@contextmanager
def touched(folder):
    """The files of a folder that are opened, written or removed meanwhile."""
    files = set()
    _events[:] = ["on"]
    try:
        yield files
    finally:
        events = [item for item in _events if item != "on"]
        _events.clear()
    for event, arguments in events:
        for name in arguments[:2] if event == "os.rename" else arguments[:1]:
            path = Path(os.path.realpath(name)) if isinstance(name, (str, bytes, os.PathLike)) else folder
            if folder in path.parents and not re.search(r"\.[0-9a-f]{16}\.new(/|$)", str(path)):
                files.add(path)


def declared(words):
    """What the dispatcher knows of the files of a command line, and the options that name them."""
    arguments = _build_parser(words[0])[0].parse_args(words)
    values = {dest: value if isinstance(value, list) else [value] for dest, value in vars(arguments).items()}
    names = [(dest, name) for dest, listed in values.items() for name in listed if isinstance(name, FileName)]
    also = arguments.also_writes(arguments) if "also_writes" in arguments else []
    also += arguments.also_reads(arguments) if "also_reads" in arguments else []
    paths = [*(name.option.path_of(name) for _, name in names), *(path for _, path in also)]
    return {Path(os.path.realpath(path)) for path in paths}, {(words[0], dest) for dest, _ in names}


def commands(lowbit):
    assert lowbit("gen", "gemm", "--set", "random", "--n", 1, "-o", "cases.npz").status == 0
    Path("cases.npz").rename("cases")
    return [[*words.split(), name] for words, name in WRITES] + [words.split() for words in READS]


def test_every_file_that_a_verb_touches_is_declared(lowbit, folder, small_golden):
    np.save("results.npy", np.zeros(1, np.int32))
    lines = [*commands(lowbit), ["golden", "--directory", str(small_golden), "regen"]]
    used = set()
    for words in lines:
        prepare(lowbit, words)
        files, options = declared(words)
        used |= options
        with touched(folder) as seen:
            lowbit(*words)
        assert seen, words
        assert seen <= files, words
    every = {(verb, action.dest) for verb in VERBS for action in file_actions(verb)}
    assert every - IN_ANOTHER_PROCESS == used
