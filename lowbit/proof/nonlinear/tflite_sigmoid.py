"""Bounds of logistic and tanh of TensorFlow Lite's integer kernels: every code is run."""

from __future__ import annotations

from lowbit.proof.nonlinear.subject import Request, Subject


def sigmoid_int8(request: Request) -> Subject:
    """Of int8 codes."""
    request.only_options("zero_point")
    zero_point = request.whole("zero_point", -128, 127)
    return request.elementwise(request.codes(fixed=True), scale=request.call.scale, zero_point=zero_point)


def sigmoid_int16(request: Request) -> Subject:
    """Of int16 codes."""
    request.only_options()
    return request.elementwise(request.codes(fixed=True), scale=request.call.scale)
