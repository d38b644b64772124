"""Run samples through a float or quantised graph, with the network's own NMS at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.compose import input_shape
from hailo_emulator.dataset import open_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hailo_emulator.execute import Session
    from hailo_emulator.network import Network
    from hailo_emulator.nms.config import NmsConfig


def infer(
    network: Network,
    session: Session,
    data: Any,
    *,
    count: int | None = None,
    threshold: float | None = None,
) -> Any:
    """Return one array (N, ...) for a network of one output, else a list of them.

    With NMS the first entry is (N, classes, 5, max_proposals), padded with zeros, followed by
    the outputs that the NMS does not read.
    """
    shapes = {port.name: input_shape(network, port) for port in network.inputs}
    dataset = open_dataset(data, shapes)
    total = dataset.count if count is None else min(count, dataset.count)
    nms = network.nms
    used = set(nms.streams) if nms else set()
    kept = [i for i, port in enumerate(network.outputs) if port.stream not in used]
    results = [np.empty((total, *network.outputs[index].shape), np.float32) for index in kept]
    boxes = (
        None
        if nms is None
        else np.zeros((total, nms.classes, 5, nms.max_proposals_per_class), np.float32)
    )
    for number, frame in enumerate(dataset.frames(total)):
        values = session.run(frame)
        for result, index in zip(results, kept, strict=True):
            result[number] = values[index]
        if nms is not None and boxes is not None:
            tensors = {p.stream: v for p, v in zip(network.outputs, values, strict=True)}
            _fill(nms, tensors, boxes[number], threshold)
    outputs: list[NDArray[np.float32]] = results if boxes is None else [boxes, *results]
    return outputs[0] if len(outputs) == 1 else outputs


def _fill(
    nms: NmsConfig,
    tensors: dict[str, NDArray[np.float32]],
    into: NDArray[np.float32],
    threshold: float | None,
) -> None:
    from hailo_emulator.nms.suppress import detect

    for index, found in enumerate(detect(nms, tensors, score_threshold=threshold)):
        into[index, :, : len(found)] = found.T
