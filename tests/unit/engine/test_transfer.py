"""Tar streams out and in: exact, lazy, and deaf to hostile content."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.base import EngineLostError, Input, Progress
from orchestrator.engine.results import safe_place, sweep, unpack
from orchestrator.engine.transfer import digest_tree, list_tree, pack, stage_links
from orchestrator.errors import EngineError


def chop(data: bytes, seed: int = 1) -> list[bytes]:
    """Cut a stream into pieces of any size, as a network does."""
    rng = random.Random(seed)
    pieces, at = [], 0
    while at < len(data):
        step = rng.choice([1, 7, 511, 512, 513, 4096, 100_000])
        pieces.append(data[at : at + step])
        at += step
    return pieces


def tree(root: Path) -> Path:
    top = root / "calib"
    (top / "deep/er").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a").write_bytes(b"1" * 511)
    (top / "b").write_bytes(b"2" * 512)
    (top / "deep/c").write_bytes(os.urandom(3_000_001))
    (top / "deep/er" / ("ü" * 100)).write_bytes(b"")
    (top / "run.sh").write_text("x")
    (top / "run.sh").chmod(0o755)
    return top


def test_what_is_packed_comes_out_the_same(tmp_path: Path) -> None:
    source = tree(tmp_path)
    news: list[Progress] = []
    stream = b"".join(pack(list_tree(source, prefix="."), uid=12, gid=34, report=news.append))
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        members = tar.getmembers()
        assert {(one.uid, one.gid, one.mtime) for one in members} == {(12, 34, 0)}
        assert {oct(one.mode) for one in members} == {"0o755", "0o644"}
    target = tmp_path / "out"
    names = unpack(iter(chop(stream)), target)
    assert "deep/c" in names
    assert digest_tree(target) == digest_tree(source)
    assert (target / "empty").is_dir()
    assert news[-1].done == news[-1].total == 511 + 512 + 3_000_001 + 1


def test_the_digest_knows_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "1"), tree(tmp_path / "2")
    (two / "deep/c").write_bytes((one / "deep/c").read_bytes())
    os.utime(two / "a", (1, 1))
    (two / "b").chmod(0o600)
    assert digest_tree(one) == digest_tree(two)
    (two / "a").rename(two / "a2")
    assert digest_tree(one) != digest_tree(two)
    (two / "a2").rename(two / "a")
    (two / "empty").rmdir()
    assert digest_tree(one) != digest_tree(two)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    (tmp_path / "elsewhere").write_text("content")
    (top / "link").symlink_to(tmp_path / "elsewhere")
    assert [one.size for one in list_tree(top) if not one.folder] == [7]
    (top / "round").symlink_to(top)
    with pytest.raises(EngineError, match="link to a folder that holds it"):
        list_tree(top)
    (top / "round").unlink()
    (top / "broken").symlink_to("nowhere")
    with pytest.raises(EngineError, match="cannot read"):
        list_tree(top)
    (top / "broken").unlink()
    os.mkfifo(top / "pipe")
    with pytest.raises(EngineError, match="neither a file nor a folder"):
        list_tree(top)


def test_a_set_with_bad_entries_is_handed_over_without_them(tmp_path: Path) -> None:
    top = tmp_path / "set"
    top.mkdir()
    (top / "good.png").write_bytes(b"picture")
    (top / "broken.png").symlink_to("nowhere")
    (top / "circle").symlink_to(".")
    os.mkfifo(top / "pipe.png")
    listed = {entry.name: entry.size for entry in list_tree(top, lenient=True)}
    assert listed == {
        "set": 0,
        "set/broken.png": 0,
        "set/circle": 0,
        "set/good.png": 7,
        "set/pipe.png": 0,
    }
    (staged,) = stage_links((Input("set", top),), tmp_path / "staging")
    assert {one.name: one.read_bytes() for one in staged.path.iterdir()} == {
        "good.png": b"picture",
        "broken.png": b"",
        "circle": b"",
        "pipe.png": b"",
    }
    assert digest_tree(staged.path) == digest_tree(top)
    with pytest.raises(EngineError, match="cannot read"):
        list_tree(top / "broken.png", lenient=True)


def test_a_file_that_changes_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    for changed in (b"123", b"1234567"):
        entries = list_tree(path)
        path.write_bytes(changed)
        with pytest.raises(EngineError, match="changed while it was being sent"):
            list(pack(entries))
        path.write_bytes(b"12345")


def hostile() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            data = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        add("./good")
        add("./../../up")
        add("/" + "absolute")  # an absolute name inside the archive
        add("./back\\slash")
        add("./C:/drive")
        add("./link", tarfile.SYMTYPE, "/etc")
        add("./link/passwd")
        add("./hard", tarfile.LNKTYPE, "./good")
        add("./device", tarfile.CHRTYPE)
        add("./pipe", tarfile.FIFOTYPE)
        add("./.hefsmith-mark")
        add(".")
    return out.getvalue()  # fmt: skip


def test_only_plain_files_below_the_target_are_written(tmp_path: Path) -> None:
    target = tmp_path / "a" / "target"
    target.mkdir(parents=True)
    names = unpack(iter(chop(hostile())), target)
    assert set(names) == {"good", "link/passwd"}, "the link itself was not made"
    assert not (target / "link").is_symlink()
    everything = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert everything == {
        "a", "a/target", "a/target/good", "a/target/link", "a/target/link/passwd"
    }  # fmt: skip


def test_a_folder_that_became_a_link_does_not_lead_out(tmp_path: Path) -> None:
    target, outside = tmp_path / "t", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "link").symlink_to(outside)
    unpack(iter([hostile()]), target)
    assert list(outside.iterdir()) == []
    assert safe_place("./link/x", target) is None


@pytest.mark.parametrize("cut", [0, 100, 512, 700, 1024, 1536, 1_000_000, 3_006_000])
def test_a_stream_that_ends_early_is_a_lost_engine_and_leaves_no_half_file(
    tmp_path: Path, cut: int
) -> None:
    stream = b"".join(pack(list_tree(tree(tmp_path), prefix=".")))
    with pytest.raises(EngineLostError):
        unpack(iter([stream[:cut]]), tmp_path / "out")
    whole = {one.stat().st_size for one in (tmp_path / "out").rglob("*") if one.is_file()}
    assert whole <= {0, 1, 511, 512, 3_000_001}
    assert not list((tmp_path / "out").rglob("*.part"))


@given(st.binary(max_size=3000))
@settings(max_examples=60, deadline=None)
def test_noise_is_never_more_than_a_lost_engine(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EngineLostError):
        unpack(iter([data]), Path(folder) / "t")


def test_the_sweep_keeps_links_inside_and_removes_what_leads_out(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "inside").symlink_to("d/f")
    (tmp_path / "outside").symlink_to("/etc/passwd")
    (tmp_path / "d" / "up").symlink_to("..")
    os.mkfifo(tmp_path / "d" / "pipe")
    assert sorted(sweep(tmp_path)) == ["d/pipe", "d/up", "outside"]
    assert (tmp_path / "inside").read_text() == "x"
