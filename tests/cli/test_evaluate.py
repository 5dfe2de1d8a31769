"""``lowbit evaluate``: the table, the picture and what is left out, on a BERT of random weights."""

import hashlib
import json
import re
import shlex
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lowbit import __version__ as lowbit_version
from lowbit.entropy import rans_encode
from lowbit.files.safetensors import read_header
from lowbit.metrics import relative_squared_error
from lowbit.models.sentences import SentenceModel
from lowbit.quantizers import METHODS
from tests.models.tiny_bert import folder, tiny_parameters

SEEN = ["unaffable cafe!", "a cafe", "un a cafe a", "able a! a", "cafe cafe unable", "a a a un"]
HELD_OUT = ["un cafe a!", "unaffable"]
LAYERS = 12
HEADS = ("method", "format", "bits", "coded", "similarity", "lowest", "output error", "seconds")


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    folder(tmp_path / "tiny", tiny_parameters(32), np.float32)
    (tmp_path / "seen.txt").write_text("\n\n".join(SEEN) + "\n")
    (tmp_path / "held.txt").write_text("\n".join(HELD_OUT))
    return tmp_path / "tiny"


def words(*more):
    return ("evaluate", "tiny", "--calibrate", "seen.txt", "--held-out", "held.txt", *more)


def test_the_table_has_the_float_model_first_and_says_what_is_left_out(lowbit, model):
    result = lowbit(*words("--methods", "rtn,gptq,squeezellm", "--to", "int4.g32,int8.g32"))
    assert result.status == 0, result.err
    assert re.sub(" +", " ", result.lines[1]) == "float F32 32.000 32.000 1.00000 1.00000 0 0.0"
    heads = [line.split()[:2] for line in result.lines[2:6]]
    methods = ("round_to_nearest", "gptq")
    assert heads == [[method, to] for method in methods for to in ("int4.g32", "int8.g32")]
    assert f"{LAYERS} layers with 20,480 weights; 2 held-out sentences, 6 of the calibration" in result.lines[6]
    assert "left out: squeezellm in int4.g32: encoder.layer.0.attention.self.query.weight: squeezellm" in result.out


def test_the_numbers_are_those_of_the_methods(lowbit, model):
    document = lowbit(*words("--methods", "gptq", "--to", "int4.g32", "--output-format", "json")).json
    assert document["schema"] == "lowbit/evaluation/1"
    first, row = document["rows"]
    assert (first["method"], first["similarity"]) == ("float", 1)
    plain = SentenceModel.read(model)
    seen, held_out = plain.inputs(SEEN), plain.inputs(HELD_OUT)
    weights = {name: read_header(model / "model.safetensors").tensor(name) for name in seen}
    results = {name: METHODS["gptq"].quantize(weights[name], rows, to="int4.g32") for name, rows in seen.items()}
    errors = [result.error(weights[name], held_out[name]) for name, result in results.items()]
    assert row["output_error"] == pytest.approx(np.mean(errors))
    assert row["bits"] == 4.5
    size = sum(weight.size for weight in weights.values())
    streams = {name: len(rans_encode(result.tensor.codes)) for name, result in results.items()}
    saved = sum(max(0, 4 * weights[name].size - 8 * length) for name, length in streams.items())
    assert row["entropy_bits"] == pytest.approx(4.5 - saved / size)
    assert first["entropy_bits"] == first["bits"] == 32
    changed = plain.with_weights({name: result.dequantize(dtype=np.float64) for name, result in results.items()})
    cosines = (changed.embed(HELD_OUT) * plain.embed(HELD_OUT)).sum(axis=1)
    assert (row["similarity"], row["lowest_similarity"]) == pytest.approx((cosines.mean(), cosines.min()))


