"""Equalisation and bias correction, in closed form from the calibration statistics.

Both are the published methods in their simplest form (cross-layer equalisation; bias correction
from the expected input); the vendor's are iterative. Neither needs a second pass over the
images. The optimizer keeps each only where it raises the SNR of the outputs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.precision import weighted_nodes
from hailo_emulator.quantize import round_weights, weight_axis
from hailo_emulator.statistics import Range
from hailo_emulator.steady import steady_factors, steady_shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hailo_emulator.graph import Graph, Node
    from hailo_emulator.layers import Layer
    from hailo_emulator.network import Network
    from hailo_emulator.quantize import QuantPlan

#: Activations that let a positive factor pass: f(s * x) = s * f(x).
_HOMOGENEOUS = ("linear", "relu", "leaky", "prelu")
#: No channel is stretched by more than this.
_LIMIT = 8.0


def equalize(
    network: Network, graph: Graph, ranges: dict[str, Range]
) -> tuple[Graph, dict[str, Range], int]:
    """Even out the channels between pairs of layers.

    Returns the changed graph, the ranges that follow, and how many pairs were changed (0: the
    arguments are returned as they are).
    """
    pairs = _find_pairs(network)
    if not pairs:
        return graph, ranges, 0
    result, changed = graph.copy(), dict(ranges)
    nodes = {node.name: node for node in graph.nodes}
    for first, second, tensor in pairs:
        factors = _factors(result, nodes[second.name], ranges[tensor])
        _scale(result, nodes, nodes[first.name], 1.0 / factors, out=True)
        _scale(result, nodes, nodes[second.name], factors, out=False)
        for name in _between(network, first, tensor):
            seen = changed[name]
            changed[name] = Range(
                (seen.low / factors).astype(np.float32),
                (seen.high / factors).astype(np.float32),
                seen.mean / factors,
            )
    result.nodes = [nodes[node.name] for node in result.nodes]
    return result, changed, len(pairs)


def _find_pairs(network: Network) -> list[tuple[Node, Node, str]]:
    """(first convolution, second, the tensor between) where one layer alone reads another."""
    readers: dict[str, list[Layer]] = {}
    for layer in network.layers.layers:
        for tensor in layer.inputs:
            readers.setdefault(tensor, []).append(layer)
    outputs = {port.tensor for port in network.outputs}
    pairs = []
    for layer in network.layers.layers:
        nodes = weighted_nodes(network, layer)
        if len(nodes) != 1 or nodes[0].op != "Conv" or layer.activation not in _HOMOGENEOUS:
            continue
        tensor = layer.tensors[0]
        after = readers.get(tensor, [])
        if len(after) != 1 or tensor in outputs:
            continue
        second = weighted_nodes(network, after[0])
        if len(second) != 1 or second[0].op != "Conv" or second[0].inputs[0] != tensor:
            continue
        if len(network.graph.shapes[tensor]) == 4:
            pairs.append((nodes[0], second[0], tensor))
    return pairs


def _between(network: Network, node: Node, tensor: str) -> list[str]:
    """The tensors whose ranges change: what the first layer makes."""
    return [
        name
        for layer in network.layers.layers
        if node in layer.nodes
        for name in layer.tensors
        if name == tensor
    ]


def _factors(graph: Graph, second: Node, seen: Range) -> NDArray[np.float64]:
    """Per channel: the root of activation range over weight range, around a mean of one.

    In quarters of an octave, so that the last bits of what was measured do not get into weights.
    """
    weight = np.abs(graph.constants[second.inputs[1]]).astype(np.float64)
    depthwise = int(second.attribute("group", 1)) > 1
    reach = weight.max(axis=(1, 2, 3) if depthwise else (0, 2, 3))
    channels = len(seen.low)
    if len(reach) != channels:  # grouped: channels of a group share the filters' reach
        return np.ones(channels)
    range_ = np.maximum(np.abs(seen.low), np.abs(seen.high)).astype(np.float64)
    usable = (range_ > 1e-6) & (reach > 1e-6)
    if not usable.any():
        return np.ones(channels)
    raw = np.ones(channels)
    raw[usable] = np.sqrt(range_[usable] / reach[usable])
    centre = np.exp(np.log(raw[usable]).mean())
    raw[usable] = np.clip(raw[usable] / centre, 1.0 / _LIMIT, _LIMIT)
    return steady_factors(raw)


def _scale(
    graph: Graph, nodes: dict[str, Node], node: Node, factors: NDArray[np.float64], *, out: bool
) -> None:
    """Multiply a convolution's output channels (and bias) or its input channels."""
    weight = graph.constants[node.inputs[1]]
    depthwise = int(node.attribute("group", 1)) > 1
    shape = (-1, 1, 1, 1) if out or depthwise else (1, -1, 1, 1)
    names = [f"{node.name}/equalized/{len(graph.constants)}"]
    graph.constants[names[0]] = (weight * factors.reshape(shape)).astype(np.float32)
    graph.shapes[names[0]] = tuple(weight.shape)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = node.inputs[2]
        if out:
            bias = f"{node.name}/equalized_bias/{len(graph.constants)}"
            graph.constants[bias] = (graph.constants[node.inputs[2]] * factors).astype(np.float32)
        names.append(bias)
    nodes[node.name] = replace(node, inputs=(node.inputs[0], *names))


