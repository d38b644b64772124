"""How fast the reader is, measured against the least that must be done, in the same run."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import pytest
import xxhash

from orchestrator.hef import read_hef
from tests.bench.turns import fastest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.bench
SIZE = 30 << 20
TURNS = 15


REAL = ["real/scrfd_2.5g.hef", "real/face_rec_api__arcface_mobilefacenet.hef"]


@pytest.fixture(params=REAL)
def short(request: pytest.FixtureRequest, shared_hefs: Path) -> Path:
    """A real file of some MB."""
    return shared_hefs / request.param


@pytest.fixture
def padded(short: Path, tmp_path: Path) -> Path:
    """The file whose weights were stretched to 30 MB, with right sizes and hashes."""
    data = bytearray(short.read_bytes())
    version, size = struct.unpack_from(">I", data, 4)[0], 56
    if version == 2:
        size = 44
    extra = SIZE - len(data) & ~0xFF
    data += bytes(range(256)) * (extra // 256)
    (ccws,) = struct.unpack_from(">Q", data, 20)
    struct.pack_into(">Q", data, 20, ccws + extra)
    struct.pack_into(">Q", data, 12, xxhash.xxh3_64_intdigest(memoryview(data)[size:]))
    path = tmp_path / "padded.hef"
    path.write_bytes(data)
    return path


def compare(name: str, plain: Callable[[Path], object], short: Path, padded: Path) -> None:
    """Let what verifying adds for each further byte be at most a third above ``plain``.

    What the metadata takes, which are judged as well, is the same however long the weights are.
    """
    assert padded.stat().st_size > 29 << 20
    assert all(check.ok is not False for check in read_hef(padded).checks)
    floor, floor_short, ours, ours_short = fastest(
        TURNS,
        lambda: plain(padded),
        lambda: plain(short),
        lambda: read_hef(padded),
        lambda: read_hef(short),
    )
    print(
        f"\n{name} {floor * 1e3:.1f} ms (short {floor_short * 1e3:.1f}), "
        f"verify {ours * 1e3:.1f} ms (short {ours_short * 1e3:.1f})"
    )
    assert ours - ours_short <= 1.3 * (floor - floor_short)


def test_verifying_costs_at_most_a_third_more_than_reading_and_hashing(
    short: Path, padded: Path
) -> None:
    compare(
        "read and XXH3", lambda path: xxhash.xxh3_64_intdigest(path.read_bytes()), short, padded
    )


def test_verifying_crc32_costs_at_most_a_third_more_than_reading_and_zlib(
    shared_hefs: Path, tmp_path: Path
) -> None:
    short = shared_hefs / "real/Hailo_Testing__fast_depth.hef"
    data = bytearray(short.read_bytes())
    body = data[28:] + bytes(range(256)) * ((SIZE - len(data)) // 256)
    (size,) = struct.unpack_from(">I", data, 8)
    head = bytes(data[:12]) + struct.pack(">IQI", zlib.crc32(body), len(body) - size, 0)
    path = tmp_path / "padded.hef"
    path.write_bytes(head + body)
    assert read_hef(path).header.version == 1
    compare("read and CRC32", lambda path: zlib.crc32(path.read_bytes()), short, path)


def test_metadata_takes_less_than_30_ms_without_verification(padded: Path) -> None:
    (quick,) = fastest(TURNS, lambda: read_hef(padded, verify=False))
    print(f"\nmetadata without verification {quick * 1e3:.1f} ms")
    assert quick < 0.030


def test_a_short_file_takes_less_than_30_ms_with_verification(short: Path) -> None:
    (whole,) = fastest(TURNS, lambda: read_hef(short))
    print(f"\nshort file, verified {whole * 1e3:.1f} ms")
    assert whole < 0.030
