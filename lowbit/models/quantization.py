"""A checkpoint quantised by a published method, layer by layer, and written as `lowbit quantize` writes it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.campaign import Journal, Progress, run_tasks, unseen, workers
from lowbit.campaign.checkpoint import Converted, quantize_file, told_of
from lowbit.campaign.chosen import chosen_tensors, require_values
from lowbit.campaign.container import container_of_output
from lowbit.campaign.journal import digest, state_of
from lowbit.errors import InputError
from lowbit.files.distinct import refuse_overwriting
from lowbit.files.parts import CodedTensor
from lowbit.files.safetensors import TensorFile
from lowbit.files.selection import LEFT_OUT, select
from lowbit.files.sharded import ShardedFile, read_checkpoint
from lowbit.files.whole import require_writable
from lowbit.format.registry import block_format_of
from lowbit.metrics import relative_squared_error
from lowbit.models.evaluation import notes_on
from lowbit.models.joint import DEFAULT, quantized_jointly, readers
from lowbit.models.layer_inputs import layer_inputs, model_of, names_in_model, read_sentences, seen_layers
from lowbit.models.packages import weights_of
from lowbit.models.storable import coded_of, container_of, require_storable, without_place
from lowbit.models.training.blocks import LearnedBlock
from lowbit.models.training.blockwise import ALONE, is_blockwise, options_of, quantise_blocks
from lowbit.models.training.outcome import Learned, bias_of, notes_on_biases, notes_on_learning, with_biases
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import lost_blocks
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import get_block_policy
from lowbit.printable import excerpt
from lowbit.quantizers.inputs import weight_matrix
from lowbit.quantizers.method import Method, chosen, methods
from lowbit.quantizers.weight import QuantizedWeight

SCHEMA = "lowbit/method/2"


@dataclass(frozen=True, eq=False)
class Layer:
    """What a method made of one matrix.

    Attributes
    ----------
    coded : CodedTensor
    bits : float
        A weight, everything counted.
    error : float
        The squared error over the squares: of the outputs on the sentences of the calibration, else of the weights.
    bias : ndarray, shape (outputs,), optional
        What the method adds to the layer's bias.
    learned : tuple of float, float and str, optional
        Of a method that learns: the errors before and after, and which of the two was kept.
    """

    coded: CodedTensor
    bits: float
    error: float
    bias: Array | None = None
    learned: Learned | None = None


def quantize_by_method(  # noqa: PLR0913 (all but three are keyword-only options)
    path: str | Path,
    output: str | Path,
    to: str | Mapping[str, str] | None,
    *,
    method: str,
    calibration: str | Path | None = None,
    include: str = "",
    exclude: str = LEFT_OUT,
    container: str | None = None,
    integers: str = "packed",
    entropy: str | None = None,
    policy: str | None = None,
    threads: int = 1,
    journal: str | Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = unseen,
) -> tuple[Converted, dict[str, Layer]]:
    """Quantise the matrices of a safetensors file by a method; its other tensors are copied.

    Parameters
    ----------
    path, output : path
    to : str, or mapping of str to str, optional
        The format, or that of each tensor by its name; several to choose from have ``+`` between them. By default that
        which the method works in unasked.
    method : str
        As :func:`lowbit.quantizers.method.chosen` takes it.
    calibration : path, optional
        A text in UTF-8, a line a sentence; the file is then that of a model, with config.json and vocab.txt beside it,
        or the GGUF file of a Llama, and matrices that no sentence goes through are left as they are. The inputs of a
        layer are those that it has in the float model; methods that learn whole blocks, those of a model of sentences,
        take them from the quantised blocks before. A bias that a method learns is added to the layer's own: of
        ``NAME.weight`` to ``NAME.bias``, where the file has that.
    include, exclude, container, integers, entropy
        As for :func:`lowbit.campaign.checkpoint.quantize_file`. A file whose matrices have their inputs scaled or
        reordered is in lowbit's own container.
    policy : str, optional
        The name of a block policy, for methods that take one; by default the format's own.
    threads : int
        For methods that take them; results are the same for every number.
    journal : path, optional
        Where finished layers are noted, with their codes; a run that was stopped goes on there.
    jobs : int
        Processes; one where blocks are learned one after the other.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the files under the same paths.
    progress : callable

    Returns
    -------
    converted : Converted
    layers : dict of str to Layer

    Raises
    ------
    InputError
        A file is unusable, the method refuses a layer or does not take a policy or threads, or its result has parts
        that such files have no place for; several jobs, or a scheduler, are asked for blocks that follow one another.
    PolicyError
        The method or the policy is unknown.
    """
    path, own = Path(path), chosen(method)
    options = _options(own, policy, threads)
    if journal is not None:
        refuse_overwriting([(f"the journal {journal}", journal)], [("the model", path), ("the output", output)])
    file = read_checkpoint(path)
    require_values(file, path)
    sentences = read_sentences(calibration, weights_of(path)) if calibration else ()
    blockwise = bool(sentences) and is_blockwise(own, model_of(weights_of(path)))
    if blockwise and (jobs != 1 or scheduler is not None):
        many = f"jobs = {jobs}" if scheduler is None else f"the scheduler {excerpt(scheduler)}"
        what = f"{own.name} learns blocks one after the other, each from what the quantised ones before it make"
        raise InputError(f"{what}: {many} cannot share them", hint="one job; a run with a journal goes on when stopped")
    require_writable(output, folder=isinstance(file, ShardedFile))
    targets, reasons = _targets(path, file, to, include, exclude, seen=bool(sentences))
    targets, container, notes = container_of(targets, container_of_output(Path(output), container, entropy), policy)
    reasons |= without_place(file, targets, container)
    targets = {name: text for name, text in targets.items() if name not in reasons}
    if not targets:
        whole = "; ".join(dict.fromkeys(reasons.values()))
        raise InputError(f"{path}: none of the chosen tensors is quantised: {whole}")
    require_storable(own.bound(options), file, targets, container, policy, integers=integers, seen=bool(sentences))
    subject: dict[str, Any] = {"schema": SCHEMA, "model": _state(file), "method": own.name, "formats": digest(targets)}
    subject |= {"calibration": digest(sentences), "policy": policy}
    book = None if journal is None else Journal(journal, subject)
    work = partial(
        layer_record, path=str(path.resolve()), method=method, targets=targets, sentences=sentences, options=options
    )
    if blockwise:
        layers = _block_by_block(path, own, targets, sentences, book, progress)
    else:
        with workers(min(jobs, len(targets)), scheduler=scheduler) as executor:
            layers = run_tasks(work, list(targets), _layer, journal=book, executor=executor, progress=progress)
    formats = {name: layer.coded.tensor.format for name, layer in layers.items()}
    coded = {name: layer.coded for name, layer in layers.items()}
    learned = {name: layer.learned for name, layer in layers.items()}
    biases = {name: layer.bias for name, layer in layers.items() if layer.bias is not None}
    converted = quantize_file(
        path,
        output,
        formats,
        policy=policy,
        include=include,
        exclude=exclude,
        container=container,
        integers=integers,
        coded=coded,
        replaced=with_biases(file, biases),
        entropy=entropy,
    )
    left_out = tuple(replace(item, reason=reasons.get(item.name, item.reason)) for item in converted.left_out)
    notes = (*notes, *converted.notes, *_notes(own, weights_of(path), sentences, targets, blockwise=blockwise))
    notes = (
        *notes,
        *notes_on_learning(own.name, learned, ", by their blocks," * blockwise),
        *notes_on_biases(own.name, file, biases),
    )
    return replace(converted, left_out=left_out, notes=notes), layers


def _options(method: Method, policy: str | None, threads: int) -> dict[str, Any]:
    """What is set of policy and threads; InputError and PolicyError: the method does not take it, or it is unknown."""
    options = {"policy": policy, "threads": None if threads == 1 else threads}
    values = {option: value for option, value in options.items() if value is not None}
    for option in values:
        if option not in method.accepts:
            others = [name for name, other in methods().items() if option in other.accepts]
            at_once = "; jobs work at several layers at once" * (option == "threads")
            raise InputError(
                f"{method.name} does not have the option {option!r}", hint=f"{', '.join(others)} have it{at_once}"
            )
    if policy is not None:
        get_block_policy(policy)
    return values


def layer_record(
    name: str,
    path: str,
    method: str,
    targets: Mapping[str, str],
    sentences: tuple[str, ...],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """One matrix of a file, quantised, as JSON has it: what a worker does."""
    file = read_checkpoint(Path(path))
    weights = file.tensor(name)
    rows = _rows(weights_of(path), sentences, targets)[name] if sentences else None
    with told_of(name):
        own = chosen(method).bound(options)
        group = readers(own, weights_of(path), name, targets) if sentences else (name,)
        result = quantized_jointly({one: file.tensor(one) for one in group}, own, rows, targets[name])[name]
        coded = coded_of(result, method)
        return _record(weights, result, coded, rows, place=bool(bias_of(file, name)))


def _record(
    weights: Array, result: QuantizedWeight, coded: CodedTensor, rows: Array | None, *, place: bool = False
) -> dict[str, Any]:
    """What the journal has of a layer; ``place``: whether a bias that is learned is stored, and counts."""
    tensor, transform, report = coded.tensor, result.transform, result.report
    matrix, bias = weight_matrix(weights), report.get("bias")
    bias = None if bias is None or not np.any(bias) else np.asarray(bias, np.float64)
    error = result.error(weights, rows)
    if bias is not None and place and rows is not None:
        outputs = rows.astype(np.float64) @ result.dequantize(dtype=np.float64).T + bias
        error = relative_squared_error(rows.astype(np.float64) @ matrix.T, outputs)
    return {
        "format": tensor.format.id,
        "codes": _packed(tensor.codes),
        "scales": {scale: _packed(array) for scale, array in tensor.scales.items()},
        "inputs": None if coded.inputs is None else [coded.inputs[0], _packed(coded.inputs[1])],
        "lost": lost_blocks(tensor, matrix if transform is None else transform.weights(matrix)),
        "bits": float(result.bits_per_weight),
        "error": error,
        "bias": None if bias is None else _packed(bias),
        "learned": [report[key] for key in ("before", "after", "kept")] if "kept" in report else None,
    }


def _rows(model: str | Path, sentences: tuple[Any, ...], targets: Iterable[str]) -> dict[str, Array]:
    """What goes into the layers of a model, by the names that its file has for their weights."""
    names = names_in_model(model, targets)
    inputs = layer_inputs(model, sentences, tuple(names.values()))
    return {name: inputs[inside] for name, inside in names.items()}


def _block_by_block(
    path: Path,
    method: Method,
    targets: Mapping[str, str],
    sentences: tuple[Any, ...],
    journal: Journal | None,
    progress: Progress,
) -> dict[str, Layer]:
    """The layers as a method learns them block by block: a block that the journal has whole is not learned again."""
    file, model, layers = read_checkpoint(path), model_of(weights_of(path)), dict[str, Layer]()
    formats = {name: method.to if to == DEFAULT else to for name, to in targets.items()}

    def take(names: list[str], learn: Callable[[], LearnedBlock]) -> dict[str, BlockTensor]:
        block, before = cache(learn), len(layers)

        def work(name: str) -> dict[str, Any]:
            with told_of(name):
                own = block().reconstruction
                report = {"before": own.before, "after": own.after, "kept": own.kept}
                result = QuantizedWeight(block().tensors[name], report=report)
                rows = _rows(weights_of(path), sentences, targets)[name]
                return _record(file.tensor(name), result, coded_of(result, method.name), rows)

        def seen(done: int, _total: int, name: str) -> None:
            progress(before + done, len(targets), name)

        layers.update(run_tasks(work, names, _layer, journal=journal, progress=seen))
        return {name: layers[name].coded.tensor for name in names}

    quantise_blocks(model, sentences, method, formats, take)
    return {name: layers[name] for name in targets}


def _notes(
    method: Method, weights: Path, sentences: tuple[Any, ...], targets: Iterable[str], *, blockwise: bool
) -> list[str]:
    """What must be known of a method on a model."""
    options = options_of(method)
    words = ", ".join(f"{name} {options[name]}" for name in ("seed", "steps", "rate", "batch") if name in options)
    if blockwise:
        how = f"learned block by block, the inputs from the quantised blocks before ({words})"
        return [f"{method.name}: {how}", f"{method.name}: {ALONE}"]
    notes = list(notes_on([method.name], weights, sentences, names_in_model(weights, targets).values()))
    if {"seed", "losses"} <= method.report.keys() and options.get("steps"):
        notes.append(f"{method.name}: learned layer by layer, each from its own outputs ({words})")
    return notes


def _layer(record: Mapping[str, Any]) -> Layer:
    fmt = block_format_of(record["format"])
    scales = {name: _unpacked(array) for name, array in record["scales"].items()}
    inputs = None if record["inputs"] is None else (str(record["inputs"][0]), _unpacked(record["inputs"][1]))
    codes, bias = _unpacked(record["codes"]), record["bias"]
    tensor = BlockTensor(fmt, codes.shape, 1, codes, scales)
    coded = CodedTensor(tensor, inputs, int(record["lost"]))
    learned = None if record["learned"] is None else tuple(record["learned"])
    own = None if bias is None else _unpacked(bias)
    return Layer(coded, float(record["bits"]), float(record["error"]), own, learned)


def _packed(array: Array) -> list[Any]:
    """An array as JSON has it: its dtype, its shape, and its bytes."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 1)).decode()
    return [array.dtype.str, list(array.shape), data]


def _unpacked(record: list[Any]) -> Array:
    dtype, shape, data = record
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(data)), dtype).reshape(shape)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _targets(
    path: Path, file: TensorFile, to: str | Mapping[str, str] | None, include: str, exclude: str, *, seen: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """The format of each matrix that is quantised, and why others that are chosen are not."""
    if isinstance(to, Mapping):
        wanted = {name: block.id for name, block in chosen_tensors(file, to, include, exclude)[0].items()}
    else:
        wanted = {entry.name: to or DEFAULT for entry in select(file, include, exclude)[0]}
    entries = [file.entries[name] for name in wanted]
    reasons = {entry.name: "quantisers take matrices" for entry in entries if len(entry.shape) != 2}
    if seen:
        entries, others = seen_layers(weights_of(path), entries)
        reasons |= {item.name: item.reason for item in others}
    targets = {entry.name: wanted[entry.name] for entry in entries if entry.name not in reasons}
    return targets, reasons


def _state(file: TensorFile) -> list[dict[str, int]]:
    """What changes when a file of a checkpoint is written again."""
    return [state_of(part.path) for part in (file.shards.values() if isinstance(file, ShardedFile) else [file])]
