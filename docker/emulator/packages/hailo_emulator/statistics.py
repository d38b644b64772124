"""Ranges of every layer over the calibration set, in one streaming pass.

The least, greatest and mean value of each channel are computed inside the graph, so only a few
numbers per frame come out: memory does not grow with the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.execute import Session
from hailo_emulator.graph import Graph, Node, to_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Range:
    """What a tensor was seen to hold: per channel (ONNX axis 1; one entry for vectors' axis)."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float64]

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value of all channels."""
        return float(self.low.min()), float(self.high.max())


def collect_ranges(
    graph: Graph,
    tensors: Sequence[str],
    frames: Iterable[Mapping[str, NDArray[Any]]],
    tell: Callable[[int], None],
) -> dict[str, Range]:
    """Run every frame and return the range of each tensor.

    Raises ``ValueError`` when a value is not finite, naming the tensor.
    """
    watched = graph.copy()
    watched.outputs = []
    for number, tensor in enumerate(tensors):
        for op in ("ReduceMin", "ReduceMax", "ReduceMean"):
            _append_reduction(watched, op, tensor, f"statistics/{number}/{op}")
    session = Session(to_model(watched).SerializeToString())
    low: list[NDArray[np.float32]] = []
    high: list[NDArray[np.float32]] = []
    total: list[NDArray[np.float64]] = []
    count = 0
    for frame in frames:
        values = [np.atleast_1d(value) for value in session.run_raw(frame)]
        least, greatest, means = values[0::3], values[1::3], values[2::3]
        if not low:
            low = [value.copy() for value in least]
            high = [value.copy() for value in greatest]
            total = [value.astype(np.float64) for value in means]
        else:
            for into, value in zip(low, least, strict=True):
                np.fmin(into, value, out=into)
            for into, value in zip(high, greatest, strict=True):
                np.fmax(into, value, out=into)
            for index, value in enumerate(means):
                total[index] += value
        count += 1
        tell(count)
    ranges = {}
    for tensor, least_, greatest_, summed in zip(tensors, low, high, total, strict=True):
        if not (np.isfinite(least_).all() and np.isfinite(greatest_).all()):
            msg = f"{tensor} holds values that are not finite"
            raise ValueError(msg)
        ranges[tensor] = Range(least_, greatest_, summed / count)
    return ranges


def _append_reduction(graph: Graph, op: str, tensor: str, result: str) -> None:
    rank = len(graph.shapes[tensor])
    axes = [axis for axis in range(rank) if axis != 1]
    attributes: dict[str, object] = {"keepdims": 0}
    inputs: tuple[str, ...] = (tensor,)
    if graph.opset >= 18:
        name = f"statistics/axes{rank}"
        graph.constants[name] = np.asarray(axes, np.int64)
        inputs = (tensor, name)
    else:
        attributes["axes"] = axes
    graph.nodes.append(Node(result, op, inputs, (result,), attributes))
    graph.outputs.append(result)
