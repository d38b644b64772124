"""What pages and verdicts say, figure by figure: each line here was wrong once in a mutant."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.contract.findings import Finding

from orchestrator.report import html
from orchestrator.report.boxes import compare_boxes
from orchestrator.report.comparison import SampleScore, compare, render_comparison
from orchestrator.report.golden import Detections, GoldenError, load_golden
from orchestrator.report.html import AskedAndRan, Page, Picture, measure_cell, render
from orchestrator.report.model import OutputAgreement, StepReport
from orchestrator.report.pictures import step_chart
from orchestrator.report.symptoms import find_symptoms
from orchestrator.report.trend import TrendPoint, render_trend, trend_chart
from orchestrator.report.verdict import decide
from tests.unit.report.folders import Classifier, boxes_of, side, write_golden

if TYPE_CHECKING:
    from pathlib import Path


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of each row of a page."""
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    ]


# --- verdicts --------------------------------------------------------------------------------


def test_boxes_that_are_the_same_overlap_wholly_and_no_more() -> None:
    rows = boxes_of(np.random.default_rng(3), 6)
    offsets = np.cumsum([0] + [len(one) for one in rows]).astype(np.int64)
    same = Detections(np.concatenate(rows), offsets)
    found = compare_boxes(same, same)
    assert (found.mean_iou, found.f1) == (pytest.approx(1.0), 1.0)


def test_a_folder_without_steps_gives_a_verdict_that_says_so(tmp_path: Path) -> None:
    write_golden(tmp_path, {"onnx": [np.zeros((4, 3))]}, origin="calibration")
    golden = replace(load_golden(tmp_path), steps={})
    verdict = decide(golden)
    assert (verdict.outcome, verdict.origin, verdict.steps) == ("failed", "calibration", ())
    assert "no outputs" in verdict.notes[0]


def test_a_step_that_lacks_an_output_is_named(tmp_path: Path) -> None:
    write_golden(tmp_path, {"onnx": [np.zeros((4, 3)), np.zeros((4, 3))]})
    golden = load_golden(tmp_path)
    with pytest.raises(GoldenError, match="step onnx has 1 of 2 outputs"):
        replace(golden, steps={"onnx": golden.steps["onnx"][:1]}).load("onnx", 1)


def test_a_sample_without_a_mask_has_none(tmp_path: Path) -> None:
    truth = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    write_golden(tmp_path, {"onnx": [np.zeros((2, 4, 4, 3))]}, masks=truth)
    document = json.loads((tmp_path / "golden.json").read_text(encoding="utf-8"))
    document["samples"][0]["mask"] = None
    (tmp_path / "golden.json").write_text(json.dumps(document), encoding="utf-8")
    first, second = load_golden(tmp_path).load_masks()
    assert first is None
    assert second is not None
    assert np.array_equal(second, truth[1])


@pytest.mark.parametrize(("left", "word"), [(0.0, "the same for"), (0.02, "nearly the same")])
def test_answers_that_hardly_change_are_told_from_those_that_never_do(
    tmp_path: Path, left: float, word: str
) -> None:
    good = np.random.default_rng(0).normal(0, 1, (8, 5)).astype(np.float32)
    mine = good[:1] + (good - good[:1]) * left
    write_golden(tmp_path, {"onnx": [good], "device": [mine]}, task="other")
    said = find_symptoms(load_golden(tmp_path), "device", "onnx", {})
    assert word in said["constant"]


def test_numbers_that_are_none_are_null_in_json(tmp_path: Path) -> None:
    net = Classifier()
    steps = net.good()
    steps["device"] = [np.full_like(steps["device"][0], np.inf)]
    said = decide(load_golden(write_golden(tmp_path, steps))).to_json()
    json.dumps(said, allow_nan=False)


# --- the page of a build ---------------------------------------------------------------------


