"""The one loop that learns: batches by the seed and the step, an optimiser, what it costs; repeatable, resumable."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lowbit.campaign.journal import digest
from lowbit.errors import InputError
from lowbit.files.whole import whole_file
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.gradients import Parameters, differentiable
from lowbit.quantizers.learned.optimizers import SCHEDULES, Adam, Arrays, Optimizer, rate_of, share
from lowbit.quantizers.learned.settings import checked, checked_rates, require_named

T = TypeVar("T")
KEPT = ("learned", "start")
FAR, FAR_OF_BATCHES = 2.0, 10.0
"""The factor of the start's error beyond which learning has diverged; of the first losses, where batches are known."""
FINITE = "nothing is learned yet: are the weights and the inputs finite numbers of an ordinary size?"
LOWER = "a lower rate, or gradients that are shortened"

LossOfStep = Callable[[Mapping[str, Any], int, np.random.Generator], Any]
"""``(parameters, step, random) -> loss``: ``random`` depends on the seed and the step alone."""


@dataclass(frozen=True)
class Settings:
    """How something is learned.

    Attributes
    ----------
    steps, seed : int
    rates : mapping of str to float
        By how a parameter's name ends: see :func:`lowbit.quantizers.learned.optimizers.rate_of`. One without a rate
        stays as it is.
    optimizer : Optimizer
    schedule : str
        One of ``SCHEDULES``.
    warm_up : int
        Steps in which the rate rises.
    longest : float
        Gradients are shortened to this length, all of them as one vector; infinite: they are left.
    subject : str
        What the loss is of, in any words: a file of what was learned so far is one of this subject alone.
    """

    steps: int
    seed: int
    rates: Mapping[str, float]
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: str = "constant"
    warm_up: int = 0
    longest: float = float("inf")
    subject: str = ""

    def __post_init__(self) -> None:
        require_choice("schedule", self.schedule, SCHEDULES)
        numbers = {name: getattr(self, name) for name in ("steps", "seed", "warm_up", "longest")}
        for name, value in {**checked(**numbers), "rates": checked_rates(self.rates)}.items():
            object.__setattr__(self, name, value)
        if not callable(getattr(self.optimizer, "moved", None)):
            raise InputError(f"optimizer = {self.optimizer!r} does not move parameters", hint="Adam(), RMSprop()")
        if not isinstance(self.subject, str):
            raise InputError(f"subject = {self.subject!r} is not a text", hint="what the loss is of, in any words")


@dataclass(frozen=True)
class Descent:
    """What was learned so far.

    Attributes
    ----------
    parameters : dict of str to ndarray
    losses : tuple of float
        Before each step.
    state : dict of str to dict of str to ndarray
        What the optimiser remembers.
    """

    parameters: Arrays
    losses: tuple[float, ...]
    state: dict[str, Arrays]


def descend(  # noqa: PLR0913 (all but three are keyword-only options)
    loss: LossOfStep,
    parameters: Parameters,
    settings: Settings,
    *,
    file: str | Path | None = None,
    every: int = 50,
    until: int | None = None,
    after: Callable[[Arrays], Arrays] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    judged: bool = False,
) -> Descent:
    """Move parameters down a loss. One machine with one thread of its BLAS gives the same bits again.

    Parameters
    ----------
    loss : callable
        ``(parameters, step, random) -> number``, over the arrays of :func:`differentiable`.
    parameters : mapping of str to ndarray
        Where they begin.
    settings : Settings
    file : path, optional
        Where what was learned is written every few steps; a run that finds it goes on from there, to the same bits.
    every : int
        Steps between two writings.
    until : int, optional
        Stop after so many steps, all told; with a file another call goes on.
    after : callable, optional
        What is done to the parameters after every step: they are clamped, say.
    progress : callable, optional
        Takes (steps done, steps, loss).
    judged : bool
        Whether the caller compares what was learned with its start, by :func:`kept`. Elsewhere, as in a training, no
        more is known than the losses of batches.

    Raises
    ------
    InputError
        A loss, a slope or what is learned is not finite: it diverges; the mean loss of the last tenth of the steps is
        more than ``FAR_OF_BATCHES`` times that of the first tenth; a rate is of no parameter; the file is of other
        settings.
    """
    checked(every=every, until=until)
    require_named(settings.rates, parameters)
    known = {name: np.array(value) for name, value in parameters.items()}
    rates = {name: rate_of(name, settings.rates) for name in known}
    own = _described(known, settings)
    current = Descent(known, (), {name: settings.optimizer.start(known[name]) for name in known if rates[name]})
    if file is not None and Path(file).exists():
        current = _read(Path(file), own)
    slopes = differentiable().value_and_gradient
    end = settings.steps if until is None else min(until, settings.steps)
    for step in range(len(current.losses), end):
        random = np.random.default_rng([settings.seed, step])
        moving = {name: current.parameters[name] for name in current.state}
        still = {name: value for name, value in current.parameters.items() if name not in moving}
        try:
            value, gradients = slopes(lambda own: loss({**still, **own}, step, random))(moving)  # noqa: B023 (called here)
        except FloatingPointError as error:  # where the caller has NumPy raise them
            if not step:
                raise
            past = f"loss {current.losses[-1]:.6g} before"
            what = f"learning diverges: step {step} goes beyond its arithmetic ({error}), {past}"
            raise InputError(what, hint=LOWER) from error
        current = _step(current, float(value), gradients, settings, rates, after)
        if progress is not None:
            progress(step + 1, settings.steps, float(value))
        if file is not None and (step + 1 == end or (step + 1) % every == 0):
            _write(Path(file), current, own)
    if not judged and len(current.losses) == settings.steps:
        _require_near(current.losses)
    return current


