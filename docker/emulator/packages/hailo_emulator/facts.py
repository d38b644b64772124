"""What a quantised network's layers hold: bits, limits, what is clipped, what lies idle.

The vendor's compiler shows some of this in its profiler; how a program would ask for it is not
public. The emulator has it under a name of its own (``ClientRunner.emulated_layers``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.compose import input_shape
from hailo_emulator.dataset import open_dataset
from hailo_emulator.execute import Session
from hailo_emulator.graph import to_model
from hailo_emulator.layers import count_macs
from hailo_emulator.noise import load_prepared, load_quantized
from hailo_emulator.quantize import read_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hailo_emulator.network import Network
    from hailo_emulator.optimizer import Quantized

#: Share of the values (by size) that make up the bulk; what is beyond are outliers.
BULK = 0.999


@dataclass(frozen=True)
class LayerFacts:
    """One layer's output. Values are those of the float network on the samples given.

    ``limits`` is what its integers can tell, ``clipped`` the share of values beyond; ``bulk`` is
    the size that all but a thousandth of the values stay below. ``channel_spread`` is the widest
    channel's reach over that of the middle one.
    """

    activation_bits: int
    weight_bits: int | None
    macs: int
    low: float
    high: float
    bulk: float
    limits: tuple[float, float] | None
    clipped: float
    channel_spread: float


def layer_facts(
    network: Network, quantized: Quantized, data: Any, count: int
) -> dict[str, dict[str, object]]:
    """Return the facts of every layer by its name (with scope), as JSON can hold them."""
    dataset = open_dataset(data, {p.name: input_shape(network, p) for p in network.inputs})
    graph = load_prepared(network, quantized)
    pairs = read_pairs(load_quantized(quantized, graph))
    layers = [layer for layer in network.layers.layers if layer.kind != "argmax"]
    session = Session(to_model(graph, [layer.tensors[0] for layer in layers]).SerializeToString())
    seen = [_Seen(pairs[t].limits if (t := layer.tensors[0]) in pairs else None)
            for layer in layers]  # fmt: skip
    for frame in dataset.frames(min(count, dataset.count)):
        for store, values in zip(seen, session.run(frame), strict=True):
            store.add(values)
    found = {}
    for layer, store in zip(layers, seen, strict=True):
        name = network.scoped(layer.name)
        found[name] = asdict(
            store.facts(
                quantized.activation_bits.get(name, 8),
                quantized.weight_bits.get(name),
                count_macs(network.graph, layer),
            )
        )
    return found


class _Seen:
    """Adds up one tensor over frames; its first axis is that of the channels (no batch)."""

    def __init__(self, limits: tuple[float, float] | None) -> None:
        self.limits = limits
        self.low, self.high, self.bulk = np.inf, -np.inf, 0.0
        self.outside = self.total = 0
        self.reach: NDArray[np.float32] | None = None

    def add(self, values: NDArray[np.float32]) -> None:
        flat = np.abs(values).reshape(values.shape[0], -1) if values.ndim else np.abs(values)
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.bulk = max(self.bulk, float(np.quantile(flat, BULK)))
        if self.limits is not None:
            low, high = self.limits
            step = (high - low) * 1e-6
            self.outside += int(((values < low - step) | (values > high + step)).sum())
        self.total += values.size
        reach = flat.max(axis=-1) if flat.ndim > 1 else flat
        self.reach = reach if self.reach is None else np.maximum(self.reach, reach)

    def facts(self, bits: int, weight_bits: int | None, macs: int) -> LayerFacts:
        reach = self.reach if self.reach is not None else np.zeros(1, np.float32)
        used = reach[reach > 1e-9]
        spread = float(used.max() / np.median(used)) if len(used) else 1.0
        return LayerFacts(
            activation_bits=bits, weight_bits=weight_bits, macs=macs,
            low=self.low, high=self.high, bulk=self.bulk, limits=self.limits,
            clipped=self.outside / max(1, self.total), channel_spread=spread,
        )  # fmt: skip
