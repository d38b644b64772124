"""Processes of the local engine: started apart from our terminal, stopped with all their kin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from hefsmith_worker import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WINDOWS = os.name == "nt"

#: How variables begin that tell the emulator what to be.
EMULATED = "HEFSMITH_EMULATED_"

#: Variables of the user that a job without a box keeps. Others may change what it computes.
KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL",
    "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
    "NUMBER_OF_PROCESSORS", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
    "VIRTUAL_ENV",
)  # fmt: skip


def start_options(*, windows: bool) -> dict[str, Any]:
    """Return how a job is started: in a group of its own, so that Ctrl-C reaches us alone."""
    if windows:
        # CREATE_NEW_PROCESS_GROUP: Ctrl-Break can then be sent to the job and not to us.
        return {"creationflags": 0x00000200}
    return {"start_new_session": True}


def job_environment(
    environ: Mapping[str, str], wanted: Mapping[str, str], python_path: Iterable[Path]
) -> dict[str, str]:
    """Return the variables of a job: a few of the user's, ours, and the job's own."""
    kept = {name: environ[name] for name in KEPT if name in environ}
    kept.setdefault("USER", "hefsmith")
    # Threads of a training that wait by turning in circles keep a busy machine's other thread
    # from the work that they wait for.
    kept.setdefault("OMP_WAIT_POLICY", "passive")
    # Others of ours may hold a token or a store's password.
    kept |= {name: value for name, value in environ.items() if name.startswith(EMULATED)}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONPATH": os.pathsep.join(str(path) for path in python_path),
        **wanted,
    }


def descendants(table: Iterable[tuple[int, int]], root: int) -> tuple[int, ...]:
    """Return the processes below ``root`` in a table of (pid, parent), parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent in table:
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(0), []):
            if child not in found and child != root:
                found.append(child)
                waiting.append(child)
    return tuple(found)


def read_table(text: str) -> tuple[tuple[int, int], ...]:
    """Return (pid, parent) from what ``ps -A -o pid=,ppid=`` prints."""
    rows = (line.split() for line in text.splitlines())
    return tuple((int(row[0]), int(row[1])) for row in rows if len(row) == 2)


def process_table() -> tuple[tuple[int, int], ...]:
    """Return (pid, parent) of every process, empty where that cannot be asked."""
    command = ["ps", "-A", "-o", "pid=,ppid="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return read_table(done.stdout)


def stop_signal(*, windows: bool) -> int:
    """Return what asks a job of :func:`start_options` to stop."""
    if windows:
        # Ctrl-C cannot be sent to a group of its own.
        return int(getattr(signal, "CTRL_BREAK_EVENT", 1))
    return signal.SIGINT


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ask a job to stop; one that is gone is fine."""
    number = stop_signal(windows=WINDOWS)
    try:
        heard = guard.listener(process.pid)
        if heard == process.pid:
            process.send_signal(number)
        else:
            os.kill(heard, number)
    except OSError:
        return


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, also what has a session of its own."""
    if sys.platform == "win32":
        command = ["taskkill", "/T", "/F", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, timeout=10, check=False)
        return
    victims = (pid, *descendants(process_table(), pid))
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def wait_gone(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait at most ``seconds`` for the end; tell whether it came."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True
