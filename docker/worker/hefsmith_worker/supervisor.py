"""The parent of a job: keeps its two voices apart and ends it when the host is gone.

The job's standard output carries events and nothing else; whatever the SDK, C libraries or
children print goes to its standard error (see :mod:`hefsmith_worker.events`). Both arrive
here by pipes, so a job that dies of a signal still has its last lines told. Standard library
only: this process must start at once and outlive anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Any, List, Optional

from hefsmith_worker.contract.events import Event, Interrupted, Log, Message, StageFailed

#: Seconds between the rungs of the ladder: interrupt, terminate, kill.
GRACE = (3.0, 2.0)

#: Longest line that is passed on whole, in bytes; an SDK may print without end.
LONGEST_LINE = 65536


class _Seen:
    """The last event that the job has sent: its name, and the stage that it was in."""

    def __init__(self) -> None:
        self.stage: Optional[str] = None
        self.event: Optional[str] = None


class _Voice:
    """Writes whole JSON lines to standard output from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out = sys.stdout.buffer

    def raw(self, line: bytes) -> None:
        with self._lock:
            try:
                self._out.write(line)
                self._out.flush()
            except (BrokenPipeError, ValueError, OSError):
                # Nobody listens any more; the dead-man switch ends the job.
                pass

    def event(self, event: Event, stage: Optional[str]) -> None:
        self.raw(Message(event, stage, time.time()).to_line())


def _forward_events(stream: IO[bytes], voice: _Voice, seen: _Seen) -> None:
    for line in iter(stream.readline, b""):
        try:
            event = json.loads(line.decode("utf-8"))
            seen.stage = event.get("stage", seen.stage)
            seen.event = event.get("event")
        except (ValueError, AttributeError):
            pass
        voice.raw(line if line.endswith(b"\n") else line + b"\n")


def _forward_log(stream: IO[bytes], voice: _Voice, seen: _Seen) -> None:
    """Turn printed text into ``log`` events; a carriage return ends a line too (tqdm)."""
    pending = b""
    while True:
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            break
        pending += chunk
        parts = pending.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        pending = parts.pop()
        while len(pending) > LONGEST_LINE:
            parts.append(pending[:LONGEST_LINE])
            pending = pending[LONGEST_LINE:]
        for part in parts:
            _log(part, voice, seen)
    if pending:
        _log(pending, voice, seen)


def _log(line: bytes, voice: _Voice, seen: _Seen) -> None:
    text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
    if text:
        voice.event(Log(text), seen.stage)


def _stop(job: "subprocess.Popen[bytes]") -> None:
    """Interrupt, wait, terminate, wait, kill: the job and the children it has started."""
    rungs = [getattr(signal, "SIGINT", signal.SIGTERM), signal.SIGTERM]
    for rung, patience in zip(rungs, GRACE):
        _signal(job, rung)
        try:
            job.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(job.pid, signal.SIGKILL)
    elif job.poll() is None:
        job.kill()


def _signal(job: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        if sys.platform != "win32":
            os.killpg(job.pid, number)
        else:
            job.terminate()
    except (ProcessLookupError, PermissionError):
        pass


def supervise(command: List[str], detached: bool = False, waits: bool = False) -> int:
    """Run ``command`` as a job and return its exit status (128 + N after signal N).

    The end of standard input stops the job unless ``detached``: the engine holds it open for
    as long as the host lives. A job that ``waits`` gets the first line that comes there.
    """
    voice = _Voice()
    seen = _Seen()
    job = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=os.name == "posix",
    )
    assert job.stdout is not None
    assert job.stderr is not None
    stopped: List[str] = []

    def stop(reason: str) -> None:
        if not stopped:
            stopped.append(reason)
            threading.Thread(target=_stop, args=(job,), daemon=True).start()

    def on_signal(number: int, frame: Optional[object]) -> None:  # noqa: ARG001
        stop("interrupted")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    if waits or not detached:
        watch = (stop, job.stdin, detached)
        threading.Thread(target=_watch_host, args=watch, daemon=True).start()
    readers = [
        threading.Thread(target=_forward_events, args=(job.stdout, voice, seen), daemon=True),
        threading.Thread(target=_forward_log, args=(job.stderr, voice, seen), daemon=True),
    ]
    for reader in readers:
        reader.start()
    if os.name == "posix":
        # Signals are handled meanwhile; with a time limit it would look only now and then.
        job.wait()
    while job.poll() is None:
        # A plain wait() would keep Python from running signal handlers on Windows.
        try:
            job.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    for reader in readers:
        reader.join(5)
    code = job.returncode
    if stopped:
        voice.event(Interrupted(stopped[0]), seen.stage)
        return 130 if stopped[0] == "interrupted" else 143
    if code < 0:
        voice.event(_death(-code), seen.stage)
        return 128 - code
    if code != 0 and seen.event != "stage_failed":
        died = StageFailed("WorkerDied", "the worker left with status %d" % code)
        voice.event(died, seen.stage)
    return code


def _death(number: int) -> StageFailed:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "signal %d" % number
    message = "the worker was killed by %s" % name
    if name == "SIGILL":
        message += ": this processor lacks instructions that a library needs (AVX?)"
    elif name == "SIGKILL":
        message += ": most likely the memory limit"
    return StageFailed("WorkerDied", message, signal=name)


def _watch_host(stop: Any, waiting: Optional[IO[bytes]], detached: bool) -> None:
    """Hand the first line on to a job that waits, then block until standard input ends.

    The end means that the host process is gone; a detached job minds it only while it waits.
    """
    line = b""
    with contextlib.suppress(OSError):
        while True:
            data = os.read(0, 4096)
            if not data:
                break
            line += data if waiting is not None else b""
            if waiting is None or b"\n" not in line:
                continue
            with contextlib.suppress(OSError):
                waiting.write(line[: line.index(b"\n") + 1])
                waiting.close()
            waiting = None
            if detached:
                return
    stop("host gone")
