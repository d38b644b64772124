"""Doctor reasons over all facts at once: one first cause, and hands on the hardware last."""

from __future__ import annotations

from typing import Any

import pytest

from .recorded import IDENTIFY_8L, MISMATCH, NO_CLASS, facts, output
from .test_checks import bad

NOTHING = output(err=NO_CLASS, code=64)
NO_MODULE = {
    "/proc/modules": "brcmfmac 1 0 - Live 0x0",
    "/sys/module/hailo_pci/version": None,
    "/sys/module/hailo1x_pci/version": None,
}
LOADED_10 = NO_MODULE | {
    "/proc/modules": "hailo1x_pci 1 0 - Live 0x0", "/sys/module/hailo1x_pci/version": "5.2.0",
}  # fmt: skip
LOADED_8 = NO_MODULE | {
    "/proc/modules": "hailo_pci 1 0 - Live 0x0", "/sys/module/hailo_pci/version": "4.23.0",
}  # fmt: skip
FRIGATE = {"pid": 9, "command": "frigate", "user": "root", "unit": "frigate.service"}


def said(text: str, code: int = 1, **more: Any) -> dict[str, Any]:
    return {"commands": {"identify": output(err=text, code=code), **more}}


def logged(text: str, **more: Any) -> dict[str, Any]:
    return {"nodes": [], "commands": {"identify": NOTHING, "kernel_log": output(text), **more}}


