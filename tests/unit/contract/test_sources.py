"""The recipe of CONTRIBUTING for a kind of network that a recipe starts from, walked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.contract.sources import BY_NAME, SOURCES
from hefsmith_worker.stages.readers import READERS
from onnx import printer

from orchestrator.pipeline import network
from orchestrator.project.recipe import Source
from tests.unit.contract.copies import add_rows, copy_tree, walk

WORKER = "docker/worker/hefsmith_worker"
#: File, the text before which the row goes, the row.
ROWS = (
    (f"{WORKER}/contract/sources.py", '    SourceKind("zoo", "Model Zoo")',
     ('    SourceKind("onnx_text", "ONNX text", "onnx-text", endings=(".onnxtxt",),\n'
      '               by_ending=True, rank=1),\n')),
    ("orchestrator/project/recipe.py", "    zoo: str | None = None",
     "    onnx_text: str | None = None\n"),
    (f"{WORKER}/stages/readers.py", "READERS: Dict[str, Reader] = {", """\
def _bring_text(workspace, wanted, shapes, target):
    import onnx
    from onnx import parser

    text = workspace.plan.input(wanted["source"]["file"]).read_text("utf-8")
    onnx.save(parser.parse_model(text), str(target))
    return Brought("parser")


"""),
    (f"{WORKER}/stages/readers.py", '    "": Reader("ONNX"',
     '    "onnx-text": Reader("ONNX text", "onnx", _bring_text),\n'),
)  # fmt: skip
RECIPE = """\
source: {onnx_text: net.onnxtxt}
preprocessing: {color: gray, mean: [0], std: [255]}
calibration: {source: pictures.npy, count: 8}
validation: {samples: 4}
"""


@pytest.mark.slow
def test_a_new_kind_of_network_is_one_row_and_how_it_is_read(
    models: Any, repository: Path, tmp_path: Path
) -> None:
    tree = copy_tree(repository, tmp_path / "tree")
    add_rows(tree, ROWS)
    folder = tmp_path / "net"
    folder.mkdir()
    made = models.fully_convolutional(channels=1)
    (folder / "net.onnxtxt").write_text(printer.to_text(made), encoding="utf-8")
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    np.save(folder / "pictures.npy", np.zeros((8, 12, 12, 1), np.uint8))
    said = walk("walk_source.py", tree, folder)
    assert "net.txt is not a ONNX text file (.onnxtxt)" in said.pop("refused")
    assert said == {
        "found": [["onnx_text", "ONNX text"]],
        "export": {"kind": "onnx_text", "file": "net.onnxtxt", "trust_pickle": False},
        "used by": ["net.onnxtxt"],
        "exit": 0,
        "exporter": "parser",
        "parity": None,
        "nodes": True,
        "schema": True,
    }


@pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.name)
def test_each_kind_has_a_field_a_reader_and_a_line_in_the_docs(kind: Any, repository: Path) -> None:
    assert kind.name in {one.name for one in fields(Source)}
    assert kind.framework in READERS
    assert f"`{kind.name}`" in (repository / "docs" / "recipe.md").read_text(encoding="utf-8")


def test_rows_of_special_kinds_are_of_kinds_that_there_are() -> None:
    assert {*network.DESCRIBED, *network.CHECKS} <= set(BY_NAME)
    endings = [ending for kind in SOURCES for ending in (*kind.endings, *kind.shared_endings)]
    assert len(endings) == len(set(endings))
