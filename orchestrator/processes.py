"""Which process made something, and whether it still runs: asked in one place for all rooms.

Folders, containers and locks outlive the process that made them, and are met later by another
one: after a reboot, on another machine that shares the disk, in a container with process numbers
of its own. So a process is named by more than its number, which is used again everywhere. What
cannot be judged from here counts as alive, unless it is very old: rather a folder too many than
a build that loses its files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Age in seconds from which what cannot be judged is taken for abandoned.
VERY_OLD = 30 * 86400.0

#: What Windows answers for a number that no process has, and for a process of somebody else.
INVALID_PARAMETER = 87
ACCESS_DENIED = 5

#: Its answers to a wait of no time for the end of a process: it has ended, or runs.
WAIT_ENDED = 0
WAIT_TIMEOUT = 258


@dataclass(frozen=True, slots=True)
class Place:
    """Where process numbers mean something: a machine, one of its boots, a PID namespace.

    Each is a few hex digits that tell nothing; ``x`` where the system has or tells none.
    """

    host: str
    boot: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Process:
    """One process of any machine. ``start`` is when it started, in its system's own form."""

    pid: int
    start: str
    place: Place

    def __str__(self) -> str:
        """Return it as text that fits into a file name and a label; :func:`parse` reads it."""
        place = self.place
        return f"{self.pid}-{self.start}-{place.host}-{place.boot}-{place.namespace}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the system says now of a process number; ``exists`` is ``None`` if it cannot tell."""

    exists: bool | None
    start: str = "x"
    zombie: bool = False


def parse(text: str) -> Process | None:
    """Return the process that ``str(process)`` named, ``None`` for any other text."""
    found = re.fullmatch(r"([1-9]\d{0,9})-(\w{1,24})-(\w{1,8})-(\w{1,8})-(\w{1,8})", text, re.ASCII)
    if found is None:
        return None
    return Process(int(found[1]), found[2], Place(found[3], found[4], found[5]))


def judge(
    process: Process | None, here: Place, look: Callable[[int], Sighting], age: float | None
) -> bool:
    """Tell whether a process counts as alive.

    ``look`` asks the system for a number; it is called only where numbers mean the same.
    ``age`` is how old the thing is that the process left, in seconds, if that is known.
    """
    doubtful = age is None or age < VERY_OLD
    if process is None:
        return doubtful
    there = process.place
    if there.host != here.host or there.namespace != here.namespace:
        return doubtful
    if there.boot != here.boot:
        return doubtful if "x" in (there.boot, here.boot) else False
    seen = look(process.pid)
    if seen.exists is None:
        return doubtful
    # A zombie is gone as far as anybody waits for its work.
    if not seen.exists or seen.zombie:
        return False
    return "x" in (process.start, seen.start) or process.start == seen.start


def is_alive(named: str, *, age: float | None = None) -> bool:
    """Tell whether the process still runs that ``str(process)`` named; see :func:`judge`."""
    return judge(parse(named), place(), look, age)


def is_of_here(process: Process) -> bool:
    """Tell whether the number of a process means the same here: signals may be sent to it."""
    here = place()
    return (process.place.host, process.place.namespace) == (here.host, here.namespace)


def this_process() -> Process:
    """Return our own process."""
    return find(os.getpid())


def find(pid: int) -> Process:
    """Return the process of this machine that has a number now."""
    return Process(pid, look(pid).start, place())


@functools.cache
def place() -> Place:
    """Return where we are."""
    return Place(
        _short(socket.gethostname(), _machine(), sys.platform),
        _short(_text(Path("/proc/sys/kernel/random/boot_id"))),
        _short(_link(Path("/proc/self/ns/pid"))),
    )


def _short(*facts: str) -> str:
    if not any(facts):
        return "x"
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:6]


