"""Where to cut a network that cannot be translated whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hailo_emulator.support import RESHAPES

if TYPE_CHECKING:
    from hailo_emulator.graph import Graph, Node
    from hailo_emulator.support import Judgement


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
