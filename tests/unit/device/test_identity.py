"""Reading what devices say: from recorded outputs of HailoRT 4.17 to 4.24 and 5.0 to 5.2."""

from __future__ import annotations

import pytest

from orchestrator.device.identity import (
    read_generation,
    read_identity,
    read_packages,
    read_throttled,
)

from .recorded import (
    IDENTIFY_HAT,
    MISMATCH,
    NO_CLASS,
    VERSIONS_4,
    VERSIONS_5,
    binding,
    facts,
    facts_of,
    output,
)


@pytest.mark.parametrize("version", VERSIONS_4)
def test_an_8l_is_known_by_its_architecture_not_by_its_board_name(version: str) -> None:
    identity = read_identity(facts(version))
    assert identity.chip == "hailo8l"
    assert identity.board_name == "Hailo-8"
    assert identity.serial == "HLDDLBB241601754"
    versions = (identity.hailort, identity.driver_version, identity.binding_version)
    assert versions == (version,) * 3
    assert identity.firmware == version
    assert identity.driver_module == "hailo_pci"
    assert identity.versions_agree is True
    assert not identity.emulated
    assert identity.notes == ()


@pytest.mark.parametrize("version", VERSIONS_5)
def test_a_10h_of_the_new_line_is_read(version: str) -> None:
    identity = read_identity(facts(version))
    assert identity.chip == "hailo10h"
    assert (identity.hailort, identity.driver_version) == (version, version)
    assert identity.driver_module == ("hailo_pci" if version == "5.0.0" else "hailo1x_pci")
    assert identity.packages["h10-hailort"] == version
    assert identity.versions_agree is True


def test_the_pi_around_the_chip_is_read() -> None:
    identity = read_identity(facts(), host_time=1_700_000_000.0 - 300)
    assert identity.board_model == "Raspberry Pi 5 Model B Rev 1.0"
    assert identity.os_name == "Debian GNU/Linux 12 (bookworm)"
    assert identity.os_version == "bookworm"
    assert identity.pcie is not None
    assert (identity.pcie.generation, identity.pcie.width) == (3, 1)
    assert identity.temperature_c == 52.1
    assert identity.throttled == ()
    assert identity.disk_free == 21_000_000_000
    assert identity.memory_total == 8255696 * 1024
    assert identity.clock_skew_s == 300.0
    assert identity.holders == ()
    assert identity.model_zoo == ("/usr/share/hailo-models/yolov8s_h8l.hef",)


def test_the_boards_name_is_found_where_the_device_tree_is_hidden() -> None:
    cpuinfo = "processor\t: 0\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0"
    raw = facts(files={"/proc/device-tree/model": None, "/proc/cpuinfo": cpuinfo})
    assert read_identity(raw).board_model == "Raspberry Pi 5 Model B Rev 1.0"


def test_fields_that_a_hat_does_not_have_are_none() -> None:
    commands = {"identify": output(IDENTIFY_HAT.format(version="4.20.0"))}
    identity = read_identity(facts(commands=commands))
    assert identity.chip == "hailo8"
    assert (identity.serial, identity.part_number, identity.product_name) == (None, None, None)


@pytest.mark.parametrize("version", ["4.23.0", "5.1.1", "5.2.0"])
def test_nothing_printed_with_exit_0_means_no_chip(version: str) -> None:
    identity = read_identity(facts(version, commands={"identify": output()}, pci=[]))
    assert identity.chip is None
    assert identity.notes == ("hailortcli found no chip",)


@pytest.mark.parametrize("version", ["4.20.0", "4.21.0", "4.22.0", "5.0.0"])
def test_a_missing_driver_is_told_in_the_tools_own_words(version: str) -> None:
    commands = {"identify": output(err=NO_CLASS, code=64)}
    identity = read_identity(facts(version, commands=commands, pci=[]))
    assert identity.chip is None
    assert "Can't find hailort driver class" in identity.notes[0]


