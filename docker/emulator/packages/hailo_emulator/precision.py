"""How many bits every tensor and weight gets, and the scales that follow from the ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from hefsmith_worker.contract.options import FOUR_BIT_SHARE

from hailo_emulator import log
from hailo_emulator.quant import Quantization, choose_quantization
from hailo_emulator.script import matching_layers
from hailo_emulator.steady import steady_limits

if TYPE_CHECKING:
    from hailo_emulator.graph import Node
    from hailo_emulator.layers import Layer
    from hailo_emulator.network import Network, Port
    from hailo_emulator.options import ScriptOptions
    from hailo_emulator.statistics import Range

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_UNIT_RANGE = ("sigmoid", "softmax", "hardsigmoid")


@dataclass(frozen=True)
class Activations:
    """Quantisation per tensor of the graph and per stream; bits per layer name."""

    tensors: dict[str, Quantization]
    streams: dict[str, Quantization]
    layers: dict[str, int]


@dataclass(frozen=True)
class Weights:
    """Bits per node of the graph and per layer name (with scope)."""

    nodes: dict[str, int]
    layers: dict[str, int]


def choose_activations(
    network: Network, options: ScriptOptions, ranges: dict[str, Range], *, raw: bool
) -> Activations:
    """Choose the quantisation of every tensor between layers.

    ``raw`` says that the calibration set is uint8: then the input stream carries the bytes as
    they are (scale 1, zero point 0), otherwise the range seen decides.
    """
    bits = _layer_bits(network, options)
    forced = _forced_ranges(network, options)
    tensors: dict[str, Quantization] = {}
    streams: dict[str, Quantization] = {}
    for port in network.inputs:
        width = bits.get(port.name, 8)
        if raw and width == 8 and port.name not in forced:
            chosen = Quantization(1.0, 0, 8)
        else:
            limits = forced.get(port.name) or steady_limits(*ranges[port.name].limits)
            chosen = choose_quantization(*limits, width)
        tensors[port.name] = streams[port.stream] = chosen
        _choose_steps(network, port, chosen, tensors)
    for layer in network.layers.layers:
        if layer.passes_values:
            continue
        name = network.scoped(layer.name)
        for tensor in layer.tensors:
            limits = forced.get(name) or steady_limits(*ranges[tensor].limits)
            if layer.activation in _UNIT_RANGE or _is_softmax(layer):
                limits = forced.get(name, (0.0, 1.0))
            tensors[tensor] = choose_quantization(*limits, bits.get(name, 8))
    for port in network.outputs:
        streams[port.stream] = _stream_quantization(network, port, tensors)
    names = [network.scoped(layer.name) for layer in network.layers.layers]
    return Activations(tensors, streams, {name: bits.get(name, 8) for name in names})


def _is_softmax(layer: Layer) -> bool:
    return layer.activation == "softmax" or (
        layer.anchor is not None and layer.anchor.op == "Softmax" and layer.kind == "softmax"
    )


def _choose_steps(
    network: Network, port: Port, chosen: Quantization, tensors: dict[str, Quantization]
) -> None:
    """Steps between input and core: resizing keeps the input's scale, colours get 0..255."""
    steps = network.conversions.get(port.name, ())
    if not steps:
        return
    results = [f"{port.name}/core{index}" for index in range(1, len(steps))] + [port.tensor]
    for step, result in zip(steps, results, strict=True):
        if step.kind == "normalization":
            break  # folded into the next layer by the vendor: nothing is rounded after it
        if step.kind == "resize":
            tensors[result] = chosen
        elif "yuv" in step.kind or step.kind.endswith("_to_rgb"):
            tensors[result] = Quantization(1.0, 0, 8)


def _layer_bits(network: Network, options: ScriptOptions) -> dict[str, int]:
    """Activation bits by scoped layer name; an output layer's wish goes to its source."""
    names = [network.scoped(layer.name) for layer in network.layers.layers]
    inputs = [port.name for port in network.inputs]
    names += [port.name for port in network.outputs]
    bits: dict[str, int] = {}
    for precision in options.precisions:
        if precision.activation_bits is None:
            continue
        for pattern, found in matching_layers(precision.layers, names + inputs).items():
            if pattern.startswith("{"):
                # A pattern means layers; an input stream changes its type only by name.
                found = [name for name in found if name not in inputs]  # noqa: PLW2901
            bits.update(dict.fromkeys(found, precision.activation_bits))
    for port in network.outputs:
        layer = _source_layer(network, port.tensor)
        if port.name in bits and layer is not None:
            bits[network.scoped(layer.name)] = bits[port.name]
    return bits


