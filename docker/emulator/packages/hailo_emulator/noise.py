"""Layer-wise noise: how far each layer's quantised output is from the float one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hailo_emulator import log
from hailo_emulator.compose import compose, input_shape
from hailo_emulator.dataset import open_dataset
from hailo_emulator.execute import Session
from hailo_emulator.graph import Graph, from_model, to_model
from hailo_emulator.quantize import QuantPlan, quantize_graph
from hailo_emulator.snr import Noise

if TYPE_CHECKING:
    from hailo_emulator.layers import Layer
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
        return {
            network.scoped(layer.name): _noise_of_one(network, quantized, layer, dataset, total)
            for layer in network.layers.layers
        }
    layers = [layer for layer in network.layers.layers if layer.kind != "argmax"]
    tensors = [layer.tensors[0] for layer in layers]
    float_graph = compose(network)
    whole = _load_quantized(quantized, float_graph)
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


def _load_quantized(quantized: Quantized, float_graph: Graph) -> Graph:
    import onnx

    graph = from_model(onnx.load_from_string(quantized.model))
    graph.shapes = dict(float_graph.shapes)
    for name, shape in float_graph.shapes.items():
        graph.shapes[f"{name}/dequantized"] = shape
    return graph


def _noise_of_one(
    network: Network, quantized: Quantized, layer: Layer, dataset: Any, count: int
) -> float:
    """The worst output's SNR when only ``layer`` is quantised."""
    from hailo_emulator.precision import weighted_nodes
    from hailo_emulator.quantize import read_pairs

    graph = compose(network)
    pairs = read_pairs(_load_quantized(quantized, graph))
    plan = QuantPlan(
        {t: pairs[t] for t in layer.tensors if t in pairs},
        {
            node.name: quantized.weight_bits[network.scoped(layer.name)]
            for node in weighted_nodes(network, layer)
        },
    )
    exact = Session(to_model(graph).SerializeToString())
    emulated = Session(to_model(quantize_graph(graph, plan)).SerializeToString())
    noises = [Noise() for _ in network.outputs]
    for frame in dataset.frames(count):
        for noise, a, b in zip(noises, exact.run(frame), emulated.run(frame), strict=True):
            noise.add(a, b)
    return min(noise.decibels for noise in noises)
