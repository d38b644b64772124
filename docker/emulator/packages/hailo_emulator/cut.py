"""Cut a graph at start and end nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hailo_sdk_client.model_translator.exceptions import MisspellNodeError, UnsupportedModelError

from hailo_emulator.graph import Graph, Node, prune

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def cut_graph(
    graph: Graph, start_nodes: Sequence[str] | None, end_nodes: Sequence[str] | None
) -> tuple[Graph, list[str]]:
    """Cut at the named nodes (names of nodes, else of tensors).

    Returns the cut graph and, for each output in order, the name that asked for it. A start
    node is kept: its computed inputs become the graph's inputs. An end node is kept: its
    outputs become the graph's outputs, in the order given.
    Raises ``MisspellNodeError`` for names that the graph does not have.
    """
    result = graph.copy()
    by_name = {name: node for node in graph.nodes for name in node.original_names}
    producers = graph.producers()
    missing = [n for n in end_nodes or () if n not in by_name and n not in producers]
    if missing:
        msg = f"Unable to find end node names: {missing}"
        raise MisspellNodeError(msg)
    missing = [
        n
        for n in start_nodes or ()
        if n not in by_name and n not in graph.inputs and n not in producers
    ]
    if missing:
        msg = f"Unable to find start node names: {missing}"
        raise MisspellNodeError(msg)
    asked: list[str] = []
    if end_nodes:
        result.outputs = []
        for name in dict.fromkeys(end_nodes):
            node = by_name.get(name) or producers[name]
            tensors = node.outputs if name in by_name else (name,)
            for tensor in tensors:
                if tensor and tensor not in result.outputs:
                    result.outputs.append(tensor)
                    asked.append(name)
    else:
        result.outputs = list(dict.fromkeys(result.outputs))
        asked = [producers[t].name if t in producers else t for t in result.outputs]
    if start_nodes:
        _start_at(result, graph, start_nodes, by_name)
    prune(result)
    if not result.inputs:
        msg = "no input of the network reaches the end nodes"
        raise UnsupportedModelError(msg)
    return result, asked


def _start_at(
    result: Graph, graph: Graph, start_nodes: Sequence[str], by_name: Mapping[str, Node]
) -> None:
    inputs: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(start_nodes):
        node = by_name.get(name)
        tensors = graph.data_inputs(node) if node is not None else [name]
        for tensor in tensors:
            if tensor not in graph.shapes:
                msg = f"UnsupportedModelError in op {name}: the shape of {tensor} is unknown"
                raise UnsupportedModelError(msg)
            inputs[tensor] = graph.shapes[tensor]
    result.nodes = [n for n in result.nodes if not set(n.outputs) & set(inputs)]
    result.inputs = {**inputs, **result.inputs}
    before = set(graph.inputs) - set(inputs)
    reached = {t for t in _needed(result) if t in before}
    if reached:
        msg = (
            f"UnsupportedModelError in op {min(reached)}: the start nodes do not cover the "
            f"inputs {sorted(reached)}"
        )
        raise UnsupportedModelError(msg)


def _needed(graph: Graph) -> set[str]:
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
    return needed
