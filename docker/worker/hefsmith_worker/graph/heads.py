"""What each channel of an end does, and how the ends group into scales.

Letters stand for what a channel meets behind the head:

- ``d`` a distribution of distances (softmax, then the expectation over its bins),
- ``c`` a coordinate (a grid of constants, an exponential, a square),
- ``s`` a score (sigmoid or softmax and no geometry),
- ``t`` an angle (cosine and sine),
- ``r`` nothing: it leaves the network as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.graph.ends import Ends
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.provenance import Mark, Trace
from hefsmith_worker.graph.values import Values

_COARSE = 3
_SCORES = ("Sigmoid", "HardSigmoid", "Softmax", "LogSoftmax")


@dataclass(frozen=True)
class End:
    """One convolution of the head.

    ``cells`` is its map's (height, width), ``letters`` has one letter per channel,
    ``softmax`` the number of classes that share a softmax (0: none does). ``rank`` orders the
    ends: by the outputs where the file ends at them, else as in the graph. ``light`` says that
    its tower has depthwise convolutions.
    """

    position: int
    node: Node
    shape: Tuple[int, ...]
    letters: str
    softmax: int
    rank: int
    light: bool = False

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.shape[1]

    @property
    def cells(self) -> Tuple[int, int]:
        """Height and width of the map."""
        return self.shape[2], self.shape[3]

    @property
    def data(self) -> str:
        """The tensor that the convolution reads."""
        return self.node.inputs[0]

    @property
    def kind(self) -> str:
        """One letter when all channels agree, else ``fused``, ``dense``, ``points`` or ``?``."""
        if len(set(self.letters)) == 1:
            return self.letters[0]
        if fused_layout(self.letters) is not None:
            return "fused"
        if re.fullmatch(r"s+(r+|d+)", self.letters) and not self.letters.count("s") < 1:
            return "dense"
        if re.fullmatch(r"(ccs)+", self.letters):
            return "points"
        return "?"


@dataclass(frozen=True)
class Fused:
    """Layout of a layer that holds everything: anchors x (4, objectness, classes, masks)."""

    anchors: int
    classes: int
    masks: int

    @property
    def period(self) -> int:
        """Channels per anchor."""
        return 5 + self.classes + self.masks


def read_ends(graph: Graph, values: Values, ends: Ends, trace: Trace) -> List[End]:
    """Describe the convolutions among the ends; other learned layers are left out."""
    found = []
    for position, node in enumerate(ends.learned):
        shape = values.shape(node.outputs[0])
        if node.op != "Conv" or shape is None or len(shape) != 4:
            continue
        marks = [trace.marks((position, channel)) for channel in range(shape[1])]
        letters = "".join(_letter(channel) for channel in marks)
        sizes = {m.size for channel in marks for m in channel if m.op.endswith("oftmax")}
        softmax = max(sizes) if sizes and set(letters) == {"s"} else 0
        name = node.outputs[0]
        rank = graph.outputs.index(name) if name in graph.outputs else position
        found.append(End(position, node, shape, letters, softmax, rank))
    return found


def _letter(marks: Sequence[Mark]) -> str:
    ops = [mark.op for mark in marks]
    if "Expect" in ops:
        return "d"
    if "Cos" in ops or "Sin" in ops:
        return "t"
    if "Exp" in ops or any(_is_geometry(mark) for mark in marks):
        return "c"
    if any(op in _SCORES for op in ops) and "MulSelf" not in ops:
        return "s"
    return "r"


def _is_geometry(mark: Mark) -> bool:
    """Say whether a channel met a grid (a constant that differs from cell to cell) or a square."""
    if mark.op == "Pow":
        return mark.low == 2
    return mark.op in ("Add", "Sub", "Mul") and mark.low != mark.high and mark.low == mark.low


def fused_layout(letters: str) -> Optional[Fused]:
    """Recognise anchors x (x, y, w, h, objectness, classes[, masks])."""
    match = re.match(r"c{4}(s+)(r*)", letters)
    if match is None or len(match.group(1)) < 2:
        return None
    period = match.end()
    if len(letters) % period or letters != match.group(0) * (len(letters) // period):
        return None
    return Fused(len(letters) // period, len(match.group(1)) - 1, len(match.group(2)))


def group_scales(ends: Sequence[End]) -> List[List[End]]:
    """Group ends by the size of their maps, finest first, each group in the same order.

    Within a scale the order is by kind and channels, then as in the graph, so that the n-th
    ends of all scales belong together also where an exporter shuffled the nodes.
    """
    groups: Dict[Tuple[int, int], List[End]] = {}
    for end in ends:
        groups.setdefault(end.cells, []).append(end)
    ordered = sorted(groups.items(), key=lambda item: -item[0][0] * item[0][1])
    return [
        sorted(group, key=lambda end: (end.kind, end.channels, end.rank)) for _, group in ordered
    ]


def strides_of(size: int, cells: Sequence[int], *, priors: bool) -> Tuple[int, ...]:
    """Return the strides of maps of ``cells`` rows, finest first, over ``size`` pixels.

    Each level of a pyramid halves the one before, with a row of padding where that is odd. The
    prior boxes of SSD (``priors``) are spread evenly over the picture instead.
    """
    found = [stride_of(size, count) for count in cells]
    if not priors:
        for level in range(1, len(found)):
            if cells[level] == -(-cells[level - 1] // 2) < cells[level - 1]:
                found[level] = 2 * found[level - 1]
    return tuple(found)


def stride_of(size: int, cells: int) -> int:
    """Return the stride of a map of ``cells`` over ``size`` pixels.

    Where the size does not divide (300 over 38), the power of two that explains the number of
    cells is meant. Very coarse maps come from layers without padding: there the ratio counts.
    """
    if cells <= _COARSE and size % cells == 0:
        return size // cells
    for power in range(1, 10):
        stride = 1 << power
        if -(-size // stride) == cells or size // stride == cells:
            return stride
    return round(size / cells)