def test_a_chip_on_the_bus_without_an_answer_is_named_by_its_pci_id() -> None:
    identity = read_identity(facts("4.23.0", commands={"identify": output()}))
    assert identity.notes == (
        "a Hailo-8 or Hailo-8L or Hailo-8R is on the PCIe bus, but hailo_pci does not offer it",
    )


SHUT = [{"path": "/dev/hailo0", "is_device": True, "usable": False}]
HOLDER = {"pid": 7, "command": "python3 detect.py", "user": "pi", "unit": None}
LOADER = "error while loading shared libraries: libhailort.so.4.23.0: cannot open shared object"


@pytest.mark.parametrize(
    ("said", "changes", "note"),
    [
        (output(err=f"hailortcli: {LOADER}\n", code=127), {}, f"hailortcli does not run: {LOADER}"),
        (output(err=f"hailortcli: {LOADER}\n", code=127), {"pci": []},
         f"hailortcli does not run: {LOADER}"),
        (output(code=-11), {}, "hailortcli crashed (signal 11)"),
        (output(err="[HailoRT] [error] Failed to open device file\n", code=13), {"nodes": SHUT},
         "this login may not open /dev/hailo0"),
        (output(err="[HailoRT] [error] status=HAILO_DEVICE_IN_USE(73)\n", code=73),
         {"holders": {"complete": True, "processes": [HOLDER]}}, "process 7 uses the chip"),
        (output(err="[HailoRT] [error] No idea\n", code=8), {},
         "a Hailo-8 or Hailo-8L or Hailo-8R is on the PCIe bus, and hailortcli says: No idea"),
    ],
)  # fmt: skip
def test_what_kept_the_chip_from_answering_is_told_and_not_put_on_the_driver(
    said: dict[str, object], changes: dict[str, object], note: str
) -> None:
    identity = read_identity(facts("4.23.0", commands={"identify": said}, **changes))
    assert identity.chip is None
    assert identity.notes == (note,)


def test_driver_and_library_that_differ_are_read_from_the_error() -> None:
    commands = {
        "identify": output(err=MISMATCH.format(driver="4.20.0", library="4.22.0"), code=76),
        "version": output("HailoRT-CLI version 4.22.0\n"),
        "binding": binding(binding="4.22.0"),
    }
    raw = facts("4.22.0", commands=commands, files={"/sys/module/hailo_pci/version": "4.20.0"})
    identity = read_identity(raw)
    assert (identity.driver_version, identity.hailort) == ("4.20.0", "4.22.0")
    assert identity.versions_agree is False
    assert identity.chip is None
    assert "the chip cannot be asked: driver and library differ" in identity.notes


def test_a_tool_of_another_version_than_the_library_shows_both() -> None:
    text = "libhailort version (4.20.0) does not match HailoRT-CLI version (4.19.0)\n"
    commands = {
        "version": output(err=text, code=255),
        "identify": output(err=text, code=255),
        "binding": binding(binding="4.20.0"),
    }
    identity = read_identity(facts("4.20.0", commands=commands))
    assert (identity.hailort, identity.cli_version) == ("4.20.0", "4.19.0")
    assert identity.versions_agree is False


def test_without_the_tool_the_library_on_the_disk_tells_the_version() -> None:
    commands = {"version": None, "identify": None}
    identity = read_identity(facts("4.20.0", commands=commands))
    assert identity.hailort == "4.20.0"
    assert "hailortcli is not installed" in identity.notes


def test_a_driver_that_changes_with_the_next_boot_is_noted() -> None:
    identity = read_identity(facts(commands={"modinfo_hailo_pci": output("4.21.0\n")}))
    assert (identity.driver_version, identity.driver_on_disk) == ("4.20.0", "4.21.0")
    assert "changes with the next boot" in identity.notes[0]


def test_a_broken_binding_is_told_and_does_not_hide_the_chip() -> None:
    problem = (
        "ImportError: libhailort.so.4.20.0: cannot open shared object file: No such file or"
        " directory"
    )
    identity = read_identity(facts("4.23.0", commands={"binding": binding(binding_error=problem)}))
    assert identity.chip == "hailo8l"
    assert identity.binding_error == problem
    assert "Python cannot use the chip" in identity.notes[0]