def _machine() -> str:
    """Return the system's own name of this machine, '' if it has none: host names repeat."""
    if sys.platform == "win32":
        try:
            import winreg

            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as k:
                return str(winreg.QueryValueEx(k, "MachineGuid")[0])
        except (ImportError, OSError):
            return ""
    if sys.platform == "darwin":
        import ctypes

        name = (ctypes.c_ubyte * 16)()
        try:
            ctypes.CDLL(None).gethostuuid(name, (ctypes.c_long * 2)(1, 0))
        except (AttributeError, OSError):
            return ""
        return bytes(name).hex()
    return _text(Path("/etc/machine-id"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def look(pid: int) -> Sighting:
    """Ask this system for a process number."""
    if pid <= 0:
        return Sighting(exists=False)
    if sys.platform == "win32":
        return _look_windows(pid)
    try:
        # The one probe of its kind: on Windows it would end the process.
        os.kill(pid, 0)
    except ProcessLookupError:
        return Sighting(exists=False)
    except (PermissionError, OverflowError):
        pass
    if platform.system() == "Linux":
        return read_stat(_text(Path(f"/proc/{pid}/stat")))
    return _look_ps(pid)


def read_stat(text: str) -> Sighting:
    """Return what ``/proc/PID/stat`` says of a process that exists; '' if it cannot be read."""
    fields = stat_fields(text)
    if len(fields) < 20:
        return Sighting(exists=True)
    return Sighting(exists=True, start=fields[19], zombie=fields[0] in {"Z", "X"})


def stat_fields(text: str) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` after the name, which may hold blanks and braces."""
    return text.rpartition(")")[2].split()


def _look_ps(pid: int) -> Sighting:
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    # A start that is told in local time would change with the clock, and its words with a language.
    environ = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=False, env=environ
        )
    except (OSError, subprocess.TimeoutExpired):
        return Sighting(exists=True)
    return read_ps(done.stdout)


def read_ps(text: str) -> Sighting:
    """Return what ``ps -o state=,lstart=`` says of a process that existed a moment ago."""
    state, _, started = text.strip().partition(" ")
    start = re.sub(r"\W", "", started)[:24]
    return Sighting(exists=True, start=start or "x", zombie=state.startswith("Z"))


def _look_windows(pid: int) -> Sighting:
    import ctypes

    try:
        kernel: Any = getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009
        # Handles are pointers: as plain integers they would be cut to 32 bits.
        kernel.OpenProcess.restype = ctypes.c_void_p
        # SYNCHRONIZE and PROCESS_QUERY_LIMITED_INFORMATION.
        handle = kernel.OpenProcess(0x101000, False, pid)
        if not handle:
            return read_windows(getattr(ctypes, "get_last_error")(), None, 0)  # noqa: B009
        held = ctypes.c_void_p(handle)
        times = [ctypes.c_uint64() for _ in range(4)]
        waited = int(kernel.WaitForSingleObject(held, 0))
        told = kernel.GetProcessTimes(held, *(ctypes.byref(one) for one in times))
        kernel.CloseHandle(held)
        return read_windows(0, waited, times[0].value if told else 0)
    except (AttributeError, OSError):
        return Sighting(exists=None)


def read_windows(error: int, waited: int | None, created: int) -> Sighting:
    """Return what Windows says of a process.

    ``error`` is why it was not opened (0: it was), ``waited`` the answer to a wait of no time for
    its end (an exit code is no proof: 259 stands for none, and can be one), ``created`` the time
    of its start in 100 ns since 1601, 0 if that was not told.
    """
    if error == INVALID_PARAMETER:
        return Sighting(exists=False)
    if error == ACCESS_DENIED:
        return Sighting(exists=True)
    if error or waited not in {WAIT_ENDED, WAIT_TIMEOUT}:
        return Sighting(exists=None)
    return Sighting(exists=waited == WAIT_TIMEOUT, start=str(created) if created else "x")


def works_in(folder: Path) -> bool | None:
    """Tell whether a process of this user has its working folder there, ``None``: not known."""
    if not Path("/proc/self/cwd").exists():
        return None
    wanted = folder.resolve()
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if (one / "cwd").resolve().is_relative_to(wanted):
                return True
        except OSError:
            continue
    return False
