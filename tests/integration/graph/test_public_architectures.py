"""The head finder gives the right nodes for public architectures, exported with random weights.

The result is the table of ``docs/head-finder.md``; ``HEFSMITH_WRITE_DOCS=1`` writes it anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hefsmith_worker.graph import HeadReport, analyse
from onnx import numpy_helper

from tests import figures
from tests.integration.graph.architectures import GRAPHS, Graph

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
PARTS = 2


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every graph, made in an environment of its own."""
    packages = Path(os.environ.get("HEFSMITH_GRAPH_PACKAGES", tmp_path_factory.mktemp("packages")))
    if not any(packages.iterdir()):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        subprocess.run([*command, str(packages), "-r", str(HERE / "requirements.txt")], check=True)
    folder = tmp_path_factory.mktemp("graphs")
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages),
        "YOLO_CONFIG_DIR": str(folder),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
    }
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "architectures.py"), str(folder), str(part), str(PARTS)],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in range(PARTS)
    ]
    for process in running:
        _, stderr = process.communicate(timeout=800)
        assert process.returncode == 0, stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def reports(exported: Path) -> dict[str, HeadReport]:
    """The report on each graph that could be exported; all must be."""
    failed = {}
    for part in range(PARTS):
        failed.update(json.loads((exported / f"failed{part}.json").read_text(encoding="utf-8")))
    assert failed == {}
    return {graph.name: analyse(exported / f"{graph.name}.onnx") for graph in GRAPHS}


def problems(graph: Graph, report: HeadReport, folder: Path) -> list[str]:
    """What is wrong with a report; empty when nothing is."""
    found = []
    wanted = {
        "task": graph.task,
        "family": graph.family,
        "classes": graph.classes or None,
        "strides": graph.strides,
        "regression_length": graph.bins,
    }
    for key, value in wanted.items():
        if getattr(report, key) != value:
            found.append(f"{key} is {getattr(report, key)}, not {value}")
    with np.load(folder / f"{graph.name}.npz") as arrays:
        truth = [arrays[str(index)] for index in range(len(arrays.files))]
    if not truth:
        return found
    model = onnx.load(folder / f"{graph.name}.onnx")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.name or node.output[0]: node for node in model.graph.node}
    roles = graph.roles * (len(truth) // len(graph.roles))
    ends = list(report.end_nodes)
    if graph.task == "segmentation":
        last = nodes[ends.pop()]
        if last.output[0] != model.graph.output[1].name:
            found.append(f"{last.name} is not the second output")
        roles_found = report.end_roles[:-1]
        if report.end_roles[-1] != "prototypes":
            found.append("the prototypes are not last")
    else:
        roles_found = report.end_roles
    if roles_found != roles:
        found.append(f"roles are {roles_found}")
    if len(ends) != len(truth):
        return [*found, f"{len(ends)} ends, not {len(truth)}"]
    for end, weight in zip(ends, truth, strict=True):
        used = [numpy_helper.to_array(weights[n]) for n in nodes[end].input if n in weights]
        if not any(np.array_equal(u, weight) or np.array_equal(u, weight.T) for u in used):
            found.append(f"{end} is another layer")
    return found


def table(reports: dict[str, HeadReport], folder: Path) -> str:
    """The rows of the documentation."""
    rows = [
        "| architecture | from | export | classes | input | task | family | ends | sure | result |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for graph in GRAPHS:
        report = reports[graph.name]
        how = f"{graph.exporter} {graph.opset}"
        how += ", onnxslim" if graph.simplify else ""
        how += ", selection in the graph" if graph.whole else ""
        wrong = problems(graph, report, folder)
        cells = (
            graph.config, graph.source, how, graph.classes or "-",
            f"{graph.size[0]}x{graph.size[1]}", report.task, report.family,
            len(report.end_nodes), f"{report.confidence:.2f}",
            "right" if not wrong else "; ".join(wrong),
        )  # fmt: skip
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows)


def test_every_graph_of_the_list_is_read_right(
    reports: dict[str, HeadReport], exported: Path
) -> None:
    assert len(GRAPHS) >= 40
    wrong = {
        graph.name: found
        for graph in GRAPHS
        if (found := problems(graph, reports[graph.name], exported))
    }
    assert wrong == {}


def test_the_table_in_the_docs_is_this_runs(reports: dict[str, HeadReport], exported: Path) -> None:
    new = table(reports, exported)
    if os.environ.get("HEFSMITH_WRITE_DOCS") == "1":
        figures.show("head-finder.md", new)
        return
    assert figures.shown("head-finder.md").strip() == new