def test_layers_that_read_the_same_are_quantised_as_one_by_methods_with_factors(lowbit, model):
    options = ("--include", "layer.0.attention.self.(query|value)", "--output-format", "json")
    row = lowbit(*words("--methods", "awq", "--to", "int4.g32", *options)).json["rows"][1]
    plain = SentenceModel.read(model)
    names = [f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "value")]
    seen, held_out = plain.inputs(SEEN)[names[0]], plain.inputs(HELD_OUT)[names[0]]
    weights = [plain.parameters[name] for name in names]
    values = METHODS["awq"].quantize(np.concatenate(weights), seen, to="int4.g32").dequantize(dtype=np.float64)
    errors = [
        relative_squared_error(held_out @ weight.T, held_out @ own.T)
        for weight, own in zip(weights, np.split(values, 2), strict=True)
    ]
    assert row["output_error"] == pytest.approx(np.mean(errors))


def test_methods_that_need_no_activations_need_no_calibration(lowbit, model):
    command = ("evaluate", "tiny", "--held-out", "held.txt", "--methods", "mofq,gptq:official")
    document = lowbit(*command, "--to", "int4.g32+float4_e2m1fn.g32", "--output-format", "json").json
    assert [row["method"] for row in document["rows"]] == ["float", "mofq"]
    (left_out,) = document["left_out"]
    assert left_out["method"] == "gptq:official"


def test_methods_that_need_activations_without_a_calibration_are_told_of_once(lowbit, model):
    result = lowbit("evaluate", "tiny", "--held-out", "held.txt", "--methods", "gptq,awq", "--to", "int4.g32,mxfp4")
    assert result.status == 2
    assert "activations are needed by gptq, awq" in result.err
    assert result.err.count("--calibrate TEXT") == 1


def test_what_a_method_lacks_where_layers_stand_alone_is_told(lowbit, model):
    """APTQ without its attention block is GPTQ, and CrossQuant's weights are those of round to nearest."""
    command = words("--methods", "aptq,gptq,crossquant,rtn", "--to", "int4.g32")
    document = lowbit(*command, "--output-format", "json").json
    assert [note.split(":")[0] for note in document["notes"]] == ["aptq", "crossquant", "aptq, gptq"]
    aptq, gptq, crossquant, nearest = ({**row, "method": "", "seconds": 0} for row in document["rows"][1:])
    assert aptq == gptq
    assert crossquant == nearest
    table = lowbit(*command, "-o", "out.html")
    for text in (table.out, (model.parent / "out.html").read_text()):
        assert "aptq: no attention block is given" in text
    quantise = ("quantize", "tiny", "--method", "aptq", "--to", "int4.g32", "--calibrate", "seen.txt", "-o", "out")
    assert "aptq: no attention block is given" in lowbit(*quantise).out


def test_options_follow_a_method(lowbit, model):
    ours = "gptq:order=activation:damping=0.02"
    row = lowbit(*words("--methods", ours, "--to", "int4.g32", "--output-format", "json")).json["rows"][1]
    assert row["method"] == ours
    plain = SentenceModel.read(model)
    held_out, errors = plain.inputs(HELD_OUT), []
    for name, rows in plain.inputs(SEEN).items():
        weights = read_header(model / "model.safetensors").tensor(name)
        result = METHODS["gptq"].quantize(weights, rows, to="int4.g32", order="activation", damping=0.02)
        errors.append(result.error(weights, held_out[name]))
    assert row["output_error"] == pytest.approx(np.mean(errors))
    quantise = ("quantize", "tiny", "--to", "int4.g32", "--calibrate", "seen.txt", "-o", "out", "--method")
    assert f"{ours}: " in lowbit(*quantise, ours).out
    assert any("input_order" in name for name in read_header(model.parent / "out" / "model.safetensors").entries)


@pytest.mark.parametrize(("method", "fits"), [("gptq", True), ("quarot:gptq", True), ("quarot", False), ("awq", False)])
def test_a_calibration_of_fewer_rows_than_inputs_is_told(lowbit, model, method, fits):
    few = "rows of calibration for 96 inputs: error feedback fits what it has seen"
    rows = len(SentenceModel.read(model).inputs(SEEN)["encoder.layer.0.output.dense.weight"])
    quantise = ("quantize", "tiny", "--method", "gptq", "--to", "int4.g32", "--calibrate", "seen.txt", "-o")
    command = words("--methods", method, "--to", "int4.g32", "--output-format", "json")
    assert any(f"{method}: {rows} {few}" in note for note in lowbit(*command).json["notes"]) == fits
    if method == "gptq":
        assert f"gptq: {rows} {few}" in lowbit(*quantise, "few").out
        (model.parent / "seen.txt").write_text("\n".join(SEEN * 3))
        assert lowbit(*command).json["notes"] == []
        assert few not in lowbit(*quantise, "enough").out


