"""What travels: what the plans use, as long as the other side can make use of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.app import run
from orchestrator.cli.up import make_session
from orchestrator.files import sha256_of
from orchestrator.pipeline.cache import CachedFile, CacheEntry
from orchestrator.pipeline.session import BuildSession
from orchestrator.pipeline.sharing import exchange

RECIPE = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 8, 8]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures}
arch: [hailo8l, hailo8]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one model, opened by somebody who has a cache and a home of their own."""
    folder = tmp_path / "alice" / "project"
    make_model(folder, "net")
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("HEFSMITH_STORE", str(tmp_path / "share"))
    become("alice", folder, monkeypatch)
    return folder


def make_model(project: Path, name: str) -> None:
    folder = project / "models" / name
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE)
    (folder / "net.onnx").write_bytes(b"a network")
    for number in range(3):
        (folder / "pictures" / f"{number}.png").write_bytes(bytes([number]))


def become(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    home = project.parent / f"home of {name}"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HEFSMITH_CACHE", str(home / "cache"))
    monkeypatch.setenv("HEFSMITH_DATA", str(home / "data"))
    monkeypatch.setenv("HEFSMITH_ENGINE", "local")


@pytest.fixture
def bob(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody else's clone of the project; alice's turn ends when it is entered."""
    folder = tmp_path / "bob" / "src" / "clone"
    shutil.copytree(project, folder)
    return folder


def build(model: str = "net", *, without: tuple[str, ...] = ()) -> None:
    """Fill the cache as a build would."""
    with make_session({}) as session:
        loaded = session.recipe(model)
        for arch in ("hailo8l", "hailo8"):
            made, _, _ = session.plan(session.request(loaded, arch))
            for stage in made.stages:
                if stage.name not in without:
                    publish(session, stage.name, stage.key, stage.why)


def publish(session: BuildSession, name: str, key: str, why: Any) -> None:
    work = session.cache.root.parent / "work"
    file = work / f"{name}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(name.encode() * 1000)
    record = CachedFile(name, file.name, sha256_of(file), file.stat().st_size)
    session.cache.publish(CacheEntry(key, name, (record,), created=time.time(), why=why), work)


def hef(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["cache", *arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def actions(document: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in document["stages"]:
        found.setdefault(row["action"], []).append(row["stage"])
    return found


def to_run(model: str = "net") -> set[str]:
    with make_session({}) as session:
        loaded = session.recipe(model)
        return {
            stage
            for arch in ("hailo8l", "hailo8")
            for stage in session.plan(session.request(loaded, arch))[0].to_run
        }


SHARED = ["export", "samples", "calibrate"]
BY_ARCH = ["parse", "optimize", "compile", "evaluate"]


@pytest.mark.slow
def test_what_one_has_built_the_other_need_not(
    project: Path,
    bob: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build()
    sent = hef(capsys, "push")
    assert sorted(actions(sent)["sent"]) == sorted([*SHARED, *BY_ARCH, *BY_ARCH])
    export = next(row for row in sent["stages"] if row["stage"] == "export")
    assert export["uses"] == ["net/hailo8l", "net/hailo8"]
    become("bob", bob, monkeypatch)
    assert to_run() == {*SHARED, *BY_ARCH}
    got = hef(capsys, "pull")
    assert got["bytes"] == sent["bytes"] > 30_000
    assert to_run() == set()
    assert set(actions(hef(capsys, "pull"))) == {"here"}
    assert set(actions(hef(capsys, "push"))) == {"there"}


@pytest.mark.slow
def test_a_dry_run_tells_what_would_go_and_copies_nothing(
    project: Path, bob: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    planned = hef(capsys, "push", "--dry-run")
    share = project.parent.parent / "share"
    assert list(share.iterdir()) == []
    sent = hef(capsys, "push")
    assert {**planned, "dry_run": False} == sent
    become("bob", bob, monkeypatch)
    planned = hef(capsys, "pull", "--dry-run")
    assert to_run() == {*SHARED, *BY_ARCH}
    assert {**planned, "dry_run": False} == hef(capsys, "pull")


@pytest.mark.slow
def test_a_large_calibration_set_travels_only_when_somebody_needs_it(
    project: Path, bob: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LIGHT", 100)
    build()
    sent = actions(hef(capsys, "push"))
    assert sent["left out"] == ["calibrate"]
    assert "calibrate" not in sent["sent"]
    assert actions(hef(capsys, "push", "--calibration"))["sent"] == ["calibrate"]
    become("bob", bob, monkeypatch)
    got = actions(hef(capsys, "pull"))
    assert got["left out"] == ["calibrate"]
    assert to_run() == set()
    assert actions(hef(capsys, "pull", "--calibration"))["fetched"] == ["calibrate"]


def test_a_large_calibration_set_travels_while_nothing_is_quantised(
    project: Path, bob: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LIGHT", 100)
    build(without=("optimize", "compile", "evaluate"))
    sent = actions(hef(capsys, "push"))
    assert "calibrate" in sent["sent"]
    assert sent["not built"] == 2 * ["optimize", "compile", "evaluate"]
    become("bob", bob, monkeypatch)
    got = actions(hef(capsys, "pull"))
    assert "calibrate" in got["fetched"]
    assert to_run() == {"optimize", "compile", "evaluate"}


def test_all_sends_what_no_plan_uses_any_more(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    (project / "models" / "net" / "net.onnx").write_bytes(b"another network")
    assert set(actions(hef(capsys, "push"))) == {"not built"}
    assert len(actions(hef(capsys, "push", "--all"))["sent"]) == 11
    assert run(["cache", "push", "net", "--all"]) == 2


def test_a_damaged_entry_of_ours_is_not_passed_on(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    damaged = next((project.parent / "home of alice" / "cache").rglob("compile.bin"))
    damaged.write_bytes(b"X" + damaged.read_bytes()[1:])
    sent = hef(capsys, "push")
    assert actions(sent)["refused"] == ["compile"]
    assert "damaged in this cache" in sent["warnings"][0]


@pytest.mark.slow
def test_what_is_damaged_in_the_store_is_a_warning_and_a_miss(
    project: Path, bob: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    sent = hef(capsys, "push")
    share = project.parent.parent / "share"
    parse = next(row["key"] for row in sent["stages"] if row["stage"] == "parse")
    (share / "v1" / "entries" / parse[:2] / f"{parse}.json").write_text("{")
    for place in (share / "v1" / "files").rglob("*"):
        if place.is_file() and place.read_bytes().startswith(b"evaluate"):
            place.write_bytes(b"X" + place.read_bytes()[1:])
    become("bob", bob, monkeypatch)
    assert run(["cache", "pull"]) == 0
    said = capsys.readouterr()
    assert said.err.count("warning: ") == 3
    assert "not a JSON document" in said.err
    assert "has another content" in said.err
    assert said.out.count("refused") == 3
    assert "push --anew" in said.out
    assert to_run() == {"parse", "evaluate"}
    again = hef(capsys, "pull")
    assert set(actions(again)) == {"here", "refused"}


def test_one_broken_recipe_does_not_keep_the_others(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    make_model(project, "draft")
    (project / "models" / "draft" / "net.onnx").unlink()
    sent = hef(capsys, "push")
    assert len(actions(sent)["sent"]) == 11
    assert "draft is left out" in sent["warnings"][0]
    assert run(["cache", "push", "draft"]) == 2


def test_a_folder_of_this_machine_inside_a_file_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_session({}) as session:
        made, _, _ = session.plan(session.request(session.recipe("net"), "hailo8l"))
        work = project / "work"
        work.mkdir()
        (work / "model.onnx").write_text(f"made from {project}/net.py")
        file = work / "model.onnx"
        record = CachedFile("onnx", file.name, sha256_of(file), file.stat().st_size)
        export = made.stages[0]
        session.cache.publish(CacheEntry(export.key, "export", (record,), why=export.why), work)
    warnings = hef(capsys, "push", "--dry-run")["warnings"]
    assert warnings == ["export: model.onnx names a folder of this machine"]


def test_without_a_store_it_is_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEFSMITH_STORE")
    assert run(["cache", "pull"]) == 2
    assert "store: in hef.yaml" in capsys.readouterr().err


def test_the_projects_file_names_the_store_from_its_own_folder(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEFSMITH_STORE")
    (project / "hef.yaml").write_text("store: ../../share\n")
    monkeypatch.chdir(project / "models")
    assert hef(capsys, "pull")["store"] == str((project.parent.parent / "share").resolve())


def test_a_password_in_the_address_is_shown_nowhere(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_STORE", "nosuch://me:secret@nas/team")
    assert run(["cache", "pull"]) == 1
    assert run(["config", "show"]) == 0
    said = capsys.readouterr()
    assert "secret" not in said.out + said.err
    assert "nosuch://me:***@nas/team" in said.out


def test_lines_tell_what_went_and_what_is_missing(
    project: Path, bob: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(without=("evaluate",))
    assert run(["cache", "push", "net", "--arch", "hailo8"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["export", "sent", "0.0", "MB", "(net/hailo8)"]
    assert "1 not built here" in said[-1]
    become("bob", bob, monkeypatch)
    assert run(["cache", "pull", "--arch", "hailo8"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "1 not in the store" in said[-1]
