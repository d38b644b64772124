"""The end of a build on the screen: what a person must know, and nothing twice."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.cli.summary import print_summary


def outcome(findings: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "model": "net", "arch": "hailo8l", "emulated": False, "folder": "f", "proof": None,
        "asked": {}, "ran": {}, "asked_and_ran": [], "results": {}, "stages": {}, "artifacts": [],
        "findings": [
            {"severity": severity, "code": code, "message": message}
            for severity, code, message in findings
        ],
    }  # fmt: skip


def test_what_was_changed_in_a_file_is_told_as_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(
        outcome(
            [
                ("info", "onnx.batch", "the file is for batches of 4; it is built for one"),
                ("info", "calib.count", "40 images used, 1024 asked for"),
                ("warning", "O01", "less \x1b[31m ran"),
                ("warning", "O01", "less \x1b[31m ran"),
            ]
        )
    )
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith(("note", "warning"))]
    assert told == [
        "note: the file is for batches of 4; it is built for one [onnx.batch]",
        r"warning: less \x1b[31m ran [O01]",
    ]