def _source_layer(network: Network, tensor: str) -> Layer | None:
    """The layer whose quantisation a tensor has: back through those that pass values on."""
    layer = network.layers.find(network.layers.producer.get(tensor, ""))
    while layer is not None and layer.passes_values and layer.inputs:
        before = network.layers.find(network.layers.producer.get(layer.inputs[0], ""))
        if before is None:
            return None
        layer = before
    return layer


def _stream_quantization(
    network: Network, port: Port, tensors: dict[str, Quantization]
) -> Quantization:
    tensor = port.tensor
    while tensor not in tensors:
        layer = network.layers.find(network.layers.producer.get(tensor, ""))
        if layer is None:
            name = next((p.name for p in network.inputs if p.tensor == tensor), "")
            return tensors.get(name, Quantization(1.0, 0, 8))
        if layer.kind == "argmax":
            features = network.graph.shapes[layer.inputs[0]][1]
            return Quantization(1.0, 0, 8 if features <= 256 else 16)
        tensor = layer.inputs[0]
    return tensors[tensor]


def _forced_ranges(network: Network, options: ScriptOptions) -> dict[str, tuple[float, float]]:
    names = [network.scoped(layer.name) for layer in network.layers.layers]
    forced: dict[str, tuple[float, float]] = {}
    for precision in options.precisions:
        for found in matching_layers(precision.layers, names).values():
            for name in found:
                if precision.force_range_out is not None:
                    forced[name] = precision.force_range_out
                if precision.force_range is not None:
                    layer = network.layers.find(name.split("/", 1)[1])
                    assert layer is not None
                    index = min(precision.force_range_index, len(layer.inputs) - 1)
                    source = _source_name(network, layer.inputs[index])
                    forced[source] = precision.force_range
    return forced


def _source_name(network: Network, tensor: str) -> str:
    layer = _source_layer(network, tensor)
    if layer is not None:
        return network.scoped(layer.name)
    return next((p.name for p in network.inputs if p.tensor == tensor), network.inputs[0].name)


def weighted_nodes(network: Network, layer: Layer) -> list[Node]:
    """The nodes of a layer that carry constant weights."""
    return [
        node
        for node in layer.nodes
        if node.op in _WEIGHTED and node.inputs[1] in network.graph.constants
    ]


def choose_weights(network: Network, options: ScriptOptions, compression: int) -> Weights:
    """Choose 4, 8 or 16 bits for every layer with weights.

    A compression level puts the largest layers into 4 bits until its share of all weights is
    reached; the first and the last layer, and those that the script gives a precision, stay.
    """
    layers = [layer for layer in network.layers.layers if weighted_nodes(network, layer)]
    sizes = {
        network.scoped(layer.name): sum(
            int(np.prod(network.graph.constants[n.inputs[1]].shape))
            for n in weighted_nodes(network, layer)
        )
        for layer in layers
    }
    bits = dict.fromkeys(sizes, 8)
    named: set[str] = set()
    for precision in options.precisions:
        for found in matching_layers(precision.layers, list(sizes)).values():
            if precision.weight_bits is not None:
                bits.update(dict.fromkeys(found, precision.weight_bits))
                named.update(found)
    free = [name for name in list(sizes)[1:-1] if name not in named]
    budget = FOUR_BIT_SHARE[compression] * sum(sizes.values())
    for name in sorted(free, key=lambda n: (-sizes[n], n)):
        if sizes[name] <= budget:
            budget -= sizes[name]
            bits[name] = 4
    for name, size in sizes.items():
        if bits[name] == 4:
            log.info(f"Assigning 4bit weights to layer {name} with {size / 1000:.2f}k parameters")
    nodes = {
        node.name: bits[network.scoped(layer.name)]
        for layer in layers
        for node in weighted_nodes(network, layer)
    }
    return Weights(nodes, bits)
