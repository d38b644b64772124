"""Who started a container, so that only our own orphans are ever touched.

An owner is a user on a machine (and in a process namespace, since a number means another
process elsewhere). A process is known by its number and its start time: numbers are used again.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import socket
import subprocess
from pathlib import Path

SYSTEM = platform.system()


def owner_id() -> str:
    """Return a stable name for this user on this machine; tells nothing about either."""
    parts = [socket.gethostname(), _user()]
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append(SYSTEM)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def process_id(pid: int | None = None) -> str:
    """Return ``pid:start`` for a process (our own by default)."""
    number = os.getpid() if pid is None else pid
    return f"{number}:{_start(number) or '?'}"


def is_alive(process: str) -> bool:
    """Tell whether the process that :func:`process_id` named still runs.

    When it cannot be told, it counts as alive: rather an orphan too many than a build killed.
    """
    number, _, start = process.partition(":")
    if not number.isdigit():
        return True
    pid = int(number)
    if SYSTEM == "Windows":
        return _windows_alive(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _start(pid)
    return now != "zombie" and (start == "?" or now is None or now == start)


def _start(pid: int) -> str | None:
    """Return when a process started, in whatever form the system has it."""
    if SYSTEM == "Linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat_fields(text)
        if not fields:
            return None
        # A zombie is gone as far as anybody waits for its work.
        return "zombie" if fields[0] == "Z" else f"{_boot()}-{fields[19]}"
    if SYSTEM == "Windows":
        return None
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "-".join(done.stdout.split()) or None


def stat_fields(text: str) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` after the name, which may hold blanks and braces."""
    return text.rpartition(")")[2].split()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return "?"


def _windows_alive(pid: int) -> bool:
    """Ask Windows for the process; its exit code is 259 as long as it runs."""
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - only there on Windows
    handle = kernel.OpenProcess(0x1000, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259