#: What a device is like -> (version, facts, words of message and reason, words of the step,
#: words that must not be there, checks that complain).
SITUATIONS: dict[str, tuple[str, dict[str, Any], str, str, str, set[str]]] = {
    "nothing answers on the connector": (
        "4.23.0", logged("brcm-pcie 1000110000.pcie: link down\n")
        | {"pci": [], "files": NO_MODULE},
        "nothing answers there", "seat the module", "raspi-config", {"chip"}),
    "the connector may be off": (
        "4.23.0", logged("") | {"pci": [], "files": NO_MODULE}, "no Hailo card", "do_pci 1",
        "supply", {"chip"}),
    "no card and under-voltage": (
        "4.23.0",
        {"pci": [], "files": NO_MODULE, "nodes": [],
         "commands": {"identify": NOTHING, "throttled": output("throttled=0x50005\n")}},
        "no Hailo card", "The supply first", "\0", {"chip"}),
    "a driver of line 5.x for an 8L": (
        "4.23.0", logged("") | {"files": LOADED_10}, "line 5.x", "apt purge hailo-h10-all",
        "seat", {"chip"}),
    "a driver of line 4.x for a 10H": (
        "5.2.0", logged("hailo 0001:01:00.0: Timeout waiting for vDMA boot data completion\n",
                        modinfo_hailo1x_pci=None) | {"files": LOADED_8},
        "line 4.x", "install dkms hailo-h10-all", "seat", {"chip"}),
    "a module for another kernel": (
        "4.23.0", logged("", modinfo_hailo_pci=None, dkms=output(
            "hailo_pci/4.23.0, 6.6.31+rpt-rpi-2712, aarch64: installed\n")) | {"files": NO_MODULE},
        "built for kernel 6.6.31+rpt-rpi-2712", "dkms autoinstall", "seat", {"chip"}),
    "a module that was never signed": (
        "4.23.0", logged("hailo_pci: Key was rejected by service\n", modinfo_hailo_pci=None)
        | {"files": NO_MODULE}, "Secure Boot", "mokutil --import", "seat", {"chip"}),
    "no interrupt vectors": (
        "4.23.0", logged("hailo 0000:05:00.0: Failed to enable MSI -28\n"), "MSI",
        "pciex1-compat-pi5", "seat", {"chip"}),
    "no firmware file": (
        "4.23.0", logged("hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/x.bin)"),
        "firmware is missing", "hailofw", "seat", {"chip"}),
    "firmware of a Hailo-8 that does not start": (
        "4.23.0", logged("hailo 0001:01:00.0: Timeout waiting for firmware..\n"
                         "hailo: probe of 0001:01:00.0 failed with error -110\n"),
        "error -110", "dmesg", "h10", {"chip"}),
    "a link that broke": (
        "4.23.0", logged("pcieport 0001:00:00.0: AER: Uncorrectable (Fatal) error received\n"
                         "hailo 0001:01:00.0: device inaccessible\n"),
        "link to the card failed", "pciex1_gen=2", "crash", {"chip"}),
    "packages of the other line on trixie": (
        "4.23.0", logged("", modinfo_hailo_pci=None, version=output("HailoRT-CLI version 5.2.0\n"),
                         packages=output("h10-hailort 5.2.0 ii \nh10-hailort-pcie-driver 5.2.0 ii "
                                         "\n")) | {"files": NO_MODULE},
        "of the other line", "apt purge h10-hailort", "seat", {"chip"}),
    "driver and library of a 10H differ": (
        "5.2.0", {"commands": {"version": output("HailoRT-CLI version 5.1.1\n"), "identify": output(
            err=MISMATCH.format(driver="5.2.0", library="5.1.1"), code=76)}},
        "driver 5.2.0, library 5.1.1", "h10-hailort-pcie-driver", "hailofw", {"chip"}),
    "another program holds the chip": (
        "4.23.0", said("[HailoRT] [error] status=HAILO_OUT_OF_PHYSICAL_DEVICES(74)")
        | {"holders": {"complete": True, "processes": [FRIGATE]}},
        "frigate.service", "systemctl stop frigate.service", "power", {"chip"}),
    "a node that this login may not open": (
        "4.23.0", said("Failed to open device file /dev/hailo0 with error 13", 13)
        | {"nodes": [{"path": "/dev/hailo0", "is_device": True, "usable": False}]},
        "may not open", "udevadm", "power", {"chip"}),
    "a service of another version": (
        "4.23.0", said("[HailoRT] [error] CHECK_SUCCESS failed with status="
                       "HAILO_INVALID_SERVICE_VERSION(78)"),
        "HAILO_INVALID_SERVICE_VERSION", "hailort.service", "crash", {"chip"}),
    "a card that ran out of memory": (
        "4.23.0", said("[HailoRT] [error] CHECK_SUCCESS failed with status="
                       "HAILO_OUT_OF_HOST_CMA_MEMORY(81)"),
        "CMA", "cma", "Power off", {"chip"}),
    "nobody could ask": (
        "4.23.0", {"commands": {"identify": None, "version": None}}, "nobody could ask",
        "apt install hailort", "crash", {"chip"}),
    "a tool that crashes": (
        "4.23.0", {"commands": {"identify": output(code=-11)}}, "crashed (signal 11)",
        "--reinstall hailort ", "Power off", {"chip"}),
    "words that nobody has heard": (
        "4.23.0", said("[HailoRT] [error] The frobnicator of the card is upside down"),
        "hailortcli says: The frobnicator of the card is upside down", "dmesg", "crash", {"chip"}),
    "it hangs": (
        "4.23.0", {"commands": {"identify": {**output(code=124), "timed_out": True}}},
        "did not end", "power off", "seat", {"chip"}),
    "old firmware after an upgrade": (
        "4.23.0", {"commands": {"identify": output(IDENTIFY_8L.format(version="4.20.0"))}},
        "firmware 4.20.0", "sudo reboot", "seat", {"firmware-version"}),
    "large pages": (
        "4.23.0", {"page_size": 16384}, "16 KB pages", "force_desc_page_size=4096", "seat",
        {"page-size"}),
    "hot": (
        "4.23.0", {"commands": {"throttled": output("throttled=0xe0008\n")}}, "temperature",
        "Cool the board", "27 W", {"power"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_one_first_cause_with_one_next_step(name: str) -> None:
    version, changes, shown, step, never, complaining = SITUATIONS[name]
    found = bad(facts(version, **changes))
    assert set(found) == complaining, found
    (first,) = found.values()
    assert shown in f"{first.message} {first.why}", first
    assert step in first.fix, first
    assert never not in f"{first.message} {first.why} {first.fix}", first


@pytest.mark.parametrize(
    ("version", "kernel", "told"),
    [("4.20.0", "6.15.0+rpt", True), ("4.20.0", "6.14.9+rpt", False), ("4.23.0", "6.18.2", False),
     ("4.22.0", "7.0.1", True)],
)  # fmt: skip
def test_a_driver_that_cannot_be_built_is_told_for_the_kernels_that_it_is_true_of(
    version: str, kernel: str, told: bool
) -> None:
    status = f"hailo_pci/{version}, 6.6.31+rpt-rpi-2712, aarch64: installed\n"
    changes = logged("", modinfo_hailo_pci=None, dkms=output(status)) | {"files": NO_MODULE}
    why = bad(facts(version, kernel=kernel, **changes))["chip"].why
    assert ("do not compile" in why) is told


def test_the_chips_of_a_line_are_named() -> None:
    changes = logged("") | {"files": LOADED_10}
    why = bad(facts("4.23.0", **changes))["chip"].why
    assert "line 5.x drives" in why
    assert "Hailo-10H" in why


@pytest.mark.parametrize(
    "log",
    ["hailo 0000:05:00.0: Failed to enable MSI -28\n", "hailo 0001:01:00.0: device inaccessible\n",
     "hailo: probe of 0001:01:00.0 failed with error -110\n",
     "hailo 0001:01:00.0: Timeout waiting for vDMA boot data completion\n",
     "hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/x.bin)"],
)  # fmt: skip
def test_old_lines_of_the_kernel_explain_nothing_when_no_card_is_there(log: str) -> None:
    """The card was taken out, or fell off the bus, after the driver had said that."""
    found = bad(facts("4.23.0", **(logged(log) | {"pci": [], "files": NO_MODULE})))
    assert "no Hailo card is on the PCIe bus" in found["chip"].message


@pytest.mark.parametrize("flags", ["0x50005", "0x0"])
def test_under_voltage_goes_before_generation_and_cable(flags: str) -> None:
    broken = logged("hailo 0001:01:00.0: device inaccessible\n",
                    throttled=output(f"throttled={flags}\n"))  # fmt: skip
    fix = bad(facts("4.23.0", **broken))["chip"].fix
    assert fix.startswith("The supply first") is (flags != "0x0")


def test_a_silent_chip_and_a_weak_supply() -> None:
    weak = {"identify": output(), "throttled": output("throttled=0x50000\n")}
    found = bad(facts("4.23.0", commands=weak))
    assert set(found) == {"chip"}
    assert "under-voltage since boot" in found["chip"].message
    silent = bad(facts("4.23.0", commands={"identify": output()}))
    assert "does not answer" in silent["chip"].message


def test_a_package_that_is_half_installed_is_named() -> None:
    half = logged("", modinfo_hailo_pci=None, packages=output("hailo-dkms 4.23.0-1 iF \n"))
    found = bad(facts("4.23.0", **(half | {"files": NO_MODULE})))
    assert found["dkms"].message == "hailo-dkms is only half installed"


def test_the_tools_name_is_told_once() -> None:
    lost = "hailortcli: error while loading shared libraries: libhailort.so.4.23.0: cannot open"
    found = bad(facts("4.23.0", **said(lost, 127)))["chip"]
    assert found.message.startswith("hailortcli: error while loading shared libraries")
