"""What a job announces is read once, and counts only when it is here, whole and unchanged."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from orchestrator.pipeline import intake as intake_module
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.pipeline.digests import DigestMemory, digest_of
from orchestrator.pipeline.intake import ArtifactIntake

LARGE = intake_module.WORTH_KEEPING + 1000
KEY = digest_of("key")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache")


@pytest.fixture
def intake(work: Path, cache: StageCache) -> Iterator[ArtifactIntake]:
    made = ArtifactIntake(work, cache.incoming)
    yield made
    made.close()
    assert not list(cache.incoming.glob(".*")), "what nobody took is gone"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every file that is read, in the order of reading."""
    seen: list[int] = []
    taken = ArtifactIntake._take

    def take(self: ArtifactIntake, source: FileIO, *, keep: bool) -> tuple[str, Path | None]:
        seen.append(os.fstat(source.fileno()).st_size)
        return taken(self, source, keep=keep)

    monkeypatch.setattr(ArtifactIntake, "_take", take)
    return seen


def write(work: Path, name: str, content: bytes) -> CachedFile:
    path = work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return CachedFile("golden", name, hashlib.sha256(content).hexdigest(), len(content))


def test_files_are_here_when_they_are_as_announced(intake: ArtifactIntake, work: Path) -> None:
    files = [write(work, f"golden/{number}.npy", bytes([number]) * 1000) for number in range(5)]
    for file in files:
        intake.expect(file.path, file.bytes, keep=True)
    assert intake.here(files)
    (work / "golden/3.npy").write_bytes(b"\7" * 1000)
    assert not intake.here(files), "the same size, another content"
    (work / "golden/3.npy").unlink()
    assert not intake.here(files)


def test_a_file_that_comes_after_its_announcement_counts(
    intake: ArtifactIntake, work: Path
) -> None:
    file = write(work, "model.hef", b"hef" * 100)
    (work / "model.hef").rename(work / "elsewhere")
    intake.expect(file.path, file.bytes, keep=True)
    assert not intake.here([file])
    (work / "elsewhere").rename(work / "model.hef")
    assert intake.here([file])


def test_an_announced_file_is_read_once_for_the_check_and_for_the_cache(
    intake: ArtifactIntake, work: Path, cache: StageCache, reads: list[int]
) -> None:
    file = write(work, "golden/0.npy", os.urandom(LARGE))
    memory = DigestMemory(cache.root / "digests.json")
    for key in (KEY, digest_of("the next stage, which announces it again")):
        intake.expect(file.path, file.bytes, keep=True)
        assert intake.here([file])
        entry = CacheEntry(key, "export", (file,))
        kept = intake.kept(entry.files)
        cache.publish(entry, work, kept)
        cache.learn(entry, kept, memory)
    assert intake.changed() == []
    assert reads == [LARGE]
    copies = list((cache.root / "stages").glob("??/*/files/golden/0.npy"))
    assert len(copies) == 2
    assert len({copy.stat().st_ino for copy in copies}) == 1, "once on the disk"
    assert copies[0].stat().st_ino != (work / file.path).stat().st_ino, "out of the job's reach"


def test_a_kept_copy_that_is_damaged_later_is_found_although_its_digest_is_known(
    intake: ArtifactIntake, work: Path, cache: StageCache, tmp_path: Path
) -> None:
    file = write(work, "golden/0.npy", os.urandom(LARGE))
    memory = DigestMemory(cache.root / "digests.json")
    assert intake.here([file], keep=True)
    entry = CacheEntry(KEY, "export", (file,))
    kept = intake.kept(entry.files)
    cache.publish(entry, work, kept)
    cache.learn(entry, kept, memory)
    copy = next((cache.root / "stages").glob("??/*/files/golden/0.npy"))
    assert memory.file(copy) == file.sha256
    with copy.open("r+b") as stream:
        stream.write(b"damaged")
    assert not cache.restore(entry, tmp_path / "other", memory)


def test_a_file_that_is_named_before_its_digest_is_known_is_read_once(
    intake: ArtifactIntake, work: Path, reads: list[int]
) -> None:
    file = write(work, "golden/0.npy", os.urandom(LARGE))
    intake.expect(file.path, file.bytes, keep=True)
    intake.expect(file.path, file.bytes, keep=True)
    assert intake.here([file])
    assert reads == [LARGE]
    assert list(intake.kept([file])) == [file.path]


def test_a_file_that_is_changed_after_it_was_checked_is_told(
    intake: ArtifactIntake, work: Path
) -> None:
    first, second = (write(work, name, name.encode() * 100) for name in ("a.npy", "b.npy"))
    assert intake.here([first, second])
    path = work / "a.npy"
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert intake.changed() == ["a.npy"], "though it has its size and time again"
    write(work, "a.npy", b"a.npy" * 100)
    assert intake.changed() == []


def test_a_restored_file_that_a_job_changes_is_told(intake: ArtifactIntake, work: Path) -> None:
    file = write(work, "model.onnx", b"onnx" * 100)
    intake.trust([file])
    assert intake.changed() == []
    (work / "model.onnx").write_bytes(b"evil" * 100)
    assert intake.changed() == ["model.onnx"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_links_pipes_and_names_that_lead_out_are_never_read(
    intake: ArtifactIntake, work: Path, reads: list[int]
) -> None:
    secret = work.parent / "secret"
    secret.write_bytes(b"secret")
    (work / "link").symlink_to(secret)
    (work / "up").symlink_to(work.parent)
    os.mkfifo(work / "pipe")
    digest = hashlib.sha256(b"secret").hexdigest()
    for name in ("link", "up/secret", "../secret", str(secret)):
        assert not intake.here([CachedFile("golden", name, digest, 6)]), name
    empty = hashlib.sha256(b"").hexdigest()
    assert not intake.here([CachedFile("golden", "pipe", empty, 0)])
    assert reads == []


def test_a_cache_that_takes_no_copy_costs_the_copy_alone(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(sink: FileIO, data: memoryview) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(intake_module, "write_all", full)
    file = write(work, "golden/0.npy", os.urandom(LARGE))
    intake = ArtifactIntake(work, tmp_path / "full")
    try:
        assert intake.here([file], keep=True)
        assert intake.kept([file]) == {}
    finally:
        intake.close()
