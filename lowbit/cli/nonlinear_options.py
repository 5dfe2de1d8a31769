"""The options of integer-only nonlinearities, which ``lowbit check`` and ``lowbit gen`` share."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import NONLINEARITIES

if TYPE_CHECKING:
    from lowbit.format.scalar import FixedFormat
    from lowbit.vectors.nonlinear.rule import Nonlinearity

OWN_OPTIONS = ("variant", "scale", "option")
"""Those that nothing else takes; ``--scheme``, ``--from`` and ``--to`` are shared."""


def add_nonlinear_options(parser: Any) -> None:
    """``--variant``, ``--scale``, ``--option``."""
    group = parser.add_argument_group(", ".join(NONLINEARITIES), "--scheme, --from and --to are theirs, too")
    group.add_argument("--variant", metavar="NAME", help="of the scheme: torch, paper, single_rounding, ...")
    group.add_argument("--scale", type=float, help="what one unit of a code is worth")
    group.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="a parameter of the scheme: beta=1, zero_point=-3, ..."
    )


def chosen_nonlinearity(arguments: Namespace) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """The nonlinearity that the command line describes, and the formats of its codes and results."""
    from lowbit.vectors.nonlinear.rule import chosen

    return chosen(
        arguments.op,
        arguments.scheme or "",
        variant=arguments.variant or "",
        scale=arguments.scale,
        source=arguments.source or "",
        target=arguments.target or "",
        options=parse_options(arguments.option or []),
    )


def parse_options(listed: list[str]) -> dict[str, float]:
    """``beta=1.5`` and ``zero_point=-3`` as numbers: whole where they are written so."""
    options = {}
    for item in listed:
        name, equals, value = item.partition("=")
        try:
            options[name] = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError as error:
            raise InputError(f"--option {item!r} is not NAME=NUMBER", code="LB100") from error
        if not equals:
            raise InputError(f"--option {item!r} is not NAME=NUMBER", code="LB100")
    return options
