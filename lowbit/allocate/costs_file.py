"""Costs as a TOML file: what ``lowbit allocate costs.toml`` reads. docs/how-to/allocate-bits.md describes the keys."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from lowbit.allocate import checks, presets
from lowbit.allocate.amounts import amount
from lowbit.allocate.arguments import named
from lowbit.allocate.problem import Problem
from lowbit.errors import AllocationError, LowbitError

TOP = ("name", "choices", "budgets", "layers", "pairs", "ties", "fixed", "max_switches", "formulation")
LAYER = ("name", "choices", "loss", "parameters")
PAIR = ("layers", "loss")
BUDGET = ("limit", "unit", "divisor")

DERIVED = ("bytes", "avg_bits")
"""Budgets that follow from a layer's ``parameters`` where its row is left out and the choices are number formats."""

FORMULATIONS = {
    "hawq_v3": ("layers", "traces", "errors", "parameters", "macs", "latencies", "ties", "name", "published"),
    "calibtip": ("layers", "parameters", "losses", "base_loss", "compression", "base_bits", "power", "name"),
}
"""Formulation -> its keys: the arguments of the function of that name in ``lowbit.allocate.presets``."""


def read_costs(file: str | Path) -> Problem:
    """Read a file of costs.

    Raises
    ------
    AllocationError
        The file cannot be read, is not TOML, has unknown fields, or its parts contradict each other.

    Examples
    --------
    >>> from lowbit.allocate import Problem, write_costs
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "costs.toml"
    ...     write_costs(problem, file)
    ...     read_costs(file).layers
    ('layer0', 'layer1')
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        hint = "a model is given as --model FILE" if path.suffix == ".safetensors" else ""
        raise AllocationError(f"{path}: cannot be read: {reason}", hint=hint) from error
    try:
        return parse_costs(text)
    except AllocationError as error:
        raise AllocationError(f"{path}: {error.message}", hint=error.hint, code=error.code) from error


def parse_costs(text: str) -> Problem:
    """The problem that the text of a file describes; decimals are exact.

    Examples
    --------
    >>> from lowbit.allocate import example
    >>> from lowbit.allocate.costs_text import costs_text
    >>> parse_costs(costs_text(example("hawq_v3_resnet18"))).name
    'HAWQ-V3 ResNet18'
    """
    named(text, "costs")
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise AllocationError(f"not valid TOML: {error}") from error
    if "formulation" in data:
        return _formulation(data)
    _known(data, TOP, "top level")
    if any(isinstance(layer, int) for group in _lists(data.get("ties")) for layer in _lists(group)):
        raise AllocationError(f"ties: {data['ties']!r} names a layer by something else than text")
    layers, budgets = _tables(data, "layers"), data.get("budgets", {})
    if not isinstance(budgets, dict) or not all(isinstance(options, dict) for options in budgets.values()):
        raise AllocationError("budgets: not a table of tables", hint="write [budgets.bytes], its keys may be left out")
    for name, options in budgets.items():
        _known(options, BUDGET, f"budget {name!r}")
    for number, layer in enumerate(layers):
        what = f"layer {layer.get('name', number)!r}"
        _known(layer, (*LAYER, *budgets), what, "; a row of costs needs its budget: [budgets.NAME]")
    names = [_text(layer.get("name", f"layer{number}"), "name of a layer") for number, layer in enumerate(layers)]
    choices = [_choices(layer.get("choices", data.get("choices")), name) for layer, name in zip(layers, names)]  # noqa: B905
    costs, derived = _costs(layers, names, choices, budgets)
    pairs = _tables(data, "pairs", needed=False)
    for pair in pairs:
        _known(pair, PAIR, "a pair")
    return Problem.from_arrays(
        [_row(layer, "loss", name) for layer, name in zip(layers, names, strict=True)],
        choices,
        costs=costs,
        layers=names,
        divisors={**derived, **_option(budgets, "divisor")},
        limits=_option(budgets, "limit"),
        units=_option(budgets, "unit"),
        pairs=[(*_two(pair), _floats(pair.get("loss", []))) for pair in pairs],
        ties=data.get("ties", []),
        fixed=data.get("fixed", {}),
        max_switches=data.get("max_switches"),
        name=data.get("name", ""),
    )


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _known(table: Mapping[str, Any], known: tuple[str, ...], what: str, more: str = "") -> None:
    checks.check_known(table, dict.fromkeys(known), f"{what}: field", more)


def _tables(data: Mapping[str, Any], key: str, *, needed: bool = True) -> list[dict[str, Any]]:
    tables = data.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise AllocationError(f"{key}: not a list of tables", hint=f"write [[{key}]]")
    if needed and not tables:
        raise AllocationError(f"there is no [[{key}]]")
    return tables


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise AllocationError(f"{what}: {value!r} is not text")
    return value


def _choices(names: Any, layer: str) -> list[str]:
    if names is None:
        raise AllocationError(
            f"layer {layer!r} has no choices", hint="list them there or once at the top: choices = []"
        )
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise AllocationError(f"choices of layer {layer!r}: not a list of names")
    return names


def _row(layer: Mapping[str, Any], key: str, name: str) -> list[Any]:
    row = layer.get(key)
    if not isinstance(row, list):
        raise AllocationError(f"layer {name!r}: {key} is {'missing' if row is None else 'not a list of numbers'}")
    return row


def _floats(table: Any) -> Any:
    if isinstance(table, list):
        return [_floats(value) for value in table]
    return float(table) if isinstance(table, Decimal) else table


def _two(pair: Mapping[str, Any]) -> tuple[str, str]:
    ends = pair.get("layers")
    if not isinstance(ends, list) or len(ends) != 2:
        raise AllocationError(f"a pair names {ends!r} instead of two layers")
    return _text(ends[0], "layer of a pair"), _text(ends[1], "layer of a pair")


def _option(budgets: Mapping[str, dict[str, Any]], key: str) -> dict[str, Any]:
    return {name: options[key] for name, options in budgets.items() if key in options}


def _costs(
    layers: list[dict[str, Any]], names: list[str], choices: list[list[str]], budgets: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Rows of costs by budget, and the divisor of an average that follows from the parameters."""
    costs: dict[str, list[Any]] = {}
    divisors = {}
    for budget in budgets:
        costs[budget] = [
            [_derived(budget, choice, layer["parameters"], name) for choice in listed]
            if budget not in layer and budget in DERIVED and "parameters" in layer
            else [_number(value, budget) for value in _row(layer, budget, name)]
            for layer, name, listed in zip(layers, names, choices, strict=True)
        ]
        if budget == "avg_bits" and not any(budget in layer for layer in layers):
            divisors[budget] = sum(layer["parameters"] for layer in layers)
    return costs, divisors


