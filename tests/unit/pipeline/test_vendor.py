"""What a log's findings told already is not told again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hefsmith_worker.contract.findings import Finding

from orchestrator.diagnose.downgrades import downgrades
from orchestrator.diagnose.finding import Asked, Ran
from orchestrator.pipeline.vendor import quieter


def finding(code: str) -> Finding:
    return Finding(code=code, severity="warning", message="less ran")


def test_a_lower_level_is_told_once_with_its_reason() -> None:
    found = quieter([finding("D01"), finding("D02")], ["O01", "C03"])
    assert [(one.code, one.severity) for one in found] == [("D01", "info"), ("D02", "warning")]


def test_a_lower_level_without_a_reason_in_the_log_is_a_warning() -> None:
    assert [one.severity for one in quieter([finding("D01")], ["C03"])] == ["warning"]


def test_a_level_that_nobody_asked_for_is_not_said_to_be() -> None:
    (own,) = downgrades(Asked(), Ran(level_asked=2, level_run=0))
    (asked,) = downgrades(Asked(level=2), Ran(level_run=0))
    assert own.cause == "Optimisation level 2 was the compiler's own choice and 0 ran."
    assert asked.cause == "Optimisation level 2 was asked for and 0 ran."


def test_what_a_named_level_skips_is_told() -> None:
    """Level 4 leaves its rounding out in silence where images are missing."""
    from orchestrator.pipeline.vendor import downgrades as compare
    from orchestrator.project.settings import Setting

    ran = {"skipped": ["Adaround", "Quantization-Aware Fine-Tuning"], "level_run": None}
    settings: Any = SimpleNamespace(gpu=Setting("gpu", "auto", "default"))
    assert [one.code for one in compare({"level": 4}, ran, settings)] == ["D06"]
    assert [one.code for one in compare({"level": 2}, ran, settings)] == ["D06"]
    assert compare({"level": 1}, ran, settings) == []
    assert compare({"level": None}, ran, settings) == []


def test_a_build_compares_the_images_itself_and_does_not_guess_from_the_log() -> None:
    """A recipe that asks for 64 gets 64: a log's "64 entries" is the default to nobody else."""
    from orchestrator.pipeline.vendor import downgrades as compare
    from orchestrator.pipeline.vendor import new_reader
    from orchestrator.project.settings import Setting

    settings: Any = SimpleNamespace(gpu=Setting("gpu", "auto", "default"))
    reader = new_reader(settings)
    line = "[info] Using dataset with 64 entries for calibration"
    assert [one for one in reader.feed(line) if isinstance(one, Finding)] == []
    assert reader.ran_so_far()["images_used"] == 64
    wanted = {"images": 70, "images_wanted": 70}
    assert [one.code for one in compare(wanted, {"images_used": 64}, settings)] == ["D02"]
    assert compare({"images": 64, "images_wanted": 64}, {"images_used": 64}, settings) == []
