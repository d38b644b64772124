"""What two facts of one post show together: kernels and modules, releases, questions."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.releases import compares

RUNS = "$ uname -r\n6.6.31+rpt-rpi-2712"
MISSED = "modprobe: FATAL: Module cifs not found in directory /lib/modules/6.6.31+rpt-rpi-2712"


def told(*parts: str) -> dict[str, str]:
    """Return the severity of each finding by its id."""
    lines = [line for part in parts for line in part.split("\n")]
    return {one.id: one.severity for one in read_log(lines).findings()}


@pytest.mark.parametrize(
    "listing",
    [
        "$ ls /lib/modules\n6.12.25+rpt-rpi-2712  6.12.25+rpt-rpi-v8",
        "$ ls -l /lib/modules/\ntotal 4\ndrwxr-xr-x 3 root root 4096 Oct  1 23:40 6.12.25+rpt-v8",
        "/lib/modules contains: 6.12.25+rpt-rpi-2712 and 6.12.25+rpt-rpi-v8",
    ],
)
def test_a_kernel_without_modules_is_told_from_a_listing_of_any_form(listing: str) -> None:
    assert told(RUNS, listing, MISSED) == {"L2046": "fatal"}


@pytest.mark.parametrize(
    "listing",
    [
        "$ ls /lib/modules\n6.6.31+rpt-rpi-2712  6.12.25+rpt-rpi-2712",
        "$ ls /lib/modules\nls: cannot access '/lib/modules': No such file or directory",
        "$ ls /lib/modules/6.12.25+rpt-rpi-2712\nbuild  kernel  modules.dep",
    ],
)
def test_modules_of_the_kernel_or_no_listing_show_nothing(listing: str) -> None:
    assert "L2046" not in told(RUNS, listing, MISSED)


def test_a_new_start_in_between_takes_the_kernel_back() -> None:
    listing = "pi@pi5:~ $ ls /lib/modules\n6.12.25+rpt-rpi-2712"
    assert "L2046" in told(RUNS, listing, "sudo modprobe cifs")
    assert "L2046" not in told(RUNS, listing, "pi@pi5:~ $ sudo reboot", "sudo modprobe cifs")


def test_the_kernel_of_another_machine_proves_nothing() -> None:
    runs = "me@desk:~ $ uname -r\n6.6.31+rpt-rpi-v8"
    listing = "pi@pi5:~ $ ls /lib/modules\n6.12.25+rpt-rpi-2712"
    assert "L2046" not in told(runs, listing, "no module is loaded")
    # A PC and a Pi without prompts: it is open whether both are meant.
    of_pc = "$ uname -r\n6.8.0-45-generic"
    listed = "$ ls /lib/modules\n6.12.25+rpt-rpi-2712"
    assert told(of_pc, listed, "no module is loaded").get("L2046") == "possible"


@pytest.mark.parametrize(
    ("asked", "have", "how"),
    [
        ("==1.13.1", "2.0.0, 2.0.1, 2.4.1", "newer"),
        ("<=1.12.0,>=1.10.0", "1.13.1, 1.14.0", "newer"),
        ("==1.15.0", "0.1.2, 0.1.2.post1, 1.6.0", "older"),
        (">=2.16", "2.8.0, 2.11.1", "older"),
        ("~=2.16", "2.8.0rc1, 2.11.1", "older"),
        ("==2.0.1+cu118", "1.13.1, 2.0.1, 2.1.0", "build"),
        ("==2.3.1+cu121", "2.3.1+cpu, 2.3.1, 2.6.0+cu126", "build"),
        ("==1.99", "1.26.4, 2.0.0", None),
        ("!=1.0", "2.0.0", None),
        ("==2.0", "2.0.0", None),
        ("", "2.0.0", None),
        ("==1.0", "none", None),
    ],
)
def test_releases_are_compared_with_what_was_asked(asked: str, have: str, how: str | None) -> None:
    assert [one for one in ("newer", "older", "build") if compares(one, asked, have)] == (
        [how] if how else []
    )


ASKED = "How can I switch between two models on one Hailo-8 without loading them each time?"


@pytest.mark.parametrize(
    ("post", "found"),
    [
        (ASKED, False),
        (f"Hello,\n\nI have two networks.\n\n{ASKED}\n\nThanks!", False),
        (f"{ASKED} Switching is very slow.", True),
        ("Switching between two models on one Hailo-8 is slow.\n\nWhat can I do?", True),
    ],
)
def test_a_plain_question_brings_no_cause_up(post: str, found: bool) -> None:
    assert ("R1856" in told(post)) is found
