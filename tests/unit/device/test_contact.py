"""What the binding answered on a device becomes rows; a device that fails still gets a table."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.cli.device_check import _known, look
from orchestrator.contact_report import public
from orchestrator.device.base import DeviceSpec, JobResult
from orchestrator.device.contact import ask_binding, judge
from orchestrator.device.identity import read_identity
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_device import CHECKS, DeviceFacts
from orchestrator.errors import DeviceError

from .recorded import binding, facts

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


def test_where_an_environment_lies_is_not_in_a_report_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = "/opt/secret-project/env/lib/python3.11/site-packages/hailo_platform/__init__.py"
    raw = facts("4.23.0", commands={"binding": binding(binding="4.20.0", file=place)})
    identity = read_identity(raw, host_time=raw.time)
    seen = DeviceFacts("pi5", identity, raw)

    class Pool:
        def connect(self, *_: object, **__: object) -> object:
            session = SimpleNamespace(identify=lambda: identity)
            return nullcontext(session)

    monkeypatch.setattr("orchestrator.pipeline.device_pool.open_pool", Pool)
    monkeypatch.setattr(
        "orchestrator.cli.doctor.device_results", lambda _name: run_checks(CHECKS, seen)
    )
    monkeypatch.setattr(
        "orchestrator.cli.devices.choose_device", lambda _name: DeviceSpec(name="pi5", host="h")
    )
    report = public(look("pi5", run=False))
    assert "binding 4.20.0" in str(report)
    assert "secret-project" not in str(report)


def test_a_numpy_that_is_missing_is_not_a_device_that_says_nothing() -> None:
    lost = {"python": "3.11.2", "numpy": None, "numpy_error": "No module named 'numpy'"}
    told = {
        name: {row.check: row.found for row in _known([], read_identity(facts(commands=commands)))}
        for name, commands in {
            "lost": {"binding": binding(**lost)},
            "mute": {"binding": None},
        }.items()
    }
    assert told["lost"]["numpy"] == "Python there does not load it, and the binding needs it"
    assert told["mute"]["numpy"] == "the device did not say"
