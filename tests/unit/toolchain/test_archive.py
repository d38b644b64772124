"""Downloads as users have them: whole, cut off, damaged, or something else altogether."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, EngineError
from orchestrator.toolchain import archive as archives
from orchestrator.toolchain.archive import BrokenArchiveError
from orchestrator.toolchain.importer import Meter, Step, check_space, find_wheels

STEM = "hailo8_ai_sw_suite_2025-10"


def image_tar(size: int = 50_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (
            ("manifest.json", b"[]"),
            ("layer.tar", random.Random(1).randbytes(size)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def vendor_zip(folder: Path, data: bytes | None = None, *, stored: bool = True) -> Path:
    path = folder / f"{STEM}_docker.zip"
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("hailo_ai_sw_suite_docker_run.sh", "#!/bin/bash\n")
        archive.writestr(f"{STEM}.tar.gz", data if data is not None else gzip.compress(image_tar()))
    return path


@pytest.mark.parametrize("stored", [True, False])
def test_the_archive_inside_the_zip_is_streamed_byte_for_byte(tmp_path: Path, stored: bool) -> None:
    data = gzip.compress(image_tar())
    archive = archives.look_at(vendor_zip(tmp_path, data, stored=stored))
    assert archive.member == f"{STEM}.tar.gz"
    assert archive.packing == "gzip"
    assert archive.size == len(data)
    archives.verify(archive, lambda _: None)
    assert b"".join(archives.blocks(archive)) == data
    assert [one.name for one in tmp_path.iterdir()] == [f"{STEM}_docker.zip"], "nothing is unpacked"


def test_a_tar_and_a_packed_tar_are_known_by_their_bytes_not_their_names(tmp_path: Path) -> None:
    plain, packed = tmp_path / "suite.bin", tmp_path / "suite.zip"
    plain.write_bytes(image_tar())
    packed.write_bytes(gzip.compress(image_tar()))
    assert archives.look_at(plain).packing == "none"
    assert archives.look_at(packed).packing == "gzip"
    assert archives.look_at(packed).member is None


def test_a_flipped_byte_in_the_zip_is_found_before_anything_is_loaded(tmp_path: Path) -> None:
    path = vendor_zip(tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"\x1f\x8b") + 5000
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    archive = archives.look_at(path)
    with pytest.raises(BrokenArchiveError, match="damaged") as caught:
        archives.verify(archive, lambda _: None)
    assert caught.value.exit_code == 6
    assert "checksum" in str(caught.value.hint)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.999])
def test_a_zip_that_was_cut_off_is_an_error_at_once(tmp_path: Path, keep: float) -> None:
    path = vendor_zip(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(BrokenArchiveError):
        archives.verify(archives.look_at(path), lambda _: None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html><body>Please log in</body></html>" * 20, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n" * 9, "pointer"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "zstd"),
        (b"\x08\x0eproto" + bytes(1000), "no tar"),
        (b"", "too short"),
        (b"PK\x05\x06" + bytes(18), "empty"),
        (b"\x1f\x8b" + b"\xff" * 600, "cannot be unpacked"),
        (gzip.compress(b"just text, no tar at all" * 100, mtime=0), "no tar"),
    ],
)
def test_other_files_are_told_what_they_are(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / f"{STEM}.tar.gz"
    path.write_bytes(data)
    with pytest.raises(BrokenArchiveError, match=words):
        archives.look_at(path)


def test_of_several_archives_in_a_zip_none_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "both.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hailo8_suite.tar.gz", gzip.compress(image_tar()))
        archive.writestr("hailo10_suite.tar.gz", gzip.compress(image_tar() + bytes(512)))
    with pytest.raises(
        BrokenArchiveError, match=r"several .*hailo8_suite.tar.gz, hailo10_suite.tar.gz"
    ):
        archives.look_at(path)


def test_a_zip_without_an_archive_lists_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme\x1b[31m.txt", "x")
    with pytest.raises(BrokenArchiveError, match=r"holds: readme\\x1b"):
        archives.look_at(path)


def test_a_missing_file_and_a_folder_are_configuration_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(ConfigError):
            archives.look_at(path)


@pytest.mark.slow
def test_a_large_archive_passes_through_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "big.tar"
    head = image_tar()
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(400 << 20)
    archive = archives.look_at(path)
    tracemalloc.start()
    total = sum(len(block) for block in archives.blocks(archive))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 400 << 20
    assert peak < 16 << 20


def test_too_little_space_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    archive = archives.Archive(tmp_path / "x.zip", "x.tar.gz", "gzip", 8_500_000_000)
    check_space(archive, None)
    check_space(archive, 40_000_000_000)
    with pytest.raises(EngineError, match=r"34\.0 GB.*12\.0 GB") as caught:
        check_space(archive, 12_000_000_000)
    assert caught.value.exit_code == 3


def test_the_meter_tells_rate_and_time_left() -> None:
    now = [0.0]
    steps: list[Step] = []
    meter = Meter("loading", 1000, steps.append, lambda: now[0])
    for done in range(100, 1001, 100):
        now[0] += 1.0
        meter(done)
    assert steps[-1].done == 1000
    assert steps[4].rate == pytest.approx(100, rel=0.01)
    assert steps[4].left == pytest.approx(5, rel=0.05)


def test_wheels_need_exactly_one_compiler(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no hailo_dataflow_compiler"):
        find_wheels(tmp_path)
    (tmp_path / "hailo_dataflow_compiler-3.33.0-py3-none-linux_x86_64.whl").touch()
    (tmp_path / "hailort-4.23.0-cp310-cp310-linux_x86_64.whl").touch()
    (tmp_path / "numpy-1.26.4-cp310-cp310-manylinux_2_17_x86_64.whl").touch()
    wheels = find_wheels(tmp_path)
    assert wheels.versions == {"hailo_dataflow_compiler": "3.33.0", "hailort": "4.23.0"}
    assert len(wheels.paths) == 3
    (tmp_path / "hailo_dataflow_compiler-3.31.0-py3-none-linux_x86_64.whl").touch()
    with pytest.raises(ConfigError, match="more than one"):
        find_wheels(tmp_path)
    with pytest.raises(ConfigError, match="not a folder"):
        find_wheels(tmp_path / "none")


def test_renamed_nested_and_cut_up_downloads_are_told_apart(tmp_path: Path) -> None:
    data = image_tar()
    renamed = tmp_path / "renamed.zip"
    with zipfile.ZipFile(renamed, "w") as archive:
        archive.writestr("README", "x")
        archive.writestr("suite", data)
    assert archives.look_at(renamed).member == "suite"
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(vendor_zip(tmp_path), "inner.zip")
    with pytest.raises(BrokenArchiveError, match="another zip inside") as caught:
        archives.look_at(outer)
    assert "import the inner one" in str(caught.value.hint)
    part = tmp_path / "suite.zip.001"
    part.write_bytes(outer.read_bytes()[:2000])
    with pytest.raises(BrokenArchiveError) as caught:
        archives.look_at(part)
    assert "one part of several" in str(caught.value.hint)


def test_wheels_for_the_pi_are_left_out_and_a_compiler_for_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hailort-4.22.0-cp311-cp311-linux_aarch64.whl").touch()
    (tmp_path / "six-1.0-py2.py3-none-any.whl").touch()
    (tmp_path / "numpy-1.26-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl").touch()
    compiler = tmp_path / "hailo_dataflow_compiler-3.32.0-py3-none-linux_x86_64.whl"
    compiler.touch()
    found = find_wheels(tmp_path)
    assert len(found.paths) == 3
    assert "hailort" not in found.versions
    compiler.rename(tmp_path / compiler.name.replace("x86_64", "aarch64"))
    with pytest.raises(ConfigError, match="not for Linux on x86-64"):
        find_wheels(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """``hef toolchain import <(curl ...)`` hung: a download is read more than once."""
    os.mkfifo(tmp_path / "suite.zip")
    with pytest.raises(ConfigError, match="a pipe, not a regular file"):
        archives.look_at(tmp_path / "suite.zip")
