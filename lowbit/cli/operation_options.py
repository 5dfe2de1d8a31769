"""What ``lowbit check`` and ``lowbit gen`` work on: the operations, the options of each, and what they describe."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lowbit.cli.nonlinear_options import add_nonlinear_options, chosen_nonlinearity
from lowbit.cli.verbs.encode import chosen_policy
from lowbit.errors import InputError, PolicyError
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.scalar import FixedFormat, Scalar
from lowbit.nonlinear.scheme import NONLINEARITIES

if TYPE_CHECKING:
    from lowbit.check.operation import Operation

CONVERSIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"encode": ("float32", ""), "decode": ("", "float32"), "convert": ("", "")}
)
"""Conversion -> the source and the target that it means where none is given."""
WIDEST_RESULT = 16

OPTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "conversions": ("from", "to", "policy", "rounding", "overflow", "choice", "values", "nan", "distribution"),
        "gemm": ("a", "b", "accumulator", "zero-points"),
        "requantize": ("scheme", "result"),
        "nonlinearities": ("from", "to", "scheme", "variant", "scale", "option"),
    }
)
"""Family of operations -> the options that it takes, of those that not all take."""
OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(CONVERSIONS, "conversions"),
        "gemm": "gemm",
        "requantize": "requantize",
        **dict.fromkeys(NONLINEARITIES, "nonlinearities"),
    }
)
"""Operation -> its family."""
_ATTRIBUTES = {"from": "source", "to": "target", "zero-points": "zero_points"}


def add_operation_options(parser: Any, what: str) -> None:
    """The options of all but conversions; ``what`` says what an accumulator or a scheme is for."""
    group = parser.add_argument_group("gemm")
    group.add_argument("--a", metavar="FORMAT", help="format of the left matrix (default: int8)")
    group.add_argument("--b", metavar="FORMAT", help="format of the right matrix (default: int8)")
    group.add_argument("--accumulator", metavar="NAME", help=f"{what} (default: int32)")
    group.add_argument("--zero-points", action="store_true", help="there is a zero point for each matrix")
    group = parser.add_argument_group("requantize")
    group.add_argument("--scheme", metavar="NAME", help=f"{what} (default: tflite_double)")
    group.add_argument("--result", metavar="FORMAT", help="format of the results (default: int8)")
    add_nonlinear_options(parser)


def refuse_other_options(arguments: Namespace, verb: str) -> None:
    """Refuse options of other operations than the one that is asked for."""
    own = OPTIONS[OPERATIONS[arguments.op]]
    for option in dict.fromkeys(option for options in OPTIONS.values() for option in options):
        value = getattr(arguments, _ATTRIBUTES.get(option, option), None)
        if option not in own and value is not None and value is not False and value not in ("exact", []):
            families = " and ".join(family for family, options in OPTIONS.items() if option in options)
            raise InputError(
                f"--{option} is for {families}, not for `{verb} {arguments.op}`",
                hint=f"`{verb} {arguments.op}` takes {', '.join(f'--{name}' for name in own)}",
                code="LB100",
            )


def operation_of(arguments: Namespace) -> Operation:
    """The operation that the command line describes."""
    makers = {"gemm": _product, "requantize": _requantization, "nonlinearities": _nonlinearity}
    return makers.get(OPERATIONS[arguments.op], _conversion)(arguments)


def _conversion(arguments: Namespace) -> Operation:
    from lowbit.check.cast.operation import CastOperation

    source, target = conversion_formats(arguments, "check")
    policy = chosen_policy(arguments, target)
    if policy.stochastic:
        raise PolicyError(
            "a stochastic rounding cannot be checked: the device's random bits are not known",
            hint="check the kernel with its random bits fixed, under the rounding that they amount to",
        )
    return CastOperation(source, target, policy.without_defects(), any_nan=arguments.nan == "any")


def conversion_formats(arguments: Namespace, verb: str) -> tuple[Scalar, Scalar]:
    """The formats of a conversion."""
    defaults = CONVERSIONS[arguments.op]
    names = [name or default for name, default in zip((arguments.source, arguments.target), defaults, strict=True)]
    for name, option in zip(names, ("--from", "--to"), strict=True):
        if not name:
            hint = "`lowbit formats` lists them"
            raise InputError(f"`lowbit {verb} {arguments.op}` needs {option} FORMAT", hint=hint, code="LB100")
    return scalar_format(names[0]), scalar_format(names[1])


def _product(arguments: Namespace) -> Operation:
    from lowbit.check.gemm.operation import GemmOperation
    from lowbit.policy.accumulator import get_accumulator
    from lowbit.vectors.gemm.values import Operands

    a, b = (get_format(name or "int8") for name in (arguments.a, arguments.b))
    operands = Operands(a, b, arguments.zero_points)  # type: ignore[arg-type]
    return GemmOperation(operands, get_accumulator(arguments.accumulator or "int32"))


def _requantization(arguments: Namespace) -> Operation:
    from lowbit.check.requantize.operation import RequantizeOperation
    from lowbit.policy.requantize import get_requantize_scheme

    result = get_format(arguments.result or "int8")
    if not isinstance(result, FixedFormat) or result.fraction_bits or result.bits > WIDEST_RESULT:
        raise InputError(
            f"--result {result.id} is not a format of a requantisation",
            hint=f"an integer of at most {WIDEST_RESULT} bits: int8, uint8, int16, int4, ...",
            code="LB100",
        )
    return RequantizeOperation(get_requantize_scheme(arguments.scheme or "tflite_double"), result)


def _nonlinearity(arguments: Namespace) -> Operation:
    from lowbit.check.nonlinear.operation import NonlinearOperation

    return NonlinearOperation(*chosen_nonlinearity(arguments))
