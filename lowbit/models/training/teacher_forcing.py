"""MREM-P: modules learn all at once, by teacher forcing from float states and from what the module before makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lowbit.campaign import Journal, run_tasks
from lowbit.campaign.journal import digest
from lowbit.files.whole import whole_file
from lowbit.models.bert import Bert
from lowbit.models.llama import Llama
from lowbit.models.training.blocks import Blocks, Part, differentiated
from lowbit.models.training.mrem import Module, Plan, quantised, start_of
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.descent import Descent, descend, kept
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import block_error
from lowbit.quantizers.learned.settings import checked


def parallel(
    blocks: Blocks,
    plan: Plan,
    *,
    length: int = 1,
    forced: float = 0.5,
    rounds: int = 8,
    folder: str | Path | None = None,
    executor: Executor | None = None,
) -> list[Module]:
    """MREM-P: all modules are learned at once, each from what the one before made of the samples a while ago.

    Modules are tasks of a campaign, in rounds: what stands in the queues between them is renewed before each round, and
    within one nobody waits for anybody. Results do not depend on who works, or in which order.

    Parameters
    ----------
    blocks : Blocks
    plan : Plan
    length : int
        Blocks of a module.
    forced : float
        Teacher forcing: with T0 the share ``forced`` of all steps, the inputs of step t are
        ``lambda f + (1 - lambda) g``, ``lambda = max(1 - t / T0, 0)``, of the float states f and the quantised ones g.
        0: there is none. Infinity: lambda is 1, and modules know nothing of one another.
    rounds : int
    folder : path, optional
        Of one's own, where each module's descent and the journal are written; a run that finds them goes on, to the
        same bits.
    executor : concurrent.futures.Executor, optional
        As for :func:`lowbit.campaign.run_tasks`; machines need a folder that all of them see.

    Raises
    ------
    InputError
        There are no rounds, the share is negative, learning diverges, or the folder is of another run.

    Notes
    -----
    Source: as :func:`sequential`; what it calls annealed teacher forcing.
    """
    checked(rounds=rounds, forced=forced, length=length)
    if folder is None:
        with TemporaryDirectory() as temporary:
            options = {"length": length, "forced": forced, "rounds": rounds, "executor": executor}
            return parallel(blocks, plan, folder=temporary, **options)  # type: ignore[arg-type]
    place = Path(folder)
    walk = blocks.walk(lambda _: np.asarray, prefix="float", length=length)
    parts = {"+".join(part.names): part for part in walk}
    known = digest([[array.dtype.str, array.tobytes().hex()] for array in blocks.inputs])
    subject = {"plan": repr(plan), "modules": list(parts), "forced": forced, "rounds": rounds, "data": known}
    journal = Journal(place / "journal.jsonl", subject)
    starts = {name: start_of(part, plan) for name, part in parts.items()}
    parts = {name: replace(part, architecture=_bare(part.architecture)) for name, part in parts.items()}
    current = Round(place, plan, forced, rounds, parts, starts).reached(journal.read(dict))
    while current.number + 1 < rounds:
        current = current.following()
        run_tasks(current, current.names, dict, journal=journal, executor=executor)
        current.forget()
    states: Sequence[Array] = blocks.inputs
    modules = []
    for name in parts:
        modules.append(current.judged(name, states))
        states = [modules[-1](one) for one in states]
    return modules


@dataclass(frozen=True, eq=False)
class Round:
    """The steps that modules take without looking at one another: tasks for :func:`lowbit.campaign.run_tasks`.

    Attributes
    ----------
    place : Path
        Each module's descent, as it is after each round.
    plan : Plan
    forced : float
    rounds : int
    parts : mapping of str to Part
        The modules from the float prefix; their architectures without arrays, which are not sent to processes.
    starts : mapping of str to dict
        What is learned of each, where it begins.
    queues : mapping of str to list of ndarray
        What the module before each makes of the samples.
    number : int
        -1: nothing is learned yet.
    """

    place: Path
    plan: Plan
    forced: float
    rounds: int
    parts: Mapping[str, Part]
    starts: Mapping[str, Arrays]
    queues: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    number: int = -1

    @property
    def names(self) -> list[str]:
        """Of its tasks."""
        return [f"round {self.number}: {name}" for name in self.parts]

    @property
    def until(self) -> int:
        """The step after its last one."""
        return (self.number + 1) * self.plan.steps // self.rounds

    def __call__(self, task: str) -> dict[str, float]:
        """Let a module learn."""
        return {"loss": self.descent(task.partition(": ")[2]).losses[-1]} if self.until else {}

    def descent(self, name: str) -> Descent:
        """A module as it is after the round, which is taken unless it was."""
        part = self._part(name)
        before, file = self._file(name, self.number - 1), self._file(name, self.number)
        if before.exists() and not file.exists():
            with whole_file(file) as stream:
                stream.write(before.read_bytes())

        def loss(learned: Mapping[str, Any], step: int, random: np.random.Generator) -> Any:
            total: Any = 0.0
            size = min(self.plan.batch, len(part.targets))
            for number in random.choice(len(part.targets), size, replace=False):
                inputs = self.mixed(name, number, step)
                total = total + ((quantised(part, learned, inputs, self.plan) - part.targets[number]) ** 2).mean()
            return total / size

        return descend(loss, self.starts[name], self.plan.settings, file=file, until=self.until, judged=True)

    def module(self, name: str) -> Module:
        """A module as it is after the round."""
        return Module(self._part(name), self.descent(name).parameters, self.plan)

    def judged(self, name: str, inputs: Sequence[Array]) -> Module:
        """A module as it is after the round, for what the modules before it make of the samples in the end.

        By the rule of :func:`lowbit.quantizers.learned.descent.kept`.
        """
        module = self.module(name)

        def error(learned: Arrays) -> float:
            own = replace(module, learned=learned)
            return block_error(lambda _, hidden: own(hidden), learned, inputs, module.part.targets)

        return replace(module, learned=kept(self.starts[name], module.learned, error)[0])

    def reached(self, done: Mapping[str, Any]) -> Round:
        """The last round that is done, as are all before it."""
        following = replace(self, number=self.number + 1)
        every = following.number < self.rounds and all(name in done for name in following.names)
        return following.reached(done) if every else self

    def following(self) -> Round:
        """The next round, its queues filled."""
        return replace(
            self, queues=self.filled({name: self.module(name) for name in self.parts}), number=self.number + 1
        )

    def filled(self, modules: Mapping[str, Module]) -> dict[str, Sequence[Array]]:
        """Queues: modules push what they make of inputs as the first step of the next round has them."""
        states: Sequence[Array] = next(iter(self.parts.values())).float_inputs
        queues: dict[str, Sequence[Array]] = {}
        for name, module in modules.items():
            queues[name] = states
            known = replace(self, queues=queues)
            states = [module(known.mixed(name, sample, self.until)) for sample in range(len(states))]
        return queues

    def forget(self) -> None:
        """Remove what earlier rounds left."""
        for name in self.parts:
            self._file(name, self.number - 1).unlink(missing_ok=True)

    def _part(self, name: str) -> Part:
        part = self.parts[name]
        return replace(part, architecture=differentiated(part.architecture))

    def mixed(self, name: str, sample: int, step: int) -> Array:
        """What goes into a module in a step: float states and those of the queue, by teacher forcing."""
        share = share_of(step, self.forced * self.plan.steps if self.plan.steps else self.forced)
        teacher, queue = self.parts[name].float_inputs[sample], self.queues[name][sample]
        # exactly the teacher where its share is 1, and where nothing stands before the module
        return queue if share == 0 else teacher + teacher.dtype.type(1 - share) * (queue - teacher)

    def _file(self, name: str, number: int) -> Path:
        return self.place / f"{name}.{number}.npz"


def share_of(step: int, last: float) -> float:
    """What float states count in a step: ``lambda = max(1 - step / last, 0)``."""
    return max(1 - step / last, 0.0) if last else 0.0


def _bare(architecture: Bert | Llama) -> Any:
    names = {one.name for one in fields(architecture)} & {"namespace", "error_function"}
    return replace(architecture, **dict.fromkeys(names))  # type: ignore[arg-type]
