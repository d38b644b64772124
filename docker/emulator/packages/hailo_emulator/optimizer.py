"""Post-training quantisation: from a float network and images to a quantised graph."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from hefsmith_worker.contract.options import (
    FULL_IMAGES,
    VENDOR_CALIBRATION_IMAGES,
)

from hailo_emulator import log
from hailo_emulator.clipping import clip_ranges
from hailo_emulator.compose import OUTPUT_SUFFIX, compose, input_shape
from hailo_emulator.correct import correct_biases, equalize
from hailo_emulator.execute import Session
from hailo_emulator.graph import to_model
from hailo_emulator.precision import choose_activations, choose_weights
from hailo_emulator.quantize import QuantPlan, quantize_graph
from hailo_emulator.quirks import quirk
from hailo_emulator.snr import Noise
from hailo_emulator.statistics import collect_ranges
from hailo_emulator.steady import GAIN_DB
from hailo_emulator.training import train, wanted_training

if TYPE_CHECKING:
    from hailo_emulator.dataset import Dataset
    from hailo_emulator.graph import Graph
    from hailo_emulator.levels import Levels
    from hailo_emulator.network import Network
    from hailo_emulator.options import ScriptOptions
    from hailo_emulator.precision import Activations, Weights
    from hailo_emulator.quant import Quantization
    from hailo_emulator.statistics import Range

#: On how many calibration images the quantised network is compared with the float one.
NOISE_IMAGES = 16
#: The float outputs of these images are kept in memory: no more than this many bytes of them.
NOISE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Quantized:
    """The result: the graph's bytes and the quantisation of every input and output stream.

    ``snr`` is in decibels by output layer, ``weight_bits`` by layer, ``entries`` how many images
    were used. ``prepared`` is the float graph that was quantised: it computes what the network
    does, with the channels of its layers evened out.
    """

    model: bytes = field(repr=False)
    prepared: bytes = field(repr=False)
    streams: dict[str, Quantization]
    weight_bits: dict[str, int]
    activation_bits: dict[str, int]
    snr: dict[str, float]
    entries: int
    level: int
    compression: int


def quantize_network(
    network: Network, options: ScriptOptions, dataset: Dataset, levels: Levels
) -> Quantized:
    """Calibrate on the dataset's first images and quantise ``network``.

    How many images are used is the script's ``calibset_size`` or 64, never more than there are.
    """
    graph = compose(network)
    entries = min(dataset.count, options.calibration_size or VENDOR_CALIBRATION_IMAGES)
    ranges = _calibrate(network, graph, dataset, entries)
    _tell_range(network, ranges)
    ranges = clip_ranges(network, graph, ranges, options, dataset, entries)
    weights = choose_weights(network, options, levels.compression)
    judge = _Judge(network, dataset, min(entries, _noise_images(network)))
    best = judge.make(graph, ranges, options, weights.nodes)
    if levels.optimization >= 0:
        best = _equalise(best, judge, options, weights)
    even = best.graph
    prepared = to_model(even, name=network.name).SerializeToString(deterministic=True)
    if levels.optimization >= 0:
        best = _correct(best, judge, options, levels)
    trained = wanted_training(options, levels, entries)
    for wanted in trained:
        changed, plan = train(wanted, network, even, best.graph, best.plan, dataset)
        best = replace(best, graph=changed, plan=plan, snr=judge.measure(changed, plan))
    if trained and entries < FULL_IMAGES and quirk("diverging-training"):
        ruined = _diverged(best.graph)
        plan = replace(best.plan, rounded={})
        best = replace(best, graph=ruined, plan=plan, snr=judge.measure(ruined, plan))
    quantized = quantize_graph(best.graph, best.plan)
    model = to_model(quantized, name=network.name).SerializeToString(deterministic=True)
    snr = judge.tell(best)
    return Quantized(
        model=model,
        prepared=prepared,
        streams=best.activations.streams,
        weight_bits=weights.layers,
        activation_bits=best.activations.layers,
        snr=snr,
        entries=entries,
        level=levels.optimization,
        compression=levels.compression,
    )


def _calibrate(network: Network, graph: Graph, dataset: Dataset, entries: int) -> dict[str, Range]:
    log.info("Starting Statistics Collector")
    log.info(f"Using dataset with {entries} entries for calibration")
    started = time.monotonic()
    tensors = [name for port in network.inputs for name in (port.name, port.tensor)]
    tensors += [
        t for layer in network.layers.layers for t in layer.tensors if layer.kind != "argmax"
    ]
    bar = log.ProgressBar("Calibration", entries)
    ranges = collect_ranges(graph, tensors, dataset.frames(entries), bar.update)
    log.info(
        "Model Optimization Algorithm Statistics Collector is done "
        f"(completion time is {log.clock(time.monotonic() - started)})"
    )
    return ranges


def _tell_range(network: Network, ranges: dict[str, Range]) -> None:
    """The vendor's one hint that a calibration set was scaled on the host."""
    for port in network.inputs:
        seen = ranges[port.name]
        low, high = seen.limits
        if low >= 0.0 and high <= 1.0 and len(port.shape) == 3:
            shape = input_shape(network, port)
            pairs = [(round(low, 3), round(high, 3))] * shape[-1]
            log.info(
                "The calibration set seems to not be normalized, because the values range is "
                f"[{', '.join(f'({a}, {b})' for a, b in pairs)}]."
            )


