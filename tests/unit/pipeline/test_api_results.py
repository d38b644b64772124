"""What a program and a notebook get of the Python API."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import HefsmithError, Project
from orchestrator.pipeline.finished.builds import Build
from orchestrator.pipeline.outcome import BuildResult, StageOutcome
from orchestrator.pipeline.proof import Proof


def test_a_result_is_shown_in_a_few_lines() -> None:
    summary = {"model": "net", "arch": "hailo8l", "why": {"code": ["x" * 64] * 500}}
    verdict = {"samples": ["y" * 64] * 500}
    proof = Proof("pi5", True, "passed: the model works", verdict, verdict, verdict)
    stages = tuple(StageOutcome(name, True, 1.0) for name in ("export", "compile"))

    shown = repr(BuildResult(Build(Path("artifacts/net/hailo8l"), summary), stages, proof))

    assert "artifacts" in shown
    assert "passed: the model works" in shown
    assert len(shown) < 600


def test_a_memory_limit_that_is_none_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(HefsmithError, match="'lots' is not a size"):
        Project(tmp_path, memory="lots")
