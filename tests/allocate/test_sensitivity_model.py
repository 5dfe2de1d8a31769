"""A whole model: the journal, processes and machines, the problem and the plan applied."""

import json

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.allocate import solve
from lowbit.allocate.model import compare, problem_of, tied_layers, write_applied
from lowbit.allocate.plan import Plan
from lowbit.allocate.sensitivity import (
    Settings,
    measure_model,
    measured_model,
    read_header,
)
from lowbit.errors import AllocationError, InputError
from lowbit.files.safetensors import Entry, write_tensors

FORMATS = ("int2", "int4", "float4_e2m1fn", "int8")
GENERATOR = np.random.default_rng(11)
TENSORS = {
    "embeddings.weight": GENERATOR.normal(size=(50, 8)).astype(np.float32),
    "layer.0.query.weight": GENERATOR.normal(size=(6, 8)).astype(np.float32),
    "layer.0.key.weight": GENERATOR.normal(size=(6, 8)).astype(np.float16),
    "layer.0.norm.weight": np.ones(8, np.float32),
    "layer.0.up.weight": GENERATOR.standard_t(2, size=(12, 8)).astype(ml_dtypes.bfloat16),
    "conv.weight": GENERATOR.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "steps": np.array(7, np.int64),
}
KINDS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
}


