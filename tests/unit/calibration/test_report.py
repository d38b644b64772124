"""The contact sheet of a build in its report."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hefsmith_worker.calibration import build_calibration
from hefsmith_worker.stages import calibrate
from PIL import Image

from orchestrator.pipeline.finished.reporting import SHEET_BYTES, write_report
from tests.unit.report.folders import STEPS, write_golden
from tests.unit.report.test_page import make_build

JPEG = b"\xff\xd8\xff\xe0 a sheet"


def page_of(folder: Path) -> str:
    answers = np.eye(5)[np.arange(8) % 5]
    write_golden(folder / "golden", {step: [answers] for step in STEPS[:5]})
    write_report(make_build(folder))
    return (folder / "report.html").read_text(encoding="utf-8")


def test_every_sheet_of_the_build_is_carried_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "contact-sheet-1.jpg").write_bytes(JPEG + b"1")
    (tmp_path / "contact-sheet-2.jpg").write_bytes(JPEG + b"2")

    page = page_of(tmp_path)

    for number in (b"1", b"2"):
        assert base64.b64encode(JPEG + number).decode() in page
    assert "What the network was calibrated on" in page


def test_what_is_no_sheet_and_what_is_too_large_stay_out_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "contact-sheet-1.jpg").write_bytes(b"<script>alert(1)</script>")
    (tmp_path / "contact-sheet-2.jpg").write_bytes(JPEG + bytes(SHEET_BYTES))
    (tmp_path / "contact-sheet-3.jpg").mkdir()

    page = page_of(tmp_path)

    assert "image/jpeg" not in page
    assert "calibrated on" not in page


def test_the_stage_draws_a_sheet_for_each_input(
    make_folder: object, make_request: object, tmp_path: Path
) -> None:
    assert callable(make_folder)
    assert callable(make_request)
    request = make_request(make_folder(), count=12)
    made = build_calibration(request, tmp_path / "calibration")
    told: list[tuple[str, Path]] = []
    workspace = SimpleNamespace(
        plan=SimpleNamespace(work=tmp_path),
        path=lambda name: tmp_path / name,
        announce=lambda role, path: told.append((role, path)),
    )

    calibrate._draw(workspace, request, made)

    assert told == [("contact-sheet", tmp_path / "contact-sheet.jpg")]
    with Image.open(tmp_path / "contact-sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.width <= 940
