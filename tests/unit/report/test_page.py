"""The report page and the glue that proves a build on a device."""

from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.contract.findings import Finding
from PIL import Image

from orchestrator.device.base import JobResult
from orchestrator.pipeline.finished.builds import Build
from orchestrator.pipeline.finished.reporting import write_report
from orchestrator.pipeline.validation import validate_build
from orchestrator.report.html import _findings
from orchestrator.report.pictures import png_uri, step_chart
from orchestrator.report.views import _instances
from tests.unit.report.folders import STEPS, Classifier, boxes_of, write_golden

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVIL = "<script>alert(1)</script>\x1b[31m"


def make_build(folder: Path, *, emulated: bool = True, **more: Any) -> Build:
    summary = {
        "model": "net",
        "arch": "hailo8l",
        "key": "0",
        "emulated": emulated,
        "hef": "model.hailo8l.emulated.hef",
        "files": [{"path": "model.hailo8l.emulated.hef", "bytes": 12345, "sha256": "ab" * 32}],
        "labels": ["a", "b", "c", "d", "e"],
        "thresholds": {},
        "findings": [
            {"code": "D01", "severity": "warning", "message": EVIL, "fix": "give 1024 images"}
        ],
        "asked": {"level": 2, "images_wanted": 1024, "images": 100},
        "ran": {"level_run": 0, "images_used": 64},
        "stages": {"export": {"seconds": 1.5}, "compile": {"seconds": None}},
        "toolchain": "emulator",
        "postprocess": {"metric": None},
        **more,
    }
    (folder / "model.hailo8l.emulated.hef").write_bytes(b"hef")
    return Build(folder, summary)


