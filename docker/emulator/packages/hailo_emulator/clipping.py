"""Activation clipping: rare large values are cut off, so that the rest gets finer steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hefsmith_worker.script.values import Glob

from hailo_emulator import log
from hailo_emulator.execute import Session
from hailo_emulator.graph import to_model
from hailo_emulator.script import matching_layers

if TYPE_CHECKING:
    from hailo_emulator.dataset import Dataset
    from hailo_emulator.graph import Graph
    from hailo_emulator.network import Network
    from hailo_emulator.options import Algorithm, ScriptOptions
    from hailo_emulator.statistics import Range

#: Values of one frame that the percentiles are taken from, and frames.
VALUES, FRAMES = 4096, 256
SEED = 0


def clip_ranges(
    network: Network,
    graph: Graph,
    ranges: dict[str, Range],
    options: ScriptOptions,
    dataset: Dataset,
    entries: int,
) -> dict[str, Range]:
    """Return the ranges with those of the layers that the script clips cut.

    ``mode=percentile`` takes the percentiles over the calibration set, ``manual`` the values
    themselves; the last request for a layer counts.
    """
    wanted: dict[str, tuple[str, float, float]] = {}
    names = [network.scoped(layer.name) for layer in network.layers.layers]
    for algorithm in options.before:
        if algorithm.name != "activation_clipping" or algorithm.policy == "disabled":
            continue
        mode, low, high = _asked(algorithm)
        for found in matching_layers(_layers(algorithm), names).values():
            wanted.update(dict.fromkeys(found, (mode, low, high)))
    if not wanted:
        return ranges
    result = dict(ranges)
    tensors = {
        t: wanted[network.scoped(layer.name)]
        for layer in network.layers.layers
        if network.scoped(layer.name) in wanted and not layer.passes_values
        for t in layer.tensors
    }
    percentiles = [t for t, (mode, _, _) in tensors.items() if mode == "percentile"]
    values = _sampled(graph, percentiles, dataset, min(entries, FRAMES))
    for tensor, (mode, low, high) in tensors.items():
        if mode == "percentile":
            low, high = (float(v) for v in np.percentile(values[tensor], (low, high)))  # noqa: PLW2901
        seen = result[tensor]
        result[tensor] = replace(
            seen, low=np.clip(seen.low, low, high), high=np.clip(seen.high, low, high)
        )
    log.info(f"Model Optimization Algorithm Activation Clipping is done ({len(tensors)} tensors)")
    return result


def _asked(algorithm: Algorithm) -> tuple[str, float, float]:
    given = algorithm.arguments
    values = given.get("clipping_values")
    mode = str(given.get("mode") or "percentile")
    if not isinstance(values, (list, tuple)) or len(values) != 2:
        return mode, *((0.01, 99.99) if mode == "percentile" else (-np.inf, np.inf))
    return mode, float(values[0]), float(values[1])


def _layers(algorithm: Algorithm) -> tuple[str, ...]:
    layers = algorithm.arguments.get("layers")
    if layers is None:
        return ("{*}",)
    several = layers if isinstance(layers, (list, tuple)) else (layers,)
    return tuple("{" + one.pattern + "}" if isinstance(one, Glob) else str(one) for one in several)


def _sampled(
    graph: Graph, tensors: list[str], dataset: Dataset, count: int
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    if not tensors:
        return {}
    session = Session(to_model(graph, tensors).SerializeToString())
    random = np.random.default_rng(SEED)
    kept: dict[str, list[np.ndarray[tuple[int], np.dtype[np.float32]]]] = {t: [] for t in tensors}
    for frame in dataset.frames(count):
        for tensor, value in zip(tensors, session.run(frame), strict=True):
            flat = value.reshape(-1)
            if flat.size > VALUES:
                flat = flat[random.integers(0, flat.size, VALUES)]
            kept[tensor].append(flat)
    return {tensor: np.concatenate(parts) for tensor, parts in kept.items()}
