"""The outside of a file: lengths, checksums, and files that are something else."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.hef import (
    HefCorruptError,
    HefError,
    HefTruncatedError,
    HefUnreadableError,
    HefVersionError,
    NotAHefError,
    examine_hef,
    read_hef,
    read_resource,
)
from tests.unit.hef.building import legacy, pack

if TYPE_CHECKING:
    from pathlib import Path

PROTO = legacy()[0].SerializeToString()
FILES = {
    "v0": pack(PROTO, 0),
    "v1": pack(PROTO, 1, b"weights!" * 9),
    "v2": pack(PROTO, 2, b"weights!" * 9),
    "v3": pack(PROTO, 3, b"weights!" * 9, padding=100, additional=b"more"),
    "v3 without proto hash": pack(PROTO, 3, b"weights!" * 9, padding=100, proto_hash=False),
}
SUMS = {"v0": "md5", "v1": "crc32", "v2": "xxh3_64"}


@pytest.mark.parametrize("name", FILES)
def test_every_header_version_is_read_and_verified(name: str) -> None:
    hef = read_hef(FILES[name])
    assert all(check.ok is not False for check in hef.checks)
    assert [check.name for check in hef.checks if check.ok] == ["length", *_sum_names(name)]
    assert hef.header.version == int(name[1])
    assert hef.group().inputs[0].name == "net/in"
    assert sum(hef.sections.values()) == hef.size == len(FILES[name])


def _sum_names(name: str) -> list[str]:
    if name == "v3":
        return ["proto_xxh3_64", "xxh3_64"]
    return [SUMS.get(name, "xxh3_64")]


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_any_flipped_bit_after_the_header_is_detected(name: str, data: st.DataObject) -> None:
    file = bytearray(FILES[name])
    size = read_hef(bytes(file)).header.size
    place = data.draw(st.integers(size, len(file) - 1))
    file[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(HefCorruptError) as caught:
        read_hef(bytes(file))
    assert caught.value.code in ("hef.md5", "hef.crc32", "hef.xxh3-64", "hef.proto-xxh3-64")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_any_cut_is_told_with_the_bytes_that_are_missing(name: str, data: st.DataObject) -> None:
    file = FILES[name]
    size = read_hef(file).header.size
    kept = data.draw(st.integers(size, len(file) - 1))
    with pytest.raises(HefTruncatedError) as caught:
        read_hef(file[:kept], verify=False)
    assert caught.value.missing == len(file) - kept
    assert str(len(file) - kept) in caught.value.message


def test_a_failed_check_says_expected_found_and_offset() -> None:
    file = bytearray(FILES["v3"])
    file[-1] ^= 1
    examination = examine_hef(bytes(file))
    (check,) = [check for check in examination.checks if not check.ok]
    assert (check.name, check.offset, check.vendor) == ("xxh3_64", 56, False)
    assert len(check.expected) == len(check.found) == 16
    assert check.expected != check.found
    # HailoRT looks at the metadata only, so it opens this file
    assert examination.vendor_status == 0
    assert examination.problems[0].status == 0
    assert check.expected in examination.problems[0].message


@pytest.mark.parametrize(
    ("name", "cut", "status"),
    [("v2", 40, 91), ("v3", 40, 0), ("v3", 300, 14), ("v3 without proto hash", 40, 91)],
)
def test_truncation_has_the_status_of_hailort(name: str, cut: int, status: int) -> None:
    assert examine_hef(FILES[name][:-cut]).vendor_status == status


def test_bytes_after_the_end_are_too_many() -> None:
    with pytest.raises(HefCorruptError, match="3 bytes too many") as caught:
        read_hef(FILES["v2"] + b"abc")
    assert (caught.value.code, caught.value.status) == ("hef.length", 91)
    assert caught.value.offset == len(FILES["v2"])


def test_sizes_that_wrap_round_do_not_fool_the_length_check() -> None:
    file = bytearray(FILES["v2"])
    struct.pack_into(">Q", file, 20, 2**64 - 1)
    with pytest.raises(HefTruncatedError):
        read_hef(bytes(file))


def test_a_size_that_no_file_has_is_told_as_a_damaged_header(tmp_path: Path) -> None:
    path = tmp_path / "text.hef"
    path.write_bytes(FILES["v2"].decode("latin-1").encode())
    with pytest.raises(HefTruncatedError, match=r"^text.hef: .* no file has") as caught:
        read_hef(path)
    assert caught.value.hint is not None
    assert "header was damaged" in caught.value.hint


@pytest.mark.parametrize("proto_hash", [0, 7])
def test_sizes_that_wrap_to_the_right_sum_are_told_too(proto_hash: int) -> None:
    proto_size = 1000
    body = bytes(10)
    rest = struct.pack(">QQIQQQ", 0, (10 - proto_size) % 2**64, 0, 0, proto_hash, 0)
    file = b"\x01HEF" + struct.pack(">II", 3, proto_size) + rest + body
    for verify in (False, True):
        with pytest.raises(HefTruncatedError):
            read_hef(file, verify=verify)
    with pytest.raises(HefTruncatedError):
        read_resource(file, "any")
    assert examine_hef(file).vendor_status == (14 if proto_hash else 91)


def test_padding_larger_than_its_section_is_refused() -> None:
    file = bytearray(pack(PROTO, 3, b"", padding=4))
    struct.pack_into(">I", file, 28, 5)
    with pytest.raises(HefCorruptError, match="padding"):
        read_hef(bytes(file))


@pytest.mark.parametrize("size", range(1, 44))
def test_a_cut_header_is_status_14(size: int) -> None:
    with pytest.raises(HefTruncatedError) as caught:
        read_hef(FILES["v2"][:size])
    assert caught.value.status == 14


@pytest.mark.parametrize("version", [4, 5, 0x01000000, 0xFFFFFFFF])
def test_an_unknown_header_version_is_status_92(version: int) -> None:
    file = bytearray(FILES["v2"])
    struct.pack_into(">I", file, 4, version)
    with pytest.raises(HefVersionError, match=str(version)) as caught:
        read_hef(bytes(file))
    assert caught.value.status == 92


def test_a_wrong_magic_is_no_hef_but_hailort_ignores_it_beside_a_metadata_hash() -> None:
    for name, status in (("v0", 92), ("v1", 92), ("v2", 92), ("v3 without proto hash", 92)):
        with pytest.raises(NotAHefError) as caught:
            read_hef(b"\x02" + FILES[name][1:])
        assert caught.value.status == status
        # the length fits, so the rest is shown all the same
        examination = examine_hef(b"\x02" + FILES[name][1:])
        assert examination.vendor_status == 92
        assert examination.hef is not None
        assert examine_hef(b"\x02" + FILES[name][1:] + b"x").hef is None
    examination = examine_hef(b"\x02" + FILES["v3"][1:])
    assert examination.vendor_status == 0
    assert [problem.code for problem in examination.problems] == ["hef.magic"]


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 9876543\n"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (LFS, "Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
        (b"\n\n  <html>", "web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b"PK\x03\x04" + bytes(40), "zip"),
        (b"\x1f\x8b\x08" + bytes(40), "gzip"),
        (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0" + bytes(40), "ONNX"),
        (b"\x7fELF" + bytes(60), "ELF"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
        (bytes(4096), "zero bytes"),
        (b'{"message": "not found"}', "JSON"),
        (b"404: Not Found", "text"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(60), "TensorFlow Lite"),
        (b"\xef\xbb\xbf" + FILES["v2"], "took for text"),
    ],
)
def test_other_files_under_the_name_of_a_hef_are_named(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "model.hef"
    path.write_bytes(content)
    with pytest.raises(NotAHefError, match=said) as caught:
        read_hef(path)
    assert caught.value.status in (14, 92)
    assert int(caught.value.exit_code) == 6


def test_what_is_no_plain_file_is_unreadable_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.hef")
    for path in (tmp_path, tmp_path / "absent.hef", tmp_path / "pipe.hef", tmp_path / "a\0b"):
        with pytest.raises(HefUnreadableError):
            read_hef(path)
        with pytest.raises(HefUnreadableError):
            examine_hef(path)


def test_names_from_the_file_cannot_reach_the_terminal_as_they_are() -> None:
    message, group = legacy("net")
    group.contexts[0].metadata.layers[0].info.name = "\x1b[2Jgone\n" * 20
    with pytest.raises(HefError) as caught:
        read_hef(pack(message.SerializeToString()))
    assert caught.value.message.isprintable()
    assert "\\x1b[2Jgone\\n" in caught.value.message


def test_a_file_is_read_like_its_bytes(tmp_path: Path) -> None:
    for name, data in FILES.items():
        path = tmp_path / f"{name}.hef"
        path.write_bytes(data)
        from_file, from_bytes = examine_hef(path), examine_hef(data)
        assert from_file.hef is not None
        assert from_bytes.hef is not None
        assert from_file.hef.network_groups == from_bytes.hef.network_groups
        assert from_file.checks == from_bytes.checks
