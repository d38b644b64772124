"""Builds of the past: what stays of one that is replaced, and how two are compared by name."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.cli.app import run
from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of
from orchestrator.pipeline.finished import history
from orchestrator.pipeline.finished.builds import Build, read_build, replace_build
from orchestrator.pipeline.finished.comparing import TUNED, compare_builds, find_side
from orchestrator.pipeline.finished.history import history_of, past_builds, retire
from orchestrator.report.comparison import compare, render_comparison
from orchestrator.report.trend import TrendPoint, drawn_measure, render_trend, trend_chart
from tests.unit.report.folders import Classifier, side, write_golden

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert(1)</script>\x1b[31m"


def stage(place: Path, key: str, net: Classifier, *, broken: bool = False, **more: Any) -> Path:
    """Write a folder as a build leaves it before it is put into its place."""
    folder = place / f".{key}.building"
    folder.mkdir(parents=True)
    exact = net.logits()
    steps = {
        "onnx": [exact],
        "sdk_quantized": [net.logits(net.pictures[..., ::-1]) if broken else net.quantised(-4, 4)],
    }
    write_golden(folder / "golden", steps, labels=net.labels)
    np.save(folder / "golden" / "inputs" / "0.npy", net.pictures)
    (folder / "model.hef").write_bytes(b"x" * 4000)
    (folder / "model.har").write_bytes(b"h" * 9000)
    (folder / "model.alls").write_text(f"a = {key}\nlevel(0)\n", encoding="utf-8")
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    summary = {
        "model": "net", "arch": "hailo8l", "key": key, "goal": "hef", "emulated": True,
        "toolchain": "emulator", "hef": "model.hef", "stages": {}, "findings": [],
        "files": [{"path": "model.hef", "role": "hef", "bytes": 4000, "sha256": "ab"}],
        "asked": {"level": 0}, "ran": {"level_run": 0}, "thresholds": {},
        "postprocess": {"metric": None}, "manifest_sha256": sha256_of(
            folder / "manifest.json"), **more,
    }  # fmt: skip
    (folder / "build.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


@pytest.fixture
def net() -> Classifier:
    return Classifier()


def put(artifacts: Path, key: str, net: Classifier, *, broken: bool = False, **more: Any) -> Path:
    final = artifacts / "net" / "hailo8l"
    replace_build(stage(artifacts / "net", key, net, broken=broken, **more), final, retire)
    return final


def test_of_a_replaced_build_the_small_things_stay(tmp_path: Path, net: Classifier) -> None:
    for key in ("1111", "2222", "3333"):
        final = put(tmp_path, key, net)
    past = past_builds(tmp_path, "net", "hailo8l")
    # Made within one second, they are told apart by their keys.
    assert {one.key for one in past} == {"1111", "2222"}
    assert {one.name for one in past[0].folder.iterdir()} == {
        "build.json", "manifest.json", "model.alls", "golden",
    }  # fmt: skip
    assert read_build(final).key == "3333"  # type: ignore[union-attr]
    assert [one.back for one in history_of(tmp_path, "net")] == [2, 1, 0]
    assert not list(final.parent.glob(".*.old-*"))


@pytest.mark.parametrize("case", ["same key", "analysis", "search"])
def test_what_is_no_build_of_the_past_leaves_nothing(
    tmp_path: Path, net: Classifier, case: str
) -> None:
    folder = {"search": ".tune/hailo8l/level-0"}.get(case, "hailo8l")
    final = tmp_path / "net" / folder
    final.parent.mkdir(parents=True)
    more = {"goal": "analysis"} if case == "analysis" else {}
    keys = ("1", "1") if case == "same key" else ("1", "2")
    for number, key in enumerate(keys):
        made = stage(tmp_path / str(number), key, net, **more)
        replace_build(made, final, retire)
    assert not list(tmp_path.rglob(history.FOLDER))


def test_no_more_than_so_many_are_kept(
    tmp_path: Path, net: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 2)
    monkeypatch.setattr(history, "GOLDEN_BYTES", 10)
    for number in range(5):
        put(tmp_path, f"{number:04}", net)
    past = past_builds(tmp_path, "net", "hailo8l")
    assert [one.key for one in past] == ["0003", "0002"]
    assert not (past[0].folder / "golden").exists()


def test_a_manifest_that_was_changed_is_told(tmp_path: Path, net: Classifier) -> None:
    put(tmp_path, "1", net)
    final = put(tmp_path, "2", net)
    (final / "manifest.json").write_text('{"changed": 1}', encoding="utf-8")
    assert [one.sound for one in history_of(tmp_path, "net")] == [True, False]


def test_names_of_builds(tmp_path: Path, net: Classifier) -> None:
    put(tmp_path, "1", net)
    put(tmp_path, "2", net)
    find = lambda text: find_side(tmp_path, text)[1].key  # noqa: E731
    assert find("net") == find("net/hailo8l") == find("net~0") == "2"
    assert find("net~1") == find("net/hailo8l~1") == "1"
    assert find(str(tmp_path / "net" / "hailo8l")) == "2"
    for wrong in ("net~2", "net@tune", "net@x", "no", "net/hailo8", "../net", "", ".history"):
        with pytest.raises(ConfigError) as caught:
            find(wrong)
        assert caught.value.hint
    tune = tmp_path / "net" / ".tune" / "hailo8l"
    replace_build(stage(tmp_path / "x", "3", net), tune / "best")
    compiled = [{"name": "b", "folder": "/moved/since/best"}]
    (tune / TUNED).write_text(json.dumps({"keep": "b", "compiled": compiled}), encoding="utf-8")
    assert find("net@tune") == find("net/hailo8l@tune") == find(str(tune)) == "3"
    (tune / TUNED).write_text('{"keep": null, "compiled": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match="kept nothing"):
        find("net@tune")


def test_two_builds_side_by_side(tmp_path: Path, net: Classifier) -> None:
    put(tmp_path, "1", net, broken=True)
    put(
        tmp_path,
        "2",
        net,
        asked={"level": 1},
        ran={"level_run": 1},
    )
    sides = [find_side(tmp_path, name) for name in ("net~1", "net")]
    found, views = compare_builds(sides[0], sides[1], (None, None))
    by_name = {row.name: row for row in found.measures}
    assert by_name["top1"].better == "b"
    assert by_name["top1"].b > by_name["top1"].a  # type: ignore[operator]
    assert [row.better for row in found.outputs] == ["b"]
    assert "-a = 1" in found.script
    assert "+a = 2" in found.script
    assert ("optimisation level", "0 / 0", "1 / 1") in found.settings
    assert len(found.samples) == 8
    assert all(one is not None and two is not None for one, two in views.values())
    # The sample that moved most: what one side gets wrong, and the other right.
    first = found.samples[0]
    assert first.a_score is not None
    assert first.b_score is not None
    assert first.b_score - first.a_score > 1.0
    text = render_comparison(found, views)
    assert text.count("<figure") == 16
    assert "http:" not in text
    assert "https:" not in text
    json.dumps(found.to_json(), allow_nan=False)
    back, _ = compare_builds(sides[1], sides[0], (None, None))
    assert {row.better for row in back.measures if row.name == "top1"} == {"a"}


def test_what_chance_would_bring_makes_no_build_better(tmp_path: Path, net: Classifier) -> None:
    put(tmp_path, "1", net)
    final = put(tmp_path, "2", net)
    # Four samples more are wrong on one side: a coin falls four times like that one time in eight.
    place = final / "golden" / "steps" / "sdk_quantized" / "0.npy"
    answers = np.load(place)
    right = [i for i in range(net.samples) if answers[i].argmax() == net.labels[i]]
    answers[right[:4]] = np.roll(answers[right[:4]], 1, axis=1)
    np.save(place, answers)
    sides = [find_side(tmp_path, name) for name in ("net~1", "net")]
    found, _ = compare_builds(sides[0], sides[1], (None, None))
    by_name = {row.name: row for row in found.measures}
    assert by_name["top1"].a > by_name["top1"].b  # type: ignore[operator]
    assert by_name["top1"].better == by_name["agreement"].better == ""
    assert any("of 80 samples 4 speak for A and 0 for B" in note for note in found.notes)
    answers[right[4:8]] = np.roll(answers[right[4:8]], 1, axis=1)
    np.save(place, answers)
    found, _ = compare_builds(sides[0], sides[1], (None, None))
    assert {row.better for row in found.measures if row.name == "top1"} == {"a"}
    assert not found.notes


def test_float_networks_that_differ_are_both_shown() -> None:
    from orchestrator.cli.comparing import _told

    a = side(measures={"top1": 0.9}, ideal={"top1": 0.95})
    b = side(measures={"top1": 0.9}, ideal={"top1": 0.91})
    found = compare(a, b)
    assert any("95.0% / 91.0%" in line for line in _told(found, None))
    assert "95.0% / 91.0%" in render_comparison(found, {})
    same = compare(a, a)
    assert not any("95.0% / " in line for line in _told(same, None))


def test_a_build_without_samples_is_compared_by_the_rest(tmp_path: Path, net: Classifier) -> None:
    import shutil

    put(tmp_path, "1", net)
    final = put(tmp_path, "2", net)
    shutil.rmtree(final / "golden")
    sides = [find_side(tmp_path, name) for name in ("net~1", "net")]
    found, views = compare_builds(sides[0], sides[1], (None, None))
    assert any("not judged" in note for note in found.notes)
    assert found.script
    render_comparison(found, views)


def test_less_is_better_of_losses_and_exact_is_best_of_noise() -> None:
    found = compare(
        side(measures={"keypoint_distance": 0.1, "cosine": 1.0}),
        side(measures={"keypoint_distance": 0.2, "cosine": 0.9, "snr_db": 30.0}),
    )
    assert {row.name: row.better for row in found.measures} == {
        "keypoint_distance": "a", "cosine": "a", "snr_db": "a",
    }  # fmt: skip


def test_sides_that_cannot_be_compared_are_told() -> None:
    notes = compare(side(), side(emulated=True, step="sdk_quantized")).notes
    assert any("emulated" in note for note in notes)
    assert any("not the same" in note for note in notes)


def test_nothing_of_a_stranger_is_live_on_the_pages() -> None:
    page = render_comparison(
        compare(
            side(title=EVIL, headline=EVIL, script=[EVIL], settings=[(EVIL, EVIL, EVIL)]),
            side(title=EVIL, layers={EVIL: (1.0, EVIL)}, outputs=[(EVIL, 1.0, 2.0)]),
        ),
        {},
    )
    point = TrendPoint(chip=EVIL, name=EVIL, when=EVIL, value=0.5, ideal=0.9, cells=(EVIL,))
    for text in (page, render_trend(EVIL, "top1", (EVIL,), [point])):
        assert "<script>alert" not in text
        assert "\x1b" not in text


def test_the_trend_has_a_line_for_each_chip_and_gaps_where_nobody_judged() -> None:
    def point(chip: str, value: float | None) -> TrendPoint:
        return TrendPoint(chip=chip, name="n", when="w", value=value, ideal=0.9, cells=())

    svg = trend_chart("top1", [point("a", 0.5), point("a", None), point("a", 0.7), point("b", 0.6)])
    assert svg.count("<circle") == 3
    assert svg.count('class="line ') == 1
    assert svg.count('class="limit ') == 2
    assert "nan" not in svg
    assert "No build was judged" in trend_chart("top1", [
        TrendPoint(chip="a", name="n", when="w", value=None, ideal=None, cells=())])  # fmt: skip
    assert drawn_measure([{"cosine": 1.0}, {"cosine": 1.0, "top1": 0.5}]) == "cosine"
    assert drawn_measure([{"cosine": 1.0, "top1": 0.4}, {"cosine": 1.0, "top1": 0.5}]) == "top1"
    assert drawn_measure([{}]) is None


def test_an_empty_history_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no build") as caught:
        history_of(tmp_path, "net")
    assert "hef build net" in str(caught.value.hint)
    assert isinstance(Build(tmp_path, {}), Build)


@pytest.mark.parametrize("arguments", [["history", "net"], ["report", "--compare", "net~1", "net"]])
def test_where_one_may_only_look_the_figures_are_shown_all_the_same(
    arguments: list[str],
    tmp_path: Path,
    net: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEFSMITH_ARTIFACTS", raising=False)
    for key in ("1111", "2222"):
        put(tmp_path / "artifacts", key, net)
    monkeypatch.setattr("orchestrator.files.write_atomic", refuse)
    monkeypatch.setattr("orchestrator.pipeline.validation.write_atomic", refuse)
    assert run(arguments) == 0
    told = capsys.readouterr()
    assert "passed" in told.out
    assert "not judged" not in told.out
    assert "page " not in told.out
    assert "the page was not written" in told.err
    if arguments[0] == "report":
        assert run([*arguments, "--output", "mine.html"]) != 0
