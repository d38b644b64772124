"""Where to cut a network that cannot be translated whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from hailo_sdk_client.model_translator.exceptions import MisspellNodeError, UnsupportedModelError

from hailo_emulator.cut import cut_graph
from hailo_emulator.support import RESHAPES, judge_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from hailo_emulator.graph import Graph, Node
    from hailo_emulator.support import Judgement

Place = Literal["before", "middle", "after"]

#: Operators that hold what was learned; products of two computed tensors hold nothing.
_LEARNED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))


def place_of(graph: Graph, node: Node) -> Place:
    """Tell where a node stands: before the first learned layer, behind the last, or between.

    A network without a learned layer has all its nodes behind.
    """
    producers, consumers = graph.producers(), graph.consumers()
    above = _reached(
        [name for name in node.reads if name],
        lambda name: [producers[name]] if name in producers else [],
        lambda found: found.reads,
    )
    below = _reached(
        [name for name in node.outputs if name],
        lambda name: consumers.get(name, []),
        lambda found: found.outputs,
    )
    if not any(_is_learned(graph, found) for found in below):
        return "after"
    return "middle" if any(_is_learned(graph, one) for one in (node, *above)) else "before"


def learned_before(graph: Graph, ends: list[str]) -> tuple[int, int]:
    """Return how many learned layers a cut keeps, and how many there are."""
    producers = graph.producers()
    starts = [name for node in graph.nodes if node.name in ends for name in node.outputs]
    kept = _reached(
        starts,
        lambda name: [producers[name]] if name in producers else [],
        lambda found: found.reads,
    )
    return (
        sum(_is_learned(graph, node) for node in kept),
        sum(_is_learned(graph, node) for node in graph.nodes),
    )


def _reached(
    names: list[str],
    step: Callable[[str], list[Node]],
    further: Callable[[Node], tuple[str, ...]],
) -> list[Node]:
    """Return the nodes that can be reached from tensors, each once."""
    found: dict[str, Node] = {}
    pending = list(names)
    while pending:
        for node in step(pending.pop()):
            if node.name not in found:
                found[node.name] = node
                pending += [name for name in further(node) if name]
    return list(found.values())


def _is_learned(graph: Graph, node: Node) -> bool:
    weights = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op not in _LEARNED or weights is None:
        return False
    # The mean over the bins of a box (0, 1, 2...) is a part of the decoding.
    return not np.array_equal(weights.ravel(), np.arange(weights.size))


def recommend_start_nodes(graph: Graph, judgement: Judgement) -> list[str]:
    """Return the nodes to begin at, when all that is refused stands before the learned layers.

    Empty where that does not help: another cut, or none, is the answer then.
    """
    nodes = {node.name: node for node in graph.nodes}
    refused = [nodes[problem.node] for problem in judgement.problems]
    if not refused or any(place_of(graph, node) != "before" for node in refused):
        return []
    consumers = graph.consumers()

    def readers_of(name: str) -> list[Node]:
        return consumers.get(name, [])

    def outputs_of(node: Node) -> tuple[str, ...]:
        return node.outputs

    names = {node.name for node in refused}
    starts: dict[str, None] = {}
    for node in refused:
        for name in node.outputs:
            for reader in consumers.get(name, []):
                below = {
                    found.name for found in _reached(list(reader.outputs), readers_of, outputs_of)
                }
                if reader.name not in names and not below & names:
                    starts[reader.name] = None
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    found = sorted(starts, key=lambda name: order[name])
    try:
        cut, _ = cut_graph(graph, found, None)
    except (MisspellNodeError, UnsupportedModelError):
        return []
    return [] if judge_graph(cut).problems else found


def recommend_end_nodes(graph: Graph, judgement: Judgement) -> list[str]:
    """Return the deepest nodes to cut at, so that all before them can be translated.

    First the frontier: what can be computed and is read by something that cannot (or is an
    output). Then back through merged pixels (``sequence``) and joins, because a decode tail
    that only rearranges is better cut at the convolutions that feed it.
    """
    forms, producers = judgement.forms, graph.producers()
    refused = {problem.node for problem in judgement.problems}
    blocked = {
        node.name
        for node in graph.nodes
        if node.name in refused or any(n not in forms for n in graph.data_inputs(node))
    }
    frontier = {
        name
        for node in graph.nodes
        if node.name in blocked
        for name in graph.data_inputs(node)
        if name in forms
    }
    frontier |= {name for name in graph.outputs if name in forms}
    cut: dict[str, None] = {}
    waiting = sorted(frontier)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if _is_tail(graph, node, forms):
            waiting.extend(graph.data_inputs(node))
        else:
            cut[node.name] = None
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    return sorted(cut, key=lambda name: order[name])


def _is_tail(graph: Graph, node: Node, forms: dict[str, str]) -> bool:
    form = forms.get(node.outputs[0], "")
    from_image = any(forms.get(n) in ("image", "sequence") for n in graph.data_inputs(node))
    if form == "sequence" and from_image:
        return True
    if node.op in RESHAPES | {"Transpose", "Identity"}:
        return form != "flat"
    if node.op == "Concat":
        readers = graph.consumers().get(node.outputs[0], [])
        return bool(readers) and all(
            reader.op in RESHAPES | {"Transpose", "Split", "Slice"} for reader in readers
        )
    return False