def test_without_formats_each_method_works_in_its_own(lowbit, model):
    document = lowbit(*words("--methods", "mofq,squeezellm,rtn", "--output-format", "json")).json
    assert [row["to"] for row in document["rows"][1:]] == ["int4.g32, float4_e2m1fn.g32", "table4.channel"]
    (left_out,) = document["left_out"]
    assert "int4.g128 has blocks of 128" in left_out["reason"]
    told = lowbit(*words("--methods", "mofq,rtn")).lines[-1]
    assert told.startswith("left out: round_to_nearest in its own format: ")


@pytest.mark.parametrize("word", [*HEADS, "left out", "rtn"])
def test_every_word_of_the_table_is_explained(lowbit, word):
    assert lowbit("explain", word).status == 0


def test_one_thing_has_no_plural(lowbit, model):
    (model.parent / "held.txt").write_text("a")
    one = ("--include", "0.*query")
    assert "\n1 layer with 1,024 weights; 1 held-out sentence, 6" in lowbit(*words("--methods", "mofq", *one)).out
    result = lowbit("sensitivity", "tiny", "--formats", "int4.g32", *one)
    assert "relative_error of 1 layer with 1,024 weights" in result.out


def test_what_is_left_out_has_a_line_each(lowbit, model):
    lines = lowbit(*words("--methods", "rtn,afpq,squeezellm", "--to", "int4.g32,nf4.g64")).lines
    left_out = [line for line in lines if line.startswith("left out: ")]
    assert len(left_out) == 5
    assert all(len(line) > 70 for line in left_out)
    assert lines[-5:] == left_out


@pytest.mark.parametrize("suffix", ["svg", "html", "json"])
def test_files(lowbit, model, suffix):
    result = lowbit(*words("--methods", "rtn", "--to", "int4.g32,mxfp4,nothing", "-o", f"out.{suffix}"))
    assert result.status == 0, result.err
    assert f"written: out.{suffix}" in result.err
    assert sorted(path.name for path in model.parent.glob("out*")) == [f"out.{suffix}"]
    text = (model.parent / f"out.{suffix}").read_text()
    if suffix == "json":
        assert len(json.loads(text)["rows"]) == 3
        return
    picture = text[text.index("<svg") : text.index("</svg>") + 6]
    circles = [node for node in ET.fromstring(picture).iter() if node.tag.endswith("circle")]
    assert len(circles) == 4  # two panels
    assert circles[0][0].text.startswith("round_to_nearest int4.g32: 4.500 bits")
    assert ("<td>float</td>" in text, "left out: round_to_nearest in nothing" in text) == (suffix == "html",) * 2


def test_one_run_writes_several_files_and_json_says_of_what(lowbit, model):
    outputs = ["out.svg", "out.json", "more.HTML"]
    options = [word for output in outputs for word in ("-o", output)]
    command = words(
        "--methods", "rtn,quarot,vector_quantization", "--to", "int4.g32,table4.vector2", "--include", "query"
    )
    result = lowbit(*command, *options, "--output-format", "json")
    assert result.status == 0, result.err
    assert result.err.splitlines()[-3:] == [f"written: {output}" for output in outputs]
    document = json.loads((model.parent / "out.json").read_text())
    assert document == result.json
    assert list(document)[:2] == ["schema", "lowbit"]
    assert (document["lowbit"], document["include"]) == (lowbit_version, "query")
    for name, file in (("calibration", "seen.txt"), ("held_out", "held.txt")):
        digest = hashlib.sha256((model.parent / file).read_bytes()).hexdigest()
        assert document["texts"][name] == {"file": file, "sha256": digest}
    assert document["seeds"] == {"quarot": 0, "vector_quantization": 0}
    for twice in (["-o", "a.svg", "-o", "a.svg"], ["-o", "a.svg", "-o", "a.png"]):
        assert lowbit(*command, *twice).status == 2
        assert not list(model.parent.glob("a.*"))


