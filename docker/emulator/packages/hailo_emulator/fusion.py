"""Which nodes one layer of the chip swallows: activations and biases after a computation.

The chip applies an activation inside the layer, so nothing is quantised between. Exporters
write many of them as several nodes (SiLU = Sigmoid and Mul); those are found by their shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.support import ACTIVATIONS, ELEMENTWISE

if TYPE_CHECKING:
    from hailo_emulator.graph import Graph, Node

#: Activations of one node, and what the network description calls them.
SINGLE = {
    "Relu": "relu", "LeakyRelu": "leaky", "PRelu": "prelu", "Elu": "elu", "Selu": "selu",
    "Celu": "celu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSigmoid": "hardsigmoid",
    "HardSwish": "hardswish", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish",
    "Gelu": "gelu", "Exp": "exp", "Log": "log", "ThresholdedRelu": "threshold",
}  # fmt: skip
#: Activations that read their input twice, by the set of operations between fork and join.
FORKED = {
    frozenset(("Sigmoid", "Mul")): "silu",
    frozenset(("HardSigmoid", "Mul")): "hardswish",
    frozenset(("Add", "Clip", "Mul")): "hardswish",
    frozenset(("Add", "Clip", "Div", "Mul")): "hardswish",
    frozenset(("Add", "Relu", "Clip", "Div", "Mul")): "hardswish",
    frozenset(("Softplus", "Tanh", "Mul")): "mish",
    frozenset(("Div", "Erf", "Add", "Mul")): "gelu",
    frozenset(("Erf", "Add", "Mul")): "gelu",
}
_MAX_NODES = 7


class Fuser:
    """Finds what follows a tensor and belongs to the same layer."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.consumers()
        self.outputs = set(graph.outputs)
        self.order = {node.name: index for index, node in enumerate(graph.nodes)}

    def sole_reader(self, tensor: str) -> Node | None:
        """The one node that reads ``tensor``, when there is one and it is no output."""
        readers = self.readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    def find_bias(self, node: Node) -> Node | None:
        """The constant Add after a MatMul: PyTorch writes linear layers so."""
        reader = self.sole_reader(node.outputs[0])
        if reader is None or reader.op != "Add":
            return None
        width = self.graph.shapes.get(node.outputs[0], (0,))[-1]
        for name in reader.inputs:
            constant = self.graph.constants.get(name)
            if constant is not None and constant.size == width == (constant.shape or (1,))[-1]:
                return reader
        return None

    def find_layer_norm(self, node: Node) -> tuple[Node, ...]:
        """The nodes of a LayerNormalization that older opsets write out, or nothing.

        Mean, subtract, square, mean, add epsilon, root, divide; then scale and shift, where
        they are there. The chip keeps the steps between at a higher precision, so they are one
        layer here.
        """
        if node.op != "ReduceMean" or node.outputs[0] in self.outputs:
            return ()
        found = [node]
        centred = self.sole_reader(node.outputs[0])
        if centred is None or centred.op != "Sub" or centred.inputs[0] != node.inputs[0]:
            return ()
        readers = {reader.op: reader for reader in self.readers.get(centred.outputs[0], [])}
        if set(readers) not in ({"Pow", "Div"}, {"Mul", "Div"}):
            return ()
        step: Node | None = readers.get("Pow") or readers["Mul"]
        found += [centred]
        for op in ("ReduceMean", "Add", "Sqrt", "Div"):
            assert step is not None
            found.append(step)
            step = self.sole_reader(step.outputs[0])
            if step is None or step.op != op:
                return ()
        assert step is not None
        if step is not readers["Div"] or step.inputs[0] != centred.outputs[0]:
            return ()
        found.append(step)
        return (*found, *self.find_affine(step))

    def find_affine(self, node: Node) -> list[Node]:
        """The constant scale and shift right after a normalisation, as far as they are there."""
        found: list[Node] = []
        for op in ("Mul", "Add"):
            after = self.sole_reader((found or [node])[-1].outputs[0])
            if after is None or after.op != op or len(self.graph.data_inputs(after)) != 1:
                break
            found.append(after)
        return found

    def find_activation(self, tensor: str) -> tuple[str, tuple[Node, ...]]:
        """Return the activation's name and nodes, or ``("linear", ())``."""
        if tensor in self.outputs:
            return "linear", ()
        reader = self.sole_reader(tensor)
        if reader is not None:
            name = self.single_activation(reader)
            return (name, (reader,)) if name else ("linear", ())
        return self._forked(tensor)

    def single_activation(self, node: Node) -> str:
        """What a node does as an activation of one node, or an empty text."""
        if node.domain or self.graph.data_inputs(node) != [node.inputs[0]]:
            return ""
        if node.op == "Clip":
            low, high = (self._clip_limit(node, index) for index in (1, 2))
            return {(0.0, 6.0): "relu6", (0.0, np.inf): "relu"}.get((low, high), "clip")
        return SINGLE.get(node.op, "")

    def _clip_limit(self, node: Node, index: int) -> float:
        name = node.inputs[index] if len(node.inputs) > index else ""
        value = self.graph.constants.get(name)
        fallback = -np.inf if index == 1 else np.inf
        return fallback if value is None else float(np.asarray(value).reshape(-1)[0])

    def _forked(self, tensor: str) -> tuple[str, tuple[Node, ...]]:
        inside: dict[str, Node] = {}
        known = {tensor}
        for _ in range(_MAX_NODES):
            frontier = [
                reader
                for name in known
                for reader in self.readers.get(name, [])
                if reader.name not in inside
            ]
            if not frontier:
                break
            ready = [n for n in frontier if set(self.graph.data_inputs(n)) <= known]
            allowed = ACTIVATIONS | ELEMENTWISE
            if not ready or any(n.op not in allowed for n in ready):
                break
            for node in ready:
                inside[node.name] = node
                known.update(node.outputs)
            found = self._closed(tensor, inside)
            if found is not None:
                return found
        return "linear", ()

    def _closed(self, tensor: str, inside: dict[str, Node]) -> tuple[str, tuple[Node, ...]] | None:
        leaving = [
            node.outputs[0]
            for node in inside.values()
            if node.outputs[0] in self.outputs
            or any(r.name not in inside for r in self.readers.get(node.outputs[0], []))
            or not self.readers.get(node.outputs[0])
        ]
        if len(leaving) != 1 or any(r.name not in inside for r in self.readers[tensor]):
            return None
        name = FORKED.get(frozenset(node.op for node in inside.values()))
        if name is None:
            return None
        nodes = sorted(inside.values(), key=lambda node: self.order[node.name])
        after = self.sole_reader(leaving[0])
        unscaled = name == "gelu" or (name == "hardswish" and "Div" not in {n.op for n in nodes})
        if after is not None and after.op in ("Mul", "Div") and unscaled and self._scales(after):
            nodes.append(after)
        return name, tuple(nodes)

    def _scales(self, node: Node) -> bool:
        sizes = [self.graph.constants[n].size for n in node.inputs if n in self.graph.constants]
        return sizes == [1]
