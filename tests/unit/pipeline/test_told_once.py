"""What was foreseen is not told again beside what came of it."""

from __future__ import annotations

from orchestrator.diagnose.standing import told_already


def test_a_lowered_level_is_told_once() -> None:
    assert told_already("calib.count.level", ["O01"])
    assert told_already("calib.count.level", ["C04", "nms.left-out"])
    # Where the level ran as it was asked, too few images are the news.
    assert not told_already("calib.count.level", [])
    assert not told_already("calib.stretch", ["O01"])
