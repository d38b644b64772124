"""The learned layers nearest to the outputs: where the network ends and decoding begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.values import Values

_LEARNED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: Operators that hide learned layers of their own; behind them nothing is a plain head.
OPAQUE = frozenset((
    "RoiAlign", "MaxRoiPool", "LSTM", "GRU", "RNN", "Loop", "Scan", "Attention",
    "MultiHeadAttention", "GridSample", "DeformConv", "QLinearConv", "ConvInteger",
))  # fmt: skip


@dataclass(frozen=True)
class Ends:
    """The last learned nodes in graph order, the nodes behind them, and what else is behind."""

    values: Values
    learned: Tuple[Node, ...]
    tail: Tuple[Node, ...]
    opaque: Tuple[str, ...]
    from_input: bool

    def reaching(self, graph: Graph, output: str) -> Tuple[Node, ...]:
        """Return the learned nodes that one graph output depends on."""
        wanted = {node.index for node in self.learned}
        found = _backwards(graph, self.values, [output], wanted)
        return tuple(node for node in found if node.index in wanted)


def find_ends(graph: Graph, values: Values) -> Ends:
    """Walk back from the outputs until a learned layer stands in the way on every path."""
    stop = {
        node.index
        for node in graph.nodes
        if node.op in _LEARNED and is_learned(node, graph, values)
    }
    reached = _backwards(graph, values, graph.outputs, stop)
    learned = tuple(node for node in reached if node.index in stop)
    tail = tuple(node for node in reached if node.index not in stop)
    used = {name for node in tail for name in (*node.inputs, *node.captured)} | set(graph.outputs)
    return Ends(
        values,
        learned,
        tail,
        tuple(sorted({node.op for node in tail if node.op in OPAQUE})),
        any(name in graph.inputs for name in used),
    )


def is_learned(node: Node, graph: Graph, values: Values) -> bool:
    """Say whether a node multiplies by weights that were trained.

    The expectation over a distribution of distances (a fixed ramp 0, 1, 2, ... behind a
    softmax) is written as a convolution or a product too; it belongs to the decoding.
    """
    weight = node.inputs[1] if len(node.inputs) > 1 else ""
    size = _constant_size(weight, graph, values)
    if node.op == "MatMul" and size is None:
        size = _constant_size(node.inputs[0], graph, values)
        weight = node.inputs[0]
    if size is None:
        # Weights that are computed from others (quantised files) still are weights.
        return node.op in ("Conv", "ConvTranspose") and values.constant(weight) is None
    return not (is_ramp(weight, graph, values) or is_corner_matrix(weight, graph, values))


def is_corner_matrix(name: str, graph: Graph, values: Values) -> bool:
    """Say whether a 4x4 constant turns centre and size into corners, or back: no weight at all."""
    if _constant_size(name, graph, values) != (4, 4):
        return False
    array = values.constant(name)
    return array is not None and bool(np.isin(np.abs(np.asarray(array)), (0.0, 0.5, 1.0)).all())


def is_ramp(name: str, graph: Graph, values: Values) -> bool:
    """Say whether a constant counts up in equal steps from 0, as a vector."""
    size = _constant_size(name, graph, values)
    if size is None or not size or not 2 <= int(np.prod(size, dtype=np.int64)) <= 256:
        return False
    if max(size) != int(np.prod(size, dtype=np.int64)):
        return False
    array = values.constant(name)
    if array is None:
        return False
    flat = np.asarray(array, np.float64).reshape(-1)
    steps = np.diff(flat)
    return bool(flat[0] == 0 and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3))


def _constant_size(name: str, graph: Graph, values: Values) -> Optional[Tuple[int, ...]]:
    """Return the size of a weight, also where it passes an Identity or DequantizeLinear."""
    for _ in range(4):
        size = graph.size(name)
        if size is not None:
            return size
        node = graph.producer.get(name)
        if node is None or node.op not in ("Identity", "DequantizeLinear", "Cast", "Transpose"):
            break
        name = node.inputs[0]
    constant = values[name].constant
    return None if constant is None else constant.shape


def _backwards(graph: Graph, values: Values, outputs: Sequence[str], stop: Set[int]) -> List[Node]:
    """Return all nodes that ``outputs`` depend on, not looking behind those in ``stop``.

    What is constant for this input size (a ``Shape``, a grid) depends on nothing.
    """
    seen: Dict[int, Node] = {}
    waiting = list(outputs)
    visited: Set[str] = set()
    while waiting:
        name = waiting.pop()
        if not name or name in visited:
            continue
        visited.add(name)
        if values[name].constant is not None:
            continue
        node = graph.producer.get(name)
        if node is None:
            continue
        seen[node.index] = node
        if node.index not in stop:
            waiting += [*node.inputs, *node.captured]
    position = {node.index: rank for rank, node in enumerate(graph.nodes)}
    return sorted(seen.values(), key=lambda node: position[node.index])
