"""What ``lowbit check`` and ``lowbit gen`` work on: the operations, the options of each, and what they describe."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lowbit.cli.block_codes import chosen_block_policy
from lowbit.cli.nonlinear_options import add_nonlinear_options, chosen_nonlinearity, say_default
from lowbit.cli.verbs.encode import chosen_policy
from lowbit.errors import PolicyError, UsageError
from lowbit.format.block import BlockFormat
from lowbit.format.registry import block_format_of, get_format, scalar_format
from lowbit.format.scalar import FixedFormat, Scalar
from lowbit.nonlinear.scheme import NONLINEARITIES

if TYPE_CHECKING:
    from lowbit.check.operation import Operation
    from lowbit.policy.requantize import RequantizeScheme
    from lowbit.vectors.gemm.values import Operands

CONVERSIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"encode": ("float32", ""), "decode": ("", "float32"), "convert": ("", "")}
)
"""Conversion -> the source and the target that it means where none is given."""
WIDEST_RESULT = 16
LINEAR_POLICY = "onnx"
"""The policy of an affine quantisation that names none: QuantizeLinear."""
REQUANTIZE_SCHEME = "tflite_double"
"""The scheme of a requantisation that names none."""

OPTIONS: Mapping[str, Sequence[str]] = {
    "conversions": (
        "from",
        "to",
        "policy",
        "rounding",
        "overflow",
        "choice",
        "values",
        "nan",
        "no-nan",
        "distribution",
    ),
    "gemm": ("a", "b", "accumulator", "zero-points"),
    "requantize": ("scheme", "to"),
    "linear": ("a", "b", "zero-points", "scheme", "to"),
    "conv": ("a", "b", "zero-points", "groups", "scheme", "to"),
    "quantize": ("to", "policy", "choice"),
    "dequantize": ("from", "policy", "choice"),
    "nonlinearities": ("from", "to", "scheme", "variant", "scale", "option"),
}
"""Family of operations -> the options that it takes, of those that not all take."""
OPERATIONS: Mapping[str, str] = {
    **dict.fromkeys(CONVERSIONS, "conversions"),
    "gemm": "gemm",
    "requantize": "requantize",
    "linear": "linear",
    "conv": "conv",
    "quantize": "quantize",
    "dequantize": "dequantize",
    "quantize_linear": "quantize",
    **dict.fromkeys(NONLINEARITIES, "nonlinearities"),
}
"""Operation -> its family."""
_ATTRIBUTES = {"from": "source", "to": "target", "zero-points": "zero_points", "no-nan": "no_nan"}


def add_operation_options(parser: Any, what: str) -> None:
    """The options of all but conversions; ``what`` says what an accumulator or a scheme is for."""
    group = parser.add_argument_group("gemm, linear, conv")
    group.add_argument("--a", metavar="FORMAT", help="format of the left matrix (default: int8)")
    group.add_argument("--b", metavar="FORMAT", help="format of the right matrix (default: int8)")
    group.add_argument("--accumulator", metavar="NAME", help=f"{what} (default: int32)")
    group.add_argument("--zero-points", action="store_true", help="of each matrix; linear, conv: of b, too")
    groups = "conv: the kernel takes a number of groups, or is depthwise: each output sees its channel alone"
    group.add_argument("--groups", choices=("any", "depthwise"), help=groups)
    group = parser.add_argument_group("requantize")
    group.add_argument("--scheme", metavar="NAME", help=f"{what} (default: tflite_double; --to: int8)")
    add_nonlinear_options(parser)


def refuse_other_options(arguments: Namespace, verb: str) -> None:
    """Refuse options of other operations than the one that is asked for."""
    own = OPTIONS[OPERATIONS.get(arguments.op, arguments.op)]
    for option in dict.fromkeys(option for options in OPTIONS.values() for option in options):
        value = getattr(arguments, _ATTRIBUTES.get(option, option), None)
        if option not in own and value is not None and value is not False and value not in ("exact", []):
            takers = [family for family, options in OPTIONS.items() if option in options]
            families = " and ".join([", ".join(takers[:-1]), takers[-1]][not takers[:-1] :])
            raise UsageError(
                f"--{option} is for {families}, not for `{verb} {arguments.op}`",
                hint=f"`{verb} {arguments.op}` takes {', '.join(f'--{name}' for name in own)}",
            )


def operation_of(arguments: Namespace) -> Operation:
    """The operation that the command line describes."""
    makers = {
        "gemm": _product,
        "requantize": _requantization,
        "linear": _layer,
        "conv": _layer,
        "dequantize": _block_values,
        "quantize": _linear_quantization if arguments.op == "quantize_linear" else _block_quantization,
        "nonlinearities": _nonlinearity,
    }
    return makers.get(OPERATIONS[arguments.op], _conversion)(arguments)


def _conversion(arguments: Namespace) -> Operation:
    from lowbit.check.cast.operation import CastOperation

    source, target = conversion_formats(arguments, "check")
    policy = chosen_policy(arguments, target)
    if policy.stochastic:
        raise PolicyError(
            "a stochastic rounding cannot be checked: the kernel's random bits are not known",
            hint="check the kernel with its random bits fixed, under the rounding that they amount to",
        )
    return CastOperation(source, target, policy.without_defects(), any_nan=arguments.nan == "any")


def conversion_formats(arguments: Namespace, verb: str) -> tuple[Scalar, Scalar]:
    """The formats of a conversion."""
    defaults = CONVERSIONS[arguments.op]
    names = [name or default for name, default in zip((arguments.source, arguments.target), defaults, strict=True)]
    for name, option in zip(names, ("--from", "--to"), strict=True):
        if not name:
            raise _no_format(verb, arguments.op, option, "`lowbit formats` lists them")
    return scalar_format(names[0]), scalar_format(names[1])


def _no_format(verb: str, operation: str, option: str, hint: str) -> UsageError:
    return UsageError(f"`lowbit {verb} {operation}` needs {option} FORMAT", hint=hint)


def _product(arguments: Namespace) -> Operation:
    from lowbit.check.gemm.operation import GemmOperation
    from lowbit.policy.accumulator import get_accumulator

    return GemmOperation(_operands(arguments), get_accumulator(arguments.accumulator or "int32"))


def _operands(arguments: Namespace) -> Operands:
    from lowbit.vectors.gemm.values import Operands

    a, b = (get_format(name or "int8") for name in (arguments.a, arguments.b))
    return Operands(a, b, arguments.zero_points)  # type: ignore[arg-type]


def _requantization(arguments: Namespace) -> Operation:
    from lowbit.check.requantize.operation import RequantizeOperation

    return RequantizeOperation(chosen_requantization(arguments), _result(arguments))


def _layer(arguments: Namespace) -> Operation:
    from lowbit.check.requantize.conv import ConvOperation
    from lowbit.check.requantize.linear import LinearOperation

    parts = _operands(arguments), chosen_requantization(arguments), _result(arguments)
    return LinearOperation(*parts) if arguments.op == "linear" else ConvOperation(*parts, arguments.groups or "")


def _result(arguments: Namespace) -> FixedFormat:
    """The format of requantised codes."""
    result = get_format(arguments.target or "int8")
    if not isinstance(result, FixedFormat) or result.fraction_bits or result.bits > WIDEST_RESULT:
        raise UsageError(
            f"--to {result.id} is not a format of a requantisation",
            hint=f"an integer of at most {WIDEST_RESULT} bits: int8, uint8, int16, int4, ...",
        )
    return result


def chosen_requantization(arguments: Namespace) -> RequantizeScheme:
    """The scheme of the command line; where none is named, the default, which is said."""
    from lowbit.policy.requantize import get_requantize_scheme

    if not arguments.scheme:
        say_default("--scheme", REQUANTIZE_SCHEME, "`lowbit list schemes` has the others")
    return get_requantize_scheme(arguments.scheme or REQUANTIZE_SCHEME)


def _block_quantization(arguments: Namespace) -> Operation:
    from lowbit.check.block.operation import QuantizeOperation

    fmt = _block_format(arguments, "--to", arguments.target)
    policy = chosen_block_policy(arguments, fmt.default_policy)
    policy.require_held(fmt)
    return QuantizeOperation(fmt, policy)


def _block_values(arguments: Namespace) -> Operation:
    from lowbit.check.block.dequantize import DequantizeOperation

    return DequantizeOperation(_block_format(arguments, "--from", arguments.source))


def _block_format(arguments: Namespace, option: str, name: str | None) -> BlockFormat:
    if not name:
        hint = "mxfp4, nvfp4, fp8_1x128, ...: `lowbit formats` lists them"
        raise _no_format(arguments.verb, arguments.op, option, hint)
    return block_format_of(name)


def _linear_quantization(arguments: Namespace) -> Operation:
    from lowbit.check.block.linear import LinearOperation

    return LinearOperation(scalar_format(arguments.target or "uint8"), chosen_block_policy(arguments, LINEAR_POLICY))


def _nonlinearity(arguments: Namespace) -> Operation:
    from lowbit.check.nonlinear.operation import NonlinearOperation

    return NonlinearOperation(*chosen_nonlinearity(arguments))
