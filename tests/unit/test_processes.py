"""Whether the process still runs that made something: facts of each system, judged alike."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.contract.layout import DETACHED

from orchestrator import files, processes
from orchestrator.pipeline.finished import builds
from orchestrator.processes import Place, Process, Sighting, judge, parse

HERE = Place("aaaaaa", "b00001", "c00001")
DAY = 86400.0


def runs(_: int) -> Sighting:
    return Sighting(exists=True, start="77")


def gone(_: int) -> Sighting:
    return Sighting(exists=False)


def never(_: int) -> Sighting:
    raise AssertionError("a number of another place was looked up here")


@pytest.mark.parametrize(
    ("place", "look", "young", "old"),
    [
        (HERE, runs, True, True),
        (HERE, gone, False, False),
        (HERE, lambda _: Sighting(exists=True, start="78"), False, False),
        (HERE, lambda _: Sighting(exists=True, start="77", zombie=True), False, False),
        (HERE, lambda _: Sighting(exists=True), True, True),
        (HERE, lambda _: Sighting(exists=None), True, False),
        # After a reboot no process of before runs, whoever has its number now.
        (Place("aaaaaa", "b00002", "c00001"), never, False, False),
        (Place("aaaaaa", "x", "c00001"), never, True, False),
        # Another machine on a shared disk; a container with numbers of its own.
        (Place("dddddd", "b00001", "c00001"), never, True, False),
        (Place("aaaaaa", "b00001", "c00009"), never, True, False),
        (Place("aaaaaa", "b00002", "c00009"), never, True, False),
    ],
)
def test_a_process_is_judged_by_machine_boot_namespace_and_start(
    place: Place, look: Any, young: bool, old: bool
) -> None:
    process = Process(4711, "77", place)
    assert judge(process, HERE, look, DAY) is young
    assert judge(process, HERE, look, None) is young
    assert judge(process, HERE, look, 31 * DAY) is old


def test_a_name_that_nobody_understands_is_dropped_only_when_very_old() -> None:
    assert judge(None, HERE, never, DAY)
    assert judge(None, HERE, never, None)
    assert not judge(None, HERE, never, 31 * DAY)
    for text in ("", "?", "12", "12:abc-5", "12-a-b-c", "0-a-b-c-d", "-1-a-b-c-d", "12-a-b-c-d-e"):
        assert parse(text) is None


def test_a_process_is_written_and_read_back_in_names_that_every_system_takes() -> None:
    mine = processes.this_process()
    assert parse(str(mine)) == mine
    assert mine.pid == os.getpid()
    assert not set(str(mine)) & set(':*?"<>|/\\ .')
    assert len(str(mine)) < 60
    assert processes.is_alive(str(mine))
    other = Process(mine.pid, mine.start + "1", mine.place)
    assert not processes.is_alive(str(other)), "the number was used again"


def test_a_process_that_ended_is_dead_also_as_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    named = str(processes.find(child.pid))
    assert processes.is_alive(named)
    child.kill()
    deadline = time.monotonic() + 60
    while processes.is_alive(named) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not processes.is_alive(named), "a zombie waits for nobody's work"
    child.wait()
    assert not processes.is_alive(named)


def test_names_of_processes_may_hold_blanks_and_braces() -> None:
    fields = " ".join(str(number) for number in range(4, 24))
    assert processes.read_stat(f"12 (a) b (c)) S {fields}") == Sighting(True, "22")
    assert processes.read_stat(f"12 (a) Z {fields}") == Sighting(True, "22", zombie=True)
    assert processes.read_stat("") == Sighting(True), "hidden from us, but there"


def test_what_ps_of_a_mac_says_is_read() -> None:
    told = processes.read_ps("S+   Fri Nov 28 21:25:21 2025    \n")
    assert told == Sighting(True, "FriNov282125212025")
    assert processes.read_ps("Z    Fri Nov 28 21:25:21 2025\n").zombie
    assert processes.read_ps("") == Sighting(True)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="compares with /proc")
def test_the_start_that_ps_tells_does_not_move_with_the_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    told = set()
    for zone in ("UTC0", "XXX-9", "YYY+8"):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        told.add(processes.look(os.getpid()))
    assert len(told) == 1
    assert told.pop().start != "x"


class Kernel:
    """Answers as kernel32.dll does, from recorded facts of one process number."""

    def __init__(self, *, handle: int, error: int = 0, waited: int = 258, created: int = 0) -> None:
        self.facts = (handle, error, waited, created)
        self.closed = 0
        self.OpenProcess = self.Function(lambda access, inherit, pid: handle)
        self.WaitForSingleObject = lambda handle, limit: waited

    class Function:
        restype: Any = ctypes.c_int

        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def __call__(self, *given: Any) -> Any:
            # As ctypes does: a pointer that is not declared one is cut.
            found = self.answer(*given)
            return found if self.restype is ctypes.c_void_p else found & 0x7FFFFFFF

    def GetProcessTimes(self, handle: Any, created: Any, *rest: Any) -> int:
        assert handle.value == self.facts[0]
        created._obj.value = self.facts[3]
        return 1

    def CloseHandle(self, handle: Any) -> None:
        assert handle.value == self.facts[0]
        self.closed += 1


@pytest.mark.parametrize(
    ("kernel", "seen"),
    [
        (Kernel(handle=0x1_0000_0004, created=134), Sighting(True, "134")),
        # It ended, with the code 259 perhaps, and somebody still holds it.
        (Kernel(handle=4, waited=0, created=134), Sighting(False, "134")),
        (Kernel(handle=4, waited=0xFFFFFFFF), Sighting(None)),
        (Kernel(handle=0, error=87), Sighting(False)),
        (Kernel(handle=0, error=5), Sighting(True)),
        (Kernel(handle=0, error=8), Sighting(None)),
    ],
)
def test_windows_is_asked_without_ending_the_process(
    kernel: Kernel, seen: Sighting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise AssertionError("os.kill ends a process on Windows")

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("os.kill", refuse)
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: kernel.facts[1], raising=False)
    assert processes.look(1234) == seen
    assert kernel.closed == (1 if kernel.facts[0] else 0)


def test_folders_of_builds_are_removed_once_their_process_is_gone(tmp_path: Path) -> None:
    mine = processes.this_process()
    dead = Process(mine.pid, f"{mine.start}1", mine.place)
    # In our place a dead one; on another machine or in a container, nobody can tell.
    other = Process(mine.pid, f"{mine.start}1", Place("ffffff", mine.place.boot, "eeeeee"))
    rebooted = Process(mine.pid, mine.start, Place(mine.place.host, "999999", mine.place.namespace))
    made = builds.staging_folder(tmp_path / "hailo8")
    folders = {
        "dead": tmp_path / f".hailo8.building-{dead}.a1b2c3",
        "copies": tmp_path / f".hailo8.building-{dead}.a1b2c3.sources",
        "rebooted": tmp_path / f".hailo8.building-{rebooted}.a1b2c3",
        "elsewhere": tmp_path / f".hailo8.building-{other}.a1b2c3",
        "forgotten": tmp_path / f".hailo8.building-{other}.d4e5f6",
        "earlier": tmp_path / f".hailo8.building-{os.getpid()}-a1b2c3d4",
        "detached": tmp_path / f".hailo8.building-{dead}.0a0b0c",
        "detached copies": tmp_path / f".hailo8.building-{dead}.0a0b0c.sources",
        "build": tmp_path / "hailo8",
    }
    for folder in folders.values():
        folder.mkdir()
        (folder / "file").write_text("x")
    (folders["detached"] / DETACHED).touch()
    os.utime(folders["forgotten"], (0, 0))
    builds.remove_abandoned(tmp_path)
    left = {name for name, folder in folders.items() if folder.exists()}
    assert left == {"elsewhere", "earlier", "detached", "detached copies", "build"}
    assert made.exists(), "our own"


def test_no_other_probe_of_processes_is_left() -> None:
    root = Path(files.__file__).parent
    probes = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "os.kill(" in (text := path.read_text(encoding="utf-8")) and ", 0)" in
        text.partition("os.kill(")[2].partition("\n")[0]
    ]  # fmt: skip
    assert probes == ["processes.py"]