def test_holders_are_named_with_their_service() -> None:
    process = {"pid": 812, "command": "python3 -m frigate", "user": "root",
               "unit": "frigate.service"}  # fmt: skip
    identity = read_identity(facts(holders={"complete": True, "processes": [process]}))
    assert identity.holders is not None
    assert (identity.holders[0].pid, identity.holders[0].unit) == (812, "frigate.service")


def test_holders_that_cannot_be_seen_are_unknown_not_none_there() -> None:
    assert read_identity(facts(holders={"complete": False, "processes": []})).holders is None


def test_stand_ins_are_known_as_emulated() -> None:
    text = IDENTIFY_HAT.format(version="4.23.0").replace(
        "Product Name: <N/A>", "Product Name: HAILO-8 (EMULATED BY HEFSMITH)"
    )
    assert read_identity(facts("4.23.0", commands={"identify": output(text)})).emulated
    assert read_identity(facts(commands={"binding": binding(emulated=True)})).emulated


def test_two_chips_are_both_listed() -> None:
    text = "Device Architecture: HAILO8L\n\nDevice Architecture: HAILO8\n"
    identity = read_identity(facts(commands={"identify": output(text)}))
    assert identity.chips == ("hailo8l", "hailo8")
    assert "several chips" in identity.notes[0]


def test_the_12l_is_called_mars_by_the_tool() -> None:
    identity = read_identity(
        facts("5.2.0", commands={"identify": output("Device Architecture: MARS\n")})
    )
    assert identity.chip == "hailo12l"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("throttled=0x0", ()),
        ("throttled=0x50005", ("under-voltage now", "throttled now", "under-voltage since boot",
                               "throttled since boot")),
        ("throttled=0x80000", ("soft temperature limit since boot",)),
        ("VCHI initialization failed", None),
        ("", None),
    ],
)  # fmt: skip
def test_throttling_bits_are_put_in_words(text: str, flags: tuple[str, ...] | None) -> None:
    assert read_throttled(text) == flags


@pytest.mark.parametrize(
    ("speed", "generation"),
    [("2.5 GT/s PCIe", 1), ("5.0 GT/s PCIe", 2), ("8.0 GT/s PCIe", 3), ("16.0 GT/s PCIe", 4),
     ("Unknown", None), (None, None)],
)  # fmt: skip
def test_pcie_speeds_are_generations(speed: str | None, generation: int | None) -> None:
    assert read_generation(speed) == generation


def test_only_installed_packages_count() -> None:
    text = "hailort 4.20.0 ii \nhailofw 4.20.0-2 un \nhailo-dkms 4.20.0-1 hi \nhailo-all  rc \n"
    assert read_packages(text) == {"hailort": "4.20.0", "hailo-dkms": "4.20.0-1"}


@pytest.mark.parametrize("raw", [{}, {"commands": {}}, {"commands": {"identify": None}}])
def test_no_facts_at_all_are_an_identity_without_a_chip(raw: dict[str, object]) -> None:
    identity = read_identity(facts_of(raw))
    assert identity.chip is None
    assert identity.versions_agree is None
    assert identity.to_json()["chip"] is None


def test_a_board_without_vcgencmd_tells_thousandths_of_a_degree() -> None:
    raw = {"files": {"/sys/class/thermal/thermal_zone0/temp": "45678"}}
    assert read_identity(facts_of(raw)).temperature_c == 45.678


def test_a_firmware_of_another_version_is_no_agreement() -> None:
    """Doctor called it an error, and identify said that the versions agree."""
    old = {"identify": output(IDENTIFY_HAT.format(version="4.20.0"))}
    identity = read_identity(facts("4.23.0", commands=old))
    assert identity.versions_agree is False
    assert "firmware 4.20.0" in identity.notes[0]
