"""Layer-wise noise: how far each layer's quantised output is from the float one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hailo_emulator import log
from hailo_emulator.compose import compose, input_shape
from hailo_emulator.dataset import open_dataset
from hailo_emulator.execute import Session
from hailo_emulator.graph import Graph, from_model, to_model
from hailo_emulator.precision import weighted_nodes
from hailo_emulator.quantize import QuantPlan, quantize_graph, read_pairs, read_rounded
from hailo_emulator.snr import Noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hailo_emulator.graph import Node
    from hailo_emulator.network import Network
    from hailo_emulator.optimizer import Quantized


def layer_noise(
    network: Network, quantized: Quantized, data: Any, count: int, *, alone: bool
) -> dict[str, float]:
    """Return decibels by layer name (with scope), in the network's order.

    ``alone`` quantises one layer at a time and looks at the outputs (the worst one counts):
    which layer hurts the result. Otherwise all are quantised and each layer's own output is
    compared: where the noise has grown.
    """
    dataset = open_dataset(data, {p.name: input_shape(network, p) for p in network.inputs})
    total = min(count, dataset.count)
    log.info("Starting Layer Noise Analysis")
    if alone:
        return _noise_of_each(network, quantized, dataset, total)
    layers = [layer for layer in network.layers.layers if layer.kind != "argmax"]
    tensors = [layer.tensors[0] for layer in layers]
    float_graph = load_prepared(network, quantized)
    whole = load_quantized(quantized, float_graph)
    made = {name for node in whole.nodes for name in node.outputs}
    pairs = [
        (tensor, f"{tensor}/dequantized" if f"{tensor}/dequantized" in made else tensor)
        for tensor in tensors
    ]
    exact = Session(to_model(float_graph, [a for a, _ in pairs]).SerializeToString())
    emulated = Session(to_model(whole, [b for _, b in pairs]).SerializeToString())
    noises = [Noise() for _ in layers]
    for frame in dataset.frames(total):
        for noise, a, b in zip(noises, exact.run(frame), emulated.run(frame), strict=True):
            noise.add(a, b)
    return {
        network.scoped(layer.name): noise.decibels
        for layer, noise in zip(layers, noises, strict=True)
    }


def load_prepared(network: Network, quantized: Quantized) -> Graph:
    """Return the float graph that was quantised, with its shapes."""
    import onnx

    graph = from_model(onnx.load_from_string(quantized.prepared))
    graph.shapes = dict(compose(network).shapes)
    return graph


def load_quantized(quantized: Quantized, float_graph: Graph) -> Graph:
    """Return the quantised graph with the shapes of the float one."""
    import onnx

    graph = from_model(onnx.load_from_string(quantized.model))
    graph.shapes = dict(float_graph.shapes)
    for name, shape in float_graph.shapes.items():
        graph.shapes[f"{name}/dequantized"] = shape
    return graph


def _noise_of_each(
    network: Network, quantized: Quantized, dataset: Any, count: int
) -> dict[str, float]:
    """The worst output's SNR when only one layer is quantised, by layer."""
    graph = load_prepared(network, quantized)
    whole = load_quantized(quantized, graph)
    pairs = read_pairs(whole)
    made = {node.name: node for node in whole.nodes}
    frames = list(dataset.frames(count))
    exact = Session(to_model(graph).SerializeToString())
    reference = [exact.run(frame) for frame in frames]
    found = {}
    for layer in network.layers.layers:
        scoped = network.scoped(layer.name)
        bits = quantized.weight_bits.get(scoped, 8)
        own = [node.name for node in weighted_nodes(network, layer)]
        rounded = {name: r for name in own if (r := read_rounded(whole, name)) is not None}
        plan = QuantPlan(
            {t: pairs[t] for t in layer.tensors if t in pairs}, dict.fromkeys(own, bits), rounded
        )
        # Its bias as it has become: that makes up for the rounding of its own weights.
        alone = graph.copy()
        alone.nodes = [_with_bias(node, made, alone, whole) if node.name in own else node
                       for node in graph.nodes]  # fmt: skip
        emulated = Session(to_model(quantize_graph(alone, plan)).SerializeToString())
        noises = [Noise() for _ in network.outputs]
        for frame, values in zip(frames, reference, strict=True):
            for noise, a, b in zip(noises, values, emulated.run(frame), strict=True):
                noise.add(a, b)
        found[scoped] = min(noise.decibels for noise in noises)
    return found


def _with_bias(node: Node, made: Mapping[str, Node], graph: Graph, whole: Graph) -> Node:
    """Return a node with the bias that it has in the quantised graph."""
    now = made.get(node.name)
    if now is None or len(now.inputs) < 3 or now.inputs[2] not in whole.constants:
        return node
    graph.constants[now.inputs[2]] = whole.constants[now.inputs[2]]
    return replace(node, inputs=(*node.inputs[:2], now.inputs[2]))
