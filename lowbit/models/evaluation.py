"""What a method and a format make of a model: bits a weight, errors of its layers' outputs, and how good it still is.

Layers are quantised for the inputs that they have in the float model, one by one but for what
:mod:`lowbit.models.joint` takes as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from lowbit.campaign import Journal, Progress, run_tasks, unseen, workers
from lowbit.campaign.journal import digest, state_of
from lowbit.errors import InputError, LowbitError
from lowbit.files.distinct import refuse_overwriting
from lowbit.files.safetensors import Entry
from lowbit.files.selection import check_patterns
from lowbit.models.joint import DEFAULT, quantized_jointly, readers
from lowbit.models.language.cache import QuantizedCache, cache_scheme
from lowbit.models.language.model import LanguageModel
from lowbit.models.layer_inputs import (
    Text,
    float_figures,
    float_vectors,
    layer_inputs,
    layer_outputs,
    model_of,
    read_text,
    stored_parameters,
)
from lowbit.ops.block.tensor import BlockTensor
from lowbit.printable import counted, excerpt
from lowbit.quantizers.method import chosen
from lowbit.quantizers.weight import QuantizedWeight

SCHEMA = "lowbit/evaluation/1"
CACHE = "cache"
"""In place of a method: weights stay as they are, and keys and values are quantised."""
CALIBRATE = "--calibrate TEXT"


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and on what.

    Attributes
    ----------
    weights : str
        The safetensors file of a model, with config.json and vocab.txt beside it, or a GGUF file.
    calibration, held_out : tuple
        Sentences or windows of tokens that methods see, none for methods that need none, and those that errors are
        measured on.
    plans : mapping of str to mapping of str to str
        By the name of a plan, the format of each of its layers.
    include, exclude : str
        Regular expressions, searched in the names of the linear layers.
    texts : mapping of str to Text
        Where they are from files, those of ``"calibration"`` and ``"held_out"``.
    """

    weights: str
    calibration: tuple[Any, ...]
    held_out: tuple[Any, ...]
    plans: Mapping[str, Mapping[str, str]]
    include: str = ""
    exclude: str = ""
    texts: Mapping[str, Text] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        weights: str | Path,
        calibration: str | Path | None,
        held_out: str | Path,
        plans: Mapping[str, Mapping[str, str]] | None = None,
        *,
        include: str = "",
        exclude: str = "",
    ) -> Subject:
        """The same from the files of the texts."""
        check_patterns(include, exclude)
        path = str(Path(weights).resolve())
        stored_parameters(path)  # whatever it lacks is told before what lies beside it
        texts = {"held_out": read_text(held_out, path)}
        if calibration:
            texts["calibration"] = read_text(calibration, path)
        seen = texts["calibration"].samples if calibration else ()
        return cls(path, seen, texts["held_out"].samples, plans or {}, include, exclude, texts)

    @property
    def layers(self) -> tuple[str, ...]:
        """The linear layers that are quantised, by the names of their weights.

        Raises InputError: there are none.
        """
        names = model_of(self.weights).linears
        kept = tuple(
            name
            for name in names
            if (not self.include or re.search(self.include, name, re.IGNORECASE))
            and not (self.exclude and re.search(self.exclude, name, re.IGNORECASE))
        )
        if not kept:
            raise InputError(f"none of the {len(names)} linear layers is chosen", hint="another --include or --exclude")
        return kept

    @property
    def entries(self) -> Mapping[str, Entry]:
        """How the file has these layers."""
        entries = stored_parameters(self.weights)
        return {name: entries[name] for name in self.layers}


@dataclass(frozen=True)
class Evaluation:
    """What a model is after quantisation.

    Attributes
    ----------
    method, to : str
        The method and the format; ``"float"`` and the dtype for the model as it is.
    bits : float
        A weight of the layers, everything counted.
    figures : mapping of str to float
        How good the model is on the held-out text, as the model's ``figures`` are.
    output_error : float
        The mean over the layers of the squared error of the outputs on held-out sentences over the squared outputs.
    seconds : float
        Of processor time that the quantisation of all layers took.
    entropy_bits : float, optional
        As ``bits``, where the codes of each layer are coded by rANS; None in journals of before.
    """

    method: str
    to: str
    bits: float
    figures: Mapping[str, float]
    output_error: float
    seconds: float
    entropy_bits: float | None = None

    @property
    def record(self) -> dict[str, Any]:
        """It as JSON has it, the figures among the others."""
        return {name: value for name, value in vars(self).items() if name != "figures"} | dict(self.figures)


@dataclass(frozen=True)
class Refusal:
    """A method that cannot work in a format, and why."""

    method: str
    to: str
    reason: str

    @property
    def told(self) -> str:
        """It in words."""
        return f"{self.method} in {'its own format' if self.to == DEFAULT else self.to}: {self.reason}"


