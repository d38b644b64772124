"""What the binding answered on a device becomes rows; a device that fails still gets a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.device.base import JobResult
from orchestrator.device.contact import ask_binding, judge
from orchestrator.errors import DeviceError

GOOD = (
    {"event": "answer", "check": "numpy", "found": "2.2.1"},
    {"event": "answer", "check": "opened", "found": ""},
    {"event": "answer", "check": "read-only", "found": "refused: ValueError: not writeable"},
    {"event": "answer", "check": "eight-bytes", "found": "HailoRTException: 2"},
    {"event": "done"},
)


def rows(*events: dict[str, Any], log: str = "", code: int = 0) -> dict[str, tuple[str, str]]:
    done = JobResult(code=code, events=events, log=log, files={}, seconds=1.0)
    return {row.check: (row.state, row.found) for row in judge(done)}


@pytest.mark.parametrize(
    ("log", "state", "words"),
    [
        ("Input buffer size 8 is different than expected 3072", "ok", "has 8"),
        ("Input buffer size 0 is different than expected 3072", "error", "has 0"),
        ("frame size 3072, passed size - 0", "error", "has 0"),
        ("something else", "ok", "no word"),
    ],
)
def test_the_bytes_that_the_library_saw_decide(log: str, state: str, words: str) -> None:
    found = rows(*GOOD, log=log)["numpy and the binding"]
    assert found[0] == state
    assert words in found[1]


@pytest.mark.parametrize(
    ("code", "events", "state"),
    [(0, GOOD, "ok"), (-11, GOOD, "warning"), (139, GOOD, "warning"), (-11, GOOD[:-1], "error")],
)
def test_what_was_announced_counts_whatever_the_exit(
    code: int, events: tuple[dict[str, Any], ...], state: str
) -> None:
    assert rows(*events, code=code)["end of the program"][0] == state


def test_what_was_not_reached_is_not_asked_and_says_why() -> None:
    failed = {"event": "failed", "message": "HailoRTException: error: 16"}
    found = rows(GOOD[0], failed, code=1)
    assert set(found.values()) == {("not asked", "HailoRTException: error: 16")}
    # 4.17 has no InferModel: there is nothing to ask, and nothing wrong.
    assert rows(*GOOD[:2], GOOD[-1])["read-only arrays"] == ("not asked", "")


def test_a_probe_that_hangs_ends_in_rows() -> None:
    class Hangs:
        def run_job(self, *_words: object, timeout: float, **_more: object) -> JobResult:
            assert timeout <= 60
            msg = "pi5: contact.py ran past its limit of 60 s"
            raise DeviceError(msg)

    found = {row.check: row for row in ask_binding(Hangs(), Path("x.hef"))}  # type: ignore[arg-type]
    assert found["end of the program"].state == "error"
    assert "limit of 60 s" in found["end of the program"].found
    assert found["read-only arrays"].state == "not asked"
