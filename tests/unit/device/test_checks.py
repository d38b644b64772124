"""What ``hef doctor --device`` says, for every failure of users that shows before running."""

from __future__ import annotations

from typing import Any

import pytest
from hefsmith_worker.contract.findings import ERROR, INFO, OK, WARNING

from orchestrator.device.identity import read_identity
from orchestrator.device.replies import Facts, OnShelf
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_device import CHECKS, DeviceFacts

from .recorded import (
    IDENTIFY_8L,
    IDENTIFY_10H,
    MISMATCH,
    VERSIONS_4,
    VERSIONS_5,
    binding,
    facts,
    output,
)


def results(raw: Facts, **more: Any) -> dict[str, Any]:
    """Return the findings by the check's short name."""
    found = DeviceFacts("pi5", read_identity(raw, host_time=raw.time), raw, **more)
    return {
        result.id.removeprefix("device."): result.finding for result in run_checks(CHECKS, found)
    }


def bad(raw: Facts, **more: Any) -> dict[str, Any]:
    found = results(raw, **more)
    return {name: one for name, one in found.items() if one.severity in (ERROR, WARNING)}


@pytest.mark.parametrize("version", [*VERSIONS_4[4:], *VERSIONS_5])
def test_a_healthy_device_has_no_complaint(version: str) -> None:
    assert bad(facts(version)) == {}


@pytest.mark.parametrize("version", VERSIONS_4)
def test_the_compiler_that_pairs_is_named(version: str) -> None:
    minor = int(version.split(".")[1]) + 10
    assert f"Compiler 3.{minor}" in results(facts(version))["pairing"].message


def test_every_finding_that_is_not_fine_has_a_reason_and_a_fix() -> None:
    for raw in (facts(), facts("5.2.0"), facts(commands={"identify": None, "version": None})):
        for name, finding in results(raw).items():
            if finding.severity != OK:
                assert finding.why, name
                assert finding.fix, name


@pytest.mark.parametrize(
    ("refuses", "words"),
    [("no_folder", "ls -ld"), ("read_only", "raspi-config"), ("rights", "login's own")],
)
def test_a_folder_that_takes_no_release_is_an_error(refuses: str, words: str) -> None:
    """Doctor found nothing wrong, and nothing could be shipped."""
    place = {"free": 10**10, "total": 10**11, "folder": "/home/pi/.hefsmith", "refuses": refuses}
    found = bad(facts(disk=place))
    assert set(found) == {"disk"}
    assert found["disk"].severity == ERROR
    assert words in found["disk"].fix


def test_r03_driver_and_library_differ() -> None:
    commands = {"identify": output(err=MISMATCH.format(driver="4.20.0", library="4.22.0"), code=76)}
    found = bad(facts("4.22.0", commands=commands))
    assert set(found) == {"chip", "reboot"}
    assert found["chip"].severity == ERROR
    assert found["chip"].message == "driver 4.20.0, library 4.22.0"
    assert "apt-mark hold" in found["chip"].fix


def test_r03_a_driver_waits_for_the_next_boot() -> None:
    found = bad(facts("4.23.0", commands={"modinfo_hailo_pci": output("4.24.0\n")}))
    assert set(found) == {"reboot"}


def test_r07_large_pages_need_a_driver_setting() -> None:
    off = {"/sys/module/hailo_pci/parameters/force_desc_page_size": "0"}
    found = bad(facts("4.23.0", page_size=16384, files=off))
    assert found["page-size"].severity == ERROR
    assert "options hailo_pci force_desc_page_size=4096" in found["page-size"].fix
    log = {"kernel_log": output("hailo 0001:01:00.0: Probing: Setting max_desc_page_size to 16384")}
    assert bad(facts("4.23.0", page_size=16384, commands=log))["page-size"].severity == ERROR
    # Nobody could tell what the driver takes.
    assert bad(facts("4.23.0", page_size=16384))["page-size"].severity == WARNING
    forced = "hailo: Probing: Force setting max_desc_page_size to 4096 (recommended value is 16384)"
    assert bad(facts("4.23.0", page_size=16384, commands={"kernel_log": output(forced)})) == {}


def test_r07_the_setting_is_seen_when_active_and_when_it_waits_for_a_boot() -> None:
    active = {"/sys/module/hailo_pci/parameters/force_desc_page_size": "4096"}
    assert bad(facts("4.23.0", page_size=16384, files=active)) == {}
    noted = {"/etc/modprobe.d/hailo_pci.conf": "options hailo_pci force_desc_page_size=4096"}
    found = bad(facts("4.23.0", page_size=16384, modprobe=noted))
    assert found["page-size"].fix == "sudo reboot"


def test_r07_is_no_matter_of_the_new_line() -> None:
    assert "page-size" not in results(facts("5.2.0", page_size=16384))


