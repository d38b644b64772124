"""A run that is followed: what a lost engine may and may not cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.engine import registry
from orchestrator.engine.base import BuildRecord, Ending, EndKind, EngineLostError
from orchestrator.engine.choose import open_record
from orchestrator.engine.docker import DockerEngine
from orchestrator.errors import EngineError
from orchestrator.pipeline import runner
from orchestrator.pipeline.cache import StageCache
from orchestrator.pipeline.context import BuildContext, BuildProgress, RunContext
from orchestrator.pipeline.digests import DigestMemory
from orchestrator.pipeline.intake import ArtifactIntake
from orchestrator.pipeline.observer import Silent
from orchestrator.pipeline.plan import PlannedStage

CONTENT = b"what the stage made"
KEYS = {"export": "e" * 64, "parse": "f" * 64}


class FarRunning:
    """A job on an engine that does not see our files, and that goes away after its stages."""

    def __init__(self, work: Path, *, lost: bool = False, **seconds: float) -> None:
        self.work = work
        self.seconds = seconds
        self.lost = lost
        self.syncs = 0

    def lines(self) -> Iterator[str]:
        for stage, seconds in self.seconds.items():
            yield json.dumps({"event": "stage_started", "stage": stage})
            sha256 = hashlib.sha256(CONTENT).hexdigest()
            artifact = {"role": "onnx", "path": f"{stage}.out", "sha256": sha256}
            yield json.dumps(
                {"event": "artifact", "stage": stage, "bytes": len(CONTENT), **artifact}
            )
            yield json.dumps(
                {"event": "stage_finished", "stage": stage, "seconds": seconds, "result": {}}
            )

    def sync(self) -> None:
        self.syncs += 1
        if self.lost:
            msg = "the stream of results ended early"
            raise EngineLostError(msg)
        for stage in self.seconds:
            (self.work / f"{stage}.out").write_bytes(CONTENT)

    def wait(self, *, told: bool = False) -> Ending:
        return Ending(EndKind.ENGINE_LOST, None, "the engine went away")


def follow(running: FarRunning, cache: StageCache, folder: Path) -> None:
    stages = tuple(PlannedStage(name, key, None, {}) for name, key in KEYS.items())
    plan: Any = SimpleNamespace(stages=stages, request=SimpleNamespace(model="net", arch="a"))
    context = RunContext(
        cache, DigestMemory(folder / "digests.json"), Silent(), lambda: None,
        lambda *_: [], lambda *_: [],
    )  # fmt: skip
    progress = BuildProgress(ArtifactIntake(running.work, cache.incoming), started=0.0)
    record: Any = None
    build = BuildContext(plan, context, running.work, folder / "final", {}, record, progress)
    job: Any = running
    runner.follow(build, tuple(KEYS), job)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_long_stage_is_brought_here_when_it_ends(work: Path, tmp_path: Path) -> None:
    cache = StageCache(tmp_path / "cache")
    running = FarRunning(work, export=runner.WORTH_BRINGING)
    with pytest.raises(EngineError, match="went away"):
        follow(running, cache, tmp_path)
    assert cache.find(KEYS["export"]) is not None, "hours of work must not be lost"


def test_short_stages_are_not_worth_a_transfer_each(work: Path, tmp_path: Path) -> None:
    running = FarRunning(work, export=1.0, parse=2.0)
    with pytest.raises(EngineError, match="went away"):
        follow(running, StageCache(tmp_path / "cache"), tmp_path)
    assert running.syncs == 0


def test_results_that_cannot_be_brought_now_do_not_stop_the_build(
    work: Path, tmp_path: Path
) -> None:
    cache = StageCache(tmp_path / "cache")
    running = FarRunning(work, lost=True, export=100.0, parse=100.0)
    with pytest.raises(EngineError, match="the engine went away"):
        follow(running, cache, tmp_path)
    assert running.syncs == 2
    assert cache.find(KEYS["export"]) is None


def test_a_record_leads_back_to_the_very_engine_with_its_certificates(tmp_path: Path) -> None:
    record = BuildRecord(
        "b1", "net", "tcp://box:2376", "c", "i", tmp_path, 1.0, "1", True, "copy",
        tls=tmp_path / "certs", verify_tls=False,
    )  # fmt: skip
    registry.save(record)
    assert registry.records() == (record,)
    engine = open_record(registry.find("b1"))
    assert isinstance(engine, DockerEngine)
    address = engine.connection.address
    assert (address.url, address.tls) == ("tcp://box:2376", tmp_path / "certs")
    assert not address.verify_tls
    # A record of an earlier version knows nothing of certificates.
    path = registry.folder() / "b1.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if "tls" not in k}
    path.write_text(json.dumps(old))
    assert registry.records() == (replace(record, tls=None, verify_tls=True),)