def evaluate_model(
    subject: Subject,
    methods: Sequence[str],
    formats: Sequence[str],
    *,
    caches: Sequence[str] = (),
    journal: str | Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = unseen,
) -> tuple[list[Evaluation], list[Refusal]]:
    """Quantise a model's linear layers by every method in every format, and measure.

    Parameters
    ----------
    subject : Subject
    methods : sequence of str
        As :func:`lowbit.quantizers.method.chosen` takes them.
    formats : sequence of str
        Formats, names of the subject's plans, and ``"default"`` for the format that each method works in unasked.
    caches : sequence of str
        What keys and values are kept in, each for itself with weights as they are: see
        :func:`lowbit.models.language.cache.cache_scheme`.
    journal : path, optional
        Where finished combinations are noted; those that are there already are not computed again.
    jobs : int
        Processes.
    scheduler : str, optional
        Address of a Dask scheduler whose workers must see the model under the same path.
    progress : callable
        Takes (combinations done, combinations, name).

    Returns
    -------
    rows : list of Evaluation
        The float model first.
    refused : list of Refusal

    Raises
    ------
    InputError
        A file is unusable, a plan has other layers than the model, or every combination is refused.
    PolicyError
        A method is unknown.
    """
    names = combinations(methods, formats, caches)
    if methods and not subject.calibration and all(chosen(method).needs_activations for method in methods):
        which = ", ".join(dict.fromkeys(chosen(method).name for method in methods))
        raise InputError(f"there is no calibration, and activations are needed by {which}", hint=CALIBRATE)
    return evaluate_all(subject, names, journal=journal, jobs=jobs, scheduler=scheduler, progress=progress)


def combinations(methods: Iterable[str], formats: Iterable[str], caches: Iterable[str] = ()) -> list[str]:
    """The names of every method in every format, and of the caches; arguments as of :func:`evaluate_model`."""
    formats = list(formats)
    names = [f"{chosen(method).name} {to}" for method in methods for to in formats]
    return list(dict.fromkeys([*names, *(f"{CACHE} {cache_scheme(cache).name}" for cache in caches)]))


def evaluate_all(
    subject: Subject,
    names: Sequence[str],
    *,
    journal: str | Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = unseen,
) -> tuple[list[Evaluation], list[Refusal]]:
    """The same of some of them, by the names that :func:`combinations` has."""
    _check_plans(subject)
    if journal is not None:
        refuse_overwriting([(f"the journal {journal}", journal)], [("the model", subject.weights)])
    float_model = _float_model(subject)
    with workers(min(jobs, len(names)), scheduler=scheduler) as executor:
        results = run_tasks(
            partial(measured, subject=subject),
            names,
            _row,
            journal=None if journal is None else Journal(journal, _described(subject)),
            executor=executor,
            progress=progress,
        )
    rows = [row for row in results.values() if isinstance(row, Evaluation)]
    refused = [row for row in results.values() if isinstance(row, Refusal)]
    if not rows:
        raise InputError(f"every method refuses every format: {refused[0].told}")
    return [float_model, *rows], refused


def known(subject: Subject, journal: str | Path) -> list[str]:
    """The names of what a journal has."""
    return list(Journal(journal, _described(subject)).read(_row))


def measured(name: str, subject: Subject) -> dict[str, Any]:
    """One method in one format, as JSON has it: what a worker does."""
    text, _, to = name.partition(" ")
    if text == CACHE:
        return _with_cache(to, subject)
    if chosen(text).needs_activations and not subject.calibration:
        return asdict(Refusal(text, to, f"activations are needed: {CALIBRATE}"))
    model, entries = model_of(subject.weights), subject.entries
    layers = tuple(entries)
    seen = layer_inputs(subject.weights, subject.calibration, layers) if subject.calibration else {}
    held_out = layer_outputs(subject.weights, subject.held_out, layers)
    plan = subject.plans.get(to, dict.fromkeys(layers, to))
    formats = {layer: plan[layer] for layer in layers if layer in plan}
    left = [layer for layer in layers if layer not in plan]
    bits = Fraction(sum(8 * (entries[layer].stop - entries[layer].start) for layer in left))
    errors, values, seconds, names = [0.0] * len(left), {}, 0.0, {}
    saved = 0
    results: dict[str, QuantizedWeight] = {}
    for layer, own in formats.items():
        weights, start = model.parameters[layer], process_time()
        try:
            if layer not in results:
                group = {one: model.parameters[one] for one in readers(chosen(text), subject.weights, layer, formats)}
                results |= quantized_jointly(group, chosen(text), seen.get(layer), own)
            result = results.pop(layer)
        except LowbitError as error:
            if isinstance(error.__cause__, ImportError):
                raise  # a journal would keep what an installation mends
            return asdict(Refusal(text, to, f"{excerpt(layer, quoted=False)}: {error.message}"))
        seconds += process_time() - start
        bits += result.bits_per_weight * weights.size
        saved += result.saved_by_coding
        errors.append(held_out[layer].error(weights - result.dequantize(dtype=np.float64)))
        values[layer] = result.dequantize(dtype=model.DTYPE)
        names[result.tensor.format.id if isinstance(result.tensor, BlockTensor) else chosen(text).to] = layer
    reference = float_vectors(subject.weights, subject.held_out)
    figures = model.with_weights(values).figures(subject.held_out, reference)
    size = sum(entry.size for entry in entries.values())
    average, coded = float(bits / size), float((bits - saved) / size)
    to = ", ".join(names) if to == DEFAULT else to
    return Evaluation(text, to, average, figures, float(np.mean(errors)), round(seconds, 3), coded).record


