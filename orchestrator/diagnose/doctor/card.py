"""Why a Hailo card cannot be used: one first cause from all facts at once.

Each reason looks at the layer below the next: the bus, the driver's line and module, its start,
firmware, versions, the node. The first that is broken explains what is above it, so what a check
says of those layers only follows. Hands go to the hardware last, when nothing else is left.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

from orchestrator.diagnose.doctor.device_facts import packages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hefsmith_worker.contract.chips import ProductLine

    from orchestrator.diagnose.doctor.device_facts import DeviceFacts

HEADERS = "sudo apt install dkms linux-headers-$(uname -r)"
MSI_OVERLAY = "dtoverlay=pciex1-compat-pi5,no-mip"

_MSI = re.compile(r"hailo.*(?:Failed to enable MSI|Failed Enabling interrupts|error) -28\b")
_FIRMWARE_FILE = re.compile(r"Firmware file not found \(([^)]+)\)")
_FIRMWARE_LOAD = re.compile(r"Direct firmware load for (\S*hailo\S*) failed")
_SIGNED = re.compile(
    r"Key was rejected by service|Required key not available|unsigned module"
    r"|Loading of (?:unsigned )?module with unavailable key is rejected"
)
_BOOT = re.compile(r"Timeout waiting for vDMA boot data|Failed writing SOC \w+ firmware")
_LINK = re.compile(r"hailo.*(?:D3cold|device inaccessible)|pcieport .*AER: .*[Uu]ncorrect")
_PROBE = re.compile(r"(?:probe of \S+ failed|probe with driver \S+ failed) with error (-\d+)")
_NO_SPACE = re.compile(
    r"BAR \d[^\n]*(?:no space|can't assign|failed to assign)[^\n]*\n(?:[^\n]*\n)*?[^\n]*hailo"
    r"[^\n]*error -(?:12|22|28)\b"
)
#: Boards whose one PCIe lane has no connector.
_NO_SLOT = re.compile(r"Raspberry Pi (?:4|400|3|2|Zero)\b")
_EMPTY = re.compile(r"brcm-pcie 1000110000\.pcie: link down")
_BUILT = re.compile(r"^hailo\S*/[\d.]+, (\S+), \S+: installed", re.MULTILINE)
_HALF = re.compile(r"^(hailo\S*|h10\S*) \S+ i[FUH]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cause:
    """The first cause; ``hides`` names the checks whose findings only follow from it."""

    name: str
    found: str
    why: str
    fix: str
    hides: frozenset[str] = frozenset()


#: What says nothing of its own while no driver runs the card.
_ABOVE_DRIVER = frozenset({"versions", "reboot", "node", "page-size", "holders"})


def drives(line: ProductLine) -> str:
    """Return which chips a line drives, for people."""
    return ", ".join(chip.title for chip in chips.of_line(line.compiler))


def hold(facts: DeviceFacts) -> str:
    """Return the command that keeps the packages of a line together."""
    return f"sudo apt-mark hold {facts.together}"


def replace_line(facts: DeviceFacts) -> str:
    """Return the command that puts a card's line of packages in the place of the other."""
    wrong, right = facts.other_line, facts.product_line
    if not facts.raspberry_os:
        there = [name for name in facts.identity.packages if name.startswith(("hailo", "h10-"))]
        first = f"sudo apt purge {' '.join(map(shlex.quote, there))}\n" if there else ""
        return f"{first}{of_hailo(facts)}"
    return (
        f"sudo apt purge {packages(wrong)}; "
        f"sudo apt install dkms {packages(right, 'everything')} && sudo reboot"
    )


def same_version(facts: DeviceFacts) -> str:
    """Return the command that brings library, driver, firmware and binding to one version."""
    if not facts.raspberry_os:
        return of_hailo(facts)
    names = facts.together
    kept = [name for name in facts.out("held").split() if name in names.split()]
    # apt leaves alone what is held, whatever else it is told.
    free = f"sudo apt-mark unhold {' '.join(kept)} && " if kept else ""
    return (
        f"{free}sudo apt update && sudo apt install --only-upgrade {names} && sudo reboot\n"
        f"then keep them together: {hold(facts)}"
    )


