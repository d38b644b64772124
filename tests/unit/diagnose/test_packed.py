"""Rotated logs are packed by gzip; what can be unpacked is read."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

from orchestrator.diagnose import explain

if TYPE_CHECKING:
    import pytest

TEXT = b"one\nHAILO_OUT_OF_PHYSICAL_DEVICES\n" + b"a line of it\n" * 5000


def read(data: bytes) -> list[str]:
    return list(explain.lines_of(io.BytesIO(data)))


def test_a_packed_log_is_read_as_the_plain_one() -> None:
    assert read(gzip.compress(TEXT)) == read(TEXT)
    # logrotate and cat put several behind each other.
    assert read(gzip.compress(TEXT) + gzip.compress(TEXT)) == 2 * read(TEXT)


def test_a_cut_one_is_read_as_far_as_it_goes() -> None:
    assert read(gzip.compress(TEXT)[:-12])[:2] == ["one", "HAILO_OUT_OF_PHYSICAL_DEVICES"]
    assert read(b"\x1f\x8bno gzip at all") == []


def test_a_bomb_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "LOG_LIMIT", 1 << 20)
    lines = read(gzip.compress(b"0123456789abcde\n" * (1 << 20)))
    assert len(lines) <= (1 << 16) + 1
