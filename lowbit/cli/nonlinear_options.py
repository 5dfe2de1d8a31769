"""The options of integer-only nonlinearities, which ``lowbit check`` and ``lowbit gen`` share."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lowbit.errors import InputError, UsageError
from lowbit.nonlinear.scheme import NONLINEARITIES, OPERATIONS, Scheme, get_scheme

if TYPE_CHECKING:
    from lowbit.format.scalar import FixedFormat
    from lowbit.vectors.nonlinear.rule import Nonlinearity


def add_nonlinear_options(parser: Any) -> None:
    """``--variant``, ``--scale``, ``--option``."""
    group = parser.add_argument_group(", ".join(NONLINEARITIES), "--scheme, --from and --to are theirs, too")
    group.add_argument("--variant", metavar="NAME", help="of the scheme: torch, paper, single_rounding, ...")
    group.add_argument("--scale", type=float, help="what one unit of a code is worth")
    group.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="a parameter of the scheme: beta=1, zero_point=-3, ..."
    )


def chosen_scheme(operation: str, name: str | None) -> Scheme:
    """The scheme of the command line; where none is named, that of the operation, which is said."""
    scheme = get_scheme(operation, name or OPERATIONS[operation].scheme, "LB100")
    if not name:
        say_default("--scheme", scheme.id, "`lowbit list schemes` has the others")
    return scheme


def say_default(option: str, value: str, more: str) -> None:
    """Say which value an option has that was left out, for results depend on it."""
    sys.stderr.write(f"note: {option} {value} is taken, the default; {more}\n")


_ARGUMENT = re.compile(r"\b(scale|variant|scheme|length) ?= ?")


@contextmanager
def option_words() -> Iterator[None]:
    """Errors of the library name the options of the command line, not the arguments of a function."""
    try:
        yield
    except InputError as error:
        if type(error) is not InputError:
            raise
        message, hint = (_ARGUMENT.sub(r"--\1 ", text) for text in (error.message, error.hint))
        raise UsageError(message, hint=hint) from error


def chosen_nonlinearity(arguments: Namespace) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """The nonlinearity that the command line describes, and the formats of its codes and results."""
    from lowbit.vectors.nonlinear.rule import chosen

    scheme = chosen_scheme(arguments.op, arguments.scheme)
    with option_words():
        return chosen(
            arguments.op,
            scheme.id,
            variant=arguments.variant or "",
            scale=arguments.scale,
            source=arguments.source or "",
            target=arguments.target or "",
            options=parse_options(arguments.option or [], scheme),
        )


def parse_options(listed: list[str], scheme: Scheme) -> dict[str, float | str]:
    """``beta=1.5`` and ``zero_point=-3`` as numbers: whole where they are written so; ``rounding=toward_zero``."""
    options: dict[str, float | str] = {}
    for item in listed:
        name, equals, value = item.partition("=")
        if equals and name not in scheme.options:
            takes = f"it takes {', '.join(scheme.options)}" if scheme.options else "it takes none"
            own = {"bits": "--to", "scheme": "--scheme", "variant": "--variant", "scale": "--scale"}.get(name)
            hint = f"{own} is the option for it" if own else takes
            raise UsageError(f"--option {name}: {scheme.title} has no such parameter", hint=hint)
        if name == "rounding":
            options[name] = value
            continue
        try:
            options[name] = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError as error:
            raise UsageError(f"--option {item!r} is not NAME=NUMBER") from error
        if not equals:
            raise UsageError(f"--option {item!r} is not NAME=NUMBER")
    return options
