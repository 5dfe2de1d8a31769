"""``lowbit sensitivity`` and ``lowbit allocate --model``: from a safetensors file to a plan."""

import io
import json

import numpy as np
import pytest

from lowbit.allocate import sensitivity
from lowbit.allocate.sensitivity import read_header
from lowbit.cli import main
from lowbit.files.safetensors import Entry, write_tensors
from lowbit.models.sentences import SentenceModel
from lowbit.quantizers import METHODS
from tests.models.tiny_bert import folder, tiny_parameters


@pytest.fixture
def model(tmp_path):
    generator = np.random.default_rng(4)
    shapes = {f"block.{layer}.{part}.weight": (16, 32) for layer in range(3) for part in ("query", "key", "mlp")}
    tensors = {name: generator.standard_t(3, size=shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["embed.weight"] = np.ones((4, 4), np.float32)
    path = tmp_path / "model.safetensors"
    write_tensors(path, [Entry(name, "F32", array.shape, 0, 0) for name, array in tensors.items()], tensors.values())
    return path


def test_a_table_and_a_file_of_costs(model, tmp_path, capsys):
    costs = tmp_path / "costs.toml"
    assert main(["sensitivity", str(model), "--formats", "int2,int4,int8", "--group", "16", "-o", str(costs)]) == 0
    out = capsys.readouterr().out
    assert "relative_error of 9 layers with 4,608 weights, groups of 16" in out
    assert "1 tensor with 16 numbers left as they are\n  its name matches --exclude: embed.weight\n" in out
    assert costs.exists()
    assert not (tmp_path / "costs.toml.partial").exists()
    assert main(["allocate", str(costs), "--budget", "avg_bits=5.5", "--no-more", "--output-format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["plan"]["status"] == "optimal"
    assert document["comparison"] == []
    words = ["allocate", "--model", str(model), "--formats", "int2,int4,int8", "--group", "16"]
    assert main([*words, "--budget", "avg_bits=5.5", "--no-more", "--output-format", "json"]) == 0
    direct = json.loads(capsys.readouterr().out)
    assert [f"{layer['choice']}.g16" for layer in direct["plan"]["layers"]] == [
        layer["choice"] for layer in document["plan"]["layers"]
    ]
    rows = {row["what"]: row for row in direct["comparison"]}
    assert rows["int4"]["average_bits"] == 5.0
    assert rows["plan"]["average_bits"] <= 5.5
    assert rows["plan"]["weight_error"] < rows["int4"]["weight_error"]


def test_from_a_model_to_a_plan_and_the_model_applied(model, tmp_path, capsys):
    applied, plan, picture = tmp_path / "applied.safetensors", tmp_path / "plan.json", tmp_path / "plan.svg"
    words = "--formats int2,int3,int4,float4_e2m1fn,int8 --group 32 --budget avg_bits=4 --tie query|key --jobs 2"
    files = ["--apply", str(applied), "--output", str(plan), "--picture", str(picture)]
    assert main(["allocate", "--model", str(model), *words.split(), *files]) == 0
    out = capsys.readouterr().out
    assert "the plan" in out
    choices = {layer["layer"]: layer["choice"] for layer in json.loads(plan.read_text())["layers"]}
    assert all(choices[f"block.{n}.query.weight"] == choices[f"block.{n}.key.weight"] for n in range(3))
    values = read_header(applied)
    for name, choice in choices.items():
        if choice == "int2":
            assert len(np.unique(np.abs(values.tensor(name)[0]))) <= 2
    assert picture.read_text().startswith("<svg")


def test_json_of_sensitivities(model, capsys):
    assert main(["sensitivity", str(model), "--formats", "int4", "--output-format", "json", "--exclude", ""]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["layers"]) == 10
    assert document["layers"][0]["choices"][0]["bits"] == 16 * (32 * 4 + 16)


def test_hessian_traces_come_from_a_file(model, tmp_path, capsys):
    traces = tmp_path / "traces.toml"
    names = [name for name in read_header(model).entries if name != "embed.weight"]
    traces.write_text("\n".join(f'"{name}" = {index + 1}' for index, name in enumerate(names)))
    words = ["sensitivity", str(model), "--formats", "int4", "--output-format", "json", "--score", "hessian"]
    assert main([*words, "--traces", str(traces)]) == 0
    for index, layer in enumerate(json.loads(capsys.readouterr().out)["layers"]):
        choice = layer["choices"][0]
        assert choice["loss"] == (index + 1) * choice["squared_error"]
    traces.write_text("block.0 = nan")
    for extra in ([], ["--traces", str(traces)], ["--traces", str(tmp_path / "none")]):
        assert main([*words, *extra]) == 2
        assert "error[" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("score", "message"),
    [("hessian", "help: --traces FILE"), ("output_error", "help: --inputs FILE, or --calibrate TEXT")],
)
def test_a_score_without_its_numbers_is_refused_before_the_work(model, capsys, monkeypatch, score, message):
    monkeypatch.setattr(sensitivity, "measure_model", None)
    for verb in (["sensitivity", str(model)], ["allocate", "--model", str(model), "--budget", "avg_bits=4"]):
        assert main([*verb, "--score", score]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--formats int4,int4", "twice"),
        ("--formats int4,int4.g128", "int4.g128 is given twice, once as int4"),
        ("--formats nothing", "nothing"),
        ("--formats int4 --group -1", "negative"),
        ("--formats int4 --jobs 0", "--jobs 0"),
        ("--formats int4 --include (", "regular expression"),
        ("--formats int4 --include absent", "none of 10 tensors"),
        ("--formats int4 --inputs absent.npz", "absent.npz"),
    ],
)
def test_bad_options(model, capsys, words, message):
    assert main(["sensitivity", str(model), *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_allocate_takes_one_source(model, tmp_path, capsys):
    assert main(["allocate"]) == 2
    assert main(["allocate", "costs.toml", "--model", str(model)]) == 2
    assert main(["allocate", "--example", "hawq_v3_resnet18", "--apply", str(tmp_path / "x")]) == 2
    assert "--apply is for --model" in capsys.readouterr().err


def test_an_impossible_average_exits_6(model, capsys):
    assert main(["allocate", "--model", str(model), "--formats", "int4,int8", "--budget", "avg_bits=3"]) == 6
    assert "4.5" in capsys.readouterr().err


def test_a_model_is_not_applied_onto_itself(model, capsys):
    before = model.read_bytes()
    assert main(["allocate", "--model", str(model), "--budget", "avg_bits=4", "--apply", str(model)]) == 2
    assert "is the model itself" in capsys.readouterr().err
    assert model.read_bytes() == before


def test_a_picture_is_svg(model, tmp_path, capsys):
    picture = tmp_path / "plan.png"
    assert main(["allocate", "--model", str(model), "--budget", "avg_bits=4", "--picture", str(picture)]) == 2
    assert ".svg" in capsys.readouterr().err
    assert not picture.exists()


def inputs_of(array):
    stream = io.BytesIO()
    np.savez(stream, **{"block.0.query.weight": array})
    return stream.getvalue()


ONES = np.ones((3, 32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a .npz file"),
        (b"\x93NUMPY\x01\x00 an array by itself", "is not a .npz file"),
        (inputs_of(ONES)[:-9], "is not a .npz file"),
        (inputs_of(np.array([None], object)), "is damaged: Object arrays"),
        (inputs_of(ONES * 1j), "are of dtype complex128, not real numbers"),
        (inputs_of(ONES.astype("U3")), "are of dtype <U3, not real numbers"),
        (inputs_of(ONES[:, 1:]), "are of shape (3, 31), the layer has 32 inputs"),
        (inputs_of(ONES * np.nan), "are not finite"),
        (inputs_of(ONES * 1e200), "their squares are beyond binary64"),
        (inputs_of(np.full((32, 32), 1e308)), "squares of the layer's output are beyond binary64"),
    ],
)
def test_inputs_that_cannot_be_used(model, tmp_path, capsys, content, message):
    inputs = tmp_path / "inputs.npz"
    inputs.write_bytes(content)
    assert main(["sensitivity", str(model), "--formats", "int4", "--inputs", str(inputs)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 2  # no line of a warning, no traceback


def test_signalling_nans_are_refused_in_words(tmp_path, capsys):
    bits = np.full((2, 32), 0x7F800001, np.uint32)
    path = tmp_path / "model.safetensors"
    write_tensors(path, [Entry("a", "F32", bits.shape, 0, 0)], [bits.view(np.float32)])
    assert main(["sensitivity", str(path), "--formats", "int4"]) == 2
    error = capsys.readouterr().err
    assert "weights hold NaN or infinity" in error
    assert error.count("\n") == 2


LONG, ODD = "w" * 100_000, "block\n\x1b[31m[red] 1"


def test_no_name_breaks_a_table(tmp_path, capsys):
    tensors = {name: np.random.default_rng(1).normal(size=(4, 32)).astype(np.float32) for name in (LONG, ODD, "c")}
    path, costs = tmp_path / "model.safetensors", tmp_path / "costs.toml"
    write_tensors(path, [Entry(name, "F32", array.shape, 0, 0) for name, array in tensors.items()], tensors.values())
    words = ["--formats", "int2,int8"]
    assert main(["sensitivity", str(path), *words, "-o", str(costs)]) == 0
    table = capsys.readouterr().out
    assert main(["allocate", str(costs), "--budget", "avg_bits=6", "--pareto", "3", "--fix", "c=int8"]) == 0
    assert main(["allocate", "--model", str(path), *words, "--budget", "avg_bits=6"]) == 0
    for text in (table, capsys.readouterr().out):
        assert "(100,000 characters)" in text
        assert r"block\n\x1b[31m[red] 1" in text
        assert max(map(len, text.splitlines())) < 400
    costs.write_text(costs.read_text().replace("w" * 100_000, "v" * 90_000).replace("loss = [", "loss = [nan, "))
    for bad in (["allocate", str(costs)], ["allocate", "--model", str(path), *words, "--fix", f"{LONG}=int3"]):
        assert main(bad) == 2
        assert len(capsys.readouterr().err) < 10_000


SENTENCES = ["unaffable cafe!", "a cafe", "un a cafe a", "able a! a"]
SMALL = ["--formats", "int2,int4", "--group", "32", "--score", "output_error"]


@pytest.fixture
def bert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "seen.txt").write_text("\n".join(SENTENCES))
    parameters = tiny_parameters(32) | {"pooler.dense.weight": np.ones((32, 32))}
    return folder(tmp_path / "tiny", parameters, np.float32)


def test_the_errors_of_a_method(bert, capsys):
    command = ["sensitivity", "tiny", *SMALL, "--calibrate", "seen.txt", "--output-format", "json"]
    documents = []
    for method in ([], ["--method", "gptq"]):
        assert main([*command, *method]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    plain, ours = documents
    assert ours["left_out"][-1]["reason"] == "no sentence of the calibration goes through it"
    inputs = SentenceModel.read(bert).inputs(SENTENCES)
    assert {layer["layer"] for layer in ours["layers"]} == set(inputs)
    for layer in ours["layers"]:
        weights, rows = read_header(bert / "model.safetensors").tensor(layer["layer"]), inputs[layer["layer"]]
        for choice in layer["choices"]:
            result = METHODS["gptq"].quantize(weights, rows, to=f"{choice['format']}.g32")
            assert choice["loss"] == pytest.approx(result.error(weights, rows), rel=1e-6)
            assert choice["bits"] == result.bits_per_weight * weights.size
    losses = [[choice["loss"] for layer in one["layers"] for choice in layer["choices"]] for one in (plain, ours)]
    assert sum(losses[1]) < sum(losses[0])


def test_what_must_be_known_of_a_method_is_told_as_evaluate_tells_it(bert, capsys):
    rows = sum(SentenceModel.read(bert).lengths(SENTENCES))
    command = ["sensitivity", "tiny", *SMALL, "--calibrate", "seen.txt", "--method", "aptq"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert main([*command, "--output-format", "json"]) == 0
    alone, few = json.loads(capsys.readouterr().out)["notes"]
    assert alone.startswith("aptq: no attention block is given")
    assert few.startswith(f"aptq: {rows} rows of calibration for 96 inputs")
    assert " ".join(told.split()).endswith(f"{alone} {few}")


def test_a_model_by_its_folder_is_measured_and_applied(bert, capsys):
    assert main(["allocate", "--model", "tiny", *SMALL[:4], "--budget", "avg_bits=4", "--apply", "applied"]) == 0
    assert "the plan" in capsys.readouterr().out
    assert main(["allocate", "--model", "tiny", *SMALL, "--budget", "avg_bits=4"]) == 2
    assert "--calibrate TEXT of `lowbit sensitivity`" in capsys.readouterr().err
    assert main(["allocate", "--model", "tiny", "--apply", "tiny/vocab.txt"]) == 2
    assert "vocab.txt of the model" in capsys.readouterr().err


def test_a_plan_of_costs_is_followed_in_the_formats_that_were_measured(bert, capsys):
    measured = ["--method", "gptq", "--calibrate", "seen.txt"]
    for group, scale in ((32, "float16"), (16, "float32")):
        options = ["--formats", "int3,int8", "--group", str(group), "--scale-format", scale, "-o", "costs.toml"]
        assert main(["sensitivity", "tiny", *measured, *options]) == 0
        assert main(["allocate", "costs.toml", "--budget", "avg_bits=7", "--no-more", "-o", "plan.json"]) == 0
        output = f"out{group}"
        capsys.readouterr()
        words = ["tiny", *measured, "--plan", "plan.json", "--output-format", "json"]
        assert main(["quantize", *words, "--output", output]) == 0
        formats = {tensor["format"] for tensor in json.loads(capsys.readouterr().out)["tensors"]}
        assert formats == {f"{name}.g{group}{'.float32' * (group == 16)}" for name in ("int3", "int8")}
        words = [word if word != "--method" else "--methods" for word in words]
        assert main(["evaluate", *words, "--held-out", "seen.txt"]) == 0
        assert 4 < json.loads(capsys.readouterr().out)["rows"][1]["bits"] <= 7


def test_inputs_from_a_file_are_as_good_as_sentences(bert, capsys):
    inputs = SentenceModel.read(bert).inputs(SENTENCES)
    np.savez("inputs.npz", **inputs)
    outputs = []
    for words in (["--calibrate", "seen.txt", "--exclude", "embed|norm|pooler"], ["--inputs", "inputs.npz"]):
        command = ["sensitivity", "tiny", *SMALL, "--method", "gptq", "--include", "encoder", *words]
        assert main([*command, "--output-format", "json"]) == 0
        outputs.append(json.loads(capsys.readouterr().out)["layers"])
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--method gptq needs activations"),
        (["--inputs", "squares.npz"], "gptq needs rows of the layer's inputs, and there are their XᵀX alone"),
        (["--inputs", "squares.npz", "--calibrate", "seen.txt"], "two sources of the same rows"),
        (["--calibrate", "seen.txt", "--formats", "int4.g48"], "int4.g48 has blocks of 48"),
        (["--calibrate", "none.txt"], "none.txt cannot be read"),
    ],
)
def test_what_a_method_cannot_do_without(bert, capsys, words, message):
    name = "encoder.layer.0.attention.self.query.weight"
    np.savez("squares.npz", **{name: np.eye(32)})
    assert main(["sensitivity", "tiny", *SMALL, "--method", "gptq", "--include", "layer.0.*query", *words]) == 2
    assert message in capsys.readouterr().err
