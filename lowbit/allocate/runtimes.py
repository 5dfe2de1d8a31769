"""What runtimes ask of a plan: layers that they fuse take one format, and formats that they cannot serve are left out.

vLLM makes one matrix of the projections of queries, keys and values, and one of gate and up (``packed_modules_mapping``
of vllm/model_executor/models/llama.py and bert.py), and runs all experts of a layer in one kernel (``FusedMoE``); of
compressed-tensors it serves what ``_get_scheme_from_parts`` of
vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py names for weights alone. llama.cpp has
the experts of a layer as one tensor for each projection (gguf-py/gguf/tensor_mapping.py, ``ffn_gate_exps``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lowbit.allocate.model import alike_but_for
from lowbit.allocate.sensitivity.stored_weights import stored_format
from lowbit.errors import AllocationError, InputError
from lowbit.files.compressed_tensors import FLOAT, GGML, PACK, arguments_of, kind_of, stored_as, why_not
from lowbit.files.gguf_tensors import OF_ACTIVATIONS
from lowbit.files.quantization_config import config_of
from lowbit.format.block import BlockFormat
from lowbit.printable import excerpt

_PACKED_BITS = (4, 8)
"""Of packed integers: ``WNA16_SUPPORTED_BITS`` of vLLM's compressed_tensors_wNa16.py."""
_EXPERTS = r"experts\.\d+\."
_PROJECTIONS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.experts.gate_proj": "ffn_gate_exps",
    "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.down_proj": "ffn_down_exps",
    "block_sparse_moe.gate": "ffn_gate_inp",
    "block_sparse_moe.experts.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.w3": "ffn_up_exps",
    "block_sparse_moe.experts.w2": "ffn_down_exps",
}
"""Modules of a decoder's layer in transformers -> llama.cpp's (gguf-py/gguf/tensor_mapping.py)."""
_WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight"}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
_OWN = re.compile(r"(blk\.\d+\.\w+|token_embd|output)\.weight")


@dataclass(frozen=True)
class Runtime:
    """A program that runs models.

    Attributes
    ----------
    fused : tuple of str
        Regular expressions: layers whose names differ in the match alone are one to it.
    serves : callable
        Whether it takes weights in a format.
    """

    fused: tuple[str, ...]
    serves: Callable[[BlockFormat], bool]


def _by_llama_cpp(fmt: BlockFormat) -> bool:
    return fmt.id.startswith(GGML) and fmt.id not in OF_ACTIVATIONS


def _by_vllm(fmt: BlockFormat) -> bool:
    found = arguments_of(stored_as(fmt))
    if found is None:
        return False
    kind, arguments = found
    if kind == PACK:
        return arguments["num_bits"] in _PACKED_BITS and arguments["strategy"] in ("channel", "group")
    return kind in (FLOAT, "nvfp4-pack-quantized", "mxfp4-pack-quantized")


RUNTIMES: Mapping[str, Runtime] = {
    "vllm": Runtime(
        (
            r"\b(q_proj|k_proj|v_proj)\b",
            r"\b(query|key|value)\b",
            r"\b(gate_proj|up_proj)\b",
            rf"\b{_EXPERTS}(w[123]|gate_proj|up_proj|down_proj)\b",
        ),
        _by_vllm,
    ),
    "llama.cpp": Runtime((_EXPERTS,), _by_llama_cpp),
}


def fused_layers(layers: Sequence[str], runtime: str) -> list[tuple[str, ...]]:
    """Groups of layers that a runtime fuses, which take one format."""
    groups = (alike_but_for(layers, pattern) for pattern in RUNTIMES[runtime].fused)
    return [tuple(group) for some in groups for group in some]


def served_formats(
    formats: Sequence[str], runtime: str, group: int, scale_format: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The formats that a runtime serves, and the others.

    Raises
    ------
    AllocationError
        There is none.
    """
    serves = RUNTIMES[runtime].serves
    kept = tuple(name for name in formats if serves(stored_format(name, group, scale_format)))
    if not kept:
        hint = "int4.g128, int8.channel, nvfp4" if runtime == "vllm" else "ggml_q4_k, ggml_q8_0"
        raise AllocationError(f"{runtime} serves none of {', '.join(formats)}", hint=f"--formats {hint}")
    return kept, tuple(name for name in formats if name not in kept)


def tensor_types(formats: Mapping[str, BlockFormat]) -> str:
    """A plan for ``llama-quantize --tensor-type-file``: a line of a tensor's name, as a pattern, and its type.

    Names of transformers' decoders become those of llama.cpp; the experts of a layer are one tensor there.

    Raises
    ------
    InputError
        A name or format is not one of llama.cpp, or the experts of a layer differ.
    """
    types: dict[str, str] = {}
    for name, fmt in formats.items():
        if not _by_llama_cpp(fmt):
            what = f"layer {excerpt(name)} is in {fmt.id}, and llama.cpp has the formats {GGML}* alone"
            what += f", not {' and '.join(OF_ACTIVATIONS)}, which are for activations" * fmt.id.startswith(GGML)
            raise InputError(what, hint="`lowbit allocate --runtime llama.cpp --formats ggml_q4_k,ggml_q8_0`")
        own = _name_of(name)
        if types.setdefault(own, fmt.id) != fmt.id:
            what = f"{excerpt(name)} is in {fmt.id}, and other experts of {own}, one tensor in llama.cpp, are not"
            raise InputError(what, hint="`lowbit allocate --runtime llama.cpp` ties them")
    return "".join(f"^{re.escape(name)}$={fmt.removeprefix(GGML)}\n" for name, fmt in types.items())


def plan_config(formats: Mapping[str, BlockFormat], others: Sequence[str]) -> dict[str, Any]:
    """A plan as a ``quantization_config`` of compressed-tensors; ``others``: matrices that are left as they are.

    Raises
    ------
    InputError
        compressed-tensors does not have a format.
    """
    matrices = []
    for name, fmt in formats.items():
        stored = stored_as(fmt)
        kind = kind_of(stored)
        if kind is None or why_not(name, (1, 1)):
            what = (
                f"layer {excerpt(name)} in {fmt.id}: {why_not(name, (1, 1)) or 'compressed-tensors does not have that'}"
            )
            raise InputError(what, hint="`lowbit allocate --runtime vllm` leaves such formats out")
        matrices.append((name, stored, kind))
    return config_of(matrices, others)


def _name_of(name: str) -> str:
    """What llama.cpp calls a tensor."""
    if _OWN.fullmatch(name):
        return name
    layer = _LAYER.fullmatch(name)
    projection = layer and _PROJECTIONS.get(re.sub(_EXPERTS, "experts.", layer[2]))
    if layer and projection:
        return f"blk.{layer[1]}.{projection}.weight"
    if name in _WHOLE:
        return _WHOLE[name]
    what = f"layer {excerpt(name)} has no name in llama.cpp that is known here"
    raise InputError(what, hint="measure the GGUF file of the model, whose names it has")
