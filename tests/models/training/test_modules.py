"""Modules that learn one after the other and all at once: the same bits whoever works, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from lowbit.campaign import workers
from lowbit.errors import InputError
from lowbit.models.sentences import SentenceModel
from lowbit.models.training.blocks import blocks_of
from lowbit.models.training.mrem import Module, Plan, end_error, layer_wise, quantised, sequential, start_of, through
from lowbit.models.training.teacher_forcing import Round, parallel, share_of
from lowbit.quantizers.learned.descent import descend
from tests.models.tiny_bert import folder, tiny_parameters

pytest.importorskip("autograd")
RATES = {"": 2e-2, ".scale": 2e-2, ".step": 1e-3}
PLAN = Plan(12, 3, bits=3, batch=2, rates=RATES)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    model = SentenceModel.read(folder(tmp_path_factory.mktemp("bert"), tiny_parameters()))
    return blocks_of(model, ["unable cafe!", "a cafe", "a", "cafe un ! a"])


def same(modules, others):
    return all(
        np.array_equal(array, other.learned[name])
        for one, other in zip(modules, others, strict=True)
        for name, array in one.learned.items()
    )


def test_a_module_computes_with_few_codes(blocks):
    part = blocks.part(range(1), blocks.inputs, blocks.inputs)
    start, seen = start_of(part, PLAN), {}
    result = quantised(part, start, blocks.inputs[0], PLAN, seen)
    assert next(iter(seen)) == "encoder.layer.0.attention.self.query.weight"
    assert set(seen) == set(part.linears)
    own = {**part.parameters}
    for name in part.linears:
        step = start[f"{name}.scale"]
        np.testing.assert_allclose(step, 2 * np.abs(own[name]).mean(axis=1, keepdims=True) / np.sqrt(3), rtol=1e-6)
        own[name] = np.clip(np.rint(own[name] / step), -3, 3) * step

    def apply(kind, name, function, *inputs):
        if kind == "linear":
            step = start[f"{name}.weight.step"]
            inputs = (np.clip(np.rint(inputs[0] / step), -128, 127) * step,)
        return function(*inputs)

    np.testing.assert_allclose(result, part.forward(own, blocks.inputs[0], apply), rtol=1e-6)


def test_one_after_the_other_beats_layer_by_layer(blocks):
    plan = Plan(24, 0, bits=2, batch=2, rates=RATES)
    still = end_error(sequential(blocks, Plan(0, 0)), blocks)
    modules, layers = sequential(blocks, plan), layer_wise(blocks, plan)
    assert end_error(modules, blocks) < end_error(layers, blocks) < still
    assert [module.part.numbers for module in sequential(blocks, PLAN, length=2)] == [range(2)]
    np.testing.assert_array_equal(through(modules[:1], blocks.inputs)[1], modules[1].part.inputs[1])


def test_under_full_teacher_forcing_modules_are_as_they_are_alone(blocks):
    modules = parallel(blocks, PLAN, forced=float("inf"), rounds=3)
    (_, last) = blocks.walk(lambda _: np.asarray, prefix="float")

    def loss(learned, step, random):
        total = 0.0
        for sample in random.choice(len(last.targets), 2, replace=False):
            wrong = quantised(last, learned, last.float_inputs[sample], PLAN) - last.targets[sample]
            total = total + (wrong**2).mean()
        return total / 2

    alone = descend(loss, start_of(last, PLAN), PLAN.settings).parameters
    assert same([modules[1]], [Module(last, alone, PLAN)])
    assert same(parallel(blocks, PLAN, forced=float("inf"), rounds=1), modules)


def test_the_share_of_the_teacher_falls_on_a_line():
    assert [share_of(step, 4.0) for step in (0, 1, 2, 4, 9)] == [1, 0.75, 0.5, 0, 0]
    assert share_of(0, 0.0) == 0
    assert share_of(10**9, float("inf")) == 1


def test_without_a_teacher_a_module_sees_what_the_one_before_makes(blocks):
    modules = parallel(blocks, Plan(0, 0), forced=0, rounds=1)
    starts = {"+".join(one.part.names): one.learned for one in modules}
    parts = {name: one.part for name, one in zip(starts, modules, strict=True)}
    first, second = parts
    queues = Round(None, Plan(0, 0), 0.0, 1, parts, starts).filled(
        {one: modules[place] for place, one in enumerate(parts)}
    )
    np.testing.assert_array_equal(queues[first][2], blocks.inputs[2])
    np.testing.assert_array_equal(queues[second][2], modules[0](blocks.inputs[2]))
    forced, free = (parallel(blocks, PLAN, forced=share, rounds=3) for share in (0.5, 0))
    assert same(forced[:1], free[:1])
    assert not same(forced[1:], free[1:])


def test_an_interrupted_run_goes_on_to_the_same_bits(blocks, tmp_path, monkeypatch):
    whole = parallel(blocks, PLAN, rounds=3)
    take, taken = Round.__call__, []

    def stops(self, task):
        if task == "round 1: encoder.layer.1":
            raise KeyboardInterrupt
        return take(self, task)

    def counted(self, task):
        taken.append(task)
        return take(self, task)

    monkeypatch.setattr(Round, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        parallel(blocks, PLAN, rounds=3, folder=tmp_path)
    monkeypatch.setattr(Round, "__call__", counted)
    assert same(parallel(blocks, PLAN, rounds=3, folder=tmp_path), whole)
    assert taken == ["round 1: encoder.layer.1", "round 2: encoder.layer.0", "round 2: encoder.layer.1"]
    assert same(parallel(blocks, PLAN, rounds=3, folder=tmp_path), whole)
    with pytest.raises(InputError, match="other forced"):
        parallel(blocks, PLAN, rounds=3, folder=tmp_path, forced=0.25)


@pytest.mark.slow
def test_processes_give_the_same_bits(blocks):
    with workers(2) as executor:
        assert same(parallel(blocks, PLAN, rounds=2, executor=executor), parallel(blocks, PLAN, rounds=2))


def test_rows_of_zeros_stay(blocks):
    name = "encoder.layer.0.attention.self.query.weight"
    weights = blocks.parameters[name].copy()
    weights[2] = 0
    part = replace(blocks, parameters={**blocks.parameters, name: weights}).part(range(1), blocks.inputs, blocks.inputs)
    learned = start_of(part, PLAN)
    assert (learned[f"{name}.scale"] > 0).all()
    assert np.isfinite(quantised(part, learned, blocks.inputs[0], PLAN)).all()


def test_bad_plans_are_refused(blocks):
    with pytest.raises(InputError, match="bits = 1 is not a whole number from 2 to 8"):
        Plan(1, 0, bits=1)
    with pytest.raises(InputError, match="input_bits = 9 is not a whole number from 2 to 8"):
        Plan(1, 0, input_bits=9)
    with pytest.raises(InputError, match="seed = None is not a whole number from 0 on"):
        parallel(blocks, Plan(1, None))
    with pytest.raises(InputError, match=r"no such folder|cannot be written|No such file"):
        parallel(blocks, PLAN, folder="no folder of this name")
    with pytest.raises(InputError, match="rounds = 0 is not a whole number from 1 on"):
        parallel(blocks, PLAN, rounds=0)
    with pytest.raises(InputError, match="forced = -1 is not a number from 0 on"):
        parallel(blocks, PLAN, forced=-1)
