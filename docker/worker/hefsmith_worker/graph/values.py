"""What is known of every tensor before the network runs: its shape, and its value if constant.

Exporters leave much unsaid: shapes that ONNX's own inference loses behind a ``Slice`` with
computed ends, indices computed from ``Shape``. This walk keeps them, reads no weights, and
has no upper bound on the size of a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np

from hefsmith_worker.graph.folding import fold
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.movement import MOVERS, Unknown, move
from hefsmith_worker.graph.shapes import shape_of

Shape = Tuple[int, ...]

#: Folding stops above this many elements: grids and anchors are smaller.
LARGEST = 1 << 22


@dataclass(frozen=True)
class Value:
    """A tensor: its shape (``None`` when unknown) and its constant value if it has one."""

    shape: Optional[Shape] = None
    constant: Optional[np.ndarray] = None


class Values:
    """The values of all tensors of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: Dict[str, Value] = {
            name: Value(shape or None) for name, shape in graph.inputs.items()
        }
        for node in graph.nodes:
            for name, value in zip(node.outputs, self._evaluate(node)):
                if name:
                    self._known[name] = value

    def __getitem__(self, name: str) -> Value:
        known = self._known.get(name)
        if known is None:
            known = Value(self.graph.size(name), None)
            self._known[name] = known
        return known

    def shape(self, name: str) -> Optional[Shape]:
        """Return the shape of a tensor, ``None`` when it is not known."""
        return self[name].shape

    def constant(self, name: str) -> Optional[np.ndarray]:
        """Return the value of a tensor that does not depend on the inputs."""
        value = self[name]
        return self.graph.array(name) if value.constant is None else value.constant

    def _evaluate(self, node: Node) -> List[Value]:
        if node.op == "Constant":
            array = self.graph.array(node.outputs[0])
            return [Value(None if array is None else array.shape, array)]
        shapes = [self.shape(name) if name else None for name in node.inputs]
        folded = self._folded(node, shapes)
        if folded is not None:
            return folded
        found = self._shapes(node, shapes)
        return [
            Value(found[i] if i < len(found) and found[i] is not None else self._declared(name))
            for i, name in enumerate(node.outputs)
        ]

    def _declared(self, name: str) -> Optional[Shape]:
        return self.graph.declared.get(name)

    def _folded(self, node: Node, shapes: List[Optional[Shape]]) -> Optional[List[Value]]:
        if node.op == "Shape":
            if shapes[0] is None:
                return None
            start, end = int(node.get("start", 0)), node.get("end")
            sides = np.asarray(shapes[0][start : None if end is None else int(end)], np.int64)
            return [Value(sides.shape, sides)]
        if node.op == "Size" and shapes[0] is not None:
            size = np.asarray(np.prod(shapes[0], dtype=np.int64))
            return [Value((), size)]
        if any(
            shape is None or np.prod(shape, dtype=np.int64) > LARGEST
            for name, shape in zip(node.inputs, shapes)
            if name
        ):
            return None
        if any(
            name and self[name].constant is None and self.graph.size(name) is None
            for name in node.inputs
        ):
            return None
        arrays = [self.constant(name) if name else None for name in node.inputs]
        if any(name and array is None for name, array in zip(node.inputs, arrays)):
            return None
        results = fold(node, arrays)
        if results is None or any(result.size > LARGEST for result in results):
            return None
        return [Value(result.shape, result) for result in results]

    def _shapes(self, node: Node, shapes: List[Optional[Shape]]) -> List[Optional[Shape]]:
        if node.op not in MOVERS:
            params = [self._parameter(name) for name in node.inputs]
            return shape_of(node, shapes, params)
        count = len(node.inputs) if node.op == "Concat" else 1
        data = []
        for shape in shapes[:count]:
            if shape is None:
                return []
            data.append(np.broadcast_to(np.int8(0), shape))
        params = [self._parameter(name) for name in node.inputs]
        try:
            return [result.shape for result in move(node, data, params)]
        except Unknown:
            return []

    def _parameter(self, name: str) -> Optional[np.ndarray]:
        """Return a small constant, such as indices or sizes."""
        if not name:
            return None
        shape = self.shape(name)
        if shape is None or np.prod(shape, dtype=np.int64) > LARGEST:
            return None
        return self.constant(name)
