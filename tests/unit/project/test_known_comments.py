"""What ``hef init`` says of settings that are known for a family: comments with their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hefsmith_worker.contract.known import KNOWN

from orchestrator.project.loading import load_recipe
from orchestrator.project.starter import Network, render_recipe

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = {
    "source": {"onnx": "net.onnx"},
    "calibration": {"source": "pictures"},
    "postprocess": {"task": "auto"},
}


def head(family: str, task: str, **more: Any) -> dict[str, Any]:
    return {"family": family, "task": task, "confidence": 0.9, "reasons": [], "end_nodes": [],
            "end_roles": [], "end_shapes": [], **more}  # fmt: skip


CASES = [
    (head("yolov26", "detection"), {"YOLO26 detection", "YOLO26 detection, few pictures"}),
    (head("yolov8", "detection"), {"YOLO detection"}),
    (head("yolov8", "pose"), {"segmentation, pose and oriented boxes of YOLO"}),
    (head("yolov8", "segmentation"), {"segmentation, pose and oriented boxes of YOLO"}),
    (head("yolov8", "oriented boxes"), {"segmentation, pose and oriented boxes of YOLO"}),
    (head("other", "other", end_shapes=[[1, 1, 64, 64]]), {"maps of numbers (depth)"}),
    (head("classifier", "classification"), set()),
    (head("classifier", "classification", layers=["ew_add"]), set()),
    (head("other", "classification", layers=["matmul"]), {"attention"}),
    (head("other", "classification", layers=["ew_add", "matmul"]), {"transformer", "attention"}),
]


@pytest.mark.parametrize(
    ("found", "wanted"),
    CASES,
    ids=["-".join([c["family"], c["task"], *c.get("layers", ())]) for c, _ in CASES],
)
def test_each_family_gets_its_settings_with_their_sources(
    found: dict[str, Any], wanted: set[str]
) -> None:
    text = render_recipe(RECIPE, Network(head=found))
    assert yaml.safe_load(text) == RECIPE
    comments = text[text.index("# Known to keep") :] if wanted else ""
    assert ("Known to keep" in text) == bool(wanted)
    for row in KNOWN:
        if row.name in wanted:
            assert f"#   {row.name}" in comments
            assert f"Source: {row.source}" in comments
            assert row.source.startswith("https://")
    assert comments.count("Source: ") >= len(wanted)


def test_the_lines_are_a_recipes_own_once_they_are_taken_over(tmp_path: Path) -> None:
    for number, (found, wanted) in enumerate(CASES):
        for name in wanted:
            text = render_recipe(RECIPE, Network(head=found))
            ends = [f"#   {name}{mark}" for mark in (":", " (")]
            at = next(text.index(end) for end in ends if end in text)
            block = text[at:].split("#   optimization:\n", 1)[1]
            lines = []
            for line in block.splitlines():
                if not line.startswith("#     "):
                    break
                lines.append(line.removeprefix("#   "))
            taken = "optimization:\n" + "\n".join(lines).replace("COUNT", "512") + "\n"
            folder = tmp_path / f"net{number}{len(name)}"
            folder.mkdir()
            (folder / "model.yaml").write_text(text + taken, encoding="utf-8")
            loaded = load_recipe(folder)
            row = next(one for one in KNOWN if one.name == name)
            assert loaded.recipe.optimization.level == row.level
            assert loaded.recipe.optimization.outputs_16bit == row.outputs_16bit
            assert loaded.recipe.optimization.script == row.lines(512)
