"""Shipping to the embedded device: real SSH, real processes, real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.device.session import SshSession
from orchestrator.device.ship import look, rollback, ship
from tests.unit.device.conftest import make_release


def folder_of(session: SshSession, model: str = "net") -> Path:
    return Path(str(session.home)) / ".hefsmith" / model


def test_a_shipped_release_is_current_and_equal(session: SshSession, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    result = ship(session, release)
    current = folder_of(session) / "current"
    assert current.resolve().name == result.release
    for name, path in release.files.items():
        assert (current / name).read_bytes() == path.read_bytes()
    assert result.changed
    assert result.emulated
    assert {file.fate for file in result.files} == {"sent"}
    assert result.sent_bytes == sum(path.stat().st_size for path in release.files.values())
    json.dumps(result.to_json())