def test_a_text_that_is_seen_is_not_held_out(lowbit, model):
    (model.parent / "held.txt").write_text("un cafe a!\n" + SEEN[0])
    told = "warning: methods see what they are measured on: 1 of 2 held-out sentences in the calibration, too"
    assert told in lowbit(*words("--methods", "rtn", "--to", "int4.g32", "--include", "query")).out


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("evaluate", ["--held-out", "held.txt", "--methods", "rtn"]),
        ("evaluate", ["--held-out", "long.txt", "--methods", "rtn"]),
        ("quantize", ["--method", "gptq", "-o", "out"]),
        ("sensitivity", ["--method", "gptq", "--formats", "int4.g32"]),
    ],
)
def test_a_line_that_is_too_long_is_named(lowbit, model, verb, more):
    (model.parent / "long.txt").write_text("a\n\n" + "a " * 15 + "\n")
    text = "seen.txt" if "long.txt" in more else "long.txt"
    to = [] if verb == "sensitivity" else ["--to", "int4.g32"]
    result = lowbit(verb, "tiny", "--calibrate", text, *more, *to)
    assert result.status == 2
    assert "long.txt, line 3: 'a a a a a a a a a a a a a a a' has 17 pieces of words, and the model has" in result.err


def test_a_plan_goes_through_a_method_and_what_it_leaves_alone_counts_as_it_is(lowbit, model):
    names = list(SentenceModel.read(model).inputs(SEEN))
    plan = {"layers": [{"layer": name, "choice": "mxfp4"} for name in names[:6]], "model": {}}
    (model.parent / "plan.json").write_text(json.dumps(plan))
    document = lowbit(*words("--methods", "rtn", "--plan", "plan.json", "--output-format", "json")).json
    assert document["rows"][1]["to"] == "plan"
    assert document["rows"][1]["bits"] == (4.25 + 32) / 2
    assert document["notes"] == ["plan: 6 of 12 layers are not in it and stay as they are"]


def test_a_quantised_model_is_dequantised_first(lowbit, model):
    assert lowbit("quantize", "tiny", "--to", "mxfp4", "-o", "new").status == 0
    for _ in range(2):
        result = lowbit("evaluate", "new", "--held-out", "held.txt", "--methods", "rtn", "--to", "mxfp4")
        assert result.status == 2
        assert "`lowbit dequantize` it first" in result.err
        (model.parent / "new" / "vocab.txt").write_bytes((model / "vocab.txt").read_bytes())


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_the_file_that_a_model_lacks_is_named(lowbit, model, name):
    (model / name).unlink()
    result = lowbit(*words("--methods", "rtn", "--to", "mxfp4"))
    assert result.status == 2
    assert name in result.err.splitlines()[0]
    assert "Error(" not in result.err


def test_a_run_that_was_stopped_goes_on(lowbit, model, monkeypatch):
    arguments = words("--methods", "rtn", "--to", "int4.g32,int8.g32", "--output-format", "json")
    whole = lowbit(*arguments, "--journal", "journal").json
    journal = model.parent / "journal"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    journal.write_text("".join(lines[:2]) + lines[2][:10])
    again = lowbit(*arguments, "--journal", "journal").json
    assert [row["similarity"] for row in again["rows"]] == [row["similarity"] for row in whole["rows"]]
    assert again["rows"][1]["seconds"] == whole["rows"][1]["seconds"]
    (model.parent / "seen.txt").write_text("a")
    result = lowbit(*arguments, "--journal", "journal")
    assert result.status == 2
    assert "other calibration" in result.err


