"""A stage is published only when every file that it announced is here, whole and unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.pipeline import run
from orchestrator.pipeline.cache import CachedFile
from orchestrator.pipeline.digests import sha256_file
from orchestrator.pipeline.events import StageRecord


@pytest.mark.parametrize("shared", [False, True])
def test_files_are_checked_alike_by_one_thread_and_by_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    monkeypatch.setattr(run, "WORTH_SHARING", 0 if shared else 1 << 40)
    files = []
    for number in range(5):
        path = tmp_path / f"{number}.npy"
        path.write_bytes(bytes([number]) * 1000)
        files.append(CachedFile("golden", path.name, sha256_file(path), 1000))
    stage = StageRecord("evaluate", files=files)
    assert run._all_here(stage, tmp_path)
    (tmp_path / "3.npy").write_bytes(b"\7" * 1000)
    assert not run._all_here(stage, tmp_path), "the same size, another content"
    (tmp_path / "3.npy").unlink()
    assert not run._all_here(stage, tmp_path)
