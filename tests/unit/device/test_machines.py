"""What doctor advises fits the machine: its system, its packages, what is held, what is loaded."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from orchestrator.device.identity import read_identity
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_device import CHECKS, DeviceFacts

from .recorded import BOOKWORM, MISMATCH, NO_CLASS, binding, facts, output

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nVERSION_CODENAME=noble'
NO_MODULE = {
    "/proc/modules": "", "/sys/module/hailo_pci/version": None,
    "/sys/module/hailo1x_pci/version": None,
}  # fmt: skip
CARD = {"address": "0001:01:00.0", "device": "0x2864"}
CARD_10 = CARD | {"device": "0x45c4"}
PC = {"machine": "x86_64", "kernel": "6.8.0-49-generic"}
ON_PC = {"/etc/os-release": UBUNTU, "/proc/device-tree/model": None}
NOTHING: dict[str, Any] = {
    "version": None, "identify": None, "scan": None, "packages": output(""),
    "modinfo_hailo_pci": None, "modinfo_hailo1x_pci": None,
    "binding": binding(binding_error="ModuleNotFoundError: No module named 'hailo_platform'"),
}  # fmt: skip
AWAY = {"identify": output(err=NO_CLASS, code=64)}
DIFFER = {"identify": output(err=MISMATCH.format(driver="4.20.0", library="4.23.0"), code=76)}
OLDER = DIFFER | {"modinfo_hailo_pci": output("4.20.0\n")}
HALF_HELD = "hailort 4.23.0 ii \nhailort-pcie-driver 4.20.0 hi \npython3-hailort 4.23.0 ii \n"
BARE: dict[str, Any] = {"libraries": [], "firmware": [], "nodes": []}


def bad(version: str, **changes: Any) -> dict[str, tuple[str, str]]:
    """Return what each check that complains found, and its way out."""
    raw = facts(version, **changes)
    seen: Any = DeviceFacts("pi5", read_identity(raw, host_time=raw.time), raw)
    return {
        one.id.removeprefix("device."): (
            f"{one.finding.message}; {one.finding.why}", one.finding.fix or ""
        )
        for one in run_checks(CHECKS, seen)
        if one.finding.severity in ("error", "warning")
    }  # fmt: skip


#: (version, facts, words of what was found, words of the fix, words that are not in the fix)
CHIP: dict[str, tuple[str, dict[str, Any], str, tuple[str, ...], tuple[str, ...]]] = {
    "Ubuntu on a Pi, nothing installed": (
        "4.23.0", {"pci": [CARD], "files": {**NO_MODULE, "/etc/os-release": UBUNTU},
                   "commands": NOTHING, **BARE},
        "hailortcli is not installed",
        ("Ubuntu 24.04.1 LTS", "hailort-pcie-driver_VERSION_all.deb", "arm64"), ("hailo-all",)),
    "a PC, nothing installed": (
        "4.23.0", {"pci": [CARD], "files": NO_MODULE | ON_PC, "commands": NOTHING, **PC, **BARE},
        "hailortcli is not installed", ("hailort_VERSION_amd64.deb",), ("hailo-all",)),
    "a PC, no module for the kernel": (
        "4.23.0", {"pci": [CARD], "files": NO_MODULE | ON_PC, "nodes": [], **PC,
                   "commands": {**AWAY, "modinfo_hailo_pci": None}},
        "no driver is loaded", ("hailort-pcie-driver_4.23.0_all.deb", "linux-headers-"),
        ("hailo-all",)),
    "a PC with Hailo's packages of two versions": (
        "4.23.0", {"files": ON_PC, **PC, "commands": {**OLDER, "packages": output(
            "hailort 4.23.0 ii \nhailort-pcie-driver 4.20.0 ii \n")}},
        "driver 4.20.0, library 4.23.0", ("hailort-pcie-driver_4.23.0_all.deb",),
        ("hailo-dkms", "--only-upgrade")),
    "a PC without a card": (
        "4.23.0", {"pci": [], "files": NO_MODULE | ON_PC, "nodes": [], "commands": AWAY, **PC},
        "no Hailo card", ("seat the module",), ("raspi-config", "Pi 5")),
    "a virtual machine without the card": (
        "4.23.0", {"pci": [], "files": NO_MODULE | ON_PC | {
            "/proc/cpuinfo": "model name : QEMU Virtual CPU\nflags : fpu tsc hypervisor\n"},
            "nodes": [], "commands": AWAY, **PC},
        "virtual machine", ("passed through",), ("raspi-config", "seat")),
    "a Pi 4": (
        "4.23.0", {"pci": [], "files": NO_MODULE | {
            "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5"},
            "commands": NOTHING, **BARE},
        "Raspberry Pi 4 Model B", ("Pi 5",), ("raspi-config", "seat", "apt install")),
    "a 10H on Bookworm": (
        "5.1.1", {"pci": [CARD_10], "files": {**NO_MODULE, "/etc/os-release": BOOKWORM},
                  "commands": {**NOTHING, "policy": output(
                      "hailo-all:\n  Installed: (none)\n  Candidate: 4.20.0\n")}, **BARE},
        "hailortcli is not installed", ("hailo-h10-all", "Trixie"), ("install dkms hailo-all",)),
    "a driver that is held back": (
        "4.23.0", {"commands": {**OLDER, "held": output("hailort-pcie-driver\n"),
                                "packages": output(HALF_HELD)}},
        "driver 4.20.0, library 4.23.0",
        ("apt-mark unhold hailort-pcie-driver && ", "--only-upgrade hailort hailort-pcie-driver"),
        ("hailo-dkms",)),
    "a driver that waits for the next boot": (
        "4.23.0", {"files": {"/sys/module/hailo_pci/version": "4.20.0"}, "commands": DIFFER},
        "driver 4.23.0 is installed, and not loaded yet",
        ("sudo reboot\nif they differ still",), ()),
    "an old library in /usr/local": (
        "4.23.0", {"libraries": ["/usr/lib/libhailort.so.4.23.0",
                                 "/usr/local/lib/libhailort.so.4.20.0"],
                   "commands": {"version": output("HailoRT-CLI version 4.20.0\n"),
                                "identify": output(err=MISMATCH.format(
                                    driver="4.23.0", library="4.20.0"), code=76)}},
        "/usr/local/lib/libhailort.so.4.20.0",
        ("sudo rm /usr/local/lib/libhailort.so.4.20.0", "sudo ldconfig"), ("apt",)),
    "no node, and the driver runs the card": (
        "4.23.0", {"pci": [CARD | {"driver": "hailo"}], "nodes": [], "commands": {
            "identify": output(err="[HailoRT] [error] CHECK failed - Failed to open device file "
                               "/dev/hailo0 with error 2\n", code=1)}},
        "no /dev/hailo0", ("--device /dev/hailo0",), ("hef doctor", "seat")),
    "a PC without interrupt vectors": (
        "4.23.0", {"nodes": [], "files": ON_PC, **PC, "commands": {**AWAY, "kernel_log": output(
            "hailo 0000:05:00.0: Failed to enable MSI -28\n")}},
        "MSI", ("slot",), ("dtoverlay", "rpi-eeprom", "seat")),
    "a PC without firmware": (
        "4.23.0", {"nodes": [], "files": ON_PC, **PC, "commands": {**AWAY, "kernel_log": output(
            "hailo 0000:05:00.0: Direct firmware load for hailo/hailo8_fw.bin failed with error -2"
            "\n")}},
        "firmware is missing", ("hailort-pcie-driver_4.23.0_all.deb",), ("hailofw",)),
    "a PC with the other line's driver": (
        "4.23.0", {"pci": [CARD_10], "nodes": [], "files": ON_PC, **PC, "commands": {
            **AWAY, "packages": output("hailort 4.23.0 ii \nhailort-pcie-driver 4.23.0 ii \n")}},
        "line 4.x", ("apt purge hailort hailort-pcie-driver\n", "line 5.x"), ("hailo-h10-all",)),
    "no room for the card's memory": (
        "4.23.0", {"nodes": [], "commands": {**AWAY, "kernel_log": output(
            "pci 0001:01:00.0: BAR 4 [mem size 0x4000 64bit pref]: can't assign; no space\n"
            "hailo: probe of 0001:01:00.0 failed with error -12\n")}},
        "address space", ("mmio-hi",), ("seat", "reinstall")),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHIP))
def test_the_way_out_is_one_of_this_machine(name: str) -> None:
    version, changes, found, fix, never = CHIP[name]
    found_there, way = bad(version, **changes)["chip"]
    assert found in found_there
    for words in fix:
        assert words in way
    for words in never:
        assert words not in way


def test_a_binding_of_ones_own_environment_is_told_by_its_place() -> None:
    place = "/home/pi/env/lib/python3.11/site-packages/hailo_platform/__init__.py"
    other = binding(binding="4.20.0", emulated=False, file=place)
    found, way = bad("4.23.0", commands={"binding": other})["binding"]
    assert "/home/pi/env" in found
    assert "pip uninstall hailort" in way
    assert "--reinstall" not in way
    of_system = binding(binding="4.20.0", file="/usr/lib/python3/dist-packages/hailo_platform/x.py")
    assert (
        "--reinstall python3-hailort"
        in bad("4.23.0", commands={"binding": of_system})["binding"][1]
    )


def test_an_old_python_is_mended_by_the_system_that_is_there() -> None:
    old = {"binding": binding(python="3.8.10", binding="4.17.0", numpy="1.24.4")}
    assert "Bookworm" in bad("4.17.0", commands=old)["python"][1]
    other = bad("4.17.0", commands=old, files={"/etc/os-release": UBUNTU})["python"][1]
    assert "Raspberry" not in other
    assert "--python" in other


def test_the_driver_on_disk_is_that_of_the_loaded_one() -> None:
    both = {"/proc/modules": "hailo1x_pci 1 0 - Live 0x0\nhailo_pci 1 0 - Live 0x0\n",
            "/sys/module/hailo1x_pci/version": "5.1.1"}  # fmt: skip
    found = bad("4.23.0", files=both, commands={"modinfo_hailo1x_pci": output("5.1.1\n")})
    assert "two-drivers" in found
    assert "reboot" not in found


@pytest.mark.parametrize("unit", ["x;reboot.service", "$(id).service", "-H.service", "a b.service"])
def test_a_unit_that_is_none_stands_in_no_command(unit: str) -> None:
    holder = {"pid": 7, "command": "evil", "user": "root", "unit": unit}
    way = bad("4.23.0", holders={"complete": True, "processes": [holder]})["holders"][1]
    assert unit not in way
    assert way.startswith("sudo kill 7")


def test_the_name_of_a_unit_is_quoted() -> None:
    unit = r"app-a\x2db@1.service"
    holder = {"pid": 7, "command": "app", "user": "pi", "unit": unit}
    way = bad("4.23.0", holders={"complete": True, "processes": [holder]})["holders"][1]
    assert shlex.split(way.split("\n")[0]) == ["sudo", "systemctl", "stop", unit]


def test_hailorts_own_service_is_shared_and_not_stopped_first() -> None:
    holder = {"pid": 812, "command": "/usr/bin/hailort_service", "user": "root",
              "unit": "hailort.service"}  # fmt: skip
    way = bad("4.23.0", holders={"complete": True, "processes": [holder]})["holders"][1]
    assert way.startswith("This is HailoRT's own service")
    assert "shared: true" in way.split("\n")[0]