def of_hailo(facts: DeviceFacts) -> str:
    """Return how library and driver come to a system that is not Raspberry Pi OS."""
    version = facts.identity.hailort or "VERSION"
    if not version.startswith((f"{facts.product_line.runtime}.", "VERSION")):
        version = "VERSION"
    machine = {"x86_64": "amd64", "amd64": "amd64"}.get(facts.identity.machine or "", "arm64")
    line = f" (line {facts.product_line.runtime}.x)" if version == "VERSION" else ""
    return (
        f"Raspberry Pi OS's packages are not for {facts.identity.os_name or 'this system'}: from "
        f"Hailo's Developer Zone (with a login) take hailort_{version}_{machine}.deb and "
        f"hailort-pcie-driver_{version}_all.deb{line}, then:\n"
        f"{HEADERS} && sudo dpkg --install hailort*.deb && sudo reboot"
    )


def everything(facts: DeviceFacts, before: str = "", after: str = "; sudo reboot") -> str:
    """Return how all packages of a card's line are installed here, or why they cannot be."""
    if not facts.raspberry_os:
        return of_hailo(facts)
    wanted = packages(facts.product_line, "everything")
    policy = facts.raw.commands.get("policy")
    known = facts.out("policy")
    offered = re.search(rf"^{wanted}:\n(?:\s.*\n)*?\s+Candidate: (?!\(none\))", known, re.MULTILINE)
    if policy is not None and known.strip() and offered is None:
        return (
            f"{facts.identity.os_name or 'This system'} has no {wanted}: it comes with Raspberry "
            f"Pi OS Trixie. There: sudo apt install dkms {wanted}; sudo reboot"
        )
    return f"{before}sudo apt install dkms {wanted}{after}"


def _loaded(facts: DeviceFacts) -> frozenset[str]:
    return frozenset((facts.identity.driver_module or "").split(", ")) - {""}


def does_not_compile(kernel: str, version: str | None) -> str:
    """Return what has to be added where this driver's source and the kernel do not fit."""
    if _leading(kernel) >= (6, 15) and _leading(version or "") < (4, 23):
        return "; drivers before 4.23 do not compile on kernels from 6.15 on"
    return ""