def _number(value: Any, budget: str) -> Any:
    """A cost; one in quotes is a fraction, such as "1/3", or has a prefix."""
    return amount(value, where=f"costs of {budget}") if isinstance(value, str) else value


def _derived(budget: str, choice: str, parameters: Any, layer: str) -> Fraction:
    """Bits or bytes of all parameters of a layer in a number format."""
    from lowbit.format.registry import get_format

    if not isinstance(parameters, int) or parameters < 0:
        raise AllocationError(f"layer {layer!r}: {parameters!r} is not a number of parameters")
    try:
        bits = int(getattr(get_format(choice), "bits"))  # noqa: B009 (block formats have none)
    except (LowbitError, AttributeError) as error:
        raise AllocationError(
            f"layer {layer!r}: {budget} of {choice!r} does not follow from its parameters: {error}",
            hint=f"give the layer a row {budget} = [...]",
        ) from error
    return Fraction(parameters * bits, 8 if budget == "bytes" else 1)


def _formulation(data: dict[str, Any]) -> Problem:
    which = data["formulation"]
    checks.check_known([which], FORMULATIONS, "formulation")
    _known(data, ("formulation", *FORMULATIONS[which]), f"formulation {which}")
    arguments = {key: value for key, value in data.items() if key not in ("formulation", "published")}
    for key in ("errors", "latencies", "losses"):
        if key in arguments:
            if not isinstance(arguments[key], dict) or not arguments[key]:
                raise AllocationError(f"formulation {which}: {key} is not a table of bits = [numbers]")
            arguments[key] = {_bits(bits): row for bits, row in arguments[key].items()}
    if which == "calibtip":
        arguments["losses"] = {bits: _floats(row) for bits, row in arguments.get("losses", {}).items()}
        arguments["base_loss"] = _floats(arguments.get("base_loss", 0.0))
    try:
        return getattr(presets, which)(**arguments)  # type: ignore[no-any-return]
    except LowbitError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise AllocationError(f"formulation {which}: {error}", hint="one number a layer in every row") from error


def _bits(text: str) -> int:
    if not text.isdecimal():
        raise AllocationError(f"{text!r} is not a number of bits")
    return int(text)