def test_r08_the_holder_and_its_service_are_named() -> None:
    process = {"pid": 812, "command": "frigate", "user": "root", "unit": "frigate.service"}
    found = bad(facts("4.23.0", holders={"complete": True, "processes": [process]}))
    assert "frigate.service" in found["holders"].message
    assert "systemctl stop frigate.service" in found["holders"].fix


def test_r08_two_drivers_at_once() -> None:
    modules = "hailo_pci 1 0 - Live 0x0\nhailo1x_pci 1 0 - Live 0x0"
    found = bad(facts("4.23.0", files={"/proc/modules": modules}))
    assert "blacklist hailo1x_pci" in found["two-drivers"].fix


def test_r09_apt_offers_the_other_line_only() -> None:
    policy = (
        "hailort:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n"
        "h10-hailort:\n  Installed: (none)\n  Candidate: 5.1.1\n  Version table:\n"
    )
    assert (
        "h10-hailort 5.1.1"
        in bad(facts("4.23.0", commands={"policy": output(policy)}))["apt"].message
    )


def test_r09_hailort_of_the_other_line_is_the_first_cause_and_the_rest_follows() -> None:
    raw = facts("5.1.1", pci=[{"device": "0x2864"}], commands={"identify": output()})
    found = results(raw)
    assert "is of line 5.x, and the card is a Hailo-8" in found["chip"].message
    assert "hailo-all" in found["chip"].fix
    assert (found["line"].severity, found["line"].why[:12]) == (INFO, "follows from")
    assert "versions" not in found
    alone = facts("5.1.1", pci=[{"device": "0x2864"}], files={"/proc/modules": ""},
                  commands={"identify": output()})  # fmt: skip
    assert "HailoRT 5.1.1 is of line 5.x" in bad(alone)["chip"].message
    # The chip answers, of whatever line its library claims to be.
    answers = facts("5.1.1", commands={"identify": output(IDENTIFY_8L.format(version="5.1.1"))})
    assert "5.1.1 with a chip of the 4.x line" in bad(answers)["line"].message


HANDS = ("seat", "cable", "screw")
CARD_8 = {"device": "0x2864"}
CARD_10 = {"device": "0x45c4"}
NO_MODULE = {"/proc/modules": "", "/sys/module/hailo_pci/version": None}
MSI_LOG = "[    3.446839] hailo 0000:05:00.0: Failed to enable MSI -28\n"
SIGNED_LOG = "modprobe: could not insert hailo_pci: Key was rejected by service"
BOOT_LOG = "[   42.1] hailo1x 0001:01:00.0: Timeout waiting for vDMA boot data completion\n"


@pytest.mark.parametrize(
    ("raw", "found", "fix"),
    [
        (facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output(),
         "modinfo_hailo_pci": None}), "no driver is loaded", "hailo-all"),
        (facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output()}),
         "no driver is loaded", "sudo modprobe hailo_pci"),
        (facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output()},
               modprobe={"/etc/modprobe.d/x.conf": "blacklist hailo_pci\n"}),
         "no driver is loaded", "blacklist hailo_pci' from /etc/modprobe.d/x.conf"),
        (facts("5.1.1", pci=[CARD_8], files={"/proc/modules": "hailo_pci 1 0 - Live 0x0",
         "/sys/module/hailo_pci/version": "4.23.0"}, commands={"identify": output(
             err=MISMATCH.format(driver="4.23.0", library="5.1.1"), code=76)}),
         "HailoRT 5.1.1 is of line 5.x, and the card is a Hailo-8", "apt purge hailo-h10-all"),
        (facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output(),
         "kernel_log": output("Loading of module with unavailable key is rejected")}),
         "refused its signature", "mokutil"),
        (facts("5.2.0", pci=[CARD_10], files={"/proc/modules": "",
         "/sys/module/hailo1x_pci/version": None},
         commands={"identify": output(), "modinfo_hailo1x_pci": None}),
         "no driver is loaded", "hailo-h10-all"),
        (facts("4.23.0", pci=[CARD_10], commands={"identify": output()}),
         "is of line 4.x, and the card is a Hailo-10H", "hailo-h10-all"),
        (facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output(),
         "kernel_log": output(SIGNED_LOG)}),
         "refused its signature", "mokutil"),
        (facts("4.23.0", pci=[CARD_8],
               commands={"identify": output(), "kernel_log": output(MSI_LOG)}),
         "MSI, error -28", "no-mip"),
        (facts("5.2.0", pci=[CARD_10],
               commands={"identify": output(), "kernel_log": output(BOOT_LOG)}),
         "did not start", "h10-hailort-pcie-driver"),
        (facts("4.22.0", pci=[CARD_8], commands={"identify": output(
            err=MISMATCH.format(driver="4.20.0", library="4.22.0"), code=76)}),
         "driver 4.20.0, library 4.22.0", "hailo-dkms"),
    ],
)  # fmt: skip
def test_one_first_cause_is_told_and_nobody_is_sent_to_the_screwdriver(
    raw: Facts, found: str, fix: str
) -> None:
    told = results(raw)
    assert found in told["chip"].message
    assert fix in told["chip"].fix
    assert not any(word in one.fix.lower() for one in told.values() for word in HANDS)
    errors = [name for name, one in told.items() if one.severity == ERROR]
    assert errors in (["chip"], ["chip", "versions"], ["chip", "dkms"])


