"""What a network itself does to its pixels first: divide by 255, take a mean off, and the like.

A network that scales its input wants it as it was before: a recipe that scales it too is a fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

import numpy as np
import onnx

from hefsmith_worker.graph.model import Graph, Node, read_graph

#: Nodes that change no number.
_PASSES = frozenset(["Identity", "Cast", "Transpose", "Dropout"])
#: More than this many nodes before the first layer are no scaling of pixels.
_DEEPEST = 12


def input_scaling(source: Union[str, Path, onnx.ModelProto]) -> Dict[str, Dict[str, List[float]]]:
    """Return, by input, the ``mean`` and ``std`` by which the network scales it before all else.

    ``(x - mean) / std``, in the units of what is fed to the input; one value, or one for each
    channel. An input that the network takes as it comes is left out. Raises
    :class:`~hefsmith_worker.graph.model.GraphError`.
    """
    graph = read_graph(source)
    found = {}
    for name in graph.inputs:
        factor, offset = _scaled(graph, name)
        if np.all(factor == 1.0) and np.all(offset == 0.0):
            continue
        if not (np.all(np.isfinite(factor)) and np.all(factor > 0) and np.all(np.isfinite(offset))):
            continue
        mean, std = np.atleast_1d(-offset / factor), np.atleast_1d(1.0 / factor)
        found[name] = {"mean": _plain(mean), "std": _plain(std)}
    return found


def _plain(values: np.ndarray) -> List[float]:
    if np.allclose(values, values[0], rtol=1e-6, atol=0.0):
        values = values[:1]
    return [float("%.6g" % value) + 0.0 for value in values]


def _scaled(graph: Graph, tensor: str) -> Tuple[np.ndarray, np.ndarray]:
    """Return factor and offset of what the chain behind an input makes of it."""
    factor, offset = np.ones(()), np.zeros(())
    for _ in range(_DEEPEST):
        users = graph.consumers.get(tensor, [])
        if len(users) != 1 or tensor in graph.outputs:
            break
        node = users[0]
        if node.op not in _PASSES and not (factor.size == 1 and _reorders(graph, node, tensor)):
            step = _step(graph, node, tensor)
            if step is None:
                break
            by, plus = step
            if len({one.size for one in (factor, offset, by, plus)} - {1}) > 1:
                break
            factor, offset = factor * by, offset * by + plus
        tensor = node.outputs[0]
    return factor, offset


def _reorders(graph: Graph, node: Node, tensor: str) -> bool:
    """Tell whether a node only puts the channels into another order, as from BGR to RGB."""
    if node.op != "Gather" or node.inputs[0] != tensor:
        return False
    order = graph.array(node.inputs[1])
    return order is not None and sorted(order.reshape(-1).tolist()) == list(range(order.size))


def _step(graph: Graph, node: Node, tensor: str) -> Optional[Tuple[np.ndarray, np.ndarray]]:
    """Return factor and offset of one node, ``None`` where it is no scaling of channels."""
    if node.op == "BatchNormalization":
        values = [_channels(graph, name) for name in node.inputs[1:5]]
        if node.inputs[0] != tensor or any(one is None for one in values):
            return None
        scale, shift, mean, variance = (one for one in values if one is not None)
        by = scale / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
        return by, shift - mean * by
    if node.op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2:
        return None
    first = node.inputs[0] == tensor
    other = node.inputs[1] if first else node.inputs[0]
    value = _channels(graph, other)
    if value is None or (node.op in ("Sub", "Div") and not first):
        return None
    if node.op in ("Add", "Sub"):
        return np.ones(()), value if node.op == "Add" else -value
    if np.any(value == 0):
        return None
    return (value if node.op == "Mul" else 1.0 / value), np.zeros(())


def _channels(graph: Graph, name: str) -> Optional[np.ndarray]:
    """Return a constant that has one value, or one for each channel."""
    array = graph.array(name)
    if array is None or array.dtype.kind not in "fiu" or not 1 <= array.size <= 16:
        return None
    if array.size > 1 and max(array.shape) != array.size:
        return None
    flat = array.astype(np.float64).reshape(-1)
    return flat.reshape(()) if flat.size == 1 else flat
