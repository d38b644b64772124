"""An ONNX graph as plain Python values: nodes, constants, static shapes.

Everything after import works on this one structure. Tensors keep ONNX's NCHW layout; NHWC is
made at the borders (``compute.py``), as the chip's streams are NHWC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

#: Per-channel QuantizeLinear needs 13; older graphs are converted up to it.
MIN_OPSET = 13
#: The contributed Q/DQ operators of ONNX Runtime carry 16-bit values at any opset.
CONTRIB_DOMAIN = "com.microsoft"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operation. ``name`` is unique; ``absorbed`` names the nodes folded into it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    absorbed: tuple[str, ...] = ()
    captured: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor that the node needs: its inputs and what its branches capture."""
        return (*self.inputs, *self.captured)

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute's value as Python value, or ``default``."""
        return self.attributes.get(name, default)

    @property
    def original_names(self) -> tuple[str, ...]:
        """The node's own name and those of the nodes folded into it."""
        return (self.name, *self.absorbed)


@dataclass
class Graph:
    """A network with one frame of batch; ``nodes`` are in topological order."""

    nodes: list[Node]
    inputs: dict[str, Shape]
    outputs: list[str]
    constants: dict[str, NDArray[Any]]
    shapes: dict[str, Shape] = field(default_factory=dict)
    opset: int = MIN_OPSET

    def producers(self) -> dict[str, Node]:
        """Which node makes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def consumers(self) -> dict[str, list[Node]]:
        """Which nodes read each tensor, in order, each node once."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.reads):
                if name:
                    readers.setdefault(name, []).append(node)
        return readers

    def data_inputs(self, node: Node) -> list[str]:
        """The node's inputs that are computed, not constant."""
        return [name for name in node.reads if name and name not in self.constants]

    def copy(self) -> Graph:
        """A graph that can be changed without changing this one (arrays are shared)."""
        return Graph(
            list(self.nodes),
            dict(self.inputs),
            list(self.outputs),
            dict(self.constants),
            dict(self.shapes),
            self.opset,
        )

    def fresh_name(self, base: str) -> str:
        """Return ``base`` or ``base_1``, ...: a tensor name that nothing uses."""
        taken = set(self.constants) | set(self.inputs)
        for node in self.nodes:
            taken.update(node.outputs)
        name, number = base, 0
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        return name


def read_node(proto: Any) -> Node:
    """Read one NodeProto; attributes become Python values (tensors become arrays)."""
    attributes: dict[str, object] = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, (list, tuple)) or hasattr(value, "__len__"):
            value = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
        attributes[attribute.name] = value
    return Node(
        proto.name,
        proto.op_type,
        tuple(proto.input),
        tuple(proto.output),
        attributes,
        proto.domain,
        captured=_captured(proto),
    )


def _captured(proto: Any) -> tuple[str, ...]:
    """Names that the branches of an If, Loop or Scan take from outside."""
    found: dict[str, None] = {}
    for attribute in proto.attribute:
        for graph in (attribute.g, *attribute.graphs):
            made = {value.name for value in (*graph.input, *graph.initializer)}
            for node in graph.node:
                found.update(
                    (name, None) for name in (*node.input, *_captured(node)) if name not in made
                )
                made.update(node.output)
    return tuple(found)


def to_model(
    graph: Graph, outputs: Iterable[str] | None = None, *, name: str = "network"
) -> onnx.ModelProto:
    """Build an ONNX model; the same graph gives the same bytes.

    ``outputs`` replaces the graph's outputs (used to look at inner tensors). Constants that
    nothing reads are left out.
    """
    wanted = list(graph.outputs if outputs is None else outputs)
    used = {name for node in graph.nodes for name in node.inputs} | set(wanted)
    protos = [
        helper.make_node(
            node.op,
            list(node.inputs),
            list(node.outputs),
            name=node.name,
            domain=node.domain,
            **{key: _attribute(value) for key, value in sorted(node.attributes.items())},
        )
        for node in graph.nodes
    ]
    domains = {CONTRIB_DOMAIN, *(node.domain for node in graph.nodes)} - {"", "ai.onnx"}
    model = helper.make_model(
        helper.make_graph(
            protos,
            name,
            [
                helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, list(shape))
                for key, shape in graph.inputs.items()
            ],
            [_output_info(graph, key) for key in wanted],
            initializer=[
                numpy_helper.from_array(np.asarray(value, order="C"), key)
                for key, value in graph.constants.items()
                if key in used
            ],
        ),
        opset_imports=[
            helper.make_opsetid("", graph.opset),
            *(helper.make_opsetid(domain, 1) for domain in sorted(domains)),
        ],
        producer_name="hefsmith-emulator",
    )
    model.ir_version = 8
    return model


def _attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return numpy_helper.from_array(value)
    return value


def _output_info(graph: Graph, name: str) -> Any:
    shape = graph.shapes.get(name)
    return helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, None if shape is None else list(shape)
    )


def from_model(model: onnx.ModelProto) -> Graph:
    """Read a model that :func:`to_model` wrote (float inputs, static shapes)."""
    return Graph(
        nodes=[read_node(proto) for proto in model.graph.node],
        inputs={
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in model.graph.input
        },
        outputs=[value.name for value in model.graph.output],
        constants={
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        },
        opset=next(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
            MIN_OPSET,
        ),
    )


def sort_nodes(nodes: Sequence[Node], available: Iterable[str]) -> list[Node]:
    """Return ``nodes`` in topological order, keeping the given order where it is free.

    Raises ``ValueError`` when there is a cycle or an input that nothing makes.
    """
    known = set(available) | {""}
    left = list(nodes)
    done: list[Node] = []
    while left:
        waiting: list[Node] = []
        for node in left:
            if all(name in known for name in node.reads):
                done.append(node)
                known.update(node.outputs)
            else:
                waiting.append(node)
        if len(waiting) == len(left):
            msg = f"the graph has a cycle or a missing input at node {waiting[0].name!r}"
            raise ValueError(msg)
        left = waiting
    return done


def prune(graph: Graph) -> None:
    """Drop nodes and constants that no output needs, and inputs that nothing reads."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.reads)
    graph.nodes = kept[::-1]
    graph.constants = {k: v for k, v in graph.constants.items() if k in needed}
    graph.inputs = {k: v for k, v in graph.inputs.items() if k in needed}