def write(path, tensors=TENSORS):
    entries = [Entry(name, KINDS[array.dtype.name], array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values())
    return path


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model.safetensors")


def test_the_layers_of_a_model(model):
    measured = measure_model(model, Settings(FORMATS, group=4))
    assert [layer.name for layer in measured.layers] == [
        "layer.0.query.weight",
        "layer.0.key.weight",
        "layer.0.up.weight",
        "conv.weight",
    ]
    assert (len(measured.left_out), sum(item.size for item in measured.left_out)) == (3, 400 + 8 + 1)
    query = measured.layers[0]
    assert [errors.bits for errors in query.errors] == [48 * bits + 12 * 16 for bits in (2, 4, 4, 8)]
    losses = [errors.loss("relative_error") for errors in query.errors]
    assert losses[0] > losses[1] > losses[3] > 0
    everything = measure_model(model, Settings(FORMATS, exclude=""))
    assert everything.layers[0].name == "embeddings.weight"
    only = measure_model(model, Settings(FORMATS, include="conv"))
    assert [layer.shape for layer in only.layers] == [(4, 3, 2, 2)]


@pytest.mark.slow
def test_processes_and_dask_give_the_same_numbers(model):
    alone = measure_model(model, Settings(FORMATS, group=4))
    assert measure_model(model, Settings(FORMATS, group=4), jobs=2) == alone
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        assert measure_model(model, Settings(FORMATS, group=4), scheduler=cluster.scheduler_address) == alone


def test_a_run_that_was_cut_off_goes_on(model, tmp_path, monkeypatch):
    journal, settings = tmp_path / "journal", Settings(FORMATS, group=4)
    whole = measure_model(model, settings, journal=journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 4
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # killed in the middle of a line
    measured = []
    original = measured_model.measure_named
    monkeypatch.setattr(
        measured_model,
        "measure_named",
        lambda path, name, settings: measured.append(name) or original(path, name, settings),
    )
    assert measure_model(model, settings, journal=journal) == whole
    assert measured == ["layer.0.up.weight", "conv.weight"]
    assert len(journal.read_bytes().splitlines()) == 5
    with pytest.raises(InputError, match="other settings"):
        measure_model(model, Settings(FORMATS, group=8), journal=journal)
    journal.write_text("what?\n")
    with pytest.raises(InputError, match="not a journal"):
        measure_model(model, settings, journal=journal)


def test_layer_outputs_for_given_inputs(model, tmp_path):
    inputs = GENERATOR.normal(size=(20, 8))
    archive = tmp_path / "inputs.npz"
    np.savez(archive, **{"layer.0.query.weight": inputs, "layer.0.key.weight": inputs.T @ inputs})
    measured = measure_model(model, Settings(FORMATS, inputs=str(archive)))
    query, key, up, _ = measured.layers
    assert query.errors[0].output_power == pytest.approx(np.sum((inputs @ TENSORS[query.name].T) ** 2))
    assert key.errors[0].output_power == pytest.approx(np.sum((inputs @ TENSORS[key.name].astype(float).T) ** 2))
    assert up.errors[0].output is None
    with pytest.raises(AllocationError, match=r"layer\.0\.up.*inputs"):
        problem_of(measured, score="output_error")
    np.savez(archive, nobody=inputs)
    with pytest.raises(InputError, match="nobody"):
        measure_model(model, Settings(FORMATS, inputs=str(archive)))
    np.savez(archive, **{"layer.0.query.weight": inputs[:, :5]})
    with pytest.raises(InputError, match="8 inputs"):
        measure_model(model, Settings(FORMATS, inputs=str(archive)))


def test_settings_that_make_no_sense(model):
    for settings, message in (
        ({"formats": ()}, "no formats"),
        ({"formats": ("int4", "INT4")}, "twice"),
        ({"formats": ("int4",), "group": -1}, "negative"),
        ({"formats": ("int4",), "exclude": "("}, "regular expression"),
        ({"formats": ("int4",), "scale_format": "int8"}, "scale format"),
        ({"formats": ("uint4",)}, "cannot hold weights"),
    ):
        with pytest.raises(InputError, match=message):
            Settings(**settings)
    with pytest.raises(InputError, match="none of 7 tensors"):
        measure_model(model, Settings(FORMATS, include="nothing"))


def test_the_problem_counts_scales_and_ties_layers(model):
    measured = measure_model(model, Settings(FORMATS, group=4))
    problem = problem_of(measured, limits={"avg_bits": 8}, tie="query|key")
    assert problem.ties == ((0, 1),)
    total = sum(layer.parameters for layer in measured.layers)
    uniform = problem.totals_of([1, 1, 1, 1])
    assert uniform[0] == sum(layer.errors[1].bits for layer in measured.layers)
    assert problem.budget("avg_bits").amount_of(uniform[0]) * total == uniform[0]
    traces = {layer.name: 2.0 for layer in measured.layers}
    hessian = problem_of(measured, score="hessian", traces=traces)
    assert hessian.losses[0] == 2.0 * measured.layers[0].errors[0].squared
    for options, message in (
        ({"score": "luck"}, "luck"),
        ({"limits": {"energy": 1}}, "energy"),
        ({"score": "hessian", "traces": {}}, "Hessian trace"),
    ):
        with pytest.raises(AllocationError, match=message):
            problem_of(measured, **options)
    with pytest.raises(AllocationError, match="ties no layers"):
        tied_layers(["a", "b"], "x")


def test_a_budget_of_coded_bits_buys_finer_codes_with_coarser_scales(tmp_path):
    generator = np.random.default_rng(6)
    tensors = {name: generator.standard_t(4, size=(64, 1024)).astype(np.float32) for name in ("a.weight", "b.weight")}
    model = write(tmp_path / "model.safetensors", tensors)
    measured = measure_model(model, Settings(("int3.g128", "int4.g128", "int6.tensor", "int8.tensor")))
    plain, coded = (solve(problem_of(measured, limits={name: 4.25})) for name in ("avg_bits", "entropy_bits"))
    assert plain.choices == ("int4.g128", "int4.g128")
    assert all(choice.endswith(".tensor") for choice in coded.choices)
    assert coded.loss < 0.7 * plain.loss
    (used,) = (use.used for use in coded.uses if use.name == "entropy_bits")
    bits = [layer.errors[pick].entropy_bits for layer, pick in zip(measured.layers, coded.picks, strict=True)]
    assert used * measured.parameters == sum(bits)
    assert used <= 4.25


def test_a_model_of_weights_whose_squares_underflow(tmp_path):
    tensors = {"a": np.full((2, 8), 1e-300), "b": np.full((2, 8), 3e-200), "zero": np.zeros((2, 8))}
    journal, settings = tmp_path / "journal", Settings(("int4", "int8"), group=4)
    path = write(tmp_path / "tiny.safetensors", tensors)
    measured = measure_model(path, settings, journal=journal)
    assert measure_model(path, settings, journal=journal) == measured
    problem = problem_of(measured)
    assert problem.losses.tolist() == [1, 1, 1, 1, 0, 0]
    rows = compare(measured, Plan(problem, (0, 0, 0), 0.0, 1e-9, "by hand", "none", {}))
    assert [row.weight_error for row in rows] == [1, 1, 1]


def test_a_plan_applied_is_what_was_measured(model, tmp_path):
    measured = measure_model(model, Settings(FORMATS, group=4))
    problem = problem_of(measured)
    picks = (1, 2, 3, 0)
    plan = Plan(problem, picks, 0.0, 1e-9, "by hand", "none", {})
    written = tmp_path / "applied.safetensors"
    write_applied(model, measured, plan, written)
    applied = read_header(written)
    squared = power = 0.0
    for layer, choice in zip(measured.layers, plan.choices, strict=True):
        before = TENSORS[layer.name].astype(np.float64)
        rows = before.reshape(len(before), -1)
        values = lowbit.dequantize(lowbit.quantize(rows, f"{choice}.g4"), dtype=np.float64).reshape(before.shape)
        assert np.array_equal(applied.tensor(layer.name), values.astype(TENSORS[layer.name].dtype))
        squared += np.sum((before - values) ** 2)
        power += np.sum(before**2)
    rows = {row.what: row for row in compare(measured, plan)}
    assert rows["plan"].weight_error == pytest.approx(squared / power, rel=1e-12)
    assert rows["plan"].loss == pytest.approx(problem.loss_of(picks))
    assert set(rows) == {"plan", *FORMATS}
    scales = sum(-(-layer.parameters // 4) for layer in measured.layers)
    assert rows["int4"].average_bits == 4 + 16 * scales / measured.parameters
    assert np.array_equal(applied.tensor("embeddings.weight"), TENSORS["embeddings.weight"])
    assert json.loads(plan.to_json())["layers"][0]["choice"] == "int4"