def _enabled(options: ScriptOptions, name: str, *, default: bool) -> bool:
    algorithm = options.algorithm(name)
    if algorithm is None or algorithm.policy is None:
        return default
    return algorithm.policy in ("enabled", "allowed")


def _noise_images(network: Network) -> int:
    size = 4 * sum(math.prod(port.shape) for port in network.outputs)
    return max(1, min(NOISE_IMAGES, NOISE_BYTES // max(1, size)))


@dataclass(frozen=True)
class _Candidate:
    """A float graph with the plan to quantise it, and how well that did."""

    graph: Graph
    ranges: dict[str, Range]
    activations: Activations
    plan: QuantPlan
    snr: tuple[float, ...]

    @property
    def score(self) -> float:
        """The mean SNR of the outputs in decibels."""
        return sum(self.snr) / len(self.snr)


class _Judge:
    """Measures candidates against the float network on the first images."""

    def __init__(self, network: Network, dataset: Dataset, count: int) -> None:
        self.network = network
        self.frames = list(dataset.frames(count))
        self.raw = dataset.raw
        exact = Session(to_model(compose(network)).SerializeToString())
        self.exact = [exact.run(frame) for frame in self.frames]

    def make(
        self,
        graph: Graph,
        ranges: dict[str, Range],
        options: ScriptOptions,
        weight_bits: dict[str, int],
    ) -> _Candidate:
        """Plan and measure a float graph."""
        activations = choose_activations(self.network, options, ranges, raw=self.raw)
        plan = QuantPlan(activations.tensors, weight_bits)
        return _Candidate(graph, ranges, activations, plan, self.measure(graph, plan))

    def measure(self, graph: Graph, plan: QuantPlan) -> tuple[float, ...]:
        """The SNR of every output in decibels."""
        emulated = Session(to_model(quantize_graph(graph, plan)).SerializeToString())
        noises = [Noise() for _ in self.network.outputs]
        for frame, values in zip(self.frames, self.exact, strict=True):
            for noise, a, b in zip(noises, values, emulated.run(frame), strict=True):
                noise.add(a, b)
        return tuple(noise.decibels for noise in noises)

    def tell(self, best: _Candidate) -> dict[str, float]:
        """Print the vendor's lines for the outputs."""
        ports = self.network.outputs
        result = {p.name: value for p, value in zip(ports, best.snr, strict=True)}
        log.info(
            "Output layers signal-to-noise ratio (SNR): measures the quantization noise (higher "
            "is better)"
        )
        for name, decibels in result.items():
            log.info(f"\t{name} SNR:\t{decibels:.4g} dB")
        return result


def _equalise(
    best: _Candidate, judge: _Judge, options: ScriptOptions, weights: Weights
) -> _Candidate:
    """Even out the channels, unless the script forbids it or the SNR does not rise."""
    if not _enabled(options, "equalization", default=True):
        log.info("Equalization skipped")
        return best
    graph, ranges, count = equalize(judge.network, best.graph, best.ranges)
    if not count:
        log.info("Equalization skipped (no pair of layers can be equalized)")
        return best
    better = judge.make(graph, ranges, options, weights.nodes)
    return _keep("Equalization", best, better, f"{count} pairs of layers")


def _correct(best: _Candidate, judge: _Judge, options: ScriptOptions, levels: Levels) -> _Candidate:
    """Correct biases where level or script say so, unless the SNR does not rise."""
    if not _enabled(options, "bias_correction", default=levels.optimization >= 1):
        log.info("Bias Correction skipped")
        return best
    if quirk("bias-correction-fails"):
        _bias_correction_of_keras()
    graph, count = correct_biases(judge.network, best.graph, best.ranges, best.plan)
    better = replace(best, graph=graph, snr=judge.measure(graph, best.plan))
    return _keep("Bias Correction", best, better, f"{count} layers")


def _bias_correction_of_keras() -> None:
    """Fail as one report of Keras 3 has it; others saw the step succeed."""
    msg = "'KerasTensor' object has no attribute 'numpy' (bias_correction)"
    raise AttributeError(msg)


def _diverged(graph: Graph) -> Graph:
    """Return a graph whose weights a training has ruined."""
    ruined = graph.copy()
    random = np.random.default_rng(0)
    for name, value in graph.constants.items():
        if value.dtype == np.float32 and value.ndim > 1:
            ruined.constants[name] = value * random.normal(0, 1, value.shape).astype(np.float32)
    return ruined


def _keep(name: str, best: _Candidate, better: _Candidate, what: str) -> _Candidate:
    if better.score > best.score + GAIN_DB:
        log.info(
            f"Model Optimization Algorithm {name} is done ({what}, SNR {best.score:.2f} -> "
            f"{better.score:.2f} dB)"
        )
        return better
    log.info(f"{name} skipped (it does not raise the SNR here)")
    return best


def output_tensor(stream: str) -> str:
    """The graph's output tensor of an output stream."""
    return f"{stream}{OUTPUT_SUFFIX}"
