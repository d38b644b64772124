"""A store that builds ask and fill by themselves: two people, one folder, and what goes wrong."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Project
from orchestrator.pipeline.sharing import readthrough
from orchestrator.pipeline.sharing.objects import Folder, StoreError
from orchestrator.pipeline.sharing.readthrough import TooSlow, Transfer

from . import conftest

ALL = ("build", "--all", "--json", "--jobs", "2")


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
    assert time.monotonic() - began < 20
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


def test_two_people_at_once_of_whom_one_is_killed(
    share: Path, project: conftest.Project, clone: conftest.Project
) -> None:
    first = project.start(*ALL, HEFSMITH_STORE=str(share), TRIVIAL_SECONDS="0.2")
    second = clone.start(*ALL, HEFSMITH_STORE=str(share), TRIVIAL_SECONDS="0.2")
    time.sleep(1.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    done = project.hef(*ALL, HEFSMITH_STORE=str(share))
    assert done.returncode == 0, done.stderr
    third = conftest.Project(clone.root.parent / "third")
    shutil.copytree(project.root / "models", third.root / "models")
    done = third.hef(*ALL, HEFSMITH_STORE=str(share))
    assert done.returncode == 0, done.stderr
    assert third.runs == [], "all of it is in the store"


def test_a_transfer_that_ends_after_the_stage_would_is_given_up() -> None:
    slow = Transfer(total=100_000_000, worth=10.0)
    slow.told(1_000_000)
    slow.check(slow.began + 1.0)
    with pytest.raises(TooSlow):
        slow.check(slow.began + 2.1)
    with pytest.raises(TooSlow):
        slow.told(1)
    quick = Transfer(total=100_000_000, worth=100.0)
    quick.told(5_000_000)
    quick.moved = quick.began + 2.0
    quick.check(quick.began + 2.1)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks S3, with one bucket."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="team")
    yield "s3://team/hefsmith"
    server.stop()


def test_the_same_with_a_server_that_speaks_s3(
    s3: str, project: conftest.Project, clone: conftest.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readthrough, "PATIENCE", 20.0)
    with Project(store=s3) as opened:
        first = opened.build_all()
    assert first.ok
    enter(clone, monkeypatch)
    with Project(store=s3) as opened:
        second = opened.build_all()
    assert clone.runs == []
    assert [cell.result.digests for cell in first.cells if cell.result] == [
        cell.result.digests for cell in second.cells if cell.result
    ]
