"""AdaRound: whether each weight is rounded up or down is learnt, layer by layer.

After Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization" (2020): a
weight becomes ``s * (floor(w / s) + h(v))`` with the rectified sigmoid ``h``; ``v`` is trained on
the layer's reconstruction error with a penalty that drives ``h`` to 0 or 1. The target is the
float layer on the float network's input, the input that of the quantised network so far. The
error is quadratic in the weights, so two covariance matrices take the place of the data. What is
left in the mean goes into the bias. The activation function is left out of the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.quantize import RoundedWeight, weight_axis, weight_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hailo_emulator.graph import Node

#: Ends of the rectified sigmoid (the paper's).
ZETA, GAMMA = 1.1, -0.1
#: Steps of Adam, its rate, the weight of the penalty, how sharp it is at first and at last, and
#: the share of the steps before it begins.
STEPS, RATE, PENALTY = 500, 0.02, 4.0
SHARP, BLUNT, WARM = 2.0, 20.0, 0.2


@dataclass(frozen=True)
class Moments:
    """What the data says of one layer. ``G`` groups, ``D`` inputs of a kernel.

    ``quantized`` is the covariance of the quantised input with itself (G, D, D), ``crossed`` that
    of the float one with the quantised one, ``mean`` and ``quantized_mean`` (G, D) their means.
    """

    quantized: NDArray[np.float64]
    crossed: NDArray[np.float64]
    mean: NDArray[np.float64]
    quantized_mean: NDArray[np.float64]


def moments(
    exact: NDArray[np.float32], quantized: NDArray[np.float32]
) -> Moments:  # the rows of both belong together
    """Return the moments of inputs (G, rows, D)."""
    mean, other = exact.mean(axis=1, dtype=np.float64), quantized.mean(axis=1, dtype=np.float64)
    a = exact - mean[:, np.newaxis]
    b = quantized - other[:, np.newaxis]
    rows = exact.shape[1]
    return Moments(
        np.einsum("gnd,gne->gde", b, b) / rows,
        np.einsum("gnd,gne->gde", a, b) / rows,
        mean,
        other,
    )


def learn_rounding(
    weight: NDArray[np.float64], scales: NDArray[np.float64], limit: int, data: Moments
) -> NDArray[np.float64]:
    """Return the integers (G, O, D) of a weight (G, O, D) with scales (G, O).

    An output whose error did not fall below that of rounding to the nearest keeps that.
    """
    scale = scales[:, :, np.newaxis]
    below = np.clip(np.floor(weight / scale), -limit, limit)
    nearest = np.clip(np.rint(weight / scale), -limit, limit)
    target = weight @ data.crossed
    # The unit is what rounding to the nearest costs: the penalty then means the same everywhere.
    cost = error(nearest * scale, target, data) - error(weight, target, data)
    size = np.maximum(cost, 1e-9 * max(float(cost.max(initial=0.0)), 1e-12))[:, :, np.newaxis]
    rest = np.clip(weight / scale - below, 0.0, 1.0)
    v = _unsigmoid(rest)
    first, second = np.zeros_like(v), np.zeros_like(v)
    for step in range(1, STEPS + 1):
        raw = 1.0 / (1.0 + np.exp(-v))
        soft = np.clip(raw * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)
        inner = (raw * (ZETA - GAMMA) + GAMMA > 0.0) & (raw * (ZETA - GAMMA) + GAMMA < 1.0)
        made = np.clip(below + soft, -limit, limit) * scale
        slope = 2.0 * (made @ data.quantized - target) / size * scale
        done = step / STEPS
        if done > WARM:
            beta = BLUNT + (SHARP - BLUNT) * (done - WARM) / (1.0 - WARM)
            away = 2.0 * soft - 1.0
            slope = slope - PENALTY / soft.shape[2] * 2.0 * beta * np.sign(away) * np.abs(away) ** (
                beta - 1.0
            )
        slope = slope * inner * raw * (1.0 - raw) * (ZETA - GAMMA)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope * slope
        v = v - RATE * (first / (1.0 - 0.9**step)) / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-12)
    learnt = np.clip(below + (v >= 0.0), -limit, limit)
    better = error(learnt * scale, target, data) < error(nearest * scale, target, data)
    return np.where(better[:, :, np.newaxis], learnt, nearest)


def error(
    made: NDArray[np.float64], target: NDArray[np.float64], data: Moments
) -> NDArray[np.float64]:
    """Return the reconstruction error (G, O) of weights (G, O, D), less what is the same for all.

    ``target`` is the float weight times ``data.crossed``.
    """
    own = np.einsum("god,gde,goe->go", made, data.quantized, made)
    return np.asarray(own - 2.0 * np.einsum("god,god->go", made, target), np.float64)


def _unsigmoid(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``v`` with ``h(v) = rest``."""
    raw = np.clip((rest - GAMMA) / (ZETA - GAMMA), 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(raw / (1.0 - raw)), np.float64)


