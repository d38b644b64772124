"""Post-training quantisation: from a float network and images to a quantised graph."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING


from hailo_emulator import log
from hailo_emulator.compose import OUTPUT_SUFFIX, compose, input_shape
from hailo_emulator.execute import Session
from hailo_emulator.graph import to_model
from hailo_emulator.options import DEFAULT_CALIBRATION_SIZE
from hailo_emulator.precision import choose_activations, choose_weights
from hailo_emulator.quantize import QuantPlan, quantize_graph
from hailo_emulator.snr import Noise
from hailo_emulator.statistics import collect_ranges

if TYPE_CHECKING:
    from hailo_emulator.dataset import Dataset
    from hailo_emulator.graph import Graph
    from hailo_emulator.levels import Levels
    from hailo_emulator.network import Network
    from hailo_emulator.options import Options
    from hailo_emulator.quant import Quantization
    from hailo_emulator.statistics import Range

#: On how many calibration images the quantised network is compared with the float one.
NOISE_IMAGES = 16


@dataclass(frozen=True)
class Quantized:
    """The result: the graph's bytes and the quantisation of every input and output stream.

    ``snr`` is in decibels by output layer, ``weight_bits`` by layer, ``entries`` how many images
    were used.
    """

    model: bytes = field(repr=False)
    streams: dict[str, Quantization]
    weight_bits: dict[str, int]
    activation_bits: dict[str, int]
    snr: dict[str, float]
    entries: int
    level: int
    compression: int


def quantize_network(
    network: Network, options: Options, dataset: Dataset, levels: Levels
) -> Quantized:
    """Calibrate on the dataset's first images and quantise ``network``.

    How many images are used is the script's ``calibset_size`` or 64, never more than there are.
    """
    from hailo_emulator.correct import correct_biases, equalize

    graph = compose(network)
    entries = min(dataset.count, options.calibration_size or DEFAULT_CALIBRATION_SIZE)
    ranges = _calibrate(network, graph, dataset, entries)
    _tell_range(network, ranges)
    weight_bits = choose_weights(network, options, levels.compression)
    if _enabled(options, "equalization", default=levels.optimization >= 0):
        graph, ranges = equalize(network, graph, ranges)
    else:
        log.info("Equalization skipped")
    activations = choose_activations(network, options, ranges, raw=dataset.raw)
    plan = QuantPlan(activations.tensors, weight_bits.nodes)
    if _enabled(options, "bias_correction", default=levels.optimization >= 1):
        graph = correct_biases(network, graph, ranges, plan)
    else:
        log.info("Bias Correction skipped")
    _tell_training(options, levels)
    quantized = quantize_graph(graph, plan)
    model = to_model(quantized, name=network.name).SerializeToString(deterministic=True)
    snr = _measure_noise(network, model, dataset, min(entries, NOISE_IMAGES))
    return Quantized(
        model=model,
        streams=activations.streams,
        weight_bits=weight_bits.layers,
        activation_bits=activations.layers,
        snr=snr,
        entries=entries,
        level=levels.optimization,
        compression=levels.compression,
    )


def _calibrate(
    network: Network, graph: Graph, dataset: Dataset, entries: int
) -> dict[str, Range]:
    log.info("Starting Statistics Collector")
    log.info(f"Using dataset with {entries} entries for calibration")
    started = time.monotonic()
    tensors = [port.name for port in network.inputs]
    tensors += [t for layer in network.layers.layers for t in layer.tensors
                if layer.kind != "argmax"]
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
        if 0.0 <= low and high <= 1.0 and len(port.shape) == 3:
            shape = input_shape(network, port)
            pairs = [(round(low, 3), round(high, 3))] * shape[-1]
            log.info(
                "The calibration set seems to not be normalized, because the values range is "
                f"[{', '.join(f'({a}, {b})' for a, b in pairs)}]."
            )


def _enabled(options: Options, name: str, *, default: bool) -> bool:
    algorithm = options.algorithm(name)
    if algorithm is None or algorithm.policy is None:
        return default
    return algorithm.policy in ("enabled", "allowed")


def _tell_training(options: Options, levels: Levels) -> None:
    wanted = {
        "Adaround": _enabled(options, "adaround", default=levels.optimization >= 3),
        "Quantization-Aware Fine-Tuning": _enabled(
            options, "finetune", default=levels.optimization == 2
        ),
    }
    for name, on in wanted.items():
        log.info(f"{name} skipped")
        if on:
            log.warning(f"The emulator does not train: {name} was asked for and did not run")


def _measure_noise(
    network: Network, model: bytes, dataset: Dataset, count: int
) -> dict[str, float]:
    log.info("Starting Layer Noise Analysis")
    exact = Session(to_model(compose(network)).SerializeToString())
    emulated = Session(model)
    noises = [Noise() for _ in network.outputs]
    bar = log.ProgressBar("Full Quant Analysis", count, "iterations")
    for number, frame in enumerate(dataset.frames(count), 1):
        for noise, a, b in zip(noises, exact.run(frame), emulated.run(frame), strict=True):
            noise.add(a, b)
        bar.update(number)
    result = {
        port.name: noise.decibels for port, noise in zip(network.outputs, noises, strict=True)
    }
    log.info(
        "Output layers signal-to-noise ratio (SNR): measures the quantization noise (higher is "
        "better)"
    )
    for name, decibels in result.items():
        log.info(f"\t{name} SNR:\t{decibels:.4g} dB")
    return result


def output_tensor(stream: str) -> str:
    """The graph's output tensor of an output stream."""
    return f"{stream}{OUTPUT_SUFFIX}"


