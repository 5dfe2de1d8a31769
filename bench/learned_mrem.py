"""MREM: modules of a few blocks that learn together, beside layers that learn alone; teacher forcing beside none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.learned import Row, System
from bench.quantizer_table import sentences
from lowbit.models import load
from lowbit.models.characters import tokens, topics
from lowbit.models.packages import minilm
from lowbit.models.training.blocks import Blocks, blocks_of
from lowbit.models.training.mrem import Plan, end_error, layer_wise, sequential
from lowbit.models.training.teacher_forcing import parallel
from lowbit.ops.arrays import Array

BLOCKS, SEEN, HELD_OUT, STEPS = 2, 24, 16, 20
"""Of all-MiniLM-L6-v2; sentences; steps of each layer, or of each module: every weight is moved as often."""
WINDOWS, LENGTH, JOINT_STEPS, ROUNDS = 16, 64, 50, 5
"""Of the character Llama's text, in characters; steps of its four blocks at once, and renewals of their queues."""
FORCED = (0.5, 0.25)
"""Shares of the steps in which lambda falls to 0; the first is the default."""
RATES = {"": 2e-3, ".scale": 2e-3, ".step": 1e-3}


def module_wise(seeds: tuple[int, ...]) -> list[Row]:
    """Held-out error of the last states, weights of two bits: two blocks together, one by one, layer by layer."""
    seen, held_out = (
        _first(blocks_of(minilm(), texts[:count])) for texts, count in zip(sentences(), (SEEN, HELD_OUT), strict=True)
    )
    rows, start = [], end_error(sequential(seen, Plan(0, 0)), held_out)
    for seed in seeds:
        plan = Plan(STEPS, seed, batch=2)
        two, one = (end_error(sequential(seen, plan, length=length), held_out) for length in (2, 1))
        layers = end_error(layer_wise(seen, plan), held_out)
        claim = f"error of the last states, W2 A8, equal steps: modules of two blocks, of one, and layers, seed {seed}"
        measured = {"two blocks": two, "one block": one, "layers": layers, "nothing learned": start}
        rows.append(Row(claim, "modules <= layers", measured, max(one, two) <= layers))
    return rows


def _first(blocks: Blocks) -> Blocks:
    return replace(blocks, architecture=replace(blocks.architecture, layers=BLOCKS))


def teacher_forcing(seeds: tuple[int, ...]) -> list[Row]:
    """Held-out error of the last states of a Llama whose four blocks, weights of two bits, learn at once."""
    seen, held_out = (
        blocks_of(load("character_llama"), tokens(topics(held_out=held))[: WINDOWS * LENGTH].reshape(-1, 1, LENGTH))
        for held in (False, True)
    )
    plans = [Plan(JOINT_STEPS, seed, batch=1, rates=RATES) for seed in seeds]

    def errors(forced: float) -> Array:
        return np.array([end_error(parallel(seen, plan, forced=forced, rounds=ROUNDS), held_out) for plan in plans])

    none, rows = errors(0.0), []
    for forced in FORCED:
        some = errors(forced)
        gain, spread = float((none - some).mean()), float(max(none.std(ddof=1), some.std(ddof=1)))
        measured = {"none": none.mean(), "forced": some.mean(), "deviation of none": none.std(ddof=1)}
        measured |= {"deviation of forced": some.std(ddof=1), "gain over the larger": gain / spread}
        claim = f"error of the last states, W2 A8, all blocks at once: lambda from 1 to 0 in {forced:.0%} of the steps"
        rows.append(Row(claim, "gain > 2 deviations", measured, gain > 2 * spread))
    return rows


SYSTEMS = {
    "mrem": System(module_wise, (0, 1, 2)),
    "mrem_teacher_forcing": System(teacher_forcing, (0, 1, 2, 3, 4)),
}
