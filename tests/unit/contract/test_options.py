"""Options: the recipe's sections, the plan and the worker say the same of each."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.contract import options

from orchestrator.pipeline.inputs import collect
from orchestrator.project import recipe
from orchestrator.project.loading import load_recipe

#: Section of the recipe, group of a plan, and what the group has from elsewhere.
GROUPS: list[tuple[Any, Any, set[str]]] = [
    (recipe.Export, options.ExportOptions, set()),
    (recipe.Calibration, options.CalibrationOptions, set()),
    (recipe.Optimization, options.OptimizeOptions, {"task", "softmax", "nms"}),
    (recipe.Nms, options.NmsOptions, set()),
]


@pytest.mark.parametrize(("section", "group", "elsewhere"), GROUPS)
def test_a_section_has_each_option_of_its_group_with_that_default(
    section: Any, group: Any, elsewhere: set[str]
) -> None:
    own = {one.name: one.default for one in fields(section)}
    plain = group()
    for one in fields(group):
        assert (one.name in own) != (one.name in elsewhere), one.name
        if one.name in own and own[one.name] is not MISSING:
            assert own[one.name] == getattr(plain, one.name), one.name


@pytest.mark.parametrize("group", [group for _, group, _ in GROUPS])
def test_a_group_comes_back_from_json_and_leaves_out_what_it_does_not_know(group: Any) -> None:
    text = json.dumps({**group().plain(), "of a later version": 1})
    assert group.read(json.loads(text)) == group()
    assert group.read(None) == group.read({}) == group()


def test_a_plan_carries_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(
        "source: {onnx: n.onnx}\n"
        "calibration: {source: p, count: 7, seed: 3}\n"
        "optimization: {level: auto, compression: 1, script: ['set_seed(1)']}\n"
        "postprocess: {softmax: true, nms: {score: 0, max_boxes: 5, config: mine.json}}\n",
        encoding="utf-8",
    )
    for name in ("n.onnx", "mine.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "p").mkdir()
    parameters = collect(load_recipe(tmp_path), tmp_path, "hailo8l").parameters
    wanted = options.OptimizeOptions.read(json.loads(json.dumps(parameters["optimize"])))
    assert wanted == options.OptimizeOptions(
        level=None,
        compression=1,
        script=("set_seed(1)",),
        softmax=True,
        nms=options.NmsOptions(score=0, max_boxes=5, config="mine.json"),
    )
    taken = options.CalibrationOptions.read(parameters["calibrate"])
    assert (taken.count, taken.seed, taken.minimum) == (7, 3, options.CALIBRATION.minimum)


def test_every_level_has_its_images_and_those_that_train_their_epochs() -> None:
    assert set(options.IMAGES_OF_LEVEL) == set(options.LEVELS)
    assert set(options.EPOCHS_OF_LEVEL) == {
        level for level in options.LEVELS if level >= options.FINE_TUNE_LEVEL
    }
    assert options.DEFAULT_LEVEL in options.LEVELS
