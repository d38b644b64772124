"""AdaRound and fine-tuning on a whole network, within what a rehearsal may take.

The vendor's compiler trains for hours on a CPU. Here the work of a run is bounded, by the
network's arithmetic and not by a clock: the same network gives the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.options import (
    EPOCHS_OF_LEVEL,
    FINE_TUNE_LEVEL,
    FULL_IMAGES,
    IMAGES_OF_LEVEL,
)

from hailo_emulator import log
from hailo_emulator.adaround import can_round, moments, round_layer, rows_of
from hailo_emulator.execute import Session
from hailo_emulator.finetune import BATCH
from hailo_emulator.graph import to_model
from hailo_emulator.layers import count_macs
from hailo_emulator.quantize import quantize_graph
from hailo_emulator.steady import steady_shift

if TYPE_CHECKING:
    from hailo_emulator.dataset import Dataset
    from hailo_emulator.graph import Graph, Node
    from hailo_emulator.levels import Levels
    from hailo_emulator.network import Network
    from hailo_emulator.options import ScriptOptions
    from hailo_emulator.quantize import QuantPlan

#: Multiply-accumulates that a rehearsed training may take (some seconds on two cores).
ADAROUND_WORK, FINE_TUNE_WORK = 2.0e11, 4.0e11
#: Images times epochs of a fine-tune.
FINE_TUNE_PASSES = 640
#: Images and places in each that AdaRound looks at; kernels larger than this are left alone.
ADAROUND_IMAGES, PLACES, LARGEST_KERNEL = 128, 48, 2400
SEED = 0

ADAROUND, FINE_TUNE = "Adaround", "Quantization-Aware Fine-Tuning"


@dataclass(frozen=True)
class Wanted:
    """One algorithm that trains: on how many images, how often, at which rate."""

    name: str
    images: int
    epochs: int
    rate: float | None


def wanted_training(options: ScriptOptions, levels: Levels, entries: int) -> list[Wanted]:
    """Log what is skipped or starts, and return what trains, in order."""
    level, found = levels.optimization, []
    for name, key, on, usual in (
        (ADAROUND, "adaround", level >= 3, max(EPOCHS_OF_LEVEL)),
        (FINE_TUNE, "finetune", level == FINE_TUNE_LEVEL, FINE_TUNE_LEVEL),
    ):
        algorithm = options.algorithm(key)
        if algorithm is not None and algorithm.policy is not None:
            on = algorithm.policy in ("enabled", "allowed")  # noqa: PLW2901
        if not on or (key == "adaround" and level == 4 and entries < FULL_IMAGES):
            # Level 4 skips its rounding in silence where images are missing.
            log.info(f"{name} skipped")
            continue
        given = algorithm.arguments if algorithm is not None else {}
        size, epochs, rate = (given.get(k) for k in ("dataset_size", "epochs", "learning_rate"))
        images = size if isinstance(size, int) else IMAGES_OF_LEVEL.get(level, FULL_IMAGES)
        log.info(f"Starting {name}")
        if images > entries:
            log.warning(f"{name}: Dataset didn't have enough data for dataset_size of {images}")
        log.info(f"Using dataset with {min(images, entries)} entries for {key}")
        found.append(
            Wanted(
                name,
                min(images, entries),
                epochs
                if isinstance(epochs, int)
                else EPOCHS_OF_LEVEL.get(level, 0) or EPOCHS_OF_LEVEL[usual],
                float(rate) if isinstance(rate, (int, float)) else None,
            )
        )
    return found


def affordable(images: int, work_of_one: float, budget: float, least: int = 4) -> int:
    """Return how many images a rehearsal takes, 0 where even the least are too much work."""
    fits = int(budget / max(1.0, work_of_one))
    return min(images, fits) if fits >= min(least, images) else 0


def train(
    wanted: Wanted,
    network: Network,
    even: Graph,
    graph: Graph,
    plan: QuantPlan,
    dataset: Dataset,
) -> tuple[Graph, QuantPlan]:
    """Carry one training out; returns the graph and plan that it gives, logged at its end.

    ``even`` computes what the float network does; ``graph`` is that with corrected biases.
    """
    macs = sum(count_macs(network.graph, layer) for layer in network.layers.layers)
    if wanted.name == ADAROUND:
        layers = max(1, len(plan.weight_bits))
        images = affordable(min(wanted.images, ADAROUND_IMAGES), macs * layers, ADAROUND_WORK)
        if images:
            graph, plan = _adaround(even, plan, dataset, images)
    else:
        most = max(BATCH, FINE_TUNE_PASSES // wanted.epochs)
        work = 6.0 * macs * wanted.epochs
        images = affordable(min(wanted.images, most), work, FINE_TUNE_WORK)
        if images:
            graph = _fine_tune(wanted, even, graph, plan, dataset, images)
    if not images:
        log.warning(f"The emulator leaves {wanted.name} out: the network is too large to rehearse")
    elif images < wanted.images:
        log.info(f"The emulator rehearses {wanted.name} on {images} images")
    log.info(f"Model Optimization Algorithm {wanted.name} is done")
    return graph, plan


def _fine_tune(
    wanted: Wanted, even: Graph, graph: Graph, plan: QuantPlan, dataset: Dataset, images: int
) -> Graph:
    from hailo_emulator.finetune import fine_tune
    from hailo_emulator.torch_graph import Untrainable

    frames = list(dataset.frames(images))
    exact = Session(to_model(even).SerializeToString())
    bar = log.ProgressBar("Training", images * wanted.epochs)
    seen = 0

    def tell(count: int) -> None:
        nonlocal seen
        seen += count
        bar.update(seen)

    try:
        return fine_tune(
            graph, plan, frames, [exact.run(frame) for frame in frames],
            epochs=wanted.epochs, learning_rate=wanted.rate, tell=tell,
        )  # fmt: skip
    except (Untrainable, ImportError) as error:
        log.warning(f"The emulator cannot train this network ({error}); nothing is changed")
        return graph


def _adaround(
    graph: Graph, plan: QuantPlan, dataset: Dataset, images: int
) -> tuple[Graph, QuantPlan]:
    """Learn the rounding of every layer in turn, each on what those before it have become."""
    frames = list(dataset.frames(images))
    random = np.random.default_rng(SEED)
    nodes = [n for n in graph.nodes if n.name in plan.weight_bits and can_round(n)]
    bar = log.ProgressBar("Adaround", len(nodes))
    result = graph.copy()
    for number, node in enumerate(nodes, 1):
        bar.update(number)
        weight = np.asarray(graph.constants[node.inputs[1]], np.float32)
        if not _fits(node, weight) or len(graph.shapes.get(node.inputs[0], ())) < 2:
            continue
        quantized = quantize_graph(result, plan)
        reads = next(n for n in quantized.nodes if n.name == node.name).inputs[0]
        places = [random.random(PLACES) for _ in frames]
        taken = _gather(graph, node.inputs[0], frames), _gather(quantized, reads, frames)
        exact, emulated = (
            np.concatenate(
                [rows_of(node, weight.shape, v, p) for v, p in zip(one, places, strict=True)],
                axis=1,
            )
            for one in taken
        )
        rounded, shift = round_layer(
            node, weight, plan.weight_bits[node.name], moments(exact, emulated)
        )
        plan = replace(plan, rounded={**plan.rounded, node.name: rounded})
        _shift_bias(result, node, shift)
    return result, plan


def _fits(node: Node, weight: Any) -> bool:
    depth = int(np.prod(weight.shape[1:])) if node.op == "Conv" else max(weight.shape)
    return depth <= LARGEST_KERNEL and (node.op != "Conv" or weight.ndim == 4)


def _gather(graph: Graph, tensor: str, frames: list[Any]) -> list[Any]:
    session = Session(to_model(graph, [tensor]).SerializeToString())
    found = []
    for frame in frames:
        value = session.run(frame)[0]
        found.append(value[np.newaxis] if value.ndim == 1 else value)
    return found


def _shift_bias(graph: Graph, node: Node, shift: Any) -> None:
    """Add what the rounding leaves in the mean to a bias, where the node has a place for one."""
    if node.op not in ("Conv", "Gemm"):
        return
    at = next(i for i, one in enumerate(graph.nodes) if one.name == node.name)
    now = graph.nodes[at]
    name = f"{node.name}/rounded_bias"
    bias = np.zeros(len(shift), np.float32)
    if len(now.inputs) > 2 and now.inputs[2]:
        bias = graph.constants[now.inputs[2]].reshape(-1)
    alpha = float(node.attribute("alpha", 1.0)) if node.op == "Gemm" else 1.0
    graph.constants[name] = (bias + alpha * steady_shift(shift)).astype(np.float32)
    graph.nodes[at] = replace(now, inputs=(*now.inputs[:2], name))