def page(tmp_path: Path, net: Classifier, *, labels: bool = True, **more: Any) -> str:
    folder = write_golden(tmp_path, net.good(), labels=net.labels if labels else None)
    given: dict[str, Any] = {
        "model": "net", "arch": "hailo8", "toolchain": "emulator", "emulated": True, "made": "now",
        "verdict": decide(load_golden(folder)), "asked_and_ran": (), "findings": (), "stages": (),
        "files": (), **more,
    }  # fmt: skip
    return render(Page(**given))


@pytest.mark.parametrize("labels", [True, False])
def test_the_page_says_whether_there_were_labels(tmp_path: Path, labels: bool) -> None:
    words = {True: "samples, with labels;", False: "samples, without labels;"}
    text = page(tmp_path, Classifier(), labels=labels)
    assert words[labels] in text
    assert words[not labels] not in text


def test_the_page_shows_the_device_the_layers_and_what_differs(tmp_path: Path) -> None:
    text = page(
        tmp_path,
        Classifier(),
        device=[("Firmware", "4.23.0")],
        worst_layers=[("conv1", "conv", "12.0", "11.0", "wide range", "a16_w16")],
        asked_and_ran=[
            AskedAndRan(name="level", asked="2", ran="0", differs=True),
            AskedAndRan(name="pictures", asked="64", ran="64"),
        ],
    )
    rows = rows_of(text)
    assert ["Firmware", "4.23.0"] in rows
    assert ["layer", "type", "alone (dB)", "SNR (dB)", "why", "what may help"] in rows
    assert ["conv1", "conv", "12.0", "11.0", "wide range", "a16_w16"] in rows
    assert text.count("<tr class=warn>") == 1


def test_every_measure_of_an_output_stands_in_its_column() -> None:
    agreement = OutputAgreement(
        output="out", cosine=0.5, cosine_min=0.25, snr_db=12.0, mean_abs=0.125, max_abs=2.0
    )
    exact = OutputAgreement(output="out", cosine=1.0, cosine_min=1.0, mean_abs=0.0, exact=True)
    steps = [
        StepReport(step=step, measures={}, outputs=(one,))
        for step, one in (("onnx", agreement), ("sdk_native", agreement), ("device", exact))
    ]
    head, first, second = rows_of(html._outputs(steps))
    found = dict(zip(head[2:], first[2:], strict=True))
    assert {name: float(value) for name, value in found.items()} == {
        "cosine": 0.5, "worst": 0.25, "SNR (dB)": 12.0, "mean |e|": 0.125, "max |e|": 2.0,
    }  # fmt: skip
    assert second[head.index("SNR (dB)")] == "exact"
    assert measure_cell("snr_db", None) == "exact"
    assert measure_cell("cosine", None) == ""


def test_errors_come_before_warnings_and_what_is_well_last() -> None:
    found = [
        Finding(code=severity, severity=severity, message=severity)
        for severity in ("ok", "info", "error", "warning")
    ]
    shown = [row[0] for row in rows_of(html._findings(found))]
    assert shown == ["error", "warning", "info", "ok"]


def test_two_answers_to_a_picture_get_room_for_two() -> None:
    one = Picture(uri="data:,", height=4, width=4, overlay="", caption="c", note="n", bad=False)
    assert 'class="cards"' in html._pictures([one], "")
    assert 'class="cards two"' in html._pictures([one, replace(one, second="")], "")


def test_a_chart_needs_two_steps_and_begins_below_the_least_value() -> None:
    steps = [
        StepReport(step=step, measures={"cosine": value}, outputs=())
        for step, value in (("onnx", 1.0), ("device", 0.62))
    ]
    assert step_chart(steps[:1], (), None) == ""
    assert step_chart([replace(one, measures={}) for one in steps], (), None) == ""
    chart = step_chart(steps, (), None)
    lowest = max(float(y) for y in re.findall(r'class="dot c0" cx="[\d.]+" cy="([\d.]+)"', chart))
    bottom = max(float(y) for y in re.findall(r'class="grid"[^>]* y1="([\d.]+)"', chart))
    assert lowest < bottom


# --- two builds, and many --------------------------------------------------------------------