class Tags(HTMLParser):
    """Collects tags and checks that they nest."""

    VOID = frozenset({"meta", "br", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def net() -> Classifier:
    return Classifier()


def test_the_page_is_whole_offline_and_says_what_matters(tmp_path: Path, net: Classifier) -> None:
    steps = net.good()
    for step in ("sdk_quantized", "device"):
        steps[step] = [net.quantised(-0.4, 0.4)]
    folder = write_golden(tmp_path / "golden", steps, labels=net.labels)
    np.save(folder / "inputs" / "0.npy", net.pictures)
    verdict = write_report(make_build(tmp_path))
    assert not verdict.passed
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    names = {tag for tag, _ in tags.seen}
    assert "script" not in names
    for _, attributes in tags.seen:
        for key in ("src", "href"):
            assert (attributes.get(key) or "data:").startswith("data:")
    assert "http:" not in text
    assert "https:" not in text
    assert "Emulated." in text
    assert "SDK_QUANTIZED" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    for words in ("optimisation level", "calibration images", "12.3 kB", "1.5 s"):
        assert words in text
    assert text.count("<figure") == len(verdict.worst) == 8


def test_boxes_are_drawn_over_the_pictures(tmp_path: Path) -> None:
    good = boxes_of(np.random.default_rng(5), 12)
    steps: dict[str, Any] = {step: [good] for step in STEPS}
    steps["device"] = [[rows * np.array([1, 1, 1, 1, 0.9, 1], np.float32) for rows in good]]
    folder = write_golden(tmp_path / "golden", steps, task="detection")
    np.save(folder / "inputs" / "0.npy", np.zeros((12, 20, 30, 3), np.uint8))
    verdict = write_report(make_build(tmp_path))
    assert verdict.passed
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = sum(len(good[worst.index]) for worst in verdict.worst)
    assert text.count('class="ref"') == text.count('class="last"') == shown


def test_pictures_are_png_files_with_the_same_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for array in (pixels, pixels[..., :1]):
        data = base64.b64decode(png_uri(array).partition(",")[2])
        decoded = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decoded.reshape(array.shape), array)
    assert png_uri(pixels.astype(np.float32) / 255).startswith("data:image/png")


def test_the_chart_is_svg_and_shows_where_it_falls(tmp_path: Path, net: Classifier) -> None:
    steps = net.good()
    steps["device"] = [net.logits(net.pictures[..., ::-1])]
    write_golden(tmp_path / "golden", steps, labels=net.labels)
    verdict = write_report(make_build(tmp_path))
    assert verdict.fault is not None
    svg = step_chart(verdict.steps, verdict.checks, verdict.fault.step)
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    heights = [
        [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]
        for line in root.iter("polyline")
    ]
    assert all(points[-1] > points[0] for points in heights)
    assert "fault" in svg
    assert not re.search(r"nan|inf", svg)


class FakeDevice:
    """Answers jobs as ``infer.py`` does, with outputs that the test gives."""

    def __init__(self, outputs: list[np.ndarray], failure: Mapping[str, object] | None = None):
        self.outputs = outputs
        self.failure = failure

    def run_job(self, script: Path, **more: Any) -> JobResult:
        events: list[dict[str, object]] = [
            {"event": "hello", "hailort": "4.23.0", "emulated": True}
        ]
        if self.failure is not None:
            events.append({"event": "failed", **self.failure})
            return JobResult(code=1, events=tuple(events), log="", files={}, seconds=0.1)
        for array, path in zip(self.outputs, more["fetch"].values(), strict=True):
            np.save(path, array)
        events += [
            {"event": "loaded", "api": "infer_model", "samples": len(self.outputs[0])},
            {"event": "determinism", "runs": 5, "different": 0, "largest_difference": 0.0},
            {"event": "done"},
        ]
        return JobResult(code=0, events=tuple(events), log="", files=more["fetch"], seconds=0.1)


def test_the_devices_answers_become_a_step_in_the_shape_of_the_others(
    tmp_path: Path, net: Classifier
) -> None:
    steps = net.good()
    answer = steps.pop("device")[0].reshape(net.samples, 1, 1, net.classes)
    write_golden(tmp_path / "golden", steps, labels=net.labels)
    verdict = validate_build(FakeDevice([answer]), make_build(tmp_path))
    assert verdict.passed
    assert verdict.final == "device"
    stored = np.load(tmp_path / "golden" / "steps" / "device" / "0.npy")
    assert stored.shape == (net.samples, net.classes)
    document = json.loads((tmp_path / "verdict.json").read_text())
    assert document["passed"] is True
    assert document["emulated"] is True


def test_a_failed_run_does_not_live_on_an_earlier_ones_answers(
    tmp_path: Path, net: Classifier
) -> None:
    write_golden(tmp_path / "golden", net.good(), labels=net.labels)
    failure = {
        "class": "HailoRTTimeout",
        "message": "Received a timeout",
        "status": 4,
        "kind": "timeout",
    }
    build = make_build(tmp_path)
    verdict = validate_build(FakeDevice([], failure), build)
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert verdict.fault.causes[0].known == "R17"
    assert "device" not in {report.step for report in verdict.steps}
    # The page, written later, still tells of it.
    again = write_report(build)
    assert again.fault is not None
    assert again.fault.measure == "timeout"


def test_a_fix_of_several_lines_stays_several_lines() -> None:
    findings = [Finding("D01", "warning", "less ran", fix="Give it a GPU.\noptimization:\n  x: 1")]
    html = _findings(findings)
    assert "\\n" not in html
    assert html.count("<small>") == 3
    assert "<small>  x: 1</small>" in html


def masks(count: int, shift: int) -> np.ndarray:
    """Return logits (N, 16, 16, 2) of a square that stands ``shift`` cells to the right."""
    made = np.zeros((count, 16, 16, 2), np.float32)
    made[..., 0] = 1.0
    made[:, 4:10, 4 + shift : 10 + shift, 1] = 3.0
    return made


def overlays(text: str) -> list[np.ndarray]:
    """Return the masks of a page as arrays (H, W, 4)."""
    found = re.findall(r'class="mask" href="data:image/png;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_masks_are_drawn_on_both_sides(tmp_path: Path) -> None:
    steps: dict[str, Any] = {step: [masks(3, 0)] for step in STEPS}
    steps["device"] = [masks(3, 4)]
    folder = write_golden(tmp_path / "golden", steps, task="segmentation")
    np.save(folder / "inputs" / "0.npy", np.zeros((3, 32, 48, 3), np.uint8))
    write_report(make_build(tmp_path))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = overlays(text)
    assert len(found) == 6
    left, right = (one[..., 3] > 0 for one in found[:2])
    assert left[6, 5]
    assert not right[6, 5]
    assert right[6, 12]
    assert not left[6, 12]
    # The second side shows the first one's picture: a large one is not in the page twice.
    assert text.count("<use href=") == text.count("<image id=") == 3
    assert "float network to the left" in text


def test_a_map_of_numbers_is_drawn_by_the_float_networks_range(tmp_path: Path) -> None:
    depth = np.tile(np.linspace(0, 10, 16, dtype=np.float32), (2, 16, 1))[..., None]
    steps: dict[str, Any] = {step: [depth] for step in STEPS}
    steps["device"] = [depth / 2]
    folder = write_golden(tmp_path / "golden", steps, task="other")
    np.save(folder / "inputs" / "0.npy", np.zeros((2, 32, 32, 3), np.uint8))
    write_report(make_build(tmp_path))
    left, right = overlays((tmp_path / "report.html").read_text(encoding="utf-8"))[:2]
    assert left[0, 15, 0] == 255
    assert 120 <= right[0, 15, 0] <= 130


def test_masks_of_objects_stay_inside_their_boxes() -> None:
    prototypes = np.ones((8, 8, 2), np.float32)
    rows = np.array([[0.0, 0.0, 0.5, 0.5, 0.9, 1], [0.5, 0.5, 1.0, 1.0, 0.8, 2]], np.float32)
    drawn = _instances(prototypes, np.array([[1.0, 1.0], [1.0, -3.0]]), rows)
    assert (drawn[:4, :4, 3] > 0).all()
    assert not drawn[4:, :, 3].any()
    assert not drawn[:4, 4:, 3].any()
    assert _instances(prototypes, np.zeros((1, 2)), np.full((1, 6), np.nan)).sum() == 0
