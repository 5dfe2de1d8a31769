"""What each choice of a format costs each layer: the numbers that an allocation starts from."""

from lowbit.allocate.sensitivity.attention import AttentionTraces, attention_traces, two_level_plan
from lowbit.allocate.sensitivity.hessian import TraceEstimate, hutchinson_trace
from lowbit.allocate.sensitivity.measure import SCORES, Errors, measure
from lowbit.allocate.sensitivity.measured_model import Measured, measure_model
from lowbit.allocate.sensitivity.scores import (
    hessian_trace_loss,
    layer_input_modification,
    loss_change,
    output_error,
    relative_output_error,
    second_moment,
    z_score_distribution,
)
from lowbit.allocate.sensitivity.settings import LayerErrors, Settings
from lowbit.files.safetensors import TensorFile, read_header
from lowbit.metrics import relative_squared_error, signal_to_quantization_noise, squared_error

__all__ = [
    "SCORES",
    "AttentionTraces",
    "Errors",
    "LayerErrors",
    "Measured",
    "Settings",
    "TensorFile",
    "TraceEstimate",
    "attention_traces",
    "hessian_trace_loss",
    "hutchinson_trace",
    "layer_input_modification",
    "loss_change",
    "measure",
    "measure_model",
    "output_error",
    "read_header",
    "relative_output_error",
    "relative_squared_error",
    "second_moment",
    "signal_to_quantization_noise",
    "squared_error",
    "two_level_plan",
    "z_score_distribution",
]
