"""The recipes of the golden nonlinearities: every example of every scheme, and each of its variants."""

from __future__ import annotations

from collections.abc import Iterator

from lowbit.nonlinear.scheme import NONLINEARITIES, Example, Scheme, schemes
from lowbit.vectors.recipe import Recipe

LENGTH, ROWS = 65, 56
"""An odd length, and about that many rows a set."""


def nonlinear_recipes() -> Iterator[Recipe]:
    """The recipe of every set, of the narrowest codes first."""
    for operation in NONLINEARITIES:
        examples = [(record, example) for record in schemes(operation).values() for example in record.examples]
        for record, example in sorted(examples, key=lambda pair: _codes_bits(*pair)):
            yield from _recipes(record, example)


def _codes_bits(record: Scheme, example: Example) -> int:
    return int((example.codes or record.codes).removeprefix("int"))


def _recipes(record: Scheme, example: Example) -> Iterator[Recipe]:
    for variant in example.variants or record.variants:
        policy = f"{record.id}+variant={variant}" if variant else record.id
        results = record.with_parameters(variant, bits=example.bits).result_type
        arguments = {"length": LENGTH, "rows": ROWS, **example.parameters}
        codes = example.codes or record.codes
        yield Recipe(record.operation, codes, results, policy, "directed", arguments=arguments)
