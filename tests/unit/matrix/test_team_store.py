"""A store that builds ask and fill by themselves, and what goes wrong with it.

Two people at once on a store of each kind, one killed: the family ``users`` of tests/chaos.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Project
from orchestrator.pipeline.sharing import readthrough
from orchestrator.pipeline.sharing.objects import Folder, StoreError
from orchestrator.pipeline.sharing.readthrough import TooSlow, Transfer

from . import conftest

pytestmark = pytest.mark.slow


@pytest.fixture
def share(tmp_path: Path, project: conftest.Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    monkeypatch.setenv("HEFSMITH_STORE", str(folder))
    return folder


@pytest.fixture
def clone(tmp_path: Path, project: conftest.Project) -> conftest.Project:
    """Somebody else's clone, with an empty cache."""
    root = tmp_path / "clone"
    shutil.copytree(project.root, root)
    return conftest.Project(root)


def enter(project: conftest.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    for name, value in project.environ().items():
        monkeypatch.setenv(name, value)


def entries(share: Path) -> int:
    return len(list(share.rglob("entries/*/*.json")))


def test_a_clone_with_an_empty_cache_makes_nothing(
    share: Path, project: conftest.Project, clone: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project() as opened:
        first = opened.build_all()
    assert first.ok
    made = Counter(line.split()[0] for line in project.runs)
    assert entries(share) == sum(made.values())
    enter(clone, monkeypatch)
    began = time.monotonic()
    with Project() as opened:
        second = opened.build_all()
    assert time.monotonic() - began < 60
    assert clone.runs == []
    assert {cell.status for cell in second.cells} == {"cached"}
    assert [cell.result.digests for cell in first.cells if cell.result] == [
        cell.result.digests for cell in second.cells if cell.result
    ]
    # What came is not sent back, and a second look finds nothing to do.
    assert not list((clone.root / "cache" / "outbox").rglob("*"))


def test_one_stage_that_changed_is_made_and_the_rest_comes(
    share: Path, project: conftest.Project, clone: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project() as opened:
        opened.build("one", "hailo8l")
    enter(clone, monkeypatch)
    with Project() as opened:
        opened.build("one", "hailo8")
    assert {line.split()[0] for line in clone.runs} & {"export", "calibrate"} == set()
    assert "compile one hailo8" in clone.runs


def test_a_dry_run_and_a_fresh_build_do_not_ask(
    share: Path, project: conftest.Project, clone: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project() as opened:
        opened.build("one", "hailo8l")
    enter(clone, monkeypatch)
    with Project() as opened:
        assert opened.plan("one", "hailo8l").stages["export"] == "run"
    with Project(fresh=True) as opened:
        opened.build("one", "hailo8l")
    assert len(clone.runs) == len(project.runs)


def notes(project: Any, **options: Any) -> list[str]:
    said: list[str] = []
    with Project(on_event=lambda event: said.append(event.text or ""), **options) as opened:
        assert opened.build_all().ok
    return [line for line in said if "store" in line]


class Hanging(Folder):
    """A store that takes a minute for every answer."""

    def read(self, name: str, most: int) -> bytes | None:
        time.sleep(60)
        return None


class Away(Folder):
    """A store that is away."""

    def read(self, name: str, most: int) -> bytes | None:
        raise StoreError("nobody answers", hint="Is the line there?")


@pytest.mark.parametrize(("kind", "words"), [(Hanging, "did not answer"), (Away, "nobody answers")])
def test_a_store_that_hangs_or_is_away_costs_two_seconds_and_is_told_once(
    share: Path,
    project: conftest.Project,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Folder],
    words: str,
) -> None:
    with Project(store="") as opened:
        opened.build_all()
    shutil.rmtree(project.root / "artifacts")
    shutil.rmtree(project.root / "cache")
    began = time.monotonic()
    with Project(store="") as opened:
        opened.build_all()
    without = time.monotonic() - began
    shutil.rmtree(project.root / "artifacts")
    shutil.rmtree(project.root / "cache")
    monkeypatch.setattr(
        "orchestrator.pipeline.sharing.readthrough.open_objects", lambda *_, **__: kind(share)
    )
    began = time.monotonic()
    said = notes(project)
    lost = time.monotonic() - began - without
    assert lost < readthrough.PATIENCE + 1.5
    assert sum("going on without the store" in line for line in said) == 1
    assert any(words in line for line in said)


def test_a_store_that_is_not_mounted_is_told_of_and_nothing_is_begun_there(
    share: Path, project: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_STORE", str(share / "not" / "mounted"))
    said = notes(project)
    assert sum("going on without the store" in line for line in said) == 1
    assert not (share / "not").exists()


def test_an_entry_that_was_changed_is_refused_and_made_again(
    share: Path, project: conftest.Project, clone: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project() as opened:
        first = opened.build("one", "hailo8l")
    for file in share.rglob("files/*/*"):
        file.chmod(0o644)
        file.write_bytes(b"x" + file.read_bytes()[1:])
    enter(clone, monkeypatch)
    said: list[str] = []
    with Project(on_event=lambda event: said.append(event.text or "")) as opened:
        second = opened.build("one", "hailo8l")
    assert second.digests == first.digests
    assert len(clone.runs) == len(project.runs)
    assert any("has another content" in line for line in said)


def test_what_was_not_sent_goes_with_the_next_command(
    share: Path, project: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Folder):
        def send(self, name: str, source: Path, told: Any) -> None:
            time.sleep(1.5)
            super().send(name, source, told)

    with monkeypatch.context() as patched:
        patched.setattr(
            "orchestrator.pipeline.sharing.readthrough.open_objects", lambda *_, **__: Slow(share)
        )
        said = notes(project)
    assert any("with the next build" in line for line in said)
    made = len(project.runs)
    assert entries(share) < made
    (project.root / "models/one/pictures/0.png").write_bytes(b"other")
    with Project() as opened:
        opened.build("one", "hailo8l")
    assert entries(share) >= made


class Broken(Folder):
    """A store whose library has a fault of its own."""

    def send(self, name: str, source: Path, told: Any) -> None:
        raise ValueError("a fault of the library")


def test_a_fault_of_a_library_is_told_and_nobody_waits_for_what_is_not_sent(
    share: Path, project: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orchestrator.pipeline.sharing.readthrough.open_objects", lambda *_, **__: Broken(share)
    )
    said: list[str] = []
    with Project(on_event=lambda event: said.append(event.text or "")) as opened:
        opened.build("one", "hailo8l")
        assert opened.session.team is not None
        began = time.monotonic()
        assert not opened.session.team.flush(30)
        assert time.monotonic() - began < 25
    assert sum("ValueError: a fault of the library" in line for line in said) == 1


class Sluggish(Folder):
    """A store that takes longer than anybody waits for it, unless it is needed."""

    def read(self, name: str, most: int) -> bytes | None:
        time.sleep(0.1)
        return super().read(name, most)


@pytest.mark.parametrize("needed", [True, False])
def test_a_store_without_which_nothing_goes_is_waited_for(
    share: Path, project: conftest.Project, monkeypatch: pytest.MonkeyPatch, needed: bool
) -> None:
    monkeypatch.setattr(readthrough, "PATIENCE", 0.02)
    monkeypatch.setattr(
        "orchestrator.pipeline.sharing.readthrough.open_objects", lambda *_, **__: Sluggish(share)
    )
    said: list[str] = []
    with Project(on_event=lambda event: said.append(event.text or "")) as opened:
        team = opened.session.team
        assert team is not None
        team.needed = needed
        opened.build("one", "hailo8l")
        assert team.flush(30) == needed
    assert any("going on without the store" in line for line in said) != needed


def test_a_transfer_that_ends_after_the_stage_would_is_given_up() -> None:
    slow = Transfer(total=100_000_000, worth=10.0, patience=2.0)
    slow.told(1_000_000)
    slow.check(slow.began + 1.0)
    with pytest.raises(TooSlow):
        slow.check(slow.began + 2.1)
    with pytest.raises(TooSlow):
        slow.told(1)
    quick = Transfer(total=100_000_000, worth=100.0, patience=2.0)
    quick.told(5_000_000)
    quick.moved = quick.began + 2.0
    quick.check(quick.began + 2.1)