def test_a_comparison_marks_the_better_output_and_the_layers_that_changed() -> None:
    a = side(
        outputs=[("boxes", 1.0, 20.0), ("scores", 1.0, None)],
        layers={"conv1": (9.5, "8"), "conv2": (3.0, "8")},
        settings=[("level", "2", "0"), ("only a", "1", "1")],
    )
    b = side(
        outputs=[("boxes", 1.0, 30.0), ("scores", 1.0, 120.0)],
        layers={"conv1": (None, "16"), "conv2": (3.0, "8")},
        settings=[("level", "2", "2")],
    )
    found = compare(a, b)
    text = render_comparison(found, {})
    rows = rows_of(text)
    assert ["boxes", "20.0", "30.0 &#9664;"] in rows
    assert ["scores", "-", "exact"] in rows
    assert ["layer", "A alone (dB)", "A bits", "B alone (dB)", "B bits"] in rows
    assert ["conv1", "9.5", "8", "-", "16"] in rows
    assert re.findall(r"<tr class=warn><th scope=row>(\w+)", text) == ["conv1"]
    assert ["level", "2 / 0", "2 / 2"] in rows
    assert ["only a", "1 / 1", "- / -"] in rows
    assert {"name": "level", "a": "2 / 0", "b": "2 / 2"} in found.to_json()["settings"]  # type: ignore[operator]


def test_a_comparison_says_when_scripts_are_the_same_and_nothing_when_there_are_none() -> None:
    same = side(script=["level(0)"])
    assert "The same on both sides" in render_comparison(compare(same, same), {})
    assert "Model script" not in render_comparison(compare(side(), side()), {})
    assert "+level(0)" in render_comparison(compare(side(), same), {})


def test_each_side_of_a_sample_has_its_own_picture_and_note() -> None:
    def score(name: str, note: str) -> SampleScore:
        return SampleScore(name=name, digest=name, index=0, score=0.5, note=note)

    a, b = side(samples=[score("cat", "miss")]), side(samples=[score("cat", "hit")])
    one = Picture(uri="data:,", height=4, width=4, overlay="", caption="c", note="n", bad=False)
    shown = render_comparison(compare(a, b), {"cat": (one, one)})
    assert "A: cat<br><small>miss" in shown
    assert "B: cat<br><small>hit" in shown
    only = compare(a, side())
    assert (only.samples[0].a_index, only.samples[0].b_index) == (0, None)
    assert only.samples[0].b_note == "not among its samples"


def test_the_trend_draws_the_builds_and_the_float_network_where_they_are() -> None:
    def point(value: float | None, ideal: float | None = 0.9) -> TrendPoint:
        return TrendPoint(
            chip="a", name="n", when="w", value=value, ideal=ideal, cells=(), outcome="failed"
        )

    points = [point(0.5), point(None), point(0.7)]
    svg = trend_chart("top1", points)
    line = re.search(r'class="line c0 open" points="([^"]+)"', svg)
    ideal = re.search(r'class="limit c0 open" points="([^"]+)"', svg)
    assert line is not None
    assert ideal is not None
    spots = [tuple(map(float, one.split(","))) for one in line[1].split()]
    assert len(spots) == 2
    assert spots[0][0] < spots[1][0]
    assert spots[0][1] > spots[1][1]  # 0.7 is above 0.5
    dashed = [tuple(map(float, one.split(","))) for one in ideal[1].split()]
    assert len({y for _, y in dashed}) == 1
    assert dashed[0][1] < spots[1][1]  # and the float network above both
    assert all(0 <= y <= 340 for _, y in (*spots, *dashed))
    text = render_trend("net <1>", "top1", (), points)
    assert "<title>net &lt;1&gt;</title>" in text
    assert text.count("<tr class=bad>") == 3


def test_a_chart_of_shares_ends_at_all_of_them() -> None:
    one = TrendPoint(
        chip="a", name="n", when="w", value=0.999, ideal=0.998, cells=(), outcome="passed"
    )
    points = [one, one]
    assert "100.0%" in trend_chart("top1", points)
    assert "100.4%" not in trend_chart("top1", points)
