"""Equalisation and bias correction, in closed form from the calibration statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hailo_emulator import log

if TYPE_CHECKING:
    from hailo_emulator.graph import Graph
    from hailo_emulator.network import Network
    from hailo_emulator.quantize import QuantPlan
    from hailo_emulator.statistics import Range


def equalize(
    network: Network, graph: Graph, ranges: dict[str, Range]
) -> tuple[Graph, dict[str, Range]]:
    log.info("Equalization skipped")
    return graph, ranges


def correct_biases(
    network: Network, graph: Graph, ranges: dict[str, Range], plan: QuantPlan
) -> Graph:
    log.info("Bias Correction skipped")
    return graph
