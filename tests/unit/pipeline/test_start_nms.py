"""A first recipe asks for no NMS that the SDK cannot have."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.pipeline.start.recipe import no_nms

DISTANCES = {"end_nodes": ["a", "b"], "end_roles": ["box", "class"], "confidence": 0.9}


@pytest.mark.parametrize(
    ("head", "word"),
    [
        ({**DISTANCES, "family": "yolov6", "decoding": {"widths": None}}, "not in the graph"),
        (
            {**DISTANCES, "family": "yolov8", "regression_length": 16,
             "decoding": {"scores": "softmax"}},
            "share a softmax",
        ),
        # It has one.
        ({**DISTANCES, "family": "yolov8", "regression_length": 16}, ""),
        # The user's own configuration makes one.
        ({"family": "yolov5", "end_nodes": ["a"], "end_roles": ["box"]}, ""),
        # Nobody looked at the network.
        ({"task": "detection"}, ""),
    ],
)  # fmt: skip
def test_what_the_sdk_has_no_nms_for_is_not_asked(head: dict[str, Any], word: str) -> None:
    found = no_nms(head)
    assert word in found
    assert bool(found) == bool(word)
