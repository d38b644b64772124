"""A simple cost model: how fast a network might run. An estimate, never a measurement.

Per frame: compute time = MACs * 2 / (TOPS * efficiency), transfer time = bytes in and out over
one PCIe Gen3 lane, and for networks whose weights exceed one context, the time to load the
weights anew for every frame. Compute and transfer overlap; loading does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.layers import count_macs
from hailo_emulator.payload import Estimate
from hailo_emulator.precision import weighted_nodes

if TYPE_CHECKING:
    from hefsmith_worker.contract.chips import Figures

    from hailo_emulator.network import Network
    from hailo_emulator.optimizer import Quantized

#: Share of the peak that real networks reach: yolov8n (8.7 GOP) at 1036 FPS on 26 TOPS is 0.35.
EFFICIENCY = 0.35
#: How much longer a layer of 16 bits computes. An assumption.
WIDE = 1.5
#: No network runs faster than this on a host link (frames per second).
CEILING = 4000.0


@dataclass(frozen=True)
class Cost:
    """What the estimate was made of. Bytes are of one frame, seconds of one frame."""

    macs: int
    weight_bytes: int
    stream_bytes: int
    contexts: int
    seconds: float


def estimate_cost(network: Network, quantized: Quantized, chip: Figures) -> Cost:
    """Apply the cost model to one frame at batch 1."""
    macs, slowed, weight_bytes = 0, 0.0, 0
    for layer in network.layers.layers:
        own = count_macs(network.graph, layer)
        macs += own
        wide = quantized.activation_bits.get(network.scoped(layer.name), 8) == 16
        slowed += own * (WIDE if wide else 1.0)
        bits = quantized.weight_bits.get(network.scoped(layer.name), 8)
        for node in weighted_nodes(network, layer):
            count = int(np.prod(network.graph.constants[node.inputs[1]].shape))
            weight_bytes += count * bits // 8
    stream_bytes = sum(
        int(np.prod(port.shape)) * (quantized.streams[port.stream].bits // 8)
        for port in (*network.inputs, *network.outputs)
    )
    contexts = max(1, math.ceil(weight_bytes / chip.weight_bytes))
    compute = 2.0 * slowed / (chip.tops * 1e12 * EFFICIENCY)
    transfer = stream_bytes / chip.link
    loading = weight_bytes / chip.link if contexts > 1 else 0.0
    return Cost(
        macs, weight_bytes, stream_bytes, contexts,
        max(compute, transfer, 1.0 / CEILING) + loading,
    )  # fmt: skip


def as_estimate(cost: Cost) -> Estimate:
    """The numbers that a payload carries; latency counts two frames in the pipeline."""
    fps = round(1.0 / cost.seconds, 2)
    return Estimate(fps, round(2000.0 * cost.seconds, 4), cost.macs, cost.contexts)
