"""Translate an ONNX model into a :class:`Network`, or say why not and where to cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hailo_sdk_client.model_translator.exceptions import (
    ParsingWithRecommendationException,
    UnsupportedModelError,
)

from hailo_emulator import log
from hailo_emulator.cut import cut_graph
from hailo_emulator.importer import import_graph
from hailo_emulator.layers import build_layers
from hailo_emulator.network import Network, Port, stream_shape
from hailo_emulator.recommend import recommend_end_nodes, recommend_start_nodes
from hailo_emulator.support import form_of_input, judge_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from hailo_emulator.graph import Graph
    from hailo_emulator.support import Judgement


def translate(
    model: str | Path | bytes | onnx.ModelProto,
    name: str,
    *,
    start_nodes: Sequence[str] | None = None,
    end_nodes: Sequence[str] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Network:
    """Return the network called ``name``.

    Raises ``ParsingWithRecommendationException`` for what the chip cannot do or for dynamic
    shapes, ``MisspellNodeError`` for unknown nodes, ``UnsupportedModelError`` for a model that
    cannot be read, ``BackendValueError`` for NaN in the weights.
    """
    try:
        graph = import_graph(model, input_shapes=input_shapes)
    except UnsupportedModelError as error:
        if "dynamic shape" not in str(error):
            raise
        raise ParsingWithRecommendationException(_report([str(error)], [])) from error
    graph, asked = cut_graph(graph, start_nodes, end_nodes)
    judgement = judge_graph(graph)
    if judgement.problems:
        lines = [problem.line for problem in judgement.problems]
        if starts := recommend_start_nodes(graph, judgement):
            raise ParsingWithRecommendationException(_report(lines, starts, "start"), [])
        names = recommend_end_nodes(graph, judgement)
        _tell_structure(graph, names)
        raise ParsingWithRecommendationException(_report(lines, names), names)
    _check_numbers(graph, name)
    return _build(graph, name, asked, judgement)


def _report(lines: list[str], nodes: list[str], side: str = "end") -> str:
    text = "Parsing failed. The errors found in the graph are:\n" + "\n".join(
        f" {line}" for line in lines
    )
    if nodes:
        text += f"\nPlease try to parse the model again, using these {side} node names: "
        text += ", ".join(nodes)
    return text


def _tell_structure(graph: Graph, names: list[str]) -> None:
    """Print the vendor's hint when the recommended nodes look like the heads of a detector."""
    nodes = {node.name: node for node in graph.nodes}
    shapes = [graph.shapes.get(nodes[name].outputs[0], ()) for name in names]
    if not shapes or any(len(shape) != 4 for shape in shapes):
        return
    scales: dict[tuple[int, ...], list[int]] = {}
    for shape in shapes:
        scales.setdefault(shape[2:], []).append(shape[1])
    if len(scales) < 2:
        return
    features = list(scales.values())
    if all(len(f) == 2 and f[0] % 4 == 0 for f in features) and len({f[0] for f in features}) == 1:
        family = "yolov8"
    elif all(len(f) == 1 and f[0] % 3 == 0 and f[0] > 15 for f in features):
        family = "yolov5"
    else:
        return
    log.info(f"NMS structure of {family} (or equivalent architecture) was detected.")
    log.info(
        "In order to use HailoRT post-processing capabilities, these end node names should be "
        f"used: {' '.join(names)}."
    )


def _check_numbers(graph: Graph, name: str) -> None:
    import numpy as np
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendValueError

    layers = build_layers(graph)
    bad = [
        f"{name}/{layer.name}/{'kernel' if index == 1 else 'bias'}:0"
        for layer in layers.layers
        for node in layer.nodes
        for index, tensor in enumerate(node.inputs)
        if tensor in graph.constants
        and graph.constants[tensor].dtype.kind == "f"
        and graph.constants[tensor].size > 1
        and np.isnan(graph.constants[tensor]).any()
    ]
    if bad:
        msg = f"Unsupported NaN values were found in params {bad}"
        raise BackendValueError(msg)


def _build(graph: Graph, name: str, asked: list[str], judgement: Judgement) -> Network:
    layers = build_layers(graph)
    inputs = []
    for number, (tensor, shape) in enumerate(graph.inputs.items(), 1):
        seen, perm = stream_shape(shape, form_of_input(shape))
        layer = f"{name}/input_layer{number}"
        inputs.append(Port(layer, layer, tensor, shape, seen, perm, tensor))
    outputs: list[Port] = []
    for number, (tensor, original) in enumerate(zip(graph.outputs, asked, strict=True), 1):
        if tensor not in layers.producer:
            msg = f"UnsupportedModelError in op {original}: an input is an output too"
            raise UnsupportedModelError(msg)
        shape = graph.shapes[tensor]
        seen, perm = stream_shape(shape, judgement.forms[tensor])
        stream = f"{name}/{layers.producer[tensor]}"
        same = sum(port.stream.split(":")[0] == stream for port in outputs)
        if same:
            stream = f"{stream}_{same + 1}"
        outputs.append(
            Port(f"{name}/output_layer{number}", stream, tensor, shape, seen, perm, original)
        )
    return Network(name, graph, layers, tuple(inputs), tuple(outputs))
