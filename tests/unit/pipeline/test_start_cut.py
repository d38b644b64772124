"""A first recipe names end nodes where the first build would be refused without."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.pipeline.start.cut import unasked

HEAD = {"task": "detection", "end_nodes": ["box"]}


@pytest.mark.parametrize(
    ("head", "named"),
    [
        ({**HEAD, "confidence": 0.95}, False),
        ({**HEAD, "confidence": 0.4}, True),
        ({"task": "classification", "confidence": 0.9, "end_nodes": ["fc"]}, True),
        ({"task": "other"}, True),
        ({}, True),
    ],
)
def test_a_head_that_no_build_cuts_is_cut_by_the_recipe(head: dict[str, Any], named: bool) -> None:
    assert unasked(("a", "b"), head) == (("a", "b") if named else ())
