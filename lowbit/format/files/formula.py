"""The small arithmetic of format files: integers, parameters, ``+ - * / ^ min max``, evaluated exactly.

A family of formats gives its fields as formulas of its parameters (``2^(K - P - 1)``), and a fact may be written as
its source prints it (``(2 - 2^-10) * 2^15``).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction

from lowbit.errors import FormatError

_LARGEST_POWER = 1 << 20


def evaluate(text: str, parameters: Mapping[str, int] | None = None) -> Fraction:
    """The exact value of a formula.

    Raises FormatError: the text is not a formula, or names an unknown parameter.
    """
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
        return _value(tree.body, parameters or {})
    except (SyntaxError, ZeroDivisionError, ValueError, RecursionError) as error:
        known = ", ".join(parameters) if parameters else "none"
        raise FormatError(
            f"{text!r} is not a formula: {error}",
            hint=f"use integers, + - * / ^, min, max and parentheses; the parameters known here: {known}",
        ) from error


def evaluate_integer(text: int | str, parameters: Mapping[str, int]) -> int:
    """The value of a formula that must be an integer; an integer is its own value."""
    if isinstance(text, int):
        return text
    value = evaluate(text, parameters)
    if value.denominator != 1:
        raise FormatError(f"the formula {text!r} gives {value}, which is not an integer")
    return value.numerator


def _value(node: ast.expr, parameters: Mapping[str, int]) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value)
    if isinstance(node, ast.Name):
        if node.id not in parameters:
            raise ValueError(f"unknown parameter {node.id!r}")
        return Fraction(parameters[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, parameters)
    if isinstance(node, ast.BinOp):
        return _binary(node.op, _value(node.left, parameters), _value(node.right, parameters))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        values = [_value(argument, parameters) for argument in node.args]
        if node.func.id in ("min", "max"):
            return min(values) if node.func.id == "min" else max(values)
    raise ValueError(f"{ast.unparse(node)!r} is not allowed")


def _binary(operator: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.Div):
        return left / right
    if isinstance(operator, ast.Pow):
        if right.denominator != 1 or abs(right) > _LARGEST_POWER:
            raise ValueError(f"the power {right} is not an integer, or is too large")
        length = max(left.numerator.bit_length(), left.denominator.bit_length())
        if (length - 1) * abs(right) > _LARGEST_POWER:
            raise ValueError(f"the power {right} of a number of {length:,} bits is too large")
        return left**right.numerator
    raise ValueError(f"operator {type(operator).__name__} is not allowed")
