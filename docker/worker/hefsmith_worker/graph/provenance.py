"""Follows every channel of the head to the outputs, and notes what happens to it on the way.

Each element of a tensor behind the head carries the set of head channels that it came from.
Moving operators move these marks exactly (the same code moves real arrays), arithmetic unites
them. What a channel meets (a sigmoid, a grid of constants, an exponential) tells its role,
whatever the layout, the exporter or the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Optional, Sequence, Tuple

import numpy as np

from hefsmith_worker.graph.ends import Ends, is_corner_matrix, is_ramp
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.movement import MOVERS, Unknown, move
from hefsmith_worker.graph.shapes import reduced_axes
from hefsmith_worker.graph.values import Values

#: A channel of the head: position of its layer among the ends, number of the channel.
Channel = Tuple[int, int]

_BINARY = frozenset(["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "PRelu"])
_UNARY = frozenset((
    "Sigmoid", "HardSigmoid", "Exp", "Log", "Sqrt", "Relu", "LeakyRelu", "Tanh", "Softplus",
    "Clip", "Neg", "Abs", "Floor", "Ceil", "Round", "Cos", "Sin", "Reciprocal", "Erf",
    "HardSwish", "Gelu", "Mish", "Swish", "Elu", "Softmax", "LogSoftmax", "Hardmax",
))  # fmt: skip
#: Operators whose result does not tell where it came from; the channels are told, then lost.
_SELECTS = frozenset((
    "TopK", "ArgMax", "ArgMin", "GatherElements", "GatherND", "Gather", "NonMaxSuppression",
    "NonZero", "Where", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not",
    "And", "Or", "ScatterND", "ScatterElements",
))  # fmt: skip
_WIDEST = 1024
_LARGEST = 40_000_000


@dataclass(frozen=True)
class Mark:
    """Something that a channel met: the operator, its place, and the constant's range.

    ``low`` and ``high`` are the smallest and largest constant that met this channel (NaN where
    none did); ``fast`` says that it changes from one cell to the next of a row, as a grid's x
    does and its y does not; ``size`` is the length of a softmax's axis.
    """

    op: str
    node: int
    low: float = float("nan")
    high: float = float("nan")
    size: int = 0
    fast: bool = False


class Trace:
    """The marks of all channels, and which channels make up each output."""

    def __init__(self, graph: Graph, values: Values, ends: Ends) -> None:
        self.graph = graph
        self.values = values
        self.ends = ends
        self._sets: List[FrozenSet[Channel]] = []
        self._numbers: Dict[FrozenSet[Channel], int] = {}
        self._unions: Dict[Tuple[int, int], int] = {}
        self._marks: Dict[int, List[Mark]] = {}
        self._ids: Dict[str, Optional[np.ndarray]] = {}
        for position, node in enumerate(ends.learned):
            self._ids[node.outputs[0]] = self._start(position, node)
        for node in ends.tail:
            results = self._step(node)
            for name, ids in zip(node.outputs, results):
                self._ids[name] = ids
        self._by_channel = self._spread()

    def marks(self, channel: Channel) -> List[Mark]:
        """Return what a channel met, in the order of the graph."""
        return self._by_channel.get(channel, [])

    def channels_of(self, output: str) -> Optional[np.ndarray]:
        """Return the marks' numbers of a tensor's elements (-1: constant), if still known."""
        return self._ids.get(output)

    def channels(self, number: int) -> FrozenSet[Channel]:
        """Return the channels behind a number of :meth:`channels_of`."""
        return frozenset() if number < 0 else self._sets[number]

    # Numbers for sets of channels.

    def _number(self, channels: FrozenSet[Channel]) -> int:
        known = self._numbers.get(channels)
        if known is None:
            known = len(self._sets)
            self._sets.append(channels)
            self._numbers[channels] = known
        return known

    def _start(self, position: int, node: Node) -> Optional[np.ndarray]:
        shape = self.values.shape(node.outputs[0])
        if shape is None or len(shape) < 2:
            return None
        axis = 1 if node.op in ("Conv", "ConvTranspose") else len(shape) - 1
        if shape[axis] > 1 << 14 or np.prod(shape, dtype=np.int64) > _LARGEST:
            return None
        numbers = np.array(
            [self._number(frozenset([(position, channel)])) for channel in range(shape[axis])],
            np.int32,
        )
        spread = [1] * len(shape)
        spread[axis] = shape[axis]
        return np.broadcast_to(numbers.reshape(spread), shape)

    def _unite(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        left, right = np.broadcast_arrays(left, right)
        if left is right or np.array_equal(left, right):
            return left
        pairs = (left.astype(np.int64) + 1) * (1 << 31) + (right.astype(np.int64) + 1)
        unique, inverse = np.unique(pairs, return_inverse=True)
        lookup = np.array(
            [self._union(int(pair >> 31) - 1, int(pair & ((1 << 31) - 1)) - 1) for pair in unique],
            np.int32,
        )
        return lookup[inverse].reshape(left.shape)

    def _union(self, left: int, right: int) -> int:
        if left < 0 or right < 0 or left == right:
            return max(left, right)
        key = (min(left, right), max(left, right))
        if key not in self._unions:
            self._unions[key] = self._number(self._sets[left] | self._sets[right])
        return self._unions[key]

    def _collapse(self, ids: np.ndarray, axes: Sequence[int]) -> Optional[np.ndarray]:
        """Unite along axes, keeping them with length 1."""
        for axis in axes:
            if ids.shape[axis] > _WIDEST:
                return None
            parts = np.moveaxis(ids, axis, 0)
            united = parts[0]
            for part in parts[1:]:
                united = self._unite(united, part)
            ids = np.expand_dims(united, axis)
        return ids

    # Marks.

    def _note(self, ids: Optional[np.ndarray], node: Node, op: str, size: int = 0) -> None:
        if ids is None:
            return
        for number in self._present(ids):
            self._marks.setdefault(number, []).append(Mark(op, node.index, size=size))

    @staticmethod
    def _present(ids: np.ndarray) -> List[int]:
        counts = np.bincount(_compact(ids).reshape(-1).astype(np.int64) + 1)
        return [int(number) for number in np.flatnonzero(counts) - 1 if number >= 0]

    def _note_constant(self, ids: np.ndarray, constant: np.ndarray, node: Node) -> None:
        """Note an operation with a constant, with the range of it that each channel meets."""
        if constant.size == 1:
            value = float(constant.reshape(-1)[0])
            for number in self._present(ids):
                self._marks.setdefault(number, []).append(Mark(node.op, node.index, value, value))
            return
        wide, spread = np.broadcast_arrays(ids, constant)
        flat = wide.reshape(-1)
        order = np.argsort(flat, kind="stable")
        numbers, starts = np.unique(flat[order], return_index=True)
        ordered = spread.reshape(-1)[order].astype(np.float64)
        lows = np.minimum.reduceat(ordered, starts)
        highs = np.maximum.reduceat(ordered, starts)
        nexts = np.minimum(starts + 1, len(ordered) - 1)
        fasts = (flat[order][nexts] == numbers) & (ordered[nexts] != ordered[starts])
        for number, low, high, fast in zip(numbers, lows, highs, fasts):
            if number >= 0:
                self._marks.setdefault(int(number), []).append(
                    Mark(node.op, node.index, float(low), float(high), fast=bool(fast))
                )

    def _spread(self) -> Dict[Channel, List[Mark]]:
        found: Dict[Channel, List[Mark]] = {}
        for number, marks in self._marks.items():
            for channel in self._sets[number]:
                found.setdefault(channel, []).extend(marks)
        position = {node.index: rank for rank, node in enumerate(self.graph.nodes)}
        for marks in found.values():
            marks.sort(key=lambda mark: position[mark.node])
        return found

    # One node of the tail.

    def _step(self, node: Node) -> List[Optional[np.ndarray]]:
        nothing: List[Optional[np.ndarray]] = [None] * len(node.outputs)
        known = [self._ids.get(name) for name in node.inputs]
        if all(ids is None for ids in known) or any(
            ids is not None and ids.size > _LARGEST for ids in known
        ):
            return nothing
        constants = [self.values.constant(name) if name else None for name in node.inputs]
        try:
            if node.op in MOVERS:
                return self._moved(node, known, constants)
            if node.op in _UNARY:
                return [self._unary(node, known[0])]
            if node.op in _BINARY:
                return [self._binary(node, known, constants)]
            if node.op.startswith("Reduce"):
                return [self._reduced(node, known[0], constants)]
            if node.op == "ScatterND":
                return [self._scattered(node, known, constants)]
            if node.op in ("Shape", "Size"):
                return nothing
            if node.op in ("Resize", "Upsample", "GlobalAveragePool", "MaxPool", "AveragePool"):
                self._note(known[0], node, node.op)
                return nothing
            if node.op in ("Conv", "MatMul", "Gemm"):
                return [self._expected(node, known)]
        except (Unknown, ValueError, IndexError, TypeError):
            return nothing
        for ids in known:
            self._note(ids, node, "Select" if node.op in _SELECTS else node.op)
        return nothing

    def _moved(
        self,
        node: Node,
        known: List[Optional[np.ndarray]],
        constants: List[Optional[np.ndarray]],
    ) -> List[Optional[np.ndarray]]:
        count = len(node.inputs) if node.op == "Concat" else 1
        data: List[np.ndarray] = []
        for marked, name in zip(known[:count], node.inputs):
            ids = marked
            if ids is None:
                shape = self.values.shape(name)
                if shape is None or self.values.constant(name) is None:
                    self._note(next((i for i in known if i is not None), None), node, "Lost")
                    raise Unknown(name)
                ids = np.broadcast_to(np.int32(-1), shape)
            data.append(ids)
        try:
            return list(move(node, data, constants))
        except Unknown:
            self._note(known[0], node, "Select")
            raise

    def _unary(self, node: Node, ids: Optional[np.ndarray]) -> Optional[np.ndarray]:
        size = 0
        if ids is not None and node.op in ("Softmax", "LogSoftmax", "Hardmax"):
            default = -1 if self.graph.opset >= 13 else 1
            size = ids.shape[int(node.get("axis", default))]
        self._note(ids, node, node.op, size)
        return ids

    def _binary(
        self,
        node: Node,
        known: List[Optional[np.ndarray]],
        constants: List[Optional[np.ndarray]],
    ) -> Optional[np.ndarray]:
        present = [ids for ids in known if ids is not None]
        if len(present) == 1:
            other = next((c for ids, c in zip(known, constants) if ids is None), None)
            if other is None:
                self._note(present[0], node, node.op)
                return None
            self._note_constant(present[0], np.asarray(other), node)
            shape = np.broadcast_shapes(present[0].shape, np.asarray(other).shape)
            return np.broadcast_to(present[0], shape)
        result = present[0]
        alike = all(np.array_equal(ids, result) for ids in present[1:])
        for ids in present:
            # x * sigmoid(x) is an activation, objectness * class is a score.
            self._note(ids, node, node.op + ("Self" if alike else "With"))
        for ids in present[1:]:
            result = self._unite(result, ids)
        return result

    def _reduced(
        self, node: Node, ids: Optional[np.ndarray], constants: List[Optional[np.ndarray]]
    ) -> Optional[np.ndarray]:
        if ids is None:
            return None
        axes = reduced_axes(node, constants, ids.ndim)
        before = self.graph.producer.get(node.inputs[0])
        weighted = (
            before is not None
            and before.op == "Mul"
            and any(is_ramp(name, self.graph, self.values) for name in before.inputs)
        )
        self._note(ids, node, "Expect" if weighted else node.op)
        if axes is None:
            return None
        result = self._collapse(ids, axes)
        if result is None or node.get("keepdims", 1):
            return result
        return np.squeeze(result, tuple(axes))

    def _scattered(
        self,
        node: Node,
        known: List[Optional[np.ndarray]],
        constants: List[Optional[np.ndarray]],
    ) -> Optional[np.ndarray]:
        """Follow an assignment to a slice, which older exporters write as ``ScatterND``."""
        data, indices, updates = known[0], constants[1], known[2]
        if data is None or indices is None or updates is None:
            raise Unknown(node.op)
        result = np.array(data)
        result[tuple(np.moveaxis(indices.astype(np.int64), -1, 0))] = updates
        return result

    def _expected(self, node: Node, known: List[Optional[np.ndarray]]) -> Optional[np.ndarray]:
        """Follow a product with the fixed ramp of a distribution of distances."""
        ids = known[0]
        if ids is not None and is_corner_matrix(node.inputs[1], self.graph, self.values):
            return self._cornered(ids, np.asarray(self.values.constant(node.inputs[1])))
        if ids is None or not is_ramp(node.inputs[1], self.graph, self.values):
            for other in known:
                self._note(other, node, node.op)
            return None
        axis = 1 if node.op == "Conv" else ids.ndim - 1
        self._note(ids, node, "Expect", ids.shape[axis])
        result = self._collapse(ids, [axis])
        shape = self.values.shape(node.outputs[0])
        if result is None or shape is None:
            return None
        return result.reshape(shape)

    def _cornered(self, ids: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Follow the fixed matrix that turns centres and sizes into corners."""
        sides = []
        for column in matrix.T:
            parts = [ids[..., int(i)] for i in np.flatnonzero(column)]
            united = parts[0]
            for part in parts[1:]:
                united = self._unite(united, part)
            sides.append(united)
        return np.stack(np.broadcast_arrays(*sides), axis=-1)


def _compact(ids: np.ndarray) -> np.ndarray:
    """Drop the axes along which an array only repeats itself in memory."""
    index = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in ids.strides)
    return ids[index]
