"""Caches and stores stay whole and small, and nothing that is in use goes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.pipeline.sharing.objects import Folder, Listed, Objects, open_objects
from orchestrator.pipeline.sharing.store import SharedStore, entry_name, file_name
from orchestrator.pipeline.sharing.upkeep import (
    Kept,
    collect_store,
    find_garbage,
    verify_cache,
    verify_store,
)

from .test_store import Side

DAY = 86400.0


@pytest.fixture(params=["folder", "memory://"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    if request.param == "folder":
        (tmp_path / "share").mkdir()
        return SharedStore(Folder(tmp_path / "share"))
    place: Objects = open_objects(f"memory://{tmp_path.name}", tmp_path, writing=True)
    return SharedStore(place)


def test_a_damaged_entry_of_the_cache_is_found_and_removed(tmp_path: Path) -> None:
    here = Side(tmp_path)
    whole, damaged, cut = (here.make(number=number) for number in range(3))
    file = here.cache.file(damaged, damaged.files[0])
    file.chmod(0o644)
    file.write_bytes(b"X" + file.read_bytes()[1:])
    here.cache.file(cut, cut.files[0]).unlink()
    found = verify_cache(here.cache)
    assert {one.key for one in found.damaged} == {damaged.key, cut.key}
    assert here.cache.find(whole.key) is not None
    assert found.entries == 3
    assert verify_cache(here.cache, repair=True).removed == 2
    assert verify_cache(here.cache).damaged == []
    assert here.cache.find(whole.key) is not None


def test_a_damaged_entry_of_a_store_is_found_and_removed(
    tmp_path: Path, store: SharedStore
) -> None:
    here = Side(tmp_path / "here")
    entries = [here.make({"model.onnx": bytes([n]) * 99}, number=n) for n in range(3)]
    for entry in entries:
        here.send(store, entry)
    assert verify_store(store).damaged == []
    store.objects.remove(file_name(entries[0].files[0].sha256))
    store.objects.write(entry_name(entries[1].key), b"{}")
    found = verify_store(store, repair=True)
    assert {one.key for one in found.damaged} == {entries[0].key, entries[1].key}
    assert store.look(entries[2].key) is not None
    assert store.look(entries[0].key) is None
    assert verify_store(store).damaged == []


def test_old_entries_of_a_store_go_and_what_others_share_with_them_stays(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    store = SharedStore(Folder(tmp_path / "share"))
    here = Side(tmp_path / "here")
    old = here.make({"a": b"shared" * 100, "b": b"old" * 100}, number=1)
    young = here.make({"a": b"shared" * 100, "c": b"young" * 100}, number=2)
    for entry in (old, young):
        here.send(store, entry)
    then = time.time() - 100 * DAY
    os.utime(tmp_path / "share" / entry_name(old.key), (then, then))
    planned = collect_store(store, older_than_s=30 * DAY, down_to_bytes=None, dry_run=True)
    assert store.look(old.key) is not None
    assert collect_store(store, older_than_s=30 * DAY, down_to_bytes=None) == planned
    assert store.look(old.key) is None
    assert verify_store(store).damaged == []
    there = Side(tmp_path / "there")
    assert there.take(store, young.key) is not None
    assert not (tmp_path / "share" / file_name(old.files[1].sha256)).exists()


def listed(**sizes: int) -> list[Listed]:
    return [Listed(file_name(name), size, 0.0) for name, size in sizes.items()]


def test_the_oldest_go_until_the_rest_fits() -> None:
    kept = [
        Kept(entry_name(f"{number:02}"), float(number), {file_name(f"f{number}"): 10})
        for number in range(4)
    ]
    objects = listed(f0=10, f1=10, f2=10, f3=10)
    objects += [Listed(entry.name, 1, 0.0) for entry in kept]
    garbage = find_garbage(kept, objects, now=9.0, older_than_s=None, down_to_bytes=25)
    assert garbage.entries == (kept[0].name, kept[1].name)
    assert garbage.files == (file_name("f0"), file_name("f1"))
    assert garbage.bytes == 22
    nothing = find_garbage(kept, objects, now=9.0, older_than_s=None, down_to_bytes=44)
    assert nothing.entries == nothing.files == ()


def test_a_file_without_an_entry_may_be_on_its_way_for_a_day() -> None:
    objects = listed(loose=10)
    assert find_garbage([], objects, now=DAY - 1, older_than_s=None, down_to_bytes=0).files == ()
    found = find_garbage([], objects, now=DAY + 1, older_than_s=None, down_to_bytes=None)
    assert found.files == (file_name("loose"),)


def test_the_commands_tell_and_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Side(tmp_path)
    monkeypatch.setenv("HEFSMITH_CACHE", str(here.cache.root))
    entry = here.make()
    assert run(["cache", "verify"]) == 0
    file = here.cache.file(entry, entry.files[0])
    file.chmod(0o644)
    file.write_bytes(b"X" + file.read_bytes()[1:])
    assert run(["cache", "verify", "--json"]) == 6
    out = capsys.readouterr().out
    found = json.loads(out[out.index("{") :])
    assert found["damaged"][0]["key"] == entry.key
    assert run(["cache", "verify", "--repair"]) == 0
    assert here.cache.find(entry.key) is None
    (tmp_path / "share").mkdir()
    assert run(["cache", "gc", "--at", str(tmp_path / "share"), "--days", "0"]) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.jpg").write_bytes(b"dear")
    assert run(["cache", "gc", "--at", str(tmp_path / "other"), "--days", "0"]) == 2
    assert (tmp_path / "other" / "holiday.jpg").exists()
