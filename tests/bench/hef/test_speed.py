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
    from pathlib import Path

pytestmark = pytest.mark.bench
SIZE = 30 << 20
TURNS = 15


@pytest.fixture(params=["real/scrfd_2.5g.hef", "real/face_rec_api__arcface_mobilefacenet.hef"])
def padded(request: pytest.FixtureRequest, shared_hefs: Path, tmp_path: Path) -> Path:
    """A real file whose weights were stretched to 30 MB, with right sizes and hashes."""
    data = bytearray((shared_hefs / request.param).read_bytes())
    version, size = struct.unpack_from(">I", data, 4)[0], 56
    if version == 2:
        size = 44
    data += bytes(range(256)) * ((SIZE - len(data)) // 256)
    extra = len(data) - (shared_hefs / request.param).stat().st_size
    (ccws,) = struct.unpack_from(">Q", data, 20)
    struct.pack_into(">Q", data, 20, ccws + extra)
    struct.pack_into(">Q", data, 12, xxhash.xxh3_64_intdigest(memoryview(data)[size:]))
    path = tmp_path / "padded.hef"
    path.write_bytes(data)
    return path


def test_verifying_costs_at_most_a_third_more_than_reading_and_hashing(padded: Path) -> None:
    def plain() -> None:
        with padded.open("rb") as file:
            xxhash.xxh3_64_intdigest(file.read())

    hef = read_hef(padded)
    assert all(check.ok is not False for check in hef.checks)
    assert hef.size > 29 << 20
    floor, ours, metadata = fastest(
        TURNS, plain, lambda: read_hef(padded), lambda: read_hef(padded, verify=False)
    )
    print(f"\nplain read and XXH3 {floor * 1e3:.1f} ms, verify {ours * 1e3:.1f} ms")
    # Metadata costs the same for files of any size: a quarter of the time on a quick machine.
    assert ours - metadata <= 1.3 * floor


def test_verifying_crc32_costs_at_most_a_third_more_than_reading_and_zlib(
    shared_hefs: Path, tmp_path: Path
) -> None:
    data = bytearray((shared_hefs / "real/Hailo_Testing__fast_depth.hef").read_bytes())
    body = data[28:] + bytes(range(256)) * ((SIZE - len(data)) // 256)
    (size,) = struct.unpack_from(">I", data, 8)
    head = bytes(data[:12]) + struct.pack(">IQI", zlib.crc32(body), len(body) - size, 0)
    path = tmp_path / "padded.hef"
    path.write_bytes(head + body)

    def plain() -> None:
        with path.open("rb") as file:
            zlib.crc32(file.read())

    assert read_hef(path).header.version == 1
    floor, ours, metadata = fastest(
        TURNS, plain, lambda: read_hef(path), lambda: read_hef(path, verify=False)
    )
    print(f"\nplain read and CRC32 {floor * 1e3:.1f} ms, verify {ours * 1e3:.1f} ms")
    assert ours - metadata <= 1.3 * floor


def test_metadata_without_verification_takes_less_than_30_ms(padded: Path) -> None:
    (quick,) = fastest(TURNS, lambda: read_hef(padded, verify=False))
    print(f"\nmetadata without verification {quick * 1e3:.1f} ms")
    assert quick < 0.030
