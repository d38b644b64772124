"""Put NHWC borders around a network's NCHW core: the float graph that the contexts run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.conversions import append_conversion
from hailo_emulator.graph import Graph, Node
from hailo_emulator.quirks import quirk

if TYPE_CHECKING:
    from hailo_emulator.network import Network, Port

#: Marks the tensor of an output stream in the graph.
OUTPUT_SUFFIX = ":out"


def input_shape(network: Network, port: Port) -> tuple[int, ...]:
    """The shape (no batch) that an input takes once the script's conversions are in."""
    shape = port.shape
    if len(shape) == 1 and quirk("flat-inputs"):
        return (1, *shape)
    if len(shape) == 1 and quirk("flat-rows"):
        return (1, 1, *shape)
    for step in reversed(network.conversions.get(port.name, ())):
        shape = step.input_shape(shape)
    return shape


def compose(network: Network) -> Graph:
    """Return a graph from ``net/input_layerN`` (1, H, W, C) to ``<stream>:out``, all float32."""
    core = network.graph
    graph = Graph([], {}, [], dict(core.constants), dict(core.shapes), core.opset)
    for port in network.inputs:
        _append_input(graph, network, port)
    graph.nodes.extend(core.nodes)
    for port in network.outputs:
        _append_output(graph, core, port)
    return graph


def _append_input(graph: Graph, network: Network, port: Port) -> None:
    steps = network.conversions.get(port.name, ())
    seen = input_shape(network, port)
    graph.inputs[port.name] = (1, *seen)
    graph.shapes[port.name] = (1, *seen)
    core_shape = port.onnx_shape
    if steps and len(core_shape) == 4:
        core_shape = (1, seen[2], seen[0], seen[1])
    tensors = [f"{port.name}/core{index}" for index in range(len(steps))] + [port.tensor]
    _append_layout(graph, port, core_shape, tensors[0])
    shape = seen
    for step, before, after in zip(steps, tensors, tensors[1:], strict=False):
        shape = _shape_after(step.kind, shape, port, step.size)
        if len(port.onnx_shape) == 4:
            graph.shapes[after] = (1, shape[2], shape[0], shape[1])
        append_conversion(graph, before, step, after)


def _shape_after(
    kind: str, shape: tuple[int, ...], port: Port, size: tuple[int, int]
) -> tuple[int, ...]:
    if kind == "resize":
        return (port.shape[0], port.shape[1], shape[2])
    if kind.startswith("nv12"):
        return (shape[0] * 2, shape[1], 3)
    if kind.startswith(("yuy2", "tf_rgbx")):
        return (shape[0], shape[1], 3)
    return shape


def _append_layout(graph: Graph, port: Port, core_shape: tuple[int, ...], result: str) -> None:
    """From the stream's order of axes to ONNX's."""
    rank = len(core_shape)
    graph.shapes[result] = core_shape
    source = port.name
    if len(graph.shapes[port.name]) > rank == 2:
        sizes, source = f"{port.name}/sizes", f"{port.name}/vector"
        graph.constants[sizes] = np.asarray(core_shape, np.int64)
        graph.nodes.append(Node(f"{port.name}/flat", "Reshape", (port.name, sizes), (source,)))
    if rank == 3:
        sizes = f"{port.name}/sizes"
        length, features = port.shape[1], port.shape[2]
        graph.constants[sizes] = np.asarray((1, length, features), np.int64)
        source = f"{port.name}/merged"
        graph.nodes.append(Node(f"{port.name}/reshape", "Reshape", (port.name, sizes), (source,)))
    perm = [port.perm.index(axis) for axis in range(rank)]
    if perm == list(range(rank)):
        graph.nodes.append(Node(f"{port.name}/identity", "Identity", (source,), (result,)))
        return
    graph.nodes.append(
        Node(f"{port.name}/transpose", "Transpose", (source,), (result,), {"perm": perm})
    )


def _append_output(graph: Graph, core: Graph, port: Port) -> None:
    result = f"{port.stream}{OUTPUT_SUFFIX}"
    source = port.tensor
    producer = core.producers().get(source)
    if producer is not None and producer.op == "ArgMax":
        cast = f"{port.name}/float"
        graph.nodes.append(Node(f"{port.name}/cast", "Cast", (source,), (cast,), {"to": 1}))
        source = cast
    if list(port.perm) != list(range(len(port.perm))):
        moved = f"{port.name}/moved"
        graph.nodes.append(
            Node(f"{port.name}/transpose", "Transpose", (source,), (moved,),
                 {"perm": list(port.perm)})
        )  # fmt: skip
        source = moved
    sizes = f"{port.name}/sizes"
    graph.constants[sizes] = np.asarray((1, *port.shape), np.int64)
    graph.nodes.append(Node(f"{port.name}/reshape", "Reshape", (source, sizes), (result,)))
    graph.shapes[result] = (1, *port.shape)
    graph.outputs.append(result)