def test_hands_go_to_the_card_when_nothing_is_on_the_bus() -> None:
    told = results(facts("4.23.0", pci=[], commands={"identify": output()}))
    assert "no Hailo card is on the PCIe bus" in told["chip"].message
    assert "seat the module" in told["chip"].fix


def test_no_driver_is_no_driver_of_the_same_version() -> None:
    raw = facts("4.23.0", pci=[CARD_8], files=NO_MODULE, commands={"identify": output()})
    assert results(raw)["versions"].severity == INFO
    assert "of the same" not in results(raw)["versions"].message


@pytest.mark.parametrize(
    ("version", "firmware", "severity", "package"),
    [
        ("4.21.0", "4.20.0", ERROR, "hailofw"),
        ("5.3.0", "5.1.1", ERROR, "h10-hailort-pcie-driver"),
        ("4.20.1", "4.20.0", WARNING, "hailofw"),
    ],
)
def test_r34_old_firmware_still_runs_after_an_upgrade(
    version: str, firmware: str, severity: str, package: str
) -> None:
    raw = facts(version)
    identify = output(raw.output("identify").out.replace(f"Version: {version}",
                                                         f"Version: {firmware}"))  # fmt: skip
    told = bad(facts(version, commands={"identify": identify}))
    assert told["firmware-version"].severity == severity
    assert told["firmware-version"].message == f"firmware {firmware}, driver {version}"
    assert package in told["firmware-version"].fix


def test_packages_are_those_of_the_line() -> None:
    raw = facts("5.3.0", pci=[CARD_10], commands={
        "identify": output(err=MISMATCH.format(driver="5.1.1", library="5.3.0"), code=76)
    })  # fmt: skip
    fix = results(raw)["chip"].fix
    for package in ("h10-hailort ", "h10-hailort-pcie-driver", "python3-h10-hailort"):
        assert package in fix
    assert "hailofw" not in fix


def test_pcie_generation_that_is_set_is_not_proposed_again() -> None:
    slow = {"device": "0x2864", "current_link_speed": "5.0 GT/s PCIe", "current_link_width": "1"}
    fix = "dtparam=pciex1_gen=3"
    assert fix in results(facts("4.23.0", pci=[slow]))["pcie"].fix
    config = {"/boot/firmware/config.txt": f"[all]\n{fix}\n"}
    told = results(facts("4.23.0", pci=[slow], files=config))["pcie"]
    assert "although generation 3 is set" in told.message
    assert fix not in told.fix


def test_recorded_facts_are_read_from_json() -> None:
    raw = {"time": 0, "pci": [CARD_8], "commands": {"identify": {"code": 0}}, "unknown": 1}
    told = DeviceFacts("pi5", read_identity(raw), raw)  # type: ignore[arg-type]
    assert told.raw.pci[0].device == "0x2864"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("ImportError: libhailort.so.4.20.0: cannot open shared object file", "make no link"),
        ("ModuleNotFoundError: No module named 'hailo_platform.pyhailort._pyhailort'", "cp311"),
        ("ModuleNotFoundError: No module named 'hailo_platform'", "--system-site-packages"),
        ("ImportError: _pyhailort version (4.20.0) does not match pyhailort", "--reinstall"),
    ],
)  # fmt: skip
def test_r10_r12_each_broken_binding_has_its_own_fix(problem: str, words: str) -> None:
    found = bad(facts("4.23.0", commands={"binding": binding(binding_error=problem)}))
    assert words in found["binding"].fix


def test_r11_numpy_2_with_an_old_binding() -> None:
    old = binding(binding="4.20.0", numpy="2.2.6")
    assert "numpy<2" in bad(facts("4.20.0", commands={"binding": old}))["numpy"].fix
    new = binding(binding="4.23.0", numpy="2.2.6")
    assert bad(facts("4.23.0", commands={"binding": new})) == {}


def test_r16_a_10h_has_one_api_only() -> None:
    assert "create_infer_model" in results(facts("5.2.0"))["api"].fix