def _with_cache(scheme: str, subject: Subject) -> dict[str, Any]:
    """The record of a model that keeps keys and values as a scheme has them; bits are of their numbers."""
    model = model_of(subject.weights)
    if not isinstance(model, LanguageModel):
        return asdict(Refusal(CACHE, scheme, "the model keeps no keys and values: it sees a sentence at once"))
    cache = QuantizedCache(cache_scheme(scheme))
    reference = float_vectors(subject.weights, subject.held_out)
    start = process_time()
    try:
        figures = model.with_cache(cache).figures(subject.held_out, reference)
    except LowbitError as error:
        return asdict(Refusal(CACHE, scheme, error.message))
    bits = float(np.mean(cache.bits)) if cache.bits else 8.0 * np.dtype(model.DTYPE).itemsize
    return Evaluation(CACHE, scheme, bits, figures, 0.0, round(process_time() - start, 3)).record


def notes_on(methods: Iterable[str], weights: str | Path, samples: tuple[Any, ...], layers: Iterable[str]) -> list[str]:
    """What must be known of what methods make of layers: what is missing where these stand alone, and too few rows."""
    own = {method.name: method for method in map(chosen, (name for name in methods if name != CACHE))}
    notes = [f"{name}: {method.layer_alone}" for name, method in own.items() if method.layer_alone]
    fitted = [name for name, method in own.items() if method.fits_hessian]
    if fitted and samples:
        model = model_of(weights)
        rows = sum(model.lengths(samples))
        inputs = max(model.parameters[layer].shape[1] for layer in layers)
        if rows < inputs:
            few = f"{rows} rows of calibration for {inputs} inputs: error feedback fits what it has seen"
            notes.append(f"{', '.join(fitted)}: {few}, and may lose on other rows; give more of it")
    return notes


def notes_on_subject(subject: Subject) -> list[str]:
    """Whether methods see what is held out, and how many layers the plans leave, a sentence for each plan that does."""
    shared = sum(text in set(subject.calibration) for text in subject.held_out)
    layers = set(subject.layers)
    left = {name: len(layers.difference(plan)) for name, plan in subject.plans.items()}
    said = "layers are not in it and stay as they are"
    of = f"{shared} of {counted(len(subject.held_out), f'held-out {model_of(subject.weights).SAMPLE}')}"
    notes = [f"warning: methods see what they are measured on: {of} in the calibration, too"] if shared else []
    return [*notes, *(f"{name}: {count} of {len(layers)} {said}" for name, count in left.items() if count)]


def _float_model(subject: Subject) -> Evaluation:
    entries = subject.entries.values()
    bits = sum(8 * (entry.stop - entry.start) for entry in entries) / sum(entry.size for entry in entries)
    dtypes = dict.fromkeys(entry.dtype for entry in entries)
    figures = float_figures(subject.weights, subject.held_out)
    return Evaluation("float", ", ".join(dtypes), bits, figures, 0.0, 0.0, bits)


def _row(record: Mapping[str, Any]) -> Evaluation | Refusal:
    if "reason" in record:
        return Refusal(**record)
    own = {part.name for part in fields(Evaluation)}
    figures = {name: value for name, value in record.items() if name not in own}
    return Evaluation(**{name: value for name, value in record.items() if name in own}, figures=figures)


def _check_plans(subject: Subject) -> None:
    entries = stored_parameters(subject.weights)
    for name, formats in subject.plans.items():
        unknown = [layer for layer in formats if layer not in entries]
        if unknown:
            raise InputError(f"{name} has a format for {excerpt(unknown[0])}, which is not in {subject.weights}")
        if not set(formats) & set(subject.layers):
            raise InputError(f"{name} has a format for none of the linear layers that are chosen")


def _described(subject: Subject) -> dict[str, Any]:
    """What the numbers depend on."""
    parts = {
        "calibration": subject.calibration,
        "held-out text": subject.held_out,
        "plan": subject.plans,
        "layers": [subject.include, subject.exclude],
    }
    return {
        "schema": SCHEMA,
        "model": state_of(subject.weights),
        **{name: digest(part) for name, part in parts.items()},
    }
