"""The report page of a build: what is in the folder becomes one HTML file."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import CONTACT_SHEET, PROOF

from orchestrator.errors import escape_control
from orchestrator.files import write_atomic
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.report import Golden, Verdict
    from orchestrator.report.html import AskedAndRan, Picture
    from orchestrator.report.model import Worst

#: Files of the golden folder are many and dull: they are not listed.
_DULL = ("golden",)
SAMPLES = 12

#: Larger sheets are left out: the page must stay one that can be sent.
SHEET_BYTES = 2 << 20
JPEG_START = b"\xff\xd8\xff"


def write_report(
    build: Build, verdict: Verdict | None = None, *, recipe_folder: Path | None = None
) -> Verdict:
    """Write ``report.html`` beside the HEF and return the verdict that it shows.

    Without ``verdict`` the steps that the golden folder has are judged anew; what a device run
    met earlier (``verdict.json``) is kept when it was about these very steps.
    """
    from hefsmith_worker.contract.stages import NAMES

    from orchestrator.pipeline.validation import judge_build
    from orchestrator.report import load_golden
    from orchestrator.report.html import File, Page, render

    golden = load_golden(build.golden)
    if verdict is None:
        verdict = judge_build(build, golden, recipe_folder=recipe_folder, keep_trouble=True)
    summary = build.summary
    page = Page(
        model=build.model,
        arch=build.arch,
        toolchain=f"{summary.get('toolchain', '')}" + (" (emulated)" if build.emulated else ""),
        emulated=build.emulated or verdict.emulated,
        made=time.strftime("%Y-%m-%d %H:%M %Z"),
        verdict=verdict,
        asked_and_ran=_asked_and_ran(summary),
        findings=build.findings,
        stages=[
            (name, _seconds(entry))
            for name in NAMES
            if (entry := summary.get("stages", {}).get(name)) is not None
        ],
        files=[
            File(path=str(f["path"]), bytes=int(f["bytes"]), sha256=str(f.get("sha256", "")))
            for f in summary.get("files", ())
            if not str(f["path"]).startswith(_DULL)
        ],
        pictures=_pictures(golden, verdict, build),
        legend=_legend(golden, build),
        contact_sheets=_contact_sheets(build.folder),
        device=_device(build),
        worst_layers=_worst_layers(build),
    )
    write_atomic(build.report, render(page))
    return verdict


def _worst_layers(build: Build) -> list[tuple[str, ...]]:
    """Return what ``hef analyze`` found of this build's layers, the worst first."""
    from orchestrator.pipeline.analyses import analysis_beside
    from orchestrator.report.analysis import worst_layers

    analysis = analysis_beside(build)
    if analysis is None:
        return []
    return [
        (
            harm.layer.short,
            harm.layer.type,
            *(
                "-" if value is None else f"{value:.1f}"
                for value in (harm.layer.alone_db, harm.layer.snr_db)
            ),
            harm.why,
            harm.advice[0].line or harm.advice[0].text if harm.advice else "",
        )
        for harm in worst_layers(analysis, build.arch)
    ]


def _seconds(entry: object) -> float | None:
    value = entry.get("seconds") if isinstance(entry, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


def _asked_and_ran(summary: Mapping[str, Any]) -> list[AskedAndRan]:
    from orchestrator.pipeline.judgement import rows
    from orchestrator.report.html import AskedAndRan

    return [
        AskedAndRan(
            name=escape_control(row.name),
            asked=escape_control(row.asked),
            ran=escape_control(row.ran),
            differs=row.differs,
        )
        for row in rows(summary)
    ]


def _device(build: Build) -> list[tuple[str, str]]:
    """Return what is known of the device that proved this build, from ``proof.json``."""
    try:
        document = read_json(build.folder / PROOF)
        identity = document["identity"]
        facts = [("device", document["device"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    names = (
        ("chip", "chip"),
        ("HailoRT", "hailort"),
        ("driver", "driver_version"),
        ("firmware", "firmware"),
        ("board", "board_model"),
        ("system", "os_name"),
        ("kernel", "kernel"),
        ("page size", "page_size"),
    )
    facts += [(title, identity[key]) for title, key in names if identity.get(key)]
    return [(str(title), escape_control(str(value))) for title, value in facts]


def _pictures(golden: Golden, verdict: Verdict, build: Build) -> list[Picture]:
    """Return the worst samples, with the answers of both ends drawn where they can be."""
    if len(golden.order) < 2:
        return []
    indices = [worst.index for worst in verdict.worst[:SAMPLES]]
    views = dict(zip(indices, views_of(build, golden, indices), strict=False))
    has_boxes = bool(golden.outputs) and golden.outputs[0].kind == "nms"
    return [
        replace(
            views[worst.index],
            caption=_caption(golden, worst, build.labels),
            note=worst.note,
            bad=_is_bad(golden, worst, has_boxes=has_boxes or "of the boxes" in worst.note),
        )
        for worst in verdict.worst[:SAMPLES]
        if worst.index in views
    ]


def views_of(build: Build, golden: Golden, indices: Sequence[int]) -> list[Picture]:
    """Return samples as pictures, each with what the first and the last step answer.

    Empty where the network's first input is no picture.
    """
    from orchestrator.pipeline.validation import head_of
    from orchestrator.report.html import Picture
    from orchestrator.report.pictures import png_uri
    from orchestrator.report.views import can_be_drawn, overlay_of

    if not golden.inputs or not golden.order:
        return []
    pixels = golden.load_input(0)
    if pixels.ndim != 4:
        return []
    head = head_of(build, golden)
    drawn = can_be_drawn(golden, head)
    ends = ((golden.order[0], "ref"), (golden.order[-1], "last"))
    found = []
    for index in indices:
        height, width = pixels[index].shape[:2]
        sides = [
            overlay_of(
                golden, head, step, index, style=style, labels=build.labels, size=(height, width)
            )
            for step, style in (ends if drawn else ())
        ]
        found.append(
            Picture(
                uri=png_uri(pixels[index]),
                height=height,
                width=width,
                overlay=sides[0] if drawn else "",
                second=sides[1] if drawn else None,
                caption=escape_control(golden.samples[index].name),
                note="",
                bad=False,
            )
        )
    return found


def _legend(golden: Golden, build: Build) -> str:
    from orchestrator.pipeline.validation import head_of
    from orchestrator.report.views import can_be_drawn, legend_of

    head = head_of(build, golden)
    return legend_of(golden, head) if can_be_drawn(golden, head) else ""


def _contact_sheets(folder: Path) -> list[str]:
    """Return what stage calibrate has drawn, as ``data:`` URIs."""
    found = []
    for path in sorted(folder.glob(f"{CONTACT_SHEET}*.jpg")):
        try:
            data = path.read_bytes() if path.stat().st_size <= SHEET_BYTES else b""
        except OSError:
            continue
        if data.startswith(JPEG_START):
            found.append("data:image/jpeg;base64," + base64.b64encode(data).decode("ascii"))
    return found


def _caption(golden: Golden, worst: Worst, labels: Sequence[str]) -> str:
    label = golden.samples[worst.index].label
    if label is None:
        return escape_control(worst.name)
    name = labels[label] if 0 <= label < len(labels) else str(label)
    return f"{escape_control(worst.name)}: labelled {escape_control(name)}"


def _is_bad(golden: Golden, worst: Worst, *, has_boxes: bool) -> bool:
    # A class that changed takes one off the cosine; boxes are fractions that agree.
    limit = 0.5 if has_boxes or golden.task == "classification" else 0.9
    return worst.score < limit