def test_r17_under_voltage_names_the_supply() -> None:
    found = bad(facts("4.23.0", commands={"throttled": output("throttled=0x50005\n")}))
    assert "27 W" in found["power"].fix


def test_r18_the_missing_firmware_file_is_named() -> None:
    log = (
        "[    5.1] hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/hailo8_fw.bin),"
        " please upload the firmware manually"
    )
    raw = facts("4.23.0", commands={"kernel_log": output(log), "identify": output()}, firmware=[])
    found = bad(raw)
    assert "/lib/firmware/hailo/hailo8_fw.bin" in found["chip"].message
    assert "hailofw" in found["chip"].fix
    assert "firmware" not in found


def test_r19_a_driver_that_was_not_built_for_the_kernel() -> None:
    status = "hailo_pci/4.20.0, 6.6.51+rpt-rpi-2712, aarch64: installed\n"
    raw = facts(
        "4.20.0",
        kernel="6.15.2-v8+",
        commands={"dkms": output(status), "identify": output(), "modinfo_hailo_pci": output()},
        files={"/sys/module/hailo_pci/version": None, "/proc/modules": ""},
    )
    found = bad(raw)
    assert set(found) == {"chip"}
    assert "built for kernel 6.6.51" in found["chip"].why
    assert "drivers before 4.23 do not compile on kernels from 6.15 on" in found["chip"].why
    assert "linux-headers" in found["chip"].fix


def test_r01_a_shipped_release_for_another_chip() -> None:
    def shelf(arch: str) -> dict[str, OnShelf]:
        return {"net": OnShelf("x", record={"arch": arch})}

    raw = facts("4.23.0")
    assert "compiled for hailo8," in bad(raw, shelves=shelf("hailo8"))["shipped-chip"].message
    assert bad(raw, shelves=shelf("hailo8l")) == {}
    larger = facts("5.2.0", commands={"identify": output(IDENTIFY_10H.format(version="5.2.0"))})
    assert bad(larger, shelves=shelf("hailo15h")) == {}


def test_r21_r22_labels_that_do_not_fit_the_classes() -> None:
    shelf = OnShelf("x", {"arch": "hailo8l"}, {"nms": {"classes": 80}}, 2)
    found = bad(facts("4.23.0"), shelves={"net": shelf})
    assert found["shipped-labels"].message == "net: 2 labels for 80 classes"


def test_no_chip_names_the_package_to_install_when_the_tool_is_missing() -> None:
    found = bad(facts("4.23.0", commands={"identify": None, "version": None}, libraries=[]))
    assert "hailo-all" in found["chip"].fix


def test_an_empty_device_gets_an_answer_and_no_traceback() -> None:
    assert "chip" in bad(Facts(time=0.0))


@pytest.mark.parametrize(
    ("service", "version", "severity", "words"),
    [
        ("LoadState=loaded\nActiveState=active\n", "4.23.0", OK, "runs"),
        ("LoadState=loaded\nActiveState=inactive\n", "4.23.0", ERROR, "does not run"),
        ("LoadState=not-found\nActiveState=inactive\n", "4.23.0", ERROR, "not installed"),
        ("LoadState=loaded\nActiveState=active\n", "4.22.0", ERROR, "service 4.22.0, library"),
        ("", "4.23.0", INFO, "cannot be told"),
    ],
)
def test_a_shared_chip_needs_the_service_of_the_librarys_version(
    service: str, version: str, severity: str, words: str
) -> None:
    commands = {"service": output(service), "packages": output(f"hailort {version} ii \n")}
    found = results(facts("4.23.0", commands=commands), shared=True)["service"]
    assert found.severity == severity
    assert words in found.message
    if severity == ERROR:
        assert "hailort.service" in found.fix
    assert "service" not in results(facts("4.23.0", commands=commands))


def test_a_hailo_10h_shares_its_chip_without_the_service() -> None:
    """HailoRT 5.1 on refuses the multi-process service there."""
    stopped = {"service": output("LoadState=not-found\nActiveState=inactive\n")}
    found = results(facts("5.1.1", commands=stopped), shared=True)["service"]
    assert found.severity == OK
    assert "own server" in found.message
    assert "hailort.service" not in found.fix


def test_who_else_uses_a_shared_chip_is_no_trouble() -> None:
    process = {"pid": 44, "command": "frigate", "user": "root", "unit": None}
    raw = facts("4.23.0", holders={"complete": True, "processes": [process]})
    assert results(raw, shared=True)["holders"].severity == OK
    assert "shared: true" in bad(raw)["holders"].fix


def test_a_python_that_dies_while_it_imports_the_binding_is_told() -> None:
    crashed = output(err="Segmentation fault", code=-11)
    found = bad(facts("4.23.0", commands={"binding": crashed}))["binding"]
    assert "code -11: Segmentation fault" in found.message
