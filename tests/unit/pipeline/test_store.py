"""A store: stages go there and come back whole, and nothing that is wrong there comes at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.pipeline.digests import DigestMemory, digest_of
from orchestrator.pipeline.sharing import store as store_module
from orchestrator.pipeline.sharing.objects import (
    Folder,
    Objects,
    StoreError,
    _reason,
    open_objects,
    without_password,
)
from orchestrator.pipeline.sharing.store import RefusedError, SharedStore

FILES = {
    "model.onnx.data": b"a network" * 1000,
    "golden/inputs/0.bin": b"pictures",
    "copy": b"pictures",
}


def silent(count: int) -> None:
    """Nobody wants to know."""


class Side:
    """One person's cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = StageCache(folder / "cache")
        self.memory = DigestMemory(folder / "digests.json")

    def make(
        self, files: dict[str, bytes] = FILES, stage: str = "export", **more: Any
    ) -> CacheEntry:
        """Publish an entry; what its key is made of is ``more`` and the stage."""
        work = self.folder / "work"
        records = []
        for name, content in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)
            records.append(CachedFile("any", name, sha256_of(work / name), len(content)))
        why = {"stage": stage, "schema": 1, "number": 0.1, **more}
        entry = CacheEntry(digest_of(why), stage, tuple(records), {"opset": 13}, why=why)
        self.cache.publish(entry, work)
        return entry

    def send(self, store: SharedStore, entry: CacheEntry, **hidden: str) -> int:
        parcel = store.compare(entry)
        if not parcel.needless:
            store.send(parcel, self.cache, silent, hidden)
        return len(parcel.lacking)

    def take(self, store: SharedStore, key: str) -> CacheEntry | None:
        entry = store.look(key)
        if entry is not None:
            store.take(entry, self.cache, self.memory, {}, silent)
        return entry


