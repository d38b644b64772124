"""Shares and points past their range are refused where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import ConfigError
from orchestrator.project.loading import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """\
schema: 1
source: {{onnx: a.onnx}}
calibration: {{source: pictures}}
arch: [hailo8]
validation:
  thresholds: {{{key}: {value}}}
"""


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("top1_drop", 100, 150), ("map_drop", 3, 100.5), ("label_iou_drop", 0, 101),
        ("top1_drop", 1.5, -1), ("agreement", 1, 95), ("f1", 0.5, 50), ("mean_iou", 0.5, 1.01),
        ("cosine", 0.9, 98), ("r2", 0.9, 90),
    ],
)  # fmt: skip
def test_a_threshold_that_nothing_could_miss_or_reach_is_refused(
    key: str, good: float, bad: float, tmp_path: Path
) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(RECIPE.format(key=key, value=good))
    assert getattr(load_recipe(tmp_path).recipe.validation.thresholds, key) == good
    path.write_text(RECIPE.format(key=key, value=bad))
    column = 18 + len(key)
    with pytest.raises(ConfigError, match=rf"model\.yaml:6:{column}: .*{key}"):
        load_recipe(tmp_path)