# --- from a node to groups, and back -------------------------------------------------------------


def can_round(node: Node) -> bool:
    """Say whether a node's weight is learnt here: convolutions, and dense layers."""
    if node.op == "Gemm":
        return not int(node.attribute("transA", 0)) and float(node.attribute("beta", 1.0)) == 1.0
    return node.op in ("Conv", "MatMul")


def grouped(node: Node, weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a weight as (G, O, D)."""
    wide = np.asarray(weight, np.float64)
    if node.op == "Conv":
        groups = int(node.attribute("group", 1))
        return wide.reshape(groups, wide.shape[0] // groups, -1)
    if node.op == "Gemm" and int(node.attribute("transB", 0)):
        return wide[np.newaxis]
    return wide.T[np.newaxis]


def ungrouped(
    node: Node, integers: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return (G, O, D) in the weight's own shape."""
    if node.op == "Conv":
        return integers.reshape(shape)
    if node.op == "Gemm" and int(node.attribute("transB", 0)):
        return np.asarray(integers[0], np.float64)
    return np.asarray(integers[0].T, np.float64)


def rows_of(
    node: Node, weight_shape: tuple[int, ...], values: NDArray[np.float32], places: Any
) -> NDArray[np.float32]:
    """Return what a kernel sees at some places of one input (no batch): (G, places, D).

    ``places`` are numbers in 0..1 that choose positions, the same for float and quantised input.
    """
    if node.op != "Conv":
        flat = values.reshape(-1, values.shape[-1])
        return np.asarray(flat[(places * len(flat)).astype(int)][np.newaxis], np.float32)
    sides = weight_shape[2:]
    strides = node.attribute("strides", [1] * len(sides))
    dilations = node.attribute("dilations", [1] * len(sides))
    pads = list(node.attribute("pads", [0] * (2 * len(sides))))
    padded = np.pad(values, [(0, 0), *zip(pads[: len(sides)], pads[len(sides) :], strict=True)])
    reach = [1 + (side - 1) * step for side, step in zip(sides, dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, reach, axis=tuple(range(1, padded.ndim))
    )
    keep = (slice(None), *(slice(None, None, step) for step in strides),
            *(slice(None, None, step) for step in dilations))  # fmt: skip
    windows = windows[keep]
    count = int(np.prod(windows.shape[1 : 1 + len(sides)]))
    chosen = np.unravel_index((places * count).astype(int), windows.shape[1 : 1 + len(sides)])
    picked = windows[(slice(None), *chosen)]  # (C, places, *kernel)
    groups = int(node.attribute("group", 1))
    by_group = picked.reshape(groups, picked.shape[0] // groups, len(places), -1)
    return np.ascontiguousarray(by_group.transpose(0, 2, 1, 3)).reshape(groups, len(places), -1)


def round_layer(
    node: Node, weight: NDArray[np.float32], bits: int, data: Moments
) -> tuple[RoundedWeight, NDArray[np.float64]]:
    """Return a weight rounded by what is learnt, and what the bias must take up (O in all)."""
    limit = (1 << (bits - 1)) - 1
    axis = weight_axis(node) % weight.ndim
    scales = weight_scales(weight, axis, bits)
    wide = grouped(node, weight)
    by_group = scales.astype(np.float64).reshape(wide.shape[:2])
    integers = learn_rounding(wide, by_group, limit, data)
    made = integers * by_group[:, :, np.newaxis]
    shift = np.einsum("god,gd->go", wide, data.mean) - np.einsum(
        "god,gd->go", made, data.quantized_mean
    )
    return RoundedWeight(ungrouped(node, integers, weight.shape), scales), shift.reshape(-1)
