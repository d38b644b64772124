"""Quantisation-aware fine-tuning: the quantised network learns to answer as the float one.

Fake quantisation with gradients passed straight through (Bengio et al. 2013; Jacob et al. 2018),
the float network's outputs as the only target (no labels): the relative squared distance of each
output. Ranges of activations stay as calibrated, scales of weights follow the weights. Small
networks and seconds only; nothing is kept back if it grows worse, as with the vendor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.quantize import weight_axis
from hailo_emulator.torch_graph import check_graph, run_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hailo_emulator.graph import Graph
    from hailo_emulator.quant import Quantization
    from hailo_emulator.quantize import QuantPlan

#: Rate of Adam where the script names none, as a share of a weight's usual size.
RATE = 0.002
BATCH = 8
SEED = 0
#: Threads are fixed, so that sums are the same on every machine.
THREADS = 2


def fine_tune(
    graph: Graph,
    plan: QuantPlan,
    frames: Sequence[Mapping[str, NDArray[Any]]],
    targets: Sequence[Sequence[NDArray[np.float32]]],
    *,
    epochs: int,
    learning_rate: float | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Graph:
    """Return the graph with trained weights and biases.

    ``frames`` are inputs without a batch, ``targets`` the float network's outputs for them.
    Raises :class:`~hailo_emulator.torch_graph.Untrainable` for an operation that is not known.
    """
    import torch

    check_graph(graph)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return _train(graph, plan, frames, targets, epochs, learning_rate, tell)
    finally:
        torch.set_num_threads(before)


def _train(
    graph: Graph,
    plan: QuantPlan,
    frames: Sequence[Mapping[str, NDArray[Any]]],
    targets: Sequence[Sequence[NDArray[np.float32]]],
    epochs: int,
    learning_rate: float | None,
    tell: Callable[[int], None],
) -> Graph:
    import torch

    constants = {name: torch.from_numpy(np.array(value)) for name, value in graph.constants.items()}
    trained: dict[str, Any] = {}
    weights: dict[str, tuple[int, int]] = {}
    groups = []
    for node in graph.nodes:
        if node.name not in plan.weight_bits:
            continue
        name = node.inputs[1]
        weights[name] = (weight_axis(node), plan.weight_bits[node.name])
        own = [name]
        if node.op in ("Conv", "Gemm", "ConvTranspose") and len(node.inputs) > 2 and node.inputs[2]:
            own.append(node.inputs[2])
        size = float(constants[name].abs().mean())
        for key in own:
            if key in trained:
                continue
            trained[key] = constants[key].clone().requires_grad_()
            rate = learning_rate if learning_rate is not None else RATE * size
            groups.append({"params": [trained[key]], "lr": rate})
    optimizer = torch.optim.Adam(groups)
    batches = -(-len(frames) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs * batches))
    order = np.random.default_rng(SEED)
    after = _fake(plan.activations)
    outputs = list(graph.outputs)
    for _ in range(epochs):
        shuffled = order.permutation(len(frames))
        for start in range(0, len(frames), BATCH):
            chosen = shuffled[start : start + BATCH]
            inputs = {
                name: torch.from_numpy(
                    np.stack([np.asarray(frames[i][name], np.float32) for i in chosen])
                )
                for name in graph.inputs
            }
            current = dict(constants)
            for key, value in trained.items():
                current[key] = _round_weight(value, *weights[key]) if key in weights else value
            made = run_graph(graph, inputs, current, after)
            loss = torch.zeros(())
            for index, name in enumerate(outputs):
                wanted = torch.from_numpy(np.stack([targets[i][index] for i in chosen]))
                wanted = wanted.reshape(made[name].shape)
                loss = loss + ((made[name] - wanted) ** 2).sum() / (wanted**2).sum().clamp_min(1e-9)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            tell(len(chosen))
    result = graph.copy()
    for key, value in trained.items():
        result.constants[key] = value.detach().numpy().astype(np.float32)
    return result


def _fake(activations: Mapping[str, Quantization]) -> Callable[[str, Any], Any]:
    """Return what quantises a tensor as the chip does, and lets gradients pass where it can."""

    def after(name: str, value: Any) -> Any:
        how = activations.get(name)
        if how is None:
            return value
        low, high = how.limits
        inside = value.clamp(low, high)
        integers = (inside / how.scale).round() + how.zero_point
        made = (integers.clamp(0, how.levels) - how.zero_point) * how.scale
        return inside + (made - inside).detach()

    return after


def _round_weight(value: Any, axis: int, bits: int) -> Any:
    limit = (1 << (bits - 1)) - 1
    others = [a for a in range(value.dim()) if a != axis % value.dim()]
    scale = value.detach().abs().amax(dim=others, keepdim=True) / limit
    scale = scale.clamp_min(1e-30)
    made = (value / scale).round().clamp(-limit, limit) * scale
    return value + (made - value).detach()