def correct_biases(
    network: Network, graph: Graph, ranges: dict[str, Range], plan: QuantPlan
) -> tuple[Graph, int]:
    """Take the expected error of rounded weights out of the biases.

    Returns the changed graph and how many layers were corrected.
    """
    result = graph.copy()
    nodes = {node.name: node for node in graph.nodes}
    count = 0
    for layer in network.layers.layers:
        for core in weighted_nodes(network, layer):
            node = nodes[core.name]
            shift = _expected_error(graph, node, layer, ranges, plan.weight_bits[core.name])
            if shift is None:
                continue
            name = f"{node.name}/corrected_bias"
            shift = steady_shift(shift)
            bias: NDArray[Any] = np.zeros(len(shift), np.float32)
            if len(node.inputs) > 2 and node.inputs[2]:
                bias = graph.constants[node.inputs[2]].reshape(-1)
            result.constants[name] = (bias - shift).astype(np.float32)
            nodes[core.name] = replace(node, inputs=(*node.inputs[:2], name))
            count += 1
    result.nodes = [nodes[node.name] for node in result.nodes]
    return result, count


def _expected_error(
    graph: Graph, node: Node, layer: Layer, ranges: dict[str, Range], bits: int
) -> NDArray[np.float64] | None:
    """Mean of (rounded weight - weight) * input, per output channel."""
    if node.op not in ("Conv", "Gemm") or len(layer.inputs) != 1:
        return None
    if node.op == "Gemm" and (
        int(node.attribute("transA", 0)) or float(node.attribute("beta", 1.0)) != 1.0
    ):
        return None
    seen = ranges.get(layer.inputs[0])
    if seen is None:
        return None
    weight = np.asarray(graph.constants[node.inputs[1]], np.float32)
    axis = weight_axis(node)
    integers, scales = round_weights(weight, axis, bits)
    shape = [1] * weight.ndim
    shape[axis] = -1
    error = np.asarray(integers * scales.reshape(shape).astype(np.float64) - weight, np.float64)
    if node.op == "Conv":
        return _conv_error(error, seen.mean, int(node.attribute("group", 1)))
    matrix = error if axis == 0 else error.T
    matrix = matrix * float(node.attribute("alpha", 1.0))
    if matrix.shape[1] % len(seen.mean):
        return None
    return np.asarray(matrix @ np.repeat(seen.mean, matrix.shape[1] // len(seen.mean)))


def _conv_error(
    error: NDArray[np.float64], mean: NDArray[np.float64], groups: int
) -> NDArray[np.float64] | None:
    if error.shape[1] * groups != len(mean):
        return None
    summed = error.sum(axis=(2, 3)).reshape(groups, -1, error.shape[1])
    expected = np.einsum("goi,gi->go", summed, mean.reshape(groups, -1))
    return np.asarray(expected, np.float64).reshape(-1)