class Errors(NamedTuple):
    """Of what a descent began with and of what is returned, for all samples; ``kept``: which of ``KEPT`` that is."""

    before: float
    after: float
    kept: str


def kept(start: T, learned: T, error: Callable[[T], float]) -> tuple[T, Errors]:
    """What is returned of a descent: nothing that is far worse than its start.

    Every method that can measure its result for all samples has this rule: where the error of what was learned is more
    than ``FAR`` times that of what it began with, or not finite, the start is returned, as after no steps at all. Less
    is left to the caller, who has both errors: few steps often begin with a rise.

    Parameters
    ----------
    start, learned : any
        Parameters, or what is stored for them.
    error : callable
        Of one of them, for all samples, of whose batches the losses of the descent are.

    Raises
    ------
    InputError
        Neither error is finite.
    """
    before, after = _measured(error, start), _measured(error, learned)
    if not np.isfinite([before, after]).any():
        raise InputError("the error is not finite, of what learning begins with and of what it ends in", hint=FINITE)
    if after <= FAR * before:
        return learned, Errors(before, after, "learned")
    return start, Errors(before, before, "start")


def _measured(error: Callable[[T], float], one: T) -> float:
    """An error; infinite where it is beyond its arithmetic."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = float(error(one))
    return result if np.isfinite(result) else float("inf")


def _require_near(losses: tuple[float, ...]) -> None:
    """Refuse losses that rose too far: InputError."""
    tenth = max(len(losses) // 10, 1)
    first, last = (float(np.mean(part)) for part in (losses[:tenth], losses[-tenth:])) if losses else (0.0, 0.0)
    if first > 0 and last > FAR_OF_BATCHES * first:
        what = f"learning diverges: the loss is {last:.6g} in the last steps and was {first:.6g} in the first"
        raise InputError(what, hint=LOWER)


def _step(
    current: Descent,
    value: float,
    gradients: Mapping[str, Array],
    settings: Settings,
    rates: Mapping[str, float],
    after: Callable[[Arrays], Arrays] | None,
) -> Descent:
    step = len(current.losses)
    _require_finite(value, gradients, step)
    length = float(np.sqrt(sum(float((slope.astype(np.float64) ** 2).sum()) for slope in gradients.values())))
    shorter = min(1.0, settings.longest / length) if length else 1.0
    of_step = share(settings.schedule, step, settings.steps, settings.warm_up)
    parameters, state = dict(current.parameters), dict(current.state)
    for name, slope in gradients.items():
        moved, rate = slope * shorter if shorter < 1 else slope, rates[name] * of_step
        with np.errstate(over="ignore", invalid="ignore"):  # told below, with the step
            result = settings.optimizer.moved(parameters[name], moved, state[name], step + 1, rate)
        parameters[name], state[name] = result
        _require_finite_array(f"{name} after", parameters[name], step, value)
        for part, kept in state[name].items():
            _require_finite_array(f"{part} of {name} after", kept, step, value)
    return replace(
        current,
        parameters=parameters if after is None else after(parameters),
        losses=(*current.losses, value),
        state=state,
    )


def _require_finite(value: float, gradients: Mapping[str, Array], step: int) -> None:
    """Refuse to go on from what is not a number: InputError."""
    if not np.isfinite(value):
        what = f"learning diverges: the loss of step {step} is {value}"
        raise InputError(what, hint=LOWER if step else FINITE)
    for name, slope in gradients.items():
        _require_finite_array(f"a slope by {name} in", slope, step, value)


def _require_finite_array(what: str, values: Array, step: int, loss: float) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        bad = values[~finite].ravel()[0]
        raise InputError(f"learning diverges: {what} step {step} is {bad} (loss {loss:.6g})", hint=LOWER)


def _described(parameters: Arrays, settings: Settings) -> str:
    """What the bits of a run depend on, as one line."""
    arrays = {name: [value.dtype.str, value.shape, digest(value.tobytes().hex())] for name, value in parameters.items()}
    return digest([repr(settings), arrays])


def _write(file: Path, current: Descent, described: str) -> None:
    arrays = {f"parameter {name}": value for name, value in current.parameters.items()}
    arrays |= {f"state {name} {part}": value for name, own in current.state.items() for part, value in own.items()}
    buffer = io.BytesIO()
    np.savez(buffer, losses=np.array(current.losses), described=np.array(json.dumps(described)), **arrays)  # type: ignore[arg-type]
    with whole_file(file) as stream:
        stream.write(buffer.getvalue())


def _read(file: Path, described: str) -> Descent:
    hint = "name another file, or remove it to begin again"
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        own, losses = json.loads(str(arrays["described"])), tuple(float(loss) for loss in arrays["losses"])
    except Exception as error:
        raise InputError(f"{file} does not hold what was learned so far: {type(error).__name__}", hint=hint) from error
    if own != described:
        raise InputError(f"{file} is of other settings or other parameters than this run", hint=hint)
    parameters: Arrays = {}
    state: dict[str, Arrays] = {}
    for name, value in arrays.items():
        kind, _, rest = name.partition(" ")
        if kind == "parameter":
            parameters[rest] = value
        elif kind == "state":
            owner, _, part = rest.rpartition(" ")
            state.setdefault(owner, {})[part] = value
    return Descent(parameters, losses, state)
