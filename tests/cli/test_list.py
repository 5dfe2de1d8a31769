"""``lowbit list`` and ``lowbit export``: what there is, and the prototypes of all kernels."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.prototypes import every, header
from lowbit.cli.verbs.list import TABLES
from lowbit.format.registry import get_format
from lowbit.layers import Linear, Quantity, Rescale
from lowbit.models.graph import IntegerModel, Node
from lowbit.models.store import write_model
from lowbit.nonlinear.scheme import NONLINEARITIES, OPERATIONS, schemes
from lowbit.ops.pack.layouts import LAYOUTS
from lowbit.policy.accumulator import ACCUMULATORS
from lowbit.policy.block import BLOCK_PRESETS
from lowbit.policy.cast import CAST_PRESETS
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.quantizers import METHODS
from lowbit.vectors.elements import elements_of
from lowbit.vectors.nonlinear.rule import chosen
from lowbit.vectors.vec import read_vectors

COMPILERS = [compiler for compiler in ("cc", "c++") if shutil.which(compiler)]


def listed(lowbit, what, *words):
    records = lowbit("list", what, *words, "--output-format", "json").json[what]
    text = lowbit("list", what, *words).out
    assert all(record["id"] in text for record in records)
    return [record["id"] for record in records]


def test_each_table_has_all_that_there_is(lowbit):
    assert listed(lowbit, "policies") == [*CAST_PRESETS, *BLOCK_PRESETS, *ACCUMULATORS]
    nonlinear = [name for operation in OPERATIONS for name in schemes(operation)]
    assert listed(lowbit, "schemes") == [*REQUANTIZE_SCHEMES, *nonlinear]
    assert listed(lowbit, "layouts") == list(LAYOUTS)
    methods = listed(lowbit, "methods")
    assert set(methods) - set(METHODS) == {"llm_int8"}
    assert set(METHODS) < set(methods)
    assert "llm_int8 quantises activations as well, and is lowbit.llm_int8_matmul alone" in " ".join(
        lowbit("list", "methods").out.split()
    )


def test_list_formats_is_formats(lowbit):
    for words in ((), ("--bits", "4"), ("--kind", "float"), ("--family", "p3109", "--output-format", "json")):
        assert lowbit("list", "formats", *words).out == lowbit("formats", *words).out


def test_what_may_be_listed_is_named_where_it_is_left_out(lowbit):
    result = lowbit("list")
    assert result.status == ExitCode.USAGE
    assert f"WHAT is one of formats, {', '.join(TABLES)}; `lowbit list --help`" in result.err
    assert "is one of" not in lowbit("show").err  # FORMAT has no list of choices


def test_filters(lowbit):
    assert listed(lowbit, "schemes", "--op", "gelu") == list(schemes("gelu"))
    assert listed(lowbit, "policies", "--op", "gemm") == list(ACCUMULATORS)
    for words, part in (
        (("schemes", "--op", "cos"), "one of requantize, softmax"),
        (("layouts", "--bits", "4"), "--bits is not for `lowbit list layouts`"),
        (("formats", "--op", "gelu"), "--op is not for `lowbit list formats`"),
        (("unit",), "units"),
    ):
        result = lowbit("list", *words)
        assert result.status == 2
        assert part in result.err


@pytest.mark.parametrize("what", TABLES)
def test_lines_fit_the_terminal(lowbit, what, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in lowbit("list", what).lines if len(line) > 80] == []


def test_there_are_no_matrix_units_yet(lowbit):
    assert lowbit("list", "units", "--output-format", "json").json["units"] == []
    assert "come with a later release" in lowbit("list", "units").out


@pytest.mark.skipif(not COMPILERS, reason="no C compiler")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_compiles_and_catches_another_prototype(lowbit, compiler, tmp_path):
    file = tmp_path / "lowbit_kernels.h"
    result = lowbit("export", "prototypes", "--output", file)
    assert (result.status, result.err) == (0, f"written: {file}\n")
    assert file.read_text() == lowbit("export", "prototypes").out == header()
    uses = "".join(f"{entry.name} kernel_{number};\n" for number, entry in enumerate(every()))
    right = "void kernel_0(const uint8_t *codes, uint8_t *out, size_t n) { (void)codes; (void)out; (void)n; }\n"
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", tmp_path]
    for body, status in ((right, 0), (right.replace("size_t n", "int n"), 1)):
        source = tmp_path / ("use.c" if compiler == "cc" else "use.cpp")
        source.write_text(f'#include "lowbit_kernels.h"\n{uses}{body}')
        ended = subprocess.run([*command, source], capture_output=True, text=True, check=False, timeout=60)
        if compiler == "cc" or status == 0:  # another list of parameters is an overload in C++
            assert ended.returncode == status, ended.stderr


@pytest.mark.parametrize("operation", NONLINEARITIES)
def test_prototypes_are_those_of_the_checker(operation):
    """The header computes the types of results from the records; the checker runs the kernel to see them."""
    from lowbit.check.nonlinear.operation import NonlinearOperation

    known = {entry.prototype.c("f") for entry in every() if entry.operation == operation}
    for record in schemes(operation).values():
        for variant in record.variants:
            parameters = dict(record.examples[0].parameters)
            scale = parameters.pop("scale", None)
            asked = NonlinearOperation(*chosen(operation, record.id, variant=variant, scale=scale, options=parameters))
            assert asked.prototype.c("f") in known, (record.id, variant)


def test_a_model_as_onnx(lowbit, tmp_path):
    def rescale(scheme, result):
        return Rescale.from_scale(0.01, scheme, Quantity(result, 0.1))

    given, weight = Quantity("int8", 0.1), np.ones((2, 3), np.int8)
    layers = {
        "same": Linear(given, weight, rescale("onnxruntime", "int8")),
        "other": Linear(given, weight, rescale("tflite_double", "int8")),
        "wide": Linear(given, weight, rescale("hawq", "int16")),
    }
    nodes = {name: Node(layer, ("codes",)) for name, layer in layers.items()}
    model, target = tmp_path / "model.safetensors", tmp_path / "model.onnx"
    write_model(model, IntegerModel(nodes, {"codes": given}, ("same",)))
    result = lowbit("export", "onnx", model, "--output", target)
    assert (result.status, result.err) == (0, f"written: {target}\n")
    same, other, wide = result.out.splitlines()
    assert same == "same: QLinear operators; the same codes"
    assert other == "other: operators of integers; the same codes"
    assert wide == (
        "wide: left out; QLinear operators of ONNX Runtime do not give int16; scheme hawq is not written in integers"
    )
    assert b"QLinearMatMul" in target.read_bytes()
    result = lowbit("export", "onnx", model, "--output", target, "--operators", "qlinear")
    same, other, wide = result.out.splitlines()
    assert same == "same: QLinear operators; the same codes"
    assert other.startswith(
        "other: QLinear operators; requantised under scheme tflite_double; ONNX Runtime multiplies by"
    )
    assert wide == "wide: left out; QLinear operators of ONNX Runtime do not give int16"
    assert lowbit("export", "prototypes", "--operators", "exact").status == 2
    assert lowbit("export", "onnx", model).status == 2
    assert lowbit("export", "prototypes", model).status == 2


def test_a_model_as_vectors(lowbit, tmp_path):
    given, weight = Quantity("int8", 0.1, 3), np.array([[1, -2, 3], [100, 0, -128]], np.int8)
    rescale = Rescale.from_scale(0.01, "tflite_double", Quantity("int4", 0.5))
    nodes = {"a layer/é": Node(Linear(given, weight, rescale, np.array([5, -6], np.int32)), ("codes",))}
    model, codes, folder = tmp_path / "model.safetensors", tmp_path / "codes.npy", tmp_path / "vectors"
    write_model(model, IntegerModel(nodes, {"codes": given}, ("a layer/é",)))
    rows = np.array([[[1, 2, 3], [-128, 127, 0]]], np.int8)
    np.save(codes, rows)
    result = lowbit("export", "vectors", model, codes, "--output", folder)
    assert (result.status, result.err) == (0, f"written: {folder}\n")
    assert result.out == "1 layer, 8 files\n"
    graph = json.loads((folder / "model.json").read_text("utf-8"))
    assert graph["nodes"]["a layer/é"]["inputs"] == ["codes"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*graph["files"].values(), "model.json"])
    arrays = {}
    for name, file in graph["files"].items():
        vectors = read_vectors(folder / file)
        found = elements_of(vectors, "codes", get_format(vectors.header["source"].split(",")[0]))
        arrays[name] = found.reshape([int(length) for length in vectors.header["shape"].split()])
    assert arrays["a layer/é.weight"].tolist() == weight.tolist()
    assert arrays["codes"].tolist() == rows.tolist()
    sums = (rows.astype(int) - 3) @ weight.T.astype(int) + [5, -6]
    assert arrays["a layer/é:accumulator"].tolist() == sums.tolist()
    assert arrays["a layer/é"].tolist() == nodes["a layer/é"].layer(rows).tolist()
    assert read_vectors(folder / graph["files"]["a layer/é"]).header["scale"] == "0.5"
    for words, what in (
        (("vectors", model), "takes a model and --output"),
        (("vectors", model, codes, "--output", folder), "several files go into a new folder"),
        (("onnx", model, codes, "--output", tmp_path / "m.onnx"), "is for `lowbit export vectors`"),
    ):
        wrong = lowbit("export", *words)
        assert wrong.status == 2
        assert what in wrong.err
    np.save(codes, rows[:0])
    assert "it is empty" in lowbit("export", "vectors", model, codes, "--output", tmp_path / "new").err
    assert not (tmp_path / "new").exists()
