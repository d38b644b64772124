"""A Pi that lies or falls silent: every wait ends, memory stays small, one message says why."""

from __future__ import annotations

import _thread
import asyncio
import errno
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.cli.app import run
from orchestrator.device import agent_client, loop, session
from orchestrator.device.benchmark import run_benchmark
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import DeviceLacks, DeviceMisbehaves, DeviceSilent, LinkLost
from orchestrator.device.joblog import (
    HEAD_LINES,
    MOST_EVENTS,
    TAIL_LINES,
    JobLog,
    as_event,
    number_of,
    text_of,
    whole_of,
)
from orchestrator.device.replies import Line
from orchestrator.device.session import SshSession
from orchestrator.device.ship import look, rollback
from orchestrator.errors import DeviceError

from .hostile import DIGEST, HELLO, Liar, Lie, hostile_pi, resident_bytes

#: No test of this file may take longer, whatever the device does.
pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, sooner."""
    monkeypatch.setattr(agent_client, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(agent_client, "START_SECONDS", 1.0)
    monkeypatch.setattr(agent_client, "DRAIN_SECONDS", 1.0)
    monkeypatch.setattr(agent_client, "SLOWEST", 1 << 30)
    monkeypatch.setattr(agent_client, "PATIENCE", 1 / 60)  # PEEK: 1 s


@pytest.fixture
def own_pool() -> Iterator[ConnectionPool]:
    with ConnectionPool() as pool:
        yield pool


def meet(
    pool: ConnectionPool, lie: Lie, work: Callable[[SshSession], object], **more: bool
) -> None:
    with hostile_pi(pool, lie, **more) as spec, pool.connect(spec) as opened:
        work(opened)


def answers(value: object) -> Lie:
    async def lie(liar: Liar) -> None:
        await liar.request()
        liar.answer(value)
        await liar.beat()

    return lie


def sends(kind: bytes, payload: bytes, length: int | None = None) -> Lie:
    async def lie(liar: Liar) -> None:
        await liar.request()
        liar.send(kind, payload, length)
        await liar.beat()

    return lie


def floods(kind: bytes, payload: bytes) -> Lie:
    async def lie(liar: Liar) -> None:
        await liar.request()
        await liar.flood(kind, payload)

    return lie


STATE = {"current": None, "history": [], "disk_free": 1, "folder": "/home/pi/.hefsmith/net"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        "text",
        7,
        {**STATE, "history": "all of them"},
        {**STATE, "history": ["x"] * 100_000},
        {**STATE, "disk_free": -1},
        {**STATE, "disk_free": 10**400},
        {**STATE, "disk_free": "many"},
        {**STATE, "disk_free": True},
        {**STATE, "current": "../../../.bashrc"},
        {**STATE, "current": ".."},
        {**STATE, "current": "a\x1b[2Jb"},
        {**STATE, "folder": "x" * 100_000},
    ],
)
def test_an_answer_of_another_shape_is_told(own_pool: ConnectionPool, value: object) -> None:
    with pytest.raises(DeviceMisbehaves, match="answered peek with") as told:
        meet(own_pool, answers(value), lambda opened: look(opened, "net"))
    assert len(told.value.message) < 400
    assert told.value.message.isprintable()
    assert told.value.exit_code == 4


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"[" * MEGABYTE, "recursion limit"),
        (b'{"a":' * MEGABYTE, "recursion limit"),
        (b"\xff\xfe\x00", "answered peek"),
        (b"", "answered peek"),
        (b'{"current": "\\ud800"}', "answered peek"),
    ],
)
def test_json_that_is_none_or_too_deep_is_told(
    own_pool: ConnectionPool, payload: bytes, said: str
) -> None:
    with pytest.raises(DeviceMisbehaves, match=said):
        meet(own_pool, sends(b"J", payload), lambda opened: look(opened, "net"))


@pytest.mark.parametrize("kind", [b"J", b"D", b"V", b"B", b"Q", b"\x00"])
def test_a_frame_that_claims_gigabytes_is_not_waited_for(
    own_pool: ConnectionPool, kind: bytes
) -> None:
    with pytest.raises(DeviceMisbehaves, match="sent a frame"):
        meet(own_pool, sends(kind, b"", 0xFFFFFFF0), lambda opened: look(opened, "net"))


@pytest.mark.parametrize("kind", [b"J", b"D", b"V"])
def test_frames_without_end_fill_no_memory(own_pool: ConnectionPool, kind: bytes) -> None:
    before = resident_bytes()
    payload = b'{"stdout": "%s"}' % (b"x" * 100_000)
    with pytest.raises((DeviceMisbehaves, DeviceSilent)):
        meet(own_pool, floods(kind, payload), lambda opened: look(opened, "net"))
    assert resident_bytes() - before < 100 * MEGABYTE


def test_silence_ends_the_wait(own_pool: ConnectionPool) -> None:
    async def lie(liar: Liar) -> None:
        await asyncio.sleep(60)

    began = time.monotonic()
    with pytest.raises(DeviceSilent, match="no answer for 1 s"):
        meet(own_pool, lie, lambda opened: look(opened, "net"))
    assert time.monotonic() - began < 40


def test_heartbeats_alone_are_no_answer(own_pool: ConnectionPool) -> None:
    with pytest.raises(DeviceSilent, match="waiting for peek"):
        meet(own_pool, lambda liar: liar.beat(), lambda opened: look(opened, "net"))


@pytest.mark.parametrize("start", [True, False])
def test_an_agent_that_closes_midway_is_told(own_pool: ConnectionPool, start: bool) -> None:
    async def lie(liar: Liar) -> None:
        await (liar.request() if start else asyncio.sleep(0))
        liar.process.stdout.write(b"J\x00\x00\x01\x00half")

    with pytest.raises((LinkLost, DeviceLacks)):
        meet(own_pool, lie, lambda opened: look(opened, "net"), start=start)


def test_one_byte_a_moment_is_too_slow(own_pool: ConnectionPool) -> None:
    async def lie(liar: Liar) -> None:
        await liar.request()
        liar.send(b"J", b"{", 1000)
        while True:
            liar.process.stdout.write(b" ")
            await asyncio.sleep(0.05)

    with pytest.raises(DeviceSilent):
        meet(own_pool, lie, lambda opened: look(opened, "net"))


def test_a_login_that_never_stops_to_greet(own_pool: ConnectionPool) -> None:
    async def lie(liar: Liar) -> None:
        while True:
            liar.process.stdout.write(b"Welcome! " * 1000)
            await liar.process.stdout.drain()

    before = resident_bytes()
    with pytest.raises(DeviceLacks) as told:
        meet(own_pool, lie, lambda opened: look(opened, "net"), start=False)
    assert len(told.value.message) < 500
    assert resident_bytes() - before < 50 * MEGABYTE


def test_a_file_without_end_is_cut(own_pool: ConnectionPool, tmp_path: Path) -> None:
    target = tmp_path / "fetched" / "out.npy"
    target.parent.mkdir()
    target.write_bytes(b"before")
    with pytest.raises(DeviceMisbehaves, match="more than 1048576 bytes"):
        meet(
            own_pool,
            floods(b"D", b"x" * 100_000),
            lambda opened: opened.get(PurePosixPath("x"), target, most=MEGABYTE),
        )
    assert target.read_bytes() == b"before"
    assert list(target.parent.iterdir()) == [target]


def test_a_disk_that_fills_up_here_is_told_and_ends_the_request_only(
    own_pool: ConnectionPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lie(liar: Liar) -> None:
        await liar.request("get")
        for _ in range(20):
            liar.send(b"D", b"x" * 1000)
        liar.answer({"sha256": DIGEST, "bytes": 20_000})
        await liar.request("peek")
        liar.answer(STATE)
        await liar.beat()

    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(opened: SshSession) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", lambda number, mode: (os.close(number), Full())[1])
            with pytest.raises(OSError, match=r"No space .* nothing was written.*out\.npy"):
                opened.get(PurePosixPath("x"), tmp_path / "out.npy")
        assert not (tmp_path / "out.npy").exists()
        assert look(opened, "net").current is None

    meet(own_pool, lie, full)


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(
    own_pool: ConnectionPool,
) -> None:
    async def lie(liar: Liar) -> None:
        await liar.request()
        liar.answer(STATE)
        liar.answer({"previous": None, "release": "theirs"})
        await liar.beat()

    def work(opened: SshSession) -> None:
        look(opened, "net")
        time.sleep(0.2)
        rollback(opened, "net")

    with pytest.raises(DeviceMisbehaves, match="nobody asked for"):
        meet(own_pool, lie, work)


def test_a_device_that_takes_nothing_in_is_given_up(
    own_pool: ConnectionPool, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(20 * MEGABYTE))
    with pytest.raises(DeviceSilent):
        meet(own_pool, lambda liar: liar.beat(), lambda opened: opened.put(big, PurePosixPath("x")))


def test_a_command_that_prints_without_end_is_ended(
    own_pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lie(liar: Liar) -> None:
        while True:
            liar.process.stdout.write(b"x" * 100_000)
            await liar.process.stdout.drain()

    monkeypatch.setattr(session, "OUTPUT_LIMIT", MEGABYTE)
    with pytest.raises(DeviceMisbehaves, match="printed more than 1 MB"):
        meet(own_pool, lie, lambda opened: opened.run(["uname"]), start=False)


def test_a_job_that_talks_without_end_keeps_a_short_log() -> None:
    seen: list[object] = []
    log = JobLog(seen.append)
    before = resident_bytes()
    for number in range(200_000):
        log.take(Line(stderr=f"line {number} {'x' * 100}"))
    for number in range(2 * MOST_EVENTS):
        log.take(Line(stdout=f'{{"event": "progress", "done": {number}}}'))
    log.take(Line(stdout='{"event": "done"}'))
    log.take(Line(stdout="{" * 100_000))
    lines = log.text.splitlines()
    assert len(lines) == HEAD_LINES + TAIL_LINES + 1
    assert "left out" in lines[HEAD_LINES]
    assert lines[0].startswith("line 0 ")
    assert log.events[-1] == {"event": "done"}
    assert len(log.events) <= MOST_EVENTS
    assert len(seen) == 2 * MOST_EVENTS + 1
    assert resident_bytes() - before < 50 * MEGABYTE


def test_ctrl_c_leaves_a_silent_device_at_once(
    own_pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lie(liar: Liar) -> None:
        await liar.beat()

    def press() -> None:
        time.sleep(0.5)
        _thread.interrupt_main()

    monkeypatch.setattr(agent_client, "PATIENCE", 1.0)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threading.Thread(target=press).start()
        meet(own_pool, lie, lambda opened: rollback(opened, "net"))
    assert time.monotonic() - began < 40


def test_a_long_wait_is_told(own_pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(loop, "TOLD_AFTER", (0.3,))
    own_pool.thread.on_wait = told.append
    with pytest.raises(DeviceError):
        meet(own_pool, lambda liar: liar.beat(), lambda opened: look(opened, "net"))
    assert any(text.startswith("liar: waiting for peek (") for text in told)


def test_hello_is_checked_too(own_pool: ConnectionPool) -> None:
    async def lie(liar: Liar) -> None:
        await liar.process.stdin.read(1)
        liar.process.stdout.write(agent_client.MAGIC)
        liar.answer({**HELLO, "home": ["/home/pi"]})
        await liar.beat()

    with pytest.raises(DeviceMisbehaves):
        meet(own_pool, lie, lambda opened: opened.home, start=False)


@pytest.mark.parametrize(
    ("value", "number", "whole"),
    [
        ("Infinity", None, 0),
        ("NaN", None, 0),
        ("1e999", None, 0),
        ("-5", -5.0, 0),
        ("1" + "0" * 400, None, 0),
        ("true", None, 0),
        ('"12"', None, 0),
        ("2.5", 2.5, 0),
        ("12", 12.0, 12),
    ],
)
def test_what_an_event_measures_is_a_number_or_nothing(
    value: str, number: float | None, whole: int
) -> None:
    event = as_event(f'{{"fps": {value}}}')
    assert event is not None
    assert number_of(event["fps"]) == number
    assert whole_of(event["fps"]) == whole


def test_what_an_event_says_fits_a_screen() -> None:
    said = text_of({"a": "\x1b[2J" * 10_000})
    assert said is not None
    assert said.isprintable()
    assert len(said) < 10_000


def test_a_benchmark_of_lies_is_no_traceback(own_pool: ConnectionPool, tmp_path: Path) -> None:
    async def lie(liar: Liar) -> None:
        await liar.request("job_open")
        liar.answer({"folder": "/home/pi/../../etc", "missing": []})
        await liar.request("job_run")
        for line in (
            '{"event": "hello", "hailort": ["4"], "machine": {"a": 1}}',
            '{"event": "sensors", "chip_c": 1e999, "power_problem": 7}',
            '{"event": "machine", "throttling": {"now": [[[]]]}, "pcie": []}',
            '{"event": "result", "name": "rate", "batch": 1e400, "fps": NaN, "frames": -3}',
            '{"event": "result", "name": "latency", "runs": "many", "mean_ms": 1e308}',
            '{"event": "result", "name": "cli", "hw_only_fps": ' + "9" * 4000 + "}",
            '{"event": "done"}',
        ):
            liar.send(b"V", json.dumps({"stdout": line}).encode())
        liar.answer({"code": 0, "timed_out": False})
        await liar.request("job_close")
        liar.answer({})
        await liar.beat()

    def work(opened: SshSession) -> None:
        hef = tmp_path / "model.hef"
        hef.write_bytes(b"hef")
        result = run_benchmark(opened, hef, device="liar")
        assert result.hw_only_fps is None
        assert result.chip_c_after is None
        assert json.dumps(result.to_json(), allow_nan=False)

    meet(own_pool, lie, work)


def test_the_command_ends_with_status_4_and_one_message(
    own_pool: ConnectionPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hef.yaml").write_text("schema: 1\n")
    with hostile_pi(own_pool, answers({"facts": {"hostname": ["\x1b[2J"]}})) as spec:
        assert run(["device", "identify", f"pi@127.0.0.1:{spec.port}"]) == 4
    told = capsys.readouterr()
    assert told.err.count("error: ") == 1
    assert "facts.hostname: Input should be a valid string" in told.err
    assert "Traceback" not in told.err


def test_ctrl_c_ends_the_command_with_a_word(
    own_pool: ConnectionPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = threading.Event()

    async def lie(liar: Liar) -> None:
        await liar.request("facts")
        asked.set()
        await liar.beat()

    def press() -> None:
        asked.wait(60)
        _thread.interrupt_main()

    monkeypatch.setattr(agent_client, "PATIENCE", 1.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hef.yaml").write_text("schema: 1\n")
    presser = threading.Thread(target=press)
    with hostile_pi(own_pool, lie) as spec:
        presser.start()
        began = time.monotonic()
        assert run(["device", "identify", f"pi@127.0.0.1:{spec.port}"]) == 130
    assert time.monotonic() - began < 40
    presser.join()
    assert "interrupted" in capsys.readouterr().err
