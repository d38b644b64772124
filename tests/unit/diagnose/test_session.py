"""Terminal sessions with several attempts: the last one is what the person asks about."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import VendorLog, read_log

MISSING = """\
Traceback (most recent call last):
  File "/home/pi/detect.py", line 3, in <module>
    import {0}
ModuleNotFoundError: No module named '{0}'
"""
INSTALLED = "Successfully installed numpy-1.26.4 {}-4.10.0\n"


def explain(log: str) -> VendorLog:
    return read_log(log.rstrip("\n").split("\n"))


def asserted(log: str) -> dict[str, str]:
    """Return what is asserted, by id, with its cause."""
    return {one.id: one.cause for one in explain(log).findings() if one.severity == "fatal"}


@pytest.mark.parametrize(
    "prompt",
    [
        "$ ",
        "pi@raspberrypi:~/work $ ",
        "(venv) pi@raspberrypi:~/work$ ",
        "(base) [pi@box work]$ ",
        "root@0f3a:/# ",
        "PS C:\\work> ",
        "me@mac work % ",
    ],
)
def test_the_same_command_again_is_what_counts(prompt: str) -> None:
    log = (
        f"{prompt}python3 detect.py\n{MISSING.format('cv2')}"
        f"{prompt}pip install opencv-python\n{INSTALLED.format('opencv-python')}"
        f"{prompt}python3 -u detect.py\n{MISSING.format('imutils')}"
    )
    assert list(asserted(log)) == ["G03"]
    assert "imutils" in asserted(log)["G03"]


def test_an_attempt_that_came_through_leaves_nothing_to_explain() -> None:
    log = (
        "$ scp a.hef pi@raspberrypi.local:/tmp\n"
        "ssh: Could not resolve hostname raspberrypi.local: Name or service not known\n"
        "lost connection\n"
        "$ scp a.hef pi@192.168.1.20:/tmp\n"
        "a.hef                              100% 4123KB  11.2MB/s   00:00\n"
    )
    assert asserted(log) == {}
    told = explain(
        f"{log}$ ssh pi@rpi5\nssh: Could not resolve hostname rpi5: Name or service not known"
    )
    found = [one for one in told.findings() if one.severity == "fatal"]
    assert [(one.line, "rpi5" in one.cause) for one in found if one.id == "H06"] == [(7, True)]


def test_an_attempt_that_fails_without_a_known_reason_leaves_the_first_reason() -> None:
    log = (
        f"$ python3 detect.py\n{MISSING.format('cv2')}$ python3 detect.py\nError: it failed again\n"
    )
    assert list(asserted(log)) == ["G03"]


@pytest.mark.parametrize(
    ("first", "second", "printed"),
    [
        ("python3 detect.py", "python3 detect.py", "^C"),
        ("python3 detect.py", "python3 detect.py --help", "usage: detect.py [-h]"),
        ("docker compose up", "docker compose ps", "NAME   IMAGE"),
        ("hailortcli run x.hef", "sudo hailortcli run x.hef", "[sudo] password for pi:"),
    ],
)
def test_what_does_not_say_that_it_went_well_mends_nothing(
    first: str, second: str, printed: str
) -> None:
    log = f"$ {first}\n{MISSING.format('cv2')}$ {second}\n{printed}\n"
    assert list(asserted(log)) == ["G03"]


def test_a_command_that_printed_nothing_mends_nothing() -> None:
    log = f"$ python3 detect.py\n{MISSING.format('cv2')}$ python3 detect.py\n$ ls\na.hef\n"
    assert list(asserted(log)) == ["G03"]
    assert list(asserted(log.removesuffix("$ ls\na.hef\n"))) == ["G03"]


def test_another_package_is_another_command() -> None:
    first = "E: Unable to locate package hailo-all\n"
    install = "$ sudo apt install hailo-all\n"
    log = f"{install}{first}$ sudo apt install tmux\ntmux is already the newest.\n"
    assert list(asserted(log)) == ["R09"]
    again = f"{install}{first}{install}Setting up hailo-all (4.20.0) ...\n"
    assert asserted(again) == {}


def test_what_stopped_the_program_counts_before_what_was_only_mentioned() -> None:
    log = f"plugin overlay: No module named 'shapely'\n{MISSING.format('imutils')}"
    assert "imutils" in asserted(log)["G03"]
    assert "shapely" in asserted(log.split("\n", maxsplit=1)[0])["G03"]


def test_a_comment_or_a_list_is_no_prompt() -> None:
    log = f"# python3 detect.py\n{MISSING.format('cv2')}> python3 detect.py\nall is well\n"
    assert list(asserted(log)) == ["G03"]


def hailort(thread: int, *lines: str) -> str:
    """Return a run as HailoRT writes it into its log."""
    said = ("[info] [device.cpp:49] [Device] OS Version: Linux 6.12 #1 SMP aarch64", *lines)
    return "".join(f"[2025-08-06 03:40:44.531] [{thread}] [HailoRT] {one}\n" for one in said)


NO_FILE = "[error] [file_utils.cpp:40] [read_binary_file] CHECK failed - Error opening file a.hef"
LOADED = "[info] [vdevice.cpp:749] [configure] Configuring HEF on VDevice took 26.3 milliseconds"


def test_a_log_of_hailort_holds_many_runs_and_the_last_one_counts() -> None:
    assert list(asserted(hailort(11, NO_FILE))) == ["R80"]
    assert asserted(hailort(11, NO_FILE) + hailort(12, LOADED)) == {}
    assert list(asserted(hailort(11, LOADED) + hailort(12, NO_FILE))) == ["R80"]
    # A run that only identifies the card mends nothing, and neither does a second device.
    assert list(asserted(hailort(11, NO_FILE) + hailort(12, "[info] a"))) == ["R80"]
    assert list(asserted(hailort(11, NO_FILE) + hailort(11, LOADED))) == ["R80"]


WHEEL = (
    "$ pip install hailort-4.20.0-cp311-cp311-linux_aarch64.whl\n"
    "ERROR: hailort-4.20.0-cp311-cp311-linux_aarch64.whl is not a supported wheel on this platform."
)
ENGINE = (
    "$ docker run app\ndocker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?."
)
NODE = "[HailoRT] [error] Failed to open device file /dev/hailo0 with error 2"
CHIP = (
    "[HailoRT] [error] HEF format is not compatible with device. "
    "Device arch: HAILO8L, HEF arch: HAILO8"
)
CUT = "[HailoRT] [error] CHECK failed - HEF file length does not match"
NO_MODULE = "modprobe: FATAL: Module hailo_pci not found in directory /lib/modules/6.12.25"
NO_PLACE = (
    "hailo_sdk_client.sdk_backend.sdk_backend_exceptions.BackendAllocatorException: Compilation "
    "failed: No successful assignments: concat1 errors: Agent infeasible"
)
WRITTEN = "<Hailo Model Zoo INFO> HEF file written to yolov8n.hef"
RAN = "> Inference result:\n    FPS: 240.12"
SPACE = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("log", "ids"),
    [
        (f"{WHEEL}\n$ hailortcli scan\n{NODE}", ["S36", "R33"]),
        (f"{ENGINE}\n$ python3 detect.py\n{MISSING.format('hailo_platform')}", ["S37", "S28"]),
        (f"$ hailortcli run a.hef\n{CHIP}\n$ hailortcli run b.hef\n{CUT}", ["R01", "H03"]),
        (f"{WHEEL}\n$ hailortcli run a.hef\n{CUT}", ["S36", "H03"]),
    ],
)
def test_a_second_failure_that_needs_none_of_the_first_is_told_too(
    log: str, ids: list[str]
) -> None:
    assert list(asserted(log)) == ids


@pytest.mark.parametrize(
    ("log", "first"),
    [
        (f"{WHEEL}\n$ python3 detect.py\n{MISSING.format('hailo_platform')}", "S36"),
        (
            f"$ pip install torch\n{SPACE}\n$ hailo parser onnx a\nbash: hailo: command not found",
            "S18",
        ),
        (f"$ sudo modprobe hailo_pci\n{NO_MODULE}\n$ hailortcli scan\n{NODE}", "R40"),
        (f"{WHEEL}\n{NODE}", "S36"),
    ],
)
def test_what_may_follow_from_the_first_failure_is_not_asserted(log: str, first: str) -> None:
    assert list(asserted(log)) == [first]


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (f"$ hailortcli run a.hef\n{CHIP}\n$ hailortcli run b.hef\n{RAN}", "R01"),
        (f"$ python3 a.py --net /x/a.hef\n{CUT}\n$ python3 a.py --net b.hef\n{RAN}", "H03"),
        (f"$ hailomz compile yolov8s\n{NO_PLACE}\n$ hailomz compile yolov8n\n{WRITTEN}", "K01"),
    ],
)
def test_another_network_that_works_does_not_hide_the_failure(log: str, cause: str) -> None:
    assert list(asserted(log)) == [cause]


@pytest.mark.parametrize(
    "log",
    [
        f"$ hailortcli run a.hef\n{CUT}\n$ hailortcli run a.hef\n{RAN}",
        f"$ hailortcli run /tmp/a.hef\n{CUT}\n$ hailortcli run a.hef\n{RAN}",
        f"$ hailortcli run a.hef\n{NODE}\n$ hailortcli run b.hef\n{RAN}",
    ],
)
def test_the_same_network_or_card_that_works_later_is_no_failure(log: str) -> None:
    assert asserted(log) == {}
