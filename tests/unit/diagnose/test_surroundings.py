"""What stands elsewhere in a log decides what a failure means, and nothing else does."""

from __future__ import annotations

import re

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.prefilter import load_prefilter
from orchestrator.diagnose.surroundings import deepened, wanted
from orchestrator.diagnose.words import text as texts
from tests import corpus

CLOSED = "Failed to open device file /dev/hailo0 with error 1: Operation not permitted"
OLD_KEY = "lxc.cgroup.devices.allow: c 235:* rwm"
NEW_KEY = "lxc.cgroup2.devices.allow: c 235:* rwm"
NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."


def told(*lines: str) -> dict[str, str]:
    return {one.id: one.severity for one in read_log(lines).findings()}


def test_another_line_of_the_log_gives_the_reason_in_either_order() -> None:
    assert "R671" not in told(CLOSED)
    for lines in ((CLOSED, OLD_KEY), (OLD_KEY, CLOSED)):
        assert told(*lines) == {"R671": "fatal"}


def test_without_the_failure_the_other_line_is_nothing() -> None:
    assert told(OLD_KEY) == {}


def test_what_refutes_it_stands_anywhere() -> None:
    assert told(CLOSED, OLD_KEY) == {"R671": "fatal"}
    assert "R671" not in told(CLOSED, OLD_KEY, NEW_KEY)
    assert "R70" in told(CLOSED, OLD_KEY, NEW_KEY)


def test_a_failure_that_was_got_over_is_not_deepened() -> None:
    wsl = ("  NAME            STATE           VERSION", "  Debian          Running         1")
    assert told(*wsl, NO_ENGINE) == {"S260": "fatal"}
    assert "S260" not in told(
        *wsl, "$ docker info", NO_ENGINE, "$ docker info", "Server Version: 27.0"
    )


def test_what_is_only_supposed_makes_it_possible() -> None:
    supposed = "Maybe it would help to write lxc.cgroup.devices.allow: c 235:* rwm?"
    assert told(CLOSED, supposed).get("R671") in {None, "possible"}


def test_what_must_stand_in_two_lines_wants_both() -> None:
    gone = "ls: cannot access '/dev/video*': No such file or directory"
    wsl = "Linux box 5.15.153.1-microsoft-standard-WSL2 #1 SMP x86_64"
    usb = "Bus 001 Device 002: ID 046d:0825 Logitech, Inc. Webcam C270"
    assert told(gone, wsl, usb) == {"V672": "possible"}
    assert "V672" not in told(gone, wsl)
    assert "V672" not in told(gone, usb)


def test_a_command_over_several_lines_is_one() -> None:
    broken = ("$ printf %s lxc.cgroup.devices.allow \\", "  : c 235:* rwm")
    assert "R671" not in told(CLOSED, *broken)
    assert told(CLOSED, "lxc.cgroup.devices.allow \\", "  = c 235:* rwm") == {"R671": "fatal"}


@pytest.mark.slow
def test_settings_that_a_command_shows_decide_and_their_comments_do_not() -> None:
    shown = "root@pve:~# cat /etc/pve/lxc/101.conf"
    assert told(shown, OLD_KEY, "root@pve:~# pct start 101", CLOSED) == {"R671": "fatal"}
    assert "R671" not in told(shown, f"# {OLD_KEY}", "root@pve:~# pct start 101", CLOSED)
    assert "R671" not in told("$ cat notes.md", OLD_KEY, "$ hailortcli scan", CLOSED)


def test_two_captured_words_are_compared() -> None:
    failed = "Driver version (4.20.0) is different from library version (4.21.0)"
    status = "hailo_pci/{}, 6.6.74+rpt-rpi-2712, aarch64: installed"
    assert told(failed, status.format("4.21.0")) == {"R1090": "fatal"}
    assert told(failed, status.format("4.20.0")) == {"R03": "fatal"}
    missing = "ImportError: libhailort.so.4.20.0: cannot open shared object file: No such file"
    assert "R1091" in told(missing, "/usr/lib/libhailort.so.4.21.0")
    assert "R1091" not in told(missing, "/opt/lib/libhailort.so.4.20.0")


def test_each_cause_that_only_the_surroundings_show_has_a_log() -> None:
    shown = {name for case in corpus.load() for name in case.expected}
    assert {entry.id for entry in deepened()} - shown == set()


def test_a_line_of_another_machine_proves_nothing() -> None:
    which, path = "which python3", "/home/dev/miniconda3/bin/python3"
    ran = ("python3 cam.py", "ModuleNotFoundError: No module named 'picamera2'")
    here = told(f"pi@cam:~$ {which}", path, f"pi@cam:~$ {ran[0]}", ran[1])
    assert here == {"S1066": "fatal"}
    other = told(f"dev@laptop:~$ {which}", path, f"pi@cam:~$ {ran[0]}", ran[1])
    assert other == {"Y37": "fatal", "S1066": "possible"}


def test_a_word_that_must_be_the_same_stands_for_one_thing_alone() -> None:
    shown = ("$ file net.hef", "net.hef: HTML document, ASCII text")
    refused = "[HailoRT] [error] CHECK failed - HEF magic does not match"
    assert "H1062" not in told(*shown, "$ hailortcli run other.hef", refused)
    assert told(*shown, "$ hailortcli run net.hef", refused).get("H1062") == "fatal"
    both = ("$ hailortcli run net.hef", "$ hailortcli run other.hef")
    assert told(*shown, *both, refused).get("H1062") in {None, "possible"}


def test_what_another_machine_or_another_time_shows_proves_nothing() -> None:
    for before in ("Last year I had in the config:", "My colleague's container has"):
        assert told(before, OLD_KEY, "", CLOSED) == {"R70": "fatal"}
    assert told("I have this in the config:", OLD_KEY, "", CLOSED) == {"R671": "fatal"}
    elsewhere = ("The config on my PC:", OLD_KEY, "On the Pi I get:", CLOSED)
    assert told(*elsewhere) == {"R70": "fatal"}


def test_what_was_mended_since_proves_nothing() -> None:
    for mended in ("I removed that line, and still:", "$ nano /etc/pve/lxc/101.conf"):
        assert told(OLD_KEY, mended, "$ pct start 101", CLOSED) == {"R70": "fatal"}
    # What is changed after the failure is what was wrong there.
    assert told(OLD_KEY, CLOSED, "$ nano /etc/pve/lxc/101.conf") == {"R671": "fatal"}


def test_more_words_are_compared_where_both_are_known() -> None:
    failed = "Driver version (4.20.0) is different from library version (4.21.0)"
    built = "hailo_pci/4.21.0, 6.6.74+rpt-rpi-2712, aarch64: installed"
    assert told(failed, built, "6.6.74+rpt-rpi-2712") == {"R1090": "fatal"}
    assert told(failed, built, "6.12.25+rpt-rpi-2712") == {"R03": "fatal"}


def test_a_line_that_decides_is_seen_whatever_numbers_came_before_it() -> None:
    """What words a line has is remembered by its shape, in which numbers are left out."""
    judged = load_prefilter().anew()
    wordings = wanted()
    lines = {line for case in corpus.load("attacked_at_a") for line in case.log.split("\n")}
    decide = 0
    for line in sorted(lines):
        folded = texts.fold(texts.strip_prefix(texts.clean(line)))
        found = any(one.search(folded) is not None for one in wordings)
        judged.judge(re.sub(r"\d", "7", line), told=False)
        assert judged.judge(line, told=False).around or not found, line
        decide += found
    assert decide > 50
    assert not judged.judge("of 640 x 640", told=False).around
    assert judged.judge("of 1280 x 1280", told=False).around
