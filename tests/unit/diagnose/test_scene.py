"""What follows from several lines together: which kernel runs, and which has a driver."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

NODE = "$ hailortcli scan\n[HailoRT] [error] Failed to open device file /dev/hailo0 with error 2"
DESKTOP = "$ uname -r\n6.8.0-60-generic"
PI = "$ uname -r\n6.12.25+rpt-rpi-2712"
OLDER = "$ dkms status\nhailo_pci/4.20.0, 6.6.51-1, x86_64: installed"
ADDED = "$ dkms status\nhailo_pci/4.20.0: added"
LOADED = "$ lsmod | grep hailo\nhailo_pci             110592  0"
NOT_FOUND = (
    "modprobe: FATAL: Module hailo_pci not found in directory /lib/modules/6.12.25+rpt-rpi-2712"
)


def told(*parts: str) -> dict[str, str]:
    """Return the findings, by id, with their severities."""
    log = read_log("\n".join(parts).split("\n"))
    return {one.id: one.severity for one in log.findings()}


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        ((DESKTOP, OLDER, NODE), "R520"),
        ((DESKTOP, ADDED, NODE), "R691"),
        ((PI, ADDED, NOT_FOUND, NODE), "R691"),
    ],
)
def test_a_driver_for_no_kernel_or_another_is_the_reason(
    parts: tuple[str, ...], cause: str
) -> None:
    found = told(*parts)
    assert found[cause] == "fatal"
    assert "R33" not in found


@pytest.mark.parametrize(("parts", "cause"), [((PI, OLDER), "R520"), ((PI, ADDED), "R691")])
def test_the_kernel_of_a_pi_may_have_a_driver_of_its_own(
    parts: tuple[str, ...], cause: str
) -> None:
    found = told(*parts, NODE)
    assert (found["R33"], found[cause]) == ("fatal", "possible")


@pytest.mark.parametrize("said", [OLDER, ADDED])
def test_a_driver_that_is_loaded_was_built(said: str) -> None:
    assert not {"R520", "R691"} & told(DESKTOP, said, LOADED, NODE).keys()


def test_two_drivers_leave_no_proof_that_there_is_no_device() -> None:
    found = told("hailo1x_pci 131072 0", "hailo_pci 110592 0", "Hailo devices not found")
    assert "fatal" not in found.values()
    assert "R331" in found


CARD_OF_LINE_5 = (
    "me@{}:~ $ lspci -nn -d 1e60:\n0001:01:00.0 Co-processor [0b40]: Hailo Technologies Ltd."
    " Hailo-10H AI Processor [1e60:45c4] (rev 01)"
)
MISSED = (
    "me@here:~ $ hailortcli --version\nHailoRT-CLI version 4.20.0\n"
    "me@here:~ $ hailortcli scan\nHailo devices not found"
)


@pytest.mark.parametrize(("at", "told_of_it"), [("here", True), ("there", False)])
def test_a_card_of_another_machine_is_not_the_one_that_is_missed(
    at: str, *, told_of_it: bool
) -> None:
    assert ("R96" in told(CARD_OF_LINE_5.format(at), MISSED)) is told_of_it


@pytest.mark.parametrize(("at", "told_of_it"), [("here", True), ("there", False)])
def test_a_driver_that_another_machine_did_not_build_is_not_missed_here(
    at: str, *, told_of_it: bool
) -> None:
    source = f"me@{at}:~ $ dkms status\nhailo_pci/4.20.0: added"
    assert ("R691" in told(source, MISSED)) is told_of_it
