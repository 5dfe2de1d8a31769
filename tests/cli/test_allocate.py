"""``lowbit allocate``."""

import json
from pathlib import Path

import jsonschema
import pytest

from lowbit import allocate

EXAMPLE = ("allocate", "--example", "hawq_v3_resnet18")
FAST = (*EXAMPLE, "--budget", "bytes=50%", "--no-more")

SWITCHED = """
choices = ["int4", "int8"]
[budgets.bytes]
[[layers]]
name = "a"
loss = [1, 0]
bytes = [1, 2]
[[layers]]
name = "b"
loss = [9, 0]
bytes = [1, 2]
"""


@pytest.fixture
def costs(tmp_path):
    path = tmp_path / "costs.toml"
    path.write_text(SWITCHED)
    return path


def test_report(lowbit):
    result = lowbit(*EXAMPLE, "--budget", "bytes=50%", "--budget", "latency=4.3", "--pareto", 4)
    assert result.status == 0
    assert result.lines[0] == "HAWQ-V3 ResNet18"
    assert any(line.split()[:2] == ["stage4.unit2.quant_convbn2", "int4"] for line in result.lines)
    assert "optimal to 1e-09" in result.out
    assert "choices  int8 x 12, int4 x 7" in result.out
    assert "with 5 % more" in result.out
    assert "stage3.unit1.quant_convbn2 int4 -> int8" in result.out
    assert "loss against bytes" in result.out


def test_json_follows_its_schema(lowbit):
    document = lowbit(*EXAMPLE, "--budget", "latency=4.3", "--pareto", 3, "--output-format", "json").json
    folder = Path(allocate.__file__).parent
    for name, part in (("report", document), ("plan", document["plan"])):
        schema = json.loads((folder / f"{name}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(part, schema)
    (latency,) = [budget for budget in document["plan"]["budgets"] if budget["name"] == "latency"]
    assert (latency["limit"], latency["exact"]["limit"]) == (4.3, "43/10")
    assert latency["used"] + latency["slack"] == pytest.approx(4.3)
    assert latency["price"] > 0
    assert document["front"]["budget"] == "latency"


def test_infeasible_is_status_6(lowbit):
    result = lowbit(*EXAMPLE, "--budget", "bytes=3MB")
    assert result.status == 6
    assert result.out == ""
    assert "error[LB701]: no plan keeps the limits: bytes needs at least 5,578,752 bytes" in result.err


def test_contradictory_budgets(lowbit):
    # Each can be kept alone: 25 % of the bytes is 4.3 MB above the least, latency needs the small layers at 4 bits.
    result = lowbit(*EXAMPLE, "--budget", "bytes=5.6MB", "--fix", "stage4.unit1.quant_convbn2=int8")
    assert result.status == 6
    assert "bytes needs at least 6,758,400 bytes" in result.err


def test_fix_same_switches(lowbit, costs):
    def choices(*words):
        plan = lowbit("allocate", costs, "--no-more", "--output-format", "json", *words).json["plan"]
        return [layer["choice"] for layer in plan["layers"]]

    assert choices("--budget", "bytes=3") == ["int4", "int8"]
    assert choices("--budget", "bytes=3", "--fix", "b=int4") == ["int8", "int4"]
    assert choices("--budget", "bytes=3", "--same", "a,b") == ["int4", "int4"]
    assert choices("--budget", "bytes=3", "--switches", "0") == ["int4", "int4"]


def test_plan_picture_export_and_warm_start(lowbit, tmp_path):
    plan, image, program = tmp_path / "plan.json", tmp_path / "plan.svg", tmp_path / "program.mps"
    assert lowbit(*FAST, "-o", plan, "--picture", image, "--export", program).status == 0
    written = json.loads(plan.read_text())
    assert written["status"] == "optimal"
    assert image.read_text().startswith("<svg")
    assert "ENDATA" in program.read_text()
    again = lowbit(*FAST, "--warm-start", plan, "--output-format", "json").json["plan"]
    assert again["layers"] == written["layers"]


@pytest.mark.parametrize("method", ["lagrangian", "exact", "neighborhoods", "milp"])
def test_methods(lowbit, method):
    # Neighbourhoods take all the time that there is; the others end early, but loading SciPy may take a second.
    limit = "0.5" if method == "neighborhoods" else "30"
    document = lowbit(*FAST, "--solver", method, "--time-limit", limit, "--output-format", "json").json
    assert document["plan"]["loss"] == pytest.approx(0.0745059296)


def test_help_lists_what_there_is(lowbit):
    from lowbit.cli.verbs import allocate as verb

    assert tuple(allocate.METHODS) == verb.SOLVERS
    assert allocate.EXAMPLES == verb.EXAMPLES


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["allocate"], "LB100", "takes one file of costs"),
        (["allocate", "x.toml", "--example", "hawq_v3_resnet18"], "LB100", "takes one file of costs"),
        (["allocate", "x.toml"], "LB700", "x.toml: cannot be read"),
        ([*EXAMPLE, "--budget", "bytes"], "LB100", "--budget bytes: no NAME=VALUE"),
        (
            [*EXAMPLE, "--budget", "bytes=6MB", "--budget", "bytes=9MB"],
            "LB100",
            "'bytes' is given twice, before as '6MB'",
        ),
        ([*EXAMPLE, "--fix", "a=int4", "--fix", "a=int8"], "LB100", "--fix a=int8: 'a' is given twice"),
        ([*EXAMPLE, "--budget", "byts=3MB"], "LB700", "did you mean 'bytes'"),
        ([*EXAMPLE, "--budget", "bytes=much"], "LB700", "'much' is not an amount"),
        ([*EXAMPLE, "--fix", "stage9=int4"], "LB700", "'stage9' is unknown"),
        ([*EXAMPLE, "--pareto", "1"], "LB100", "at least 2 points"),
        ([*EXAMPLE, "--along", "bytes"], "LB100", "--along is for --pareto"),
        ([*EXAMPLE, "--pareto", "3", "--along", "watts"], "LB700", "no budget 'watts'"),
        ([*EXAMPLE, "--gap", "x"], "LB100", "'x' is not a relative gap"),
        ([*EXAMPLE, "--switches", "-1"], "LB700", "-1 is negative"),
        ([*EXAMPLE, "--export", "program.txt"], "LB100", "ends in none of"),
        ([*EXAMPLE, "-o", "no/such/folder/plan.json"], "LB101", "cannot be written"),
        ([*EXAMPLE, "--export", "no/such/folder/program.lp"], "LB101", "cannot be written"),
        ([*EXAMPLE, "--warm-start", "nothing.json"], "LB700", "cannot be read"),
    ],
)
def test_errors(lowbit, words, code, part):
    result = lowbit(*words)
    assert result.status == 2
    assert f"error[{code}]" in result.err
    assert part in result.err


def test_a_warm_start_that_is_no_plan(lowbit, tmp_path):
    path = tmp_path / "plan.json"
    for text, why in (("[]", "it does not list layers with their choices"), ("{}", "it does not list"), ("{", "JSON")):
        path.write_text(text)
        result = lowbit(*FAST, "--warm-start", path)
        assert result.status == 2
        assert "plan.json is not a plan" in result.err
        assert why in result.err
