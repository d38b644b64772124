"""The cache: published whole, checked when used, damaged entries are absent ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.pipeline.digests import DigestMemory, digest_of

KEY = digest_of("key")


def make_entry(work: Path, content: bytes = b"onnx") -> CacheEntry:
    work.mkdir(exist_ok=True)
    file = work / "model.onnx"
    file.write_bytes(content)
    record = CachedFile("onnx", "model.onnx", sha256_of(file), len(content))
    return CacheEntry(key=KEY, stage="export", files=(record,), result={"opset": 13})


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache")


@pytest.fixture
def memory(tmp_path: Path) -> DigestMemory:
    return DigestMemory(tmp_path / "digests.json")


def test_what_was_published_comes_back(
    cache: StageCache, memory: DigestMemory, tmp_path: Path
) -> None:
    cache.publish(make_entry(tmp_path / "work"), tmp_path / "work")
    found = cache.find(KEY)
    assert found is not None
    assert found.result == {"opset": 13}
    assert cache.restore(found, tmp_path / "other", memory)
    assert (tmp_path / "other" / "model.onnx").read_bytes() == b"onnx"


def test_an_entry_that_lost_bytes_is_absent(cache: StageCache, tmp_path: Path) -> None:
    cache.publish(make_entry(tmp_path / "work"), tmp_path / "work")
    stored = next(cache.root.rglob("model.onnx"))
    stored.write_bytes(b"on")
    assert cache.find(KEY) is None
    assert cache.damaged(KEY)


def test_a_flipped_byte_is_found_when_the_entry_is_used(
    cache: StageCache, memory: DigestMemory, tmp_path: Path
) -> None:
    cache.publish(make_entry(tmp_path / "work"), tmp_path / "work")
    next(cache.root.rglob("model.onnx")).write_bytes(b"onnY")
    found = cache.find(KEY)
    assert found is not None
    assert not cache.restore(found, tmp_path / "other", memory)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "null"])
def test_a_damaged_manifest_is_an_absent_entry(
    cache: StageCache, tmp_path: Path, text: str
) -> None:
    cache.publish(make_entry(tmp_path / "work"), tmp_path / "work")
    next(cache.root.rglob("entry.json")).write_text(text, encoding="utf-8")
    assert cache.find(KEY) is None


def test_a_published_build_file_may_be_edited_without_harm(
    cache: StageCache, memory: DigestMemory, tmp_path: Path
) -> None:
    cache.publish(make_entry(tmp_path / "work"), tmp_path / "work")
    (tmp_path / "work" / "model.onnx").write_bytes(b"edited by the user")
    found = cache.find(KEY)
    assert found is not None
    assert cache.restore(found, tmp_path / "other", memory)


PUBLISH = """
import sys
from pathlib import Path
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.files import sha256_of
root, work, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
work.mkdir()
(work / "model.onnx").write_bytes(b"onnx")
file = CachedFile("onnx", "model.onnx", sha256_of(work / "model.onnx"), 4)
StageCache(root).publish(CacheEntry(key=key, stage="export", files=(file,)), work)
"""


@pytest.mark.slow
def test_processes_may_publish_the_same_key_at_once(cache: StageCache, tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(cache.root), str(tmp_path / f"w{index}"), KEY],
            cwd=tmp_path,
        )
        for index in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert cache.find(KEY) is not None


def test_collecting_refuses_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    precious = tmp_path / "stages" / "aa" / "bb"
    precious.mkdir(parents=True)
    with pytest.raises(ConfigError, match="not a cache of hefsmith"):
        StageCache(tmp_path).collect()
    assert precious.exists()


def test_collecting_by_size_drops_the_longest_unused(cache: StageCache, tmp_path: Path) -> None:
    import os

    for index in range(3):
        entry = make_entry(tmp_path / "work", b"x" * 1000)
        key = digest_of(index)
        cache.publish(CacheEntry(key=key, stage="export", files=entry.files), tmp_path / "work")
        folder = cache.root / "stages" / key[:2] / key
        os.utime(folder, (index, index))
    removed = cache.collect(down_to_bytes=2500)
    assert removed.entries >= 1
    assert cache.find(digest_of(0)) is None
    assert cache.find(digest_of(2)) is not None


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    import os

    file = tmp_path / "a"
    file.write_bytes(b"one")
    os.utime(file, ns=(10**18, 10**18))
    memory = DigestMemory(tmp_path / "digests.json")
    first = memory.file(file)
    memory.save()
    assert str(file) in json.loads((tmp_path / "digests.json").read_text())
    file.write_bytes(b"two")
    assert DigestMemory(tmp_path / "digests.json").file(file) != first


def test_a_tree_digest_knows_names_and_content_and_survives_loops(tmp_path: Path) -> None:
    memory = DigestMemory(tmp_path / "digests.json")
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "x.png").write_bytes(b"1")
    (tree / "loop").symlink_to(tree)
    before = memory.tree(tree)
    (tree / "a" / "x.png").rename(tree / "a" / "y.png")
    assert memory.tree(tree) != before


def test_a_cache_that_cannot_be_written_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = StageCache(tmp_path / "file" / "cache")
    with cache.lock("k" * 64):
        cache.note("mark")
    with pytest.raises(KeyError), cache.lock("k" * 64):
        raise KeyError
    assert not cache.noted("mark")


def aged(cache: StageCache, work: Path, ages: dict[str, float], size: int = 1000) -> dict[str, str]:
    """Publish entries that were last used so many seconds ago; return their keys by name."""
    import os
    import time

    now, keys = time.time(), {}
    for name, age in ages.items():
        entry = make_entry(work, b"x" * size)
        keys[name] = digest_of(name)
        cache.publish(CacheEntry(key=keys[name], stage="export", files=entry.files), work)
        folder = cache.root / "stages" / keys[name][:2] / keys[name]
        os.utime(folder, (now - age, now - age))
    return keys


def size_of(cache: StageCache) -> int:
    return sum(f.stat().st_size for f in (cache.root / "stages").rglob("*") if f.is_file())


def test_collecting_by_age_keeps_what_was_used_since(cache: StageCache, tmp_path: Path) -> None:
    keys = aged(cache, tmp_path / "work", {"old": 100.0, "young": 10.0})
    one = size_of(cache) // 2
    removed = cache.collect(older_than_s=50.0)
    assert (removed.entries, removed.bytes) == (1, one)
    assert cache.find(keys["old"]) is None
    assert cache.find(keys["young"]) is not None


def test_collecting_by_size_stops_as_soon_as_it_fits(cache: StageCache, tmp_path: Path) -> None:
    keys = aged(cache, tmp_path / "work", {"a": 300.0, "b": 200.0, "c": 100.0})
    third = size_of(cache) // 3
    assert cache.collect(down_to_bytes=3 * third).entries == 0, "it fits as it is"
    assert cache.collect(down_to_bytes=2 * third).entries == 1
    assert [name for name, key in keys.items() if cache.find(key) is not None] == ["b", "c"]
    assert cache.collect(down_to_bytes=0).entries == 2


def test_what_is_too_large_but_young_is_kept_where_an_age_is_given(
    cache: StageCache, tmp_path: Path
) -> None:
    keys = aged(cache, tmp_path / "work", {"old": 100.0, "young": 10.0})
    assert cache.collect(older_than_s=50.0, down_to_bytes=0).entries == 1
    assert cache.find(keys["young"]) is not None


def test_what_killed_writers_left_is_removed_after_a_day(cache: StageCache, tmp_path: Path) -> None:
    import os
    import time

    aged(cache, tmp_path / "work", {"kept": 0.0})
    shard = next((cache.root / "stages").iterdir())
    for name, age in (("old", 90_000), ("new", 80_000)):
        left = shard / f".{name}"
        left.mkdir()
        os.utime(left, (time.time() - age, time.time() - age))
    cache.collect(older_than_s=1e9)
    assert sorted(path.name for path in shard.glob(".*")) == [".new"]


def test_usage_counts_entries_bytes_and_the_longest_unused(
    cache: StageCache, tmp_path: Path
) -> None:
    import time

    assert (cache.usage().entries, cache.usage().bytes, cache.usage().oldest) == (0, 0, None)
    aged(cache, tmp_path / "work", {"a": 500.0, "b": 20.0})
    used = cache.usage()
    assert (used.entries, used.bytes) == (2, size_of(cache))
    assert used.oldest == pytest.approx(time.time() - 500.0, abs=60)
    assert StageCache(tmp_path / "absent").collect().entries == 0


def test_an_entry_comes_back_from_its_document_as_it_was(tmp_path: Path) -> None:
    from dataclasses import replace

    from orchestrator.pipeline.cache import entry_document, read_entry

    entry = replace(
        make_entry(tmp_path),
        findings=({"code": "x"},),
        ran={"level_run": 1},
        seconds=2.5,
        created=3.5,
        why={"stage": "export"},
    )
    document = json.loads(json.dumps(entry_document(entry)))
    assert read_entry(document) == entry
    assert set(document) == {
        "schema", "key", "stage", "files", "result", "findings", "ran", "seconds", "created", "why",
    }  # fmt: skip
    with pytest.raises(ValueError, match="another schema"):
        read_entry({**document, "schema": document["schema"] + 1})
