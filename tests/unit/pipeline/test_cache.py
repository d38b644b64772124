"""The cache: published whole, checked when used, damaged entries are absent ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.pipeline.digests import DigestMemory, digest_of, sha256_file

KEY = digest_of("key")


def make_entry(work: Path, content: bytes = b"onnx") -> CacheEntry:
    work.mkdir(exist_ok=True)
    file = work / "model.onnx"
    file.write_bytes(content)
    record = CachedFile("onnx", "model.onnx", sha256_file(file), len(content))
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
from orchestrator.pipeline.digests import sha256_file
root, work, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
work.mkdir()
(work / "model.onnx").write_bytes(b"onnx")
file = CachedFile("onnx", "model.onnx", sha256_file(work / "model.onnx"), 4)
StageCache(root).publish(CacheEntry(key=key, stage="export", files=(file,)), work)
"""


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