@pytest.fixture
def here(tmp_path: Path) -> Side:
    return Side(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Side:
    return Side(tmp_path / "there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def store(folder: Path) -> SharedStore:
    return SharedStore(open_objects(str(folder), folder, writing=True))


def stored(folder: Path, key: str) -> Path:
    return folder / "v1" / "entries" / key[:2] / f"{key}.json"


def blob(folder: Path, entry: CacheEntry, name: str = "model.onnx.data") -> Path:
    digest = next(file.sha256 for file in entry.files if file.path == name)
    return folder / "v1" / "files" / digest[:2] / digest


@pytest.mark.parametrize("address", ["{tmp}/share", "memory://{name}/team", "local://{tmp}/share"])
def test_a_stage_goes_there_and_comes_back(
    here: Side, there: Side, tmp_path: Path, address: str
) -> None:
    (tmp_path / "share").mkdir()
    address = address.format(tmp=tmp_path, name=tmp_path.name)
    entry = here.make()
    store = SharedStore(open_objects(address, tmp_path, writing=True))
    gone: list[int] = []
    store.send(store.compare(entry), here.cache, gone.append, {})
    assert sum(gone) == len(FILES["model.onnx.data"]) + len(FILES["copy"])
    again = SharedStore(open_objects(address, tmp_path, writing=True))
    assert here.send(again, entry) == 0
    assert again.look("0" * 64) is None
    assert there.take(again, entry.key) == entry
    found = there.cache.find(entry.key)
    assert found == entry
    assert there.cache.restore(found, tmp_path / "work", there.memory)
    assert {name: (tmp_path / "work" / name).read_bytes() for name in FILES} == FILES
    assert list(there.cache.incoming.iterdir()) == []
    assert list(tmp_path.glob("share/in/*")) == []


def test_one_content_is_stored_and_sent_once(here: Side, folder: Path, store: SharedStore) -> None:
    first = here.make()
    assert here.send(store, first) == 2
    assert here.send(store, here.make(stage="evaluate")) == 0
    assert len([path for path in (folder / "v1" / "files").rglob("*") if path.is_file()]) == 2
    assert stored(folder, first.key).is_file()


def test_what_is_here_need_not_come(here: Side, there: Side, store: SharedStore) -> None:
    first, second = here.make(), here.make(stage="evaluate")
    here.send(store, first)
    here.send(store, second)
    known: dict[str, Path] = {}
    came = [
        store.take(entry, there.cache, there.memory, known, silent)
        for key in (first.key, second.key)
        if (entry := store.look(key)) is not None
    ]
    assert came == [9008, 0]
    assert there.cache.find(second.key) is not None


class Cut:
    """Objects whose line breaks after so many have been sent."""

    def __init__(self, objects: Objects, left: int) -> None:
        self._objects = objects
        self._left = left
        self.address = objects.address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def send(self, name: str, source: Path, told: Callable[[int], None]) -> None:
        self._left -= 1
        if self._left < 0:
            raise StoreError("the line broke")
        self._objects.send(name, source, told)

    def write(self, name: str, content: bytes) -> None:
        raise StoreError("the line broke")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_cut_upload_is_absent_and_goes_on_where_it_was(
    here: Side, there: Side, store: SharedStore, left: int
) -> None:
    entry = here.make()
    with pytest.raises(StoreError, match="the line broke"):
        here.send(SharedStore(Cut(store.objects, left)), entry)
    assert store.look(entry.key) is None
    assert here.send(store, entry) == 2 - left
    assert there.take(store, entry.key) == entry


def test_a_copy_that_fails_half_way_leaves_no_object(
    here: Side, folder: Path, store: SharedStore
) -> None:
    entry = here.make()

    def told(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.send(store.compare(entry), here.cache, told, {})
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_pull_that_is_interrupted_leaves_nothing_behind(
    here: Side, there: Side, store: SharedStore
) -> None:
    entry = here.make()
    here.send(store, entry)

    def told(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.take(entry, there.cache, there.memory, {}, told)
    assert there.cache.find(entry.key) is None
    assert list(there.cache.incoming.iterdir()) == []


PUSH = """
import sys
from pathlib import Path
from orchestrator.pipeline.cache import StageCache
from orchestrator.pipeline.sharing.objects import open_objects
from orchestrator.pipeline.sharing.store import SharedStore
cache, share, key = StageCache(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
store = SharedStore(open_objects(share, Path("/"), writing=True))
for _ in range(20):
    store.send(store.compare(cache.find(key), anew=True), cache, lambda count: None, {})
"""


@pytest.mark.slow
def test_two_people_may_send_the_same_at_once(
    here: Side, there: Side, folder: Path, store: SharedStore
) -> None:
    entry = here.make()
    line = [sys.executable, "-c", PUSH, str(here.cache.root), str(folder), entry.key]
    workers = [subprocess.Popen(line) for _ in range(2)]
    seen = 0
    while any(worker.poll() is None for worker in workers):
        # Whatever the moment, what is there is whole.
        if (found := store.look(entry.key)) is not None:
            side = Side(there.folder / str(seen))
            store.take(found, side.cache, side.memory, {}, silent)
            seen += 1
    assert [worker.wait() for worker in workers] == [0, 0]
    assert there.take(store, entry.key) == entry


def test_another_result_of_the_same_key_is_left_as_it_is(
    here: Side, there: Side, store: SharedStore
) -> None:
    first, second = here.make(), there.make({"model.onnx.data": b"other bytes"})
    assert first.key == second.key
    here.send(store, first)
    assert there.send(store, second) == 0
    assert store.look(first.key) == first


def test_the_next_push_mends_what_was_cut_short(
    here: Side, there: Side, folder: Path, store: SharedStore
) -> None:
    entry = here.make()
    here.send(store, entry)
    place = blob(folder, entry)
    place.write_bytes(place.read_bytes()[:100])
    with pytest.raises(RefusedError, match=r"model\.onnx\.data has another content"):
        there.take(store, entry.key)
    assert there.cache.find(entry.key) is None
    assert here.send(store, entry) == 1
    assert there.take(store, entry.key) == entry


def test_a_push_anew_mends_a_flipped_byte(
    here: Side, there: Side, folder: Path, store: SharedStore
) -> None:
    entry = here.make()
    here.send(store, entry)
    place = blob(folder, entry)
    place.write_bytes(b"X" + place.read_bytes()[1:])
    with pytest.raises(RefusedError):
        there.take(store, entry.key)
    assert here.send(store, entry) == 0
    store.send(store.compare(entry, anew=True), here.cache, silent, {})
    assert there.take(store, entry.key) == entry


def test_a_lost_file_is_a_miss(here: Side, there: Side, folder: Path, store: SharedStore) -> None:
    entry = here.make()
    here.send(store, entry)
    blob(folder, entry).unlink()
    with pytest.raises(RefusedError, match="is missing"):
        there.take(store, entry.key)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_read(
    here: Side, there: Side, folder: Path, store: SharedStore, kind: str
) -> None:
    entry = here.make()
    here.send(store, entry)
    place = blob(folder, entry)
    if kind == "link":
        place.rename(folder / "elsewhere")
        place.symlink_to(folder / "elsewhere")
    elif kind == "pipe":
        place.unlink()
        os.mkfifo(place)
    else:
        place.unlink()
        place.mkdir()
    with pytest.raises(RefusedError, match="is missing"):
        there.take(store, entry.key)


# --- a hostile store ------------------------------------------------------------------------------


def with_file(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["files"][0].update(values)


def with_paths(*paths: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        document["files"] = [{**document["files"][0], "path": path} for path in paths]

    return change


def with_values(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.update(values)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


FINDING = {"code": "x", "severity": "warning", "message": "m", "fix": None}
HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "up": with_file(path="../../../../x"),
    "up inside": with_file(path="a/../../x"),
    "absolute": with_file(path="/tmp/x"),
    "here": with_file(path="."),
    "empty": with_file(path=""),
    "double slash": with_file(path="a//x"),
    "drive": with_file(path="C:/x"),
    "backslash": with_file(path="..\\x"),
    "control": with_file(path="a\x1b[2J"),
    "zero": with_file(path="a\0b"),
    "long": with_file(path="a" * 300),
    "no text": with_file(path=7),
    "no digest": with_file(sha256="../../etc/passwd"),
    "upper digest": with_file(sha256="A" * 64),
    "negative": with_file(bytes=-1),
    "true": with_file(bytes=True),
    "text size": with_file(bytes="9000"),
    "unknown field": with_file(mode=0o4755),
    "twice": with_paths("a", "a"),
    "twice in capitals": with_paths("a/b", "A/B"),
    "file and folder": with_paths("a", "a/b"),
    "no files": with_values(files=[]),
    "files are none": with_values(files={"a": 1}),
    "schema": with_values(schema=2),
    "other key": with_values(key="0" * 64),
    "other reasons": lambda document: document["why"].update(number=0.2),
    "other stage": with_values(stage="compile"),
    "no stage": with_values(stage="../x"),
    "result": with_values(result=[]),
    "nested": with_values(result=nested(60)),
    "not a number": with_values(result={"x": float("nan")}),
    "half a character": with_values(result={"x": "\ud800"}),
    "times": with_values(seconds="1"),
    "severity": with_values(findings=[{**FINDING, "severity": "fatal"}]),
    "message": with_values(findings=[{**FINDING, "message": 3}]),
    "findings": with_values(findings=["text"]),
    "level": with_values(ran={"level_run": "2"}),
    "layers": with_values(ran={"four_bit_layers": [1]}),
    "ran": with_values(ran=[1]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_entry_is_refused_in_words(
    here: Side, folder: Path, store: SharedStore, change: Callable[[dict[str, Any]], object]
) -> None:
    entry = here.make()
    here.send(store, entry)
    place = stored(folder, entry.key)
    document = json.loads(place.read_text())
    change(document)
    place.write_text(json.dumps(document))
    with pytest.raises(RefusedError, match="refused: ") as caught:
        store.look(entry.key)
    assert caught.value.message.isprintable()
    # Whoever has the right one mends it.
    assert not store.compare(entry).needless


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1' + b" " * 10],
    ids=range(8),
)
def test_what_is_no_entry_is_refused(
    here: Side, folder: Path, store: SharedStore, content: bytes
) -> None:
    entry = here.make()
    here.send(store, entry)
    stored(folder, entry.key).write_bytes(content)
    with pytest.raises(RefusedError, match="refused: "):
        store.look(entry.key)


def test_an_endless_entry_is_not_read_to_its_end(
    here: Side, folder: Path, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = here.make()
    here.send(store, entry)
    monkeypatch.setattr(store_module, "ENTRY_BYTES", 100)
    with pytest.raises(RefusedError, match="larger than"):
        store.look(entry.key)


@pytest.mark.parametrize("address", ["{tmp}/share", "memory://{name}/team"])
def test_a_file_that_is_larger_than_told_is_cut_and_refused(
    here: Side, there: Side, tmp_path: Path, address: str
) -> None:
    (tmp_path / "share").mkdir()
    objects = open_objects(address.format(tmp=tmp_path, name=tmp_path.name), tmp_path, writing=True)
    store = SharedStore(objects)
    entry = here.make()
    here.send(store, entry)
    digest = entry.files[0].sha256
    objects.write(f"v1/files/{digest[:2]}/{digest}", FILES["model.onnx.data"] + b"x" * 5_000_000)
    came = 0

    def told(count: int) -> None:
        nonlocal came
        came += count

    found = store.look(entry.key)
    assert found is not None
    with pytest.raises(RefusedError, match="another content"):
        store.take(found, there.cache, there.memory, {}, told)
    assert came == 9001
    assert there.cache.find(entry.key) is None
    assert list(there.cache.incoming.iterdir()) == []


def test_more_than_the_disk_has_is_refused_before_it_comes(
    here: Side, there: Side, folder: Path, store: SharedStore
) -> None:
    entry = here.make()
    here.send(store, entry)
    place = stored(folder, entry.key)
    document = json.loads(place.read_text())
    document["files"][0]["bytes"] = 1 << 60
    place.write_text(json.dumps(document))
    with pytest.raises(RefusedError, match="more than the disk has free"):
        there.take(store, entry.key)


# --- what goes out -------------------------------------------------------------------------------


def test_folders_of_this_machine_do_not_travel(
    here: Side, store: SharedStore, folder: Path
) -> None:
    entry = here.make()
    finding = {**FINDING, "message": "/home/me/net/a.png and /home/meadow/b.png cannot be read"}
    told = replace(entry, findings=(finding,), result={"log": ["/home/me/net"]}, ran={"hef": None})
    here.cache.discard(entry.key)
    here.cache.publish(told, here.folder / "work")
    store.send(
        store.compare(told), here.cache, silent, {"/home/me/net": "<project>", "/home/me": "~"}
    )
    found = store.look(entry.key)
    assert found is not None
    assert found.findings[0]["message"] == "<project>/a.png and /home/meadow/b.png cannot be read"
    assert found.result == {"log": ["<project>"]}
    assert b"/home/me/" not in stored(folder, entry.key).read_bytes()


def test_an_entry_that_nobody_would_take_is_not_sent(
    here: Side, store: SharedStore, folder: Path
) -> None:
    entry = here.make()
    odd = replace(entry, findings=({"severity": "odd"},))
    with pytest.raises(RefusedError):
        store.send(store.compare(odd), here.cache, silent, {})
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_whoever_may_write_to_a_shared_folder_may_write_to_all_of_it(
    here: Side, folder: Path
) -> None:
    folder.chmod(0o2770)
    entry = here.make()
    here.send(SharedStore(open_objects(str(folder), folder, writing=True)), entry)
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o777 for path in folder.rglob("*") if path.is_dir()
    }
    assert modes == {0o770}
    assert stat.S_IMODE(stored(folder, entry.key).stat().st_mode) == 0o660


# --- addresses -----------------------------------------------------------------------------------


def test_a_folder_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    (tmp_path / "my share").mkdir()
    for address in ("my share", str(tmp_path / "my share"), f"file://{tmp_path}/my%20share"):
        found = open_objects(address, tmp_path, writing=False)
        assert isinstance(found, Folder)
        assert found.root == (tmp_path / "my share").resolve()
    with pytest.raises(ConfigError, match="needs fsspec") as caught:
        open_objects("s3://bucket/team", tmp_path, writing=False)
    assert "[store]" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("nowhere/share", "does not exist"),
        ("pi@nas:/srv/hef", "not an address"),
        ("", "is empty"),
        ("s3:/bucket/team", "not an address"),
        ("net.onnx", "is not a folder"),
        ("nosuch://bucket", "Protocol not known: nosuch"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(tmp_path: Path, address: str, says: str) -> None:
    (tmp_path / "net.onnx").touch()
    with pytest.raises((ConfigError, StoreError), match=says):
        open_objects(address, tmp_path, writing=True)


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "df -h"), (errno.EROFS, "read-only")])
def test_why_a_folder_cannot_be_written_leads_to_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError) as caught:
        Folder(tmp_path).write("v1/a", b"content")
    assert hint in (caught.value.hint or "")


def test_a_folder_that_is_missing_is_not_made_for_a_pull(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        open_objects("share", tmp_path, writing=False)
    assert not (tmp_path / "share").exists()


def test_what_a_library_says_of_an_address_has_no_password_in_it() -> None:
    for said in ('Invalid bucket name "AKIA:geheim7@bucket": it must match',
                 "cannot open ftp://me:geheim7@nas/x", "me:geheim7@nas: no such host",
                 "GET https://host/x?token=geheim7 gave 403"):  # fmt: skip
        assert "geheim7" not in _reason(ValueError(said)), said
    plain = "no such key: a/b at 10:30 by me@nas"
    assert _reason(ValueError(plain)) == plain


def test_a_password_is_never_shown() -> None:
    assert without_password("sftp://me:secret@nas/x") == "sftp://me:***@nas/x"
    assert without_password("s3://bucket/a:b@c") == "s3://bucket/a:b@c"
    assert without_password("sftp://me@nas/x") == "sftp://me@nas/x", "a name, as SSH has it"
    assert without_password("sftp://me:se@cret@nas/x") == "sftp://me:***@nas/x"
    assert without_password("https://token@host/x") == "https://***@host/x"
    signed = "https://host/x.zip?X-Amz-Signature=secret&X-Amz-Date=1"
    assert without_password(signed) == "https://host/x.zip?***"
    assert without_password("/home/me/a?b") == "/home/me/a?b", "a folder"