def _leading(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _log(facts: DeviceFacts) -> str:
    return facts.kernel_log


def _wrong_line(facts: DeviceFacts) -> Cause | None:
    """The driver that is loaded does not know this card."""
    loaded = _loaded(facts)
    mine, other = facts.product_line, facts.other_line
    if facts.line is None or not facts.raw.pci or not loaded:
        return None
    if loaded & {mine.driver, mine.driver.removesuffix("_pci")}:
        return None
    module = ", ".join(sorted(loaded))
    return Cause(
        "line",
        f"the loaded driver {module} is of line {other.runtime}.x, and the card is {facts.card}",
        f"line {other.runtime}.x drives {drives(other)}; {facts.card} needs line {mine.runtime}.x",
        replace_line(facts),
        _ABOVE_DRIVER | {"line", "two-drivers", "firmware", "dkms", "binding"},
    )


def _not_loaded(facts: DeviceFacts) -> Cause | None:
    """The card is on the bus and no driver is loaded."""
    if not facts.raw.pci or _loaded(facts) or facts.identity.driver_version is not None:
        return None
    line, kernel = facts.product_line, facts.identity.kernel or "this kernel"
    card = f"{facts.card} is on the PCIe bus, and no driver is loaded"
    if _SIGNED.search(_log(facts)):
        return Cause(
            "signature",
            f"{card}: the kernel refused its signature",
            "Secure Boot is on, and the module is not signed with a key that is known",
            "sudo mokutil --import /var/lib/dkms/mok.pub; sudo reboot  # confirm at the screen",
            _ABOVE_DRIVER,
        )
    theirs = {*facts.other_line.packages.values()} - {*line.packages.values()}
    other = [name for name in facts.identity.packages if name in theirs]
    why = f"it has no module for kernel {kernel}, or was never installed"
    fix = (
        f"{HEADERS} && sudo apt install {packages(line, 'everything')} && sudo dkms autoinstall; "
        "sudo reboot"
        if facts.raspberry_os
        else of_hailo(facts)
    )
    follows = _ABOVE_DRIVER | {"firmware"}
    built = _BUILT.findall(facts.out("dkms"))
    on_disk = facts.raw.output(f"modinfo_{line.driver}").out.strip()
    if kernel in built or on_disk:
        shut = [
            path
            for path, text in facts.raw.modprobe.items()
            if re.search(rf"^\s*blacklist\s+{line.driver}\b", text, re.MULTILINE)
        ]
        return Cause(
            "driver", card, *_of_loading(line.driver, kernel, shut), _ABOVE_DRIVER | {"firmware"}
        )
    if other:
        why = f"{', '.join(other)} is of the other line and brings no driver for this card"
        fix = f"sudo apt purge {' '.join(other)}; {fix}"
        follows |= {"line", "binding"}
    elif built:
        why = f"its module was built for kernel {built[0]}, and {kernel} runs"
        follows |= set() if half_installed(facts) else {"dkms"}
        why += does_not_compile(kernel, facts.identity.hailort)
    return Cause("driver", card, why, fix, follows)


def _of_loading(module: str, kernel: str, shut: Sequence[str]) -> tuple[str, str]:
    """Return why a module that is there does not run, and what to do."""
    if shut:
        why = f"{module} is there for kernel {kernel}, and {shut[0]} keeps it from being loaded"
        return why, f"Remove the line 'blacklist {module}' from {shut[0]}, then: sudo reboot"
    why = f"{module} is there for kernel {kernel}, and was not loaded or gave up"
    return why, f"sudo modprobe {module}  # what it says, and sudo dmesg, tell the reason"


def _interrupts(facts: DeviceFacts) -> Cause | None:
    if not facts.raw.pci or not _MSI.search(_log(facts)):
        return None
    if not facts.raspberry_board:
        return Cause(
            "msi",
            "the driver got no interrupt vectors (MSI, error -28)",
            "the slot, or a PCIe switch before it, has none left",
            "Update the firmware of the machine and its kernel; else take a slot that is not "
            "behind a switch or an adapter",
            _ABOVE_DRIVER | {"firmware"},
        )
    return Cause(
        "msi",
        "the driver got no interrupt vectors (MSI, error -28)",
        "the card is behind a PCIe switch, or on the Pi's own MSI controller (MIP), which ran out",
        f"sudo apt full-upgrade && sudo rpi-eeprom-update -a\n"
        f"echo '{MSI_OVERLAY}' | sudo tee -a /boot/firmware/config.txt; sudo reboot",
        _ABOVE_DRIVER | {"firmware"},
    )


def _firmware_file(facts: DeviceFacts) -> Cause | None:
    missing = _FIRMWARE_FILE.search(_log(facts)) or _FIRMWARE_LOAD.search(_log(facts))
    if not facts.raw.pci or missing is None:
        return None
    return Cause(
        "firmware",
        f"the chip's firmware is missing: {missing[1]}",
        "the driver cannot start the chip",
        f"sudo apt install --reinstall {packages(facts.product_line, 'firmware')}; sudo reboot"
        if facts.raspberry_os
        else of_hailo(facts),
        (_ABOVE_DRIVER - {"versions"}) | {"firmware"},
    )


def _boot(facts: DeviceFacts) -> Cause | None:
    if not facts.raw.pci or not _BOOT.search(_log(facts)):
        return None
    return Cause(
        "boot",
        "the firmware of the card did not start (transfer timed out)",
        "driver and firmware files are of different versions, or of the wrong line",
        "sudo apt install --reinstall "
        f"{packages(facts.product_line, 'driver', 'firmware')}  # then power off and on"
        if facts.raspberry_os
        else of_hailo(facts),
        _ABOVE_DRIVER,
    )


def _library_line(facts: DeviceFacts) -> Cause | None:
    """The library is of the line that this card's driver cannot serve."""
    library = facts.identity.hailort
    other = facts.other_line
    if facts.line is None or library is None or not library.startswith(f"{other.runtime}."):
        return None
    return Cause(
        "library-line",
        f"HailoRT {library} is of line {other.runtime}.x, and the card is {facts.card}",
        f"line {other.runtime}.x drives {drives(other)}; {facts.card} needs "
        f"line {facts.product_line.runtime}.x",
        replace_line(facts),
        frozenset({"node", "holders", "versions", "line", "binding", "reboot", "page-size"}),
    )


def _versions(facts: DeviceFacts) -> Cause | None:
    """Driver and library are of different versions, so the tool may not even ask the chip."""
    identity = facts.identity
    driver, library = identity.driver_version, identity.hailort
    if driver is None or library is None or driver == library:
        return None
    return Cause("versions", *differing(facts, driver, library),
                 frozenset({"node", "holders", "versions", "binding"}))  # fmt: skip


def differing(facts: DeviceFacts, driver: str, library: str) -> tuple[str, str, str]:
    """Return what is found, why, and what to do where driver and library differ."""
    why = "HailoRT refuses to open the chip: both must be exactly the same"
    found = f"driver {driver}, library {library}"
    if facts.identity.driver_on_disk == library:
        why += f"; driver {library} is installed, and not loaded yet"
        return found, why, f"sudo reboot\nif they differ still: {same_version(facts)}"
    own = [path for path in facts.raw.libraries
           if path.startswith("/usr/local/") and path.endswith(f".so.{library}")]  # fmt: skip
    if own and any(path.endswith(f".so.{driver}") for path in facts.raw.libraries):
        fix = (
            f"sudo rm {' '.join(map(shlex.quote, own))}; sudo ldconfig; hailortcli --version"
            f"  # {driver}; a hailortcli in /usr/local/bin belongs to the old one"
        )
        why += f", and this one stands before the library of version {driver}"
        return f"{found} ({own[0]})", why, fix
    return found, why, same_version(facts)


def _hangs(facts: DeviceFacts) -> Cause | None:
    if not facts.raw.output("identify").timed_out:
        return None
    return Cause(
        "hang",
        "hailortcli fw-control identify did not end",
        "the chip or its driver hangs, as after a crash",
        "Stop what uses the chip, then power off and on; sudo dmesg | grep -i hailo",
    )


def _node(facts: DeviceFacts) -> Cause | None:
    if any(not node.usable for node in facts.raw.nodes):
        shut = next(node.path for node in facts.raw.nodes if not node.usable)
        return Cause(
            "node",
            f"this login may not open {shut}",
            "every program fails to open the chip",
            "sudo udevadm control --reload; sudo udevadm trigger  # rule: "
            "51-hailo-udev.rules, mode 0666",
            frozenset({"node"}),
        )
    return None


def _no_node(facts: DeviceFacts) -> Cause | None:
    """The driver runs the card, and what programs open is not here: a container's own /dev."""
    if facts.raw.nodes or not any(card.driver for card in facts.raw.pci):
        return None
    return Cause(
        "no-node",
        "the driver runs the card, and there is no /dev/hailo0 here (10H: /dev/h1x-0)",
        "a container has only the nodes that it was given; on the machine itself udev makes it",
        "In a container: start it with --device /dev/hailo0 (Compose: devices:). On the machine "
        "itself: sudo udevadm trigger; ls -l /dev/hailo* /dev/h1x*",
        frozenset({"node", "holders"}),
    )


def ending(pid: int, unit: str | None) -> str:
    """Return the command that ends a process, or its unit where it has one."""
    return f"sudo systemctl stop {shlex.quote(unit)}" if unit else f"sudo kill {pid}"


def _held(facts: DeviceFacts) -> Cause | None:
    for holder in facts.identity.holders or ():
        unit = f", service {holder.unit}" if holder.unit else ""
        stop = ending(holder.pid, holder.unit)
        return Cause(
            "held",
            f"process {holder.pid} uses the chip: {holder.command}{unit}",
            "a second program gets: not enough free devices",
            f"{stop}\nor name the service in hef.yaml (service: UNIT): it is then stopped and "
            "started around validation",
            frozenset({"holders"}),
        )
    return None


def _no_tool(facts: DeviceFacts) -> Cause | None:
    """The library is there and the program that asks the chip is not."""
    if facts.raw.commands.get("identify") is not None:
        return None
    return Cause(
        "tool",
        "hailortcli is not installed, so nobody could ask the chip",
        "whether it answers is not known",
        f"sudo apt install {packages(facts.product_line, 'library')}",
    )


def _link_failed(facts: DeviceFacts) -> Cause | None:
    """The card was there when the Pi started, and its link broke since."""
    if not facts.raw.pci or not _LINK.search(_log(facts)):
        return None
    low = any("under-voltage" in flag for flag in facts.identity.throttled or ())
    first = "The supply first (27 W: 5 V, 5 A), since there was under-voltage.\n" if low else ""
    return Cause(
        "link",
        "the PCIe link to the card failed while it ran",
        "the kernel reports errors of the link, or a card that does not answer any more",
        f"{first}Power off and on. If it comes back: generation 2 "
        "(dtparam=pciex1_gen=2 in /boot/firmware/config.txt), then another cable.",
        frozenset({"power"}) if low else frozenset(),
    )


def _told(facts: DeviceFacts) -> Cause | None:
    """What hailortcli itself said, as the list of known failures explains it."""
    from orchestrator.diagnose.log_reader import read_log

    said = facts.raw.output("identify")
    found = read_log(f"{said.out}\n{said.err}".splitlines()).findings()
    known = next((one for one in found if one.severity == "fatal"), None)
    known = known or next((one for one in found if one.severity == "possible"), None)
    if known is None:
        return None
    text = (known.text or "").strip().removeprefix("hailortcli: ")
    return Cause("told", f"hailortcli: {text}", known.cause, known.remedy)


def _broken_tool(facts: DeviceFacts) -> Cause | None:
    """The program that asks the chip could not: of the chip itself nothing is known."""
    from orchestrator.device.identity import tool_failure

    failure = tool_failure(facts.raw)
    if failure is None:
        return None
    library = packages(facts.product_line, "library")
    return Cause(
        "tool",
        failure,
        "whether the chip answers is not known",
        f"sudo apt install --reinstall {library}  # then: hailortcli fw-control identify"
        if facts.raspberry_os
        else of_hailo(facts),
    )


def _supply(facts: DeviceFacts) -> Cause | None:
    flags = [flag for flag in facts.identity.throttled or () if "under-voltage" in flag]
    if not flags:
        return None
    return Cause(
        "supply",
        f"the chip does not answer, and there was {flags[0]}",
        "a weak supply makes the card drop off the bus",
        "Use the 27 W supply (5 V, 5 A) and a short cable, then power off and on.",
        frozenset({"power"}),
    )


def _memory(facts: DeviceFacts) -> Cause | None:
    """The kernel found no addresses for the card's memory."""
    if not facts.raw.pci or not _NO_SPACE.search(_log(facts)):
        return None
    pi = facts.raspberry_board
    return Cause(
        "memory",
        "the kernel has no address space for the card (BAR: no space)",
        "the driver sees the card and cannot reach its memory",
        "sudo apt full-upgrade && sudo rpi-eeprom-update -a\n"
        "echo 'dtoverlay=pciex1-compat-pi5,mmio-hi' | sudo tee -a /boot/firmware/config.txt; "
        "sudo reboot"
        if pi
        else "Switch on 'Above 4G decoding' in the firmware's setup; else start the kernel with "
        "pci=realloc",
        _ABOVE_DRIVER | {"firmware"},
    )


def _start(facts: DeviceFacts) -> Cause | None:
    probe = _PROBE.search(_log(facts))
    if not facts.raw.pci or probe is None or "hailo" not in probe.string[: probe.end()].lower():
        return None
    return Cause(
        "start",
        f"the driver found the card and could not start it (error {probe[1]})",
        "the lines of dmesg before say at which step",
        "sudo dmesg | grep -i -E 'hailo|pcie'\nthen power off and on. If it stays, reinstall "
        f"{packages(facts.product_line)}, and only then look at cable and supply",
        _ABOVE_DRIVER,
    )


def _no_card(facts: DeviceFacts) -> Cause | None:
    """Nothing on the bus: the only case for hands and screwdriver."""
    if facts.raw.pci:
        return None
    link = " (the kernel reports errors of the link)" if _LINK.search(_log(facts)) else ""
    empty = _EMPTY.search(_log(facts)) is not None
    link = " (the Pi's connector is on, and nothing answers there)" if empty else link
    low = any("under-voltage" in flag for flag in facts.identity.throttled or ())
    hides = _ABOVE_DRIVER | {"firmware", "dkms", "binding"}
    board = facts.identity.board_model or ""
    if facts.virtual:
        return Cause(
            "bus", "no Hailo card is on the PCIe bus of this virtual machine",
            "it sees only what its host hands over",
            "The card must be passed through to it; on its host: lspci -nn | grep 1e60",
            hides,
        )  # fmt: skip
    if _NO_SLOT.match(board):
        return Cause(
            "bus", f"no Hailo card is on the PCIe bus, and a {board} has no connector for one",
            "nothing can run there", "Use a Pi 5, a Compute Module 4 or 5, or a PC.", hides,
        )  # fmt: skip
    steps = []
    if low:
        steps.append("The supply first: 27 W (5 V, 5 A), a short cable; there is under-voltage.")
    if not empty and facts.raspberry_board:
        steps.append(
            "On a Pi 5 the connector is on after: sudo raspi-config nonint do_pci 1; sudo reboot"
        )
    hands = "power off, seat the module and its cable (and the power of a board that has its own)"
    steps.append(
        f"{'If it stays away: ' if steps else ''}{hands}, power on; then: lspci -nn | grep 1e60"
    )
    return Cause(
        "bus",
        f"no Hailo card is on the PCIe bus{link}",
        "nothing can run there",
        "\n".join(steps),
        _ABOVE_DRIVER | {"firmware", "dkms"} | ({"power"} if low else set()),
    )


def _silent(facts: DeviceFacts) -> Cause | None:
    """Card, driver and versions are right, and the chip still says nothing."""
    from orchestrator.device.identity import last_words

    said = last_words(facts.raw)
    loaded = ", ".join(sorted(_loaded(facts)))
    return Cause(
        "silent",
        f"{facts.card} is on the PCIe bus, driver {loaded or 'unknown'} runs, and the chip does "
        "not answer",
        f"hailortcli says: {said}"
        if said
        else "after a crash or an upgrade the chip may hang until it is without power",
        "Power off, wait some seconds, power on. If it stays silent: sudo dmesg | grep -i hailo, "
        "then look at supply and cable.",
    )


#: From the lowest layer up; the chip's silence is explained by the first that is broken.
REASONS: tuple[Callable[[DeviceFacts], Cause | None], ...] = (
    _wrong_line, _not_loaded, _interrupts, _firmware_file, _boot, _link_failed, _library_line,
    _versions, _hangs, _memory, _start, _node, _no_node, _held, _no_card, _no_tool, _told,
    _broken_tool, _supply, _silent,
)  # fmt: skip


def first_cause(facts: DeviceFacts) -> Cause | None:
    """Return the first cause why the chip cannot be used; ``None`` when it answers."""
    identity = facts.identity
    if identity.chip is not None:
        # The chip answers: nothing below is broken, except for a driver of two lines at once.
        return None
    if identity.hailort is None and facts.raw.commands.get("identify") is None:
        above = _ABOVE_DRIVER | {"firmware", "binding", "dkms"}
        slot = _no_card(facts) if _NO_SLOT.match(identity.board_model or "") else None
        return slot or Cause(
            "missing", "hailortcli is not installed", "nothing can run there", everything(facts),
            above,
        )  # fmt: skip
    return next(cause for reason in REASONS if (cause := reason(facts)) is not None)


def half_installed(facts: DeviceFacts) -> str | None:
    """Return the name of a package of Hailo's that dpkg did not finish."""
    found = _HALF.search(facts.out("packages"))
    return found[1] if found else None
