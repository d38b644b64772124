"""A parsed network: the ONNX core, its layers, and its borders as the chip sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hailo_emulator.conversions import Conversion
    from hailo_emulator.graph import Graph, Shape
    from hailo_emulator.layers import Layer, LayerGraph
    from hailo_emulator.nms.config import NmsConfig


@dataclass(frozen=True)
class Port:
    """An input or output. ``shape`` is the stream's, without batch: (H, W, C) or (C,).

    ``perm`` brings the ONNX tensor (with batch) into the stream's order of axes; ``name`` is
    the full layer name (``net/input_layer1``, ``net/output_layer1``), ``stream`` the name in
    the HEF (for outputs that of the layer that makes it, ``net/fc1``).
    """

    name: str
    stream: str
    tensor: str
    onnx_shape: Shape
    shape: Shape
    perm: tuple[int, ...]
    original_name: str

    @property
    def order(self) -> str:
        """``NHWC`` or ``NC``."""
        return "NC" if len(self.shape) == 1 else "NHWC"


@dataclass(frozen=True)
class Network:
    """What translation makes and a model script changes; never changed in place.

    ``conversions`` are what the script puts between an input and the core, by input name,
    first applied first.
    """

    name: str
    graph: Graph
    layers: LayerGraph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    conversions: dict[str, tuple[Conversion, ...]] = field(default_factory=dict)
    nms: NmsConfig | None = None

    def scoped(self, name: str) -> str:
        """Return ``name`` with the network's scope."""
        return name if "/" in name else f"{self.name}/{name}"

    def layer_of(self, port: Port) -> Layer | None:
        """The layer that makes an output."""
        return self.layers.find(self.layers.producer.get(port.tensor, ""))


def stream_shape(shape: Shape, form: str) -> tuple[Shape, tuple[int, ...]]:
    """Return the stream's shape (no batch) and the permutation that leads to it.

    Images become (H, W, C). Merged pixels (N, C, L) become (1, L, C), tokens (N, L, C) too,
    without a permutation. Vectors stay (C,).
    """
    rank = len(shape)
    if rank == 2:
        return (shape[1],), (0, 1)
    if rank == 3:
        if form == "sequence":
            return (1, shape[2], shape[1]), (0, 2, 1)
        return (1, shape[1], shape[2]), (0, 1, 2)
    if rank == 4:
        if form == "image":
            return (shape[2], shape[3], shape[1]), (0, 2, 3, 1)
        return (shape[1], shape[2], shape[3]), (0, 1, 2, 3)
    merged = int(np.prod(shape[1:-2], dtype=np.int64)) if rank > 4 else 1
    return (merged, *shape[-2:]) if rank > 4 else (1,), tuple(range(rank))
