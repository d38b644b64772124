"""What the screen of ``hef explain`` calls a cause, and what only the failure itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.app import run

GENERAL = "FileNotFoundError: [Errno 2] No such file or directory: 'data/coco.yaml'\n"
PROVEN = "HEF format is not compatible with device. Device arch: HAILO8L, HEF arch: HAILO8\n"


def screen(tmp_path: Path, capsys: pytest.CaptureFixture[str], log: str) -> str:
    file = tmp_path / "some.log"
    file.write_text(log, encoding="utf-8")
    run(["explain", str(file)])
    return capsys.readouterr().out


def test_what_is_plain_is_called_no_cause_and_blames_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = screen(tmp_path, capsys, GENERAL)
    assert "  what: data/coco.yaml does not exist" in said
    assert "why:" not in said
    assert "to change" not in said


@pytest.mark.parametrize("before", ["", "[HailoRT] [error] "])
def test_a_proven_cause_is_called_one(
    before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = screen(tmp_path, capsys, before + PROVEN)
    assert "  why:  The HEF was compiled for HAILO8 and the device is HAILO8L." in said
    assert "(to change: " in said
    assert "what:" not in said
