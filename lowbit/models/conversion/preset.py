"""Presets of conversions: which arithmetic a published integer-only network has, as data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lowbit.errors import PolicyError
from lowbit.printable import excerpt

FILE = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True)
class ConversionPreset:
    """How a float model becomes an integer one.

    Attributes
    ----------
    name, summary, source : str
    requantize : str
        The scheme of every requantisation.
    weights : str
        A block format of :func:`lowbit.quantize`: ``int8.channel``.
    symmetric : bool
        Whether the zero points of activations are 0.
    range : str
        One of ``lowbit.models.conversion.calibration.RULES``.
    weight_range : str
        How a scale is taken from the weights of an output: one of ``lowbit.quantizers.options.RANGES``.
    statistics : bool
        Whether the statistics of batch norms are estimated again after the weights are quantised.
    bias_correction : bool
        Whether biases of linear layers make up for what shifts the means of their results.
    smooth : float, optional
        SmoothQuant's strength, for the inputs of linear layers; their format is that of the edge ``smooth``.
    edges : mapping of str to str
        The format of the result of each kind of operation; ``linear>gelu`` is that of a linear layer before a GELU.
    schemes : mapping of str to mapping
        By the kind of a nonlinearity, its scheme and its options.
    """

    name: str
    summary: str
    source: str
    requantize: str
    weights: str
    symmetric: bool
    range: str
    edges: Mapping[str, str]
    schemes: Mapping[str, Mapping[str, Any]]
    weight_range: str = "range"
    statistics: bool = False
    bias_correction: bool = False
    smooth: float | None = None

    def format_of(self, kind: str, consumers: list[str]) -> str:
        """The format of an operation's result, which operations of these kinds take; none: it leaves the model.

        Raises PolicyError: the preset does not say.
        """
        named = [f"{kind}>{consumer}" for consumer in consumers or [""]]
        found = next((self.edges[name] for name in (*named, kind) if name in self.edges), None)
        if found is None:
            raise PolicyError(f"preset {self.name!r} has no format for results of {kind}", hint=", ".join(self.edges))
        return found

    def scheme_of(self, kind: str) -> Mapping[str, Any]:
        """The scheme of a nonlinearity and its options.

        Raises PolicyError: the preset does not have one.
        """
        if kind not in self.schemes:
            raise PolicyError(f"preset {self.name!r} has no scheme for {kind}", hint=", ".join(self.schemes))
        return self.schemes[kind]


@cache
def conversion_presets() -> Mapping[str, ConversionPreset]:
    """All of them, by their names."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: _preset(name, {**tables.get(table.get("base", ""), {}), **table}) for name, table in tables.items()}


def get_conversion_preset(preset: ConversionPreset | str) -> ConversionPreset:
    """A preset from itself or from its name.

    Raises PolicyError: the name is unknown.
    """
    if isinstance(preset, ConversionPreset):
        return preset
    if preset not in conversion_presets():
        raise PolicyError(f"unknown conversion {excerpt(str(preset))}", hint=", ".join(conversion_presets()))
    return conversion_presets()[preset]


def _preset(name: str, table: Mapping[str, Any]) -> ConversionPreset:
    own = {key: value for key, value in table.items() if not isinstance(value, dict) and key != "base"}
    schemes = {key: value for key, value in table.items() if isinstance(value, dict) and key != "edges"}
    return ConversionPreset(name=name, edges=table["edges"], schemes=schemes, **own)
