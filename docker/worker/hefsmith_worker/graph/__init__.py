"""Finds the head of a network in its ONNX graph, by shapes and roles, never by names."""

from __future__ import annotations

from hefsmith_worker.graph.analysis import analyse
from hefsmith_worker.graph.model import GraphError
from hefsmith_worker.graph.naming import name_nodes
from hefsmith_worker.graph.report import HeadReport
from hefsmith_worker.graph.tail import cut_tail

__all__ = ["GraphError", "HeadReport", "analyse", "cut_tail", "name_nodes"]