def test_a_refused_run_does_not_block_the_command_that_mends_it(lowbit, model):
    more = ("--methods", "rtn", "-o", "out.json")
    assert lowbit(*words(*more, "--to", "int4.g48")).status == 2
    assert not list(model.parent.glob("out*"))
    assert lowbit(*words(*more, "--to", "int4.g32", "--exclude", "query")).status == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--to", "int4.g32"], "`lowbit evaluate` takes --methods"),
        (["--methods", "gtpq", "--to", "int4.g32"], "did you mean 'gptq'?"),
        (["--methods", "gptq:other", "--to", "int4.g32"], "variant"),
        (["--methods", "gptq:dampin=1", "--to", "int4.g32"], "did you mean 'damping'?"),
        (["--methods", "gptq:order=activation,damping=1", "--to", "int4.g32"], "gptq:order=activation:damping=0.02"),
        (
            ["--methods", "rtn", "--to", "int4.g48"],
            "every method refuses every format: round_to_nearest in int4.g48: e",
        ),
        (["--methods", "rtn", "--to", "int4.g32", "--include", "nothing"], "none of the 12 linear layers is chosen"),
        (["--methods", "rtn", "--to", "int4.g32", "--jobs", "0"], "--jobs 0"),
        (["--methods", "rtn", "--to", "int4.g32", "-o", "no/x.html"], "]: no/x.html: cannot be written: No such file"),
        (["--methods", "rtn", "--to", "int4.g32", "-o", "out.png"], "ends in none of .html, .svg, .json"),
        (["--methods", "rtn", "--to", "int4.g32", "--calibrate", "none"], "none cannot be read"),
        (["--methods", "rtn", "--to", "int4.g32", "--calibrate", "tiny/model.safetensors"], "is not UTF-8"),
        (["--methods", "rtn", "--to", "int4.g32", "--calibrate", "empty"], "empty has no sentences"),
        (["--methods", "rtn", "--plan", "empty"], "empty is not a plan"),
        (["--methods", "rtn", "--plan", "other.json"], "has a format for 'x', which is not in"),
    ],
)
def test_what_is_refused(lowbit, model, more, message):
    (model.parent / "empty").write_text("\n \n")
    (model.parent / "other.json").write_text('{"layers": [{"layer": "x", "choice": "int4.g32"}]}')
    result = lowbit(*words(*more))
    assert result.status == 2
    assert message in result.err


def test_a_model_that_is_not_there(lowbit, model):
    result = lowbit("evaluate", "none", "--held-out", "held.txt", "--methods", "rtn", "--to", "int4.g32")
    assert result.status == 2
    assert "error[LB104]" in result.err


def test_the_commands_of_the_page_run_one_after_the_other(lowbit, model, repository):
    """On the small model, in shorter groups."""
    (model.parent / "held-out.txt").write_text("\n".join(HELD_OUT))
    page = (repository / "docs" / "how-to" / "quantise-and-evaluate-a-model.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ lowbit (.*)$", page.replace("\\\n", " "), re.MULTILINE)
    commands = [command for command in commands if " smollm2 " not in command]
    assert [command.split()[0] for command in commands] == [
        *("evaluate", "quantize", "dequantize"),
        *("sensitivity", "allocate", "evaluate", "quantize"),
    ]
    for command in commands:
        result = lowbit(*shlex.split(command.replace(" minilm ", " tiny ").replace("g128", "g32")))
        assert result.status == 0, result.err
    assert "gptq: " in result.out
    assert (model.parent / "planned" / "model.safetensors").exists()


@pytest.mark.slow
def test_processes_give_the_same(lowbit, model):
    arguments = words("--methods", "rtn,gptq", "--to", "int4.g32,mxfp4", "--output-format", "json")
    rows = [lowbit(*arguments, *more).json["rows"] for more in ((), ("--jobs", "2"))]
    ours, theirs = ([{**row, "seconds": 0} for row in some] for some in rows)
    assert ours == theirs
    for jobs in ("1", "2"):
        command = ("quantize", "tiny", "--method", "gptq", "--to", "int4.g32", "--calibrate", "seen.txt")
        assert lowbit(*command, "--jobs", jobs, "-o", f"out{jobs}").status == 0
    files = [(model.parent / f"out{jobs}" / "model.safetensors").read_bytes() for jobs in (1, 2)]
    assert files[0] == files[1]
