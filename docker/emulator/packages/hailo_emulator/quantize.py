"""Turn a float graph into a quantised one: QuantizeLinear/DequantizeLinear at layer borders.

The chip keeps integers between layers and computes inside a layer without loss, so exactly one
pair stands at each layer's output and none inside (a SiLU is one layer). Weights are stored as
signed integers per output channel and dequantised in the graph. Biases stay float: the chip
keeps them at twice the precision. ONNX Runtime's own quantiser puts pairs around every node,
which the chip does not do; its operators are used, its placement is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.graph import CONTRIB_DOMAIN, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hailo_emulator.quant import Quantization

WEIGHT_TYPES = {4: np.int8, 8: np.int8, 16: np.int16}


@dataclass(frozen=True)
class RoundedWeight:
    """A weight's integers in its own shape, and their scales per output channel."""

    integers: NDArray[Any]
    scales: NDArray[np.float32]


@dataclass(frozen=True)
class QuantPlan:
    """What to quantise and how.

    ``activations`` maps a tensor to its quantisation; ``weight_bits`` a node's name to 4, 8 or
    16 for its constant second input, ``rounded`` to what an algorithm has made of it.
    """

    activations: Mapping[str, Quantization]
    weight_bits: Mapping[str, int]
    rounded: Mapping[str, RoundedWeight] = field(default_factory=dict)


def quantize_graph(graph: Graph, plan: QuantPlan) -> Graph:
    """Return a quantised copy of ``graph``."""
    result = graph.copy()
    result.nodes = []
    renamed: dict[str, str] = {}
    for tensor in graph.inputs:
        if tensor in plan.activations:
            renamed[tensor] = _append_pair(result, tensor, plan.activations[tensor])
    outputs = set(graph.outputs)
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if node.name in plan.weight_bits:
            inputs = _quantize_weights(result, node, inputs, plan)
        result.nodes.append(replace(node, inputs=inputs))
        for tensor in node.outputs:
            if tensor in plan.activations and tensor not in outputs:
                renamed[tensor] = _append_pair(result, tensor, plan.activations[tensor])
    used = {name for node in result.nodes for name in node.inputs}
    result.constants = {k: v for k, v in result.constants.items() if k in used}
    return result


def _append_pair(graph: Graph, tensor: str, quantization: Quantization) -> str:
    """Append the pair after ``tensor``; returns the dequantised tensor's name."""
    wide = quantization.bits == 16
    kind = np.uint16 if wide else np.uint8
    scale, zero = f"{tensor}/scale", f"{tensor}/zero_point"
    graph.constants[scale] = np.asarray(quantization.scale, np.float32)
    graph.constants[zero] = np.asarray(quantization.zero_point, kind)
    integers, result = f"{tensor}/quantized", f"{tensor}/dequantized"
    domain = CONTRIB_DOMAIN if wide else ""
    graph.nodes.append(
        Node(f"{tensor}/quantize", "QuantizeLinear", (tensor, scale, zero), (integers,),
             domain=domain)
    )  # fmt: skip
    graph.nodes.append(
        Node(f"{tensor}/dequantize", "DequantizeLinear", (integers, scale, zero), (result,),
             domain=domain)
    )  # fmt: skip
    graph.shapes[result] = graph.shapes[tensor]
    return result


def weight_axis(node: Node) -> int:
    """The axis of a weight that counts output channels (per-channel scales go along it)."""
    if node.op == "ConvTranspose":
        return 1
    if node.op == "Gemm":
        return 0 if int(node.attribute("transB", 0)) else 1
    if node.op == "MatMul":
        return -1
    return 0


def weight_scales(weight: NDArray[np.float32], axis: int, bits: int) -> NDArray[np.float32]:
    """Symmetric scales per output channel; a channel of zeros gets scale 1."""
    others = tuple(a for a in range(weight.ndim) if a != axis % weight.ndim)
    greatest = np.abs(weight).max(axis=others).astype(np.float32)
    scales = greatest / np.float32((1 << (bits - 1)) - 1)
    tiny = np.finfo(np.float32).tiny
    return np.where(scales > tiny, scales, np.float32(1.0)).astype(np.float32)


def round_weights(
    weight: NDArray[np.float32], axis: int, bits: int
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return the integers of a weight and their scales."""
    axis %= weight.ndim
    scales = weight_scales(weight, axis, bits)
    shape = [1] * weight.ndim
    shape[axis] = -1
    limit = (1 << (bits - 1)) - 1
    integers = np.clip(np.rint(weight / scales.reshape(shape)), -limit, limit)
    return integers.astype(WEIGHT_TYPES[bits]), scales


def _quantize_weights(
    graph: Graph, node: Node, inputs: tuple[str, ...], plan: QuantPlan
) -> tuple[str, ...]:
    name, bits = inputs[1], plan.weight_bits[node.name]
    weight = np.asarray(graph.constants[name], np.float32)
    axis = weight_axis(node) % weight.ndim
    if node.name in plan.rounded:
        made = plan.rounded[node.name]
        integers, scales = made.integers.astype(WEIGHT_TYPES[bits]), made.scales
    else:
        integers, scales = round_weights(weight, axis, bits)
    base = f"{node.name}/weight"
    graph.constants[f"{base}/integers"] = integers
    graph.constants[f"{base}/scales"] = scales
    graph.constants[f"{base}/zeros"] = np.zeros(scales.shape, integers.dtype)
    graph.shapes[f"{base}/dequantized"] = tuple(weight.shape)
    graph.nodes.append(
        Node(
            f"{base}/dequantize",
            "DequantizeLinear",
            (f"{base}/integers", f"{base}/scales", f"{base}/zeros"),
            (f"{base}/dequantized",),
            {"axis": axis},
            domain=CONTRIB_DOMAIN if bits == 16 else "",
        )
    )
    return (inputs[0], f"{base}/dequantized", *inputs[2:])


def read_rounded(graph: Graph, node: str) -> RoundedWeight | None:
    """Return the integers of a node's weight in a quantised graph, ``None`` where it has none."""
    base = f"{node}/weight"
    if f"{base}/integers" not in graph.constants:
        return None
    return RoundedWeight(graph.constants[f"{base}/integers"], graph.constants[f"{base}/scales"])


def read_pairs(graph: Graph) -> dict[str, Quantization]:
    """Return the quantisation of every tensor that has a pair in a quantised graph."""
    from hailo_emulator.quant import Quantization

    found: dict[str, Quantization] = {}
    for node in graph.nodes:
        if node.op != "QuantizeLinear":
            continue
        scale, zero = (graph.constants[name] for name in node.inputs[1:3])
        bits = 16 if zero.dtype == np.uint16 else 8
        found[node.inputs[0]] = Quantization(float(scale), int(zero), bits)
    return found
