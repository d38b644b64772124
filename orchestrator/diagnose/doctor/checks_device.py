"""``hef doctor --device``: what can go wrong on a Pi, told before anything runs there.

The checks follow the failures R01 to R22 of users; those that only show at run time (buffer
sizes, API misuse) are left to the job that runs. All are pure functions of recorded facts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import OK, Finding

from orchestrator.device.address import device_word
from orchestrator.diagnose.doctor.card import (
    HEADERS,
    differing,
    does_not_compile,
    drives,
    ending,
    first_cause,
    half_installed,
    hold,
    replace_line,
    same_version,
)
from orchestrator.diagnose.doctor.checks import Check, error, info, ok, warning
from orchestrator.diagnose.doctor.checks_disk import check_disk
from orchestrator.diagnose.doctor.device_facts import DeviceFacts, collect

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHECKS", "DeviceFacts", "collect"]

HOT_C = 80.0


def _chip(facts: DeviceFacts) -> Finding:
    identity = facts.identity
    if identity.chip is not None:
        shown = f"{identity.chip}, {identity.product_name or identity.board_name or 'no name'}"
        return ok(f"{shown}{' (EMULATED)' if identity.emulated else ''}")
    cause = first_cause(facts)
    assert cause is not None
    return error(cause.found, cause.why, cause.fix)


def _versions(facts: DeviceFacts) -> Finding | None:
    identity = facts.identity
    if identity.hailort is None:
        return None
    if identity.driver_version is not None and identity.driver_version != identity.hailort:
        return error(*differing(facts, identity.driver_version, identity.hailort))
    if identity.cli_version is not None and identity.cli_version != identity.hailort:
        return error(
            f"hailortcli {identity.cli_version}, library {identity.hailort}",
            "hailortcli refuses to run",
            "Two installations are mixed. Keep one: dpkg -l 'hailort*'; ls -l "
            "/usr/lib/libhailort.so* /usr/local/lib/libhailort.so*",
        )
    if identity.driver_version is None and not identity.emulated:
        return info(f"HailoRT {identity.hailort}, no driver is loaded",
                    "the two cannot be compared", "Load the driver first.")  # fmt: skip
    return ok(f"HailoRT {identity.hailort}, driver {identity.driver_version or 'of the same'}")


def _firmware_version(facts: DeviceFacts) -> Finding | None:
    identity = facts.identity
    firmware, host = identity.firmware, identity.driver_version or identity.hailort
    if firmware is None or host is None or firmware == host:
        return None
    found = f"firmware {firmware}, {'driver' if identity.driver_version else 'library'} {host}"
    why = "after an upgrade the old firmware runs until the chip is started anew"
    fix = (
        "sudo reboot  # or power off and on\nif it stays: sudo apt install --reinstall "
        f"{facts.package('firmware')}  # version {host}, then power off and on"
    )
    # The last number alone is a patch release; HailoRT warns of it and goes on.
    patch = _numbers(firmware)[:2] == _numbers(host)[:2]
    return warning(found, why, fix) if patch else error(found, why, fix)


def _reboot_pending(facts: DeviceFacts) -> Finding | None:
    loaded, on_disk = facts.identity.driver_version, facts.identity.driver_on_disk
    if loaded is None or on_disk is None or loaded == on_disk:
        return None
    return warning(
        f"the loaded driver is {loaded}, the one on disk {on_disk}",
        "it changes with the next boot, and "
        + (
            "fits the library then"
            if on_disk == facts.identity.hailort
            else "may then no longer fit the library"
        ),
        "sudo reboot, then ask again",
    )


def _line_fits(facts: DeviceFacts) -> Finding | None:
    version = facts.identity.hailort
    if facts.line is None or version is None or version.startswith(f"{facts.line}."):
        return None
    return error(
        f"HailoRT {version} with a chip of the {facts.line}.x line",
        "; ".join(f"{line.runtime}.x drives {drives(line)} only" for line in chips.LINES),
        replace_line(facts),
    )


def _two_drivers(facts: DeviceFacts) -> Finding | None:
    modules = (facts.identity.driver_module or "").split(", ")
    if len(modules) < 2:
        return None
    other = next(line.driver for line in chips.LINES if line.runtime != facts.line)
    return error(
        f"two drivers are loaded: {', '.join(modules)}",
        "they take the chip from each other: 'not enough free devices'",
        f"echo 'blacklist {other}' | sudo tee /etc/modprobe.d/hailo-blacklist.conf; sudo reboot",
    )


def _binding(facts: DeviceFacts) -> Finding | None:
    identity = facts.identity
    asked = facts.raw.commands.get("binding")
    if identity.python_version is None and asked is not None and (asked.code or asked.timed_out):
        last = ([""] + [line for line in f"{asked.out}\n{asked.err}".splitlines() if line])[-1]
        ending = "it did not end" if asked.timed_out else f"it ended with code {asked.code}"
        return error(
            f"Python cannot import the binding: {ending}{': ' if last else ''}{last[:200]}",
            "hefsmith's jobs on the device use it",
            "python3 -c 'import numpy, hailo_platform'  # on the device: tells more",
        )
    if identity.python_version is None:
        return None
    problem = identity.binding_error or ""
    package = facts.package("binding")
    if "libhailort.so" in problem:
        wanted = re.search(r"libhailort\.so\.(\d+\.\d+\.\d+)", problem)
        return error(
            problem,
            f"the Python binding is for {wanted[1] if wanted else 'another version'}, "
            f"the library is {identity.hailort or 'missing'}",
            f"sudo apt install --reinstall {package}  # make no link from one version to another",
        )
    if "_pyhailort" in problem and "No module" in problem:
        return error(
            problem,
            f"the wheel was built for another Python than {identity.python_version} or machine",
            f"pip uninstall hailort; sudo apt install {package}, or the wheel whose name has "
            f"cp{''.join(identity.python_version.split('.')[:2])} and aarch64",
        )
    if "No module named 'hailo_platform'" in problem:
        return error(
            problem,
            "hefsmith's jobs on the device use it",
            f"sudo apt install {package}; for a virtual environment: python3 -m venv "
            "--system-site-packages, and hef device add ... --python PATH",
        )
    if problem:
        return error(problem, "Python cannot use the chip",
                     f"sudo apt install --reinstall {package}")  # fmt: skip
    if identity.binding_version and identity.hailort not in (None, identity.binding_version):
        found = f"binding {identity.binding_version}, library {identity.hailort}"
        place = identity.binding_place
        if place is None or place.startswith("/usr/lib/python3/"):
            return error(found, "importing hailo_platform fails or misbehaves",
                         f"sudo apt install --reinstall {package}")  # fmt: skip
        return error(
            f"{found} ({place})",
            "importing hailo_platform fails or misbehaves, and no package of the system brings "
            "this one",
            "With the Python that has it: pip uninstall hailort; then the wheel of version "
            f"{identity.hailort}, or {package} and a venv made with --system-site-packages",
        )
    return ok(f"Python {identity.python_version}, binding {identity.binding_version}")


def _numpy(facts: DeviceFacts) -> Finding | None:
    identity = facts.identity
    version, binding = identity.numpy_version, _numbers(identity.binding_version)
    if not binding:
        return None
    if version is None:
        return error(
            "numpy is missing", "hailo_platform needs it", "sudo apt install python3-numpy"
        )
    if _numbers(version) >= (2,) and identity.binding_numpy2 is False:
        return error(
            f"numpy {version} with a binding built for numpy 1",
            'every array has 0 bytes for it, and each run fails with "buffer size 0"',
            "pip install 'numpy<2', in a venv made with --system-site-packages",
        )
    if _numbers(version) >= (2,) and identity.binding_numpy2 is None and binding < (4, 21):
        return warning(
            f"numpy {version} with HailoRT {identity.binding_version}",
            "this binding was built for numpy 1 and may crash or refuse arrays",
            "pip install 'numpy<2', in a venv made with --system-site-packages",
        )
    return ok(f"numpy {version}")


def _python(facts: DeviceFacts) -> Finding | None:
    version = facts.identity.python_version
    if version is None or _numbers(version) >= (3, 9):
        return None
    return error(
        f"Python {version}",
        "hefsmith's jobs on the device need 3.9 or newer",
        "Upgrade Raspberry Pi OS to Bookworm or newer."
        if facts.raspberry_os
        else "Install a newer Python beside it, with the wheel of HailoRT for it, and name it: "
        "hef device add ... --python PATH",
    )


def _page_size(facts: DeviceFacts) -> Finding | None:
    size = facts.identity.page_size
    if size is None or facts.line != 4 or facts.identity.emulated:
        return None
    if size <= 4096:
        return ok("4 KB pages")
    setting = "force_desc_page_size=4096"
    found = f"the kernel has {size // 1024} KB pages"
    active = facts.file("/sys/module/hailo_pci/parameters/force_desc_page_size").strip()
    if active == "4096":
        return ok(f"{found}, and {setting} is set")
    files = facts.raw.modprobe
    noted = [path for path, text in files.items() if setting in text]
    if noted:
        return warning(f"{found}; {setting} is in {noted[0]}, but not active yet",
                       "configuring a HEF fails until then", "sudo reboot")  # fmt: skip
    setting_by_driver = re.findall(r"etting max_desc_page_size to (\d+)", facts.kernel_log)
    if setting_by_driver and setting_by_driver[-1] == "4096":
        return ok(f"{found}, and the driver takes 4096")
    fix = (
        f"echo 'options hailo_pci {setting}' | sudo tee /etc/modprobe.d/hailo_pci.conf; sudo reboot"
    )
    if not active and not setting_by_driver:
        why = "where the driver takes pages as large, configuring a HEF fails; it did not say"
        return warning(f"{found}, and no {setting} is seen", why, fix)
    why = "identify works, but configuring a HEF fails: max_desc_page_size given 16384"
    return error(found, why, fix)


def _holders(facts: DeviceFacts) -> Finding | None:
    holders = facts.identity.holders
    if holders is None:
        if not facts.identity.device_nodes:
            return None
        return info("it cannot be told which process uses the chip",
                    "other users' processes are hidden from this login",
                    "Allow sudo without a password, or ask: sudo fuser -v /dev/hailo0")  # fmt: skip
    if not holders:
        return ok("no process uses the chip")
    holder = holders[0]
    if facts.shared:
        return ok(f"shared; process {holder.pid} uses it, too: {holder.command}")
    unit = f", service {holder.unit}" if holder.unit else ""
    stop = ending(holder.pid, holder.unit)
    own = facts.own_server
    if holder.unit == "hailort.service" and not own:
        return warning(
            f"process {holder.pid} uses it: {holder.command}{unit}",
            "a program that does not go through it gets: not enough free devices",
            "This is HailoRT's own service, for programs that share the chip: shared: true at the "
            f"device\nor without sharing: {stop}",
        )
    asks = "names a group" if own else "asks for HailoRT's service"
    return warning(
        f"process {holder.pid} uses it: {holder.command}{unit}",
        f"a second program gets: {'the device is in use' if own else 'not enough free devices'}",
        f"{stop}\nor name the service in hef.yaml (service: UNIT): it is then stopped and "
        f"started around validation\nor share the chip, where that program {asks}, too: "
        "shared: true",
    )


def _service(facts: DeviceFacts) -> Finding | None:
    """HailoRT's multi-process service: it must run, and be of the library's version."""
    if not facts.shared or facts.identity.emulated:
        return None
    if facts.own_server:
        return ok(
            "the chip's own server shares it from HailoRT 5.1 on, without hailort.service, among "
            "programs of one group"
        )
    told = dict(re.findall(r"^(LoadState|ActiveState)=(\S+)", facts.out("service"), re.MULTILINE))
    if not told:
        found = "it cannot be told whether hailort.service runs"
        return info(found, "a shared chip needs it", "Ask: systemctl status hailort.service")
    if told.get("ActiveState") != "active":
        missing = told.get("LoadState") == "not-found"
        start = "sudo systemctl enable --now hailort.service"
        install = f"sudo apt install --reinstall {facts.package('library')} && "
        return error(
            f"hailort.service {'is not installed' if missing else 'does not run'}",
            "the chip is said to be shared, and programs get HAILO_RPC_FAILED",
            (install if missing else "") + start,
        )
    package = facts.identity.packages.get(facts.package("library"), "")
    library = facts.identity.hailort
    if library and _numbers(package) and _numbers(package) != _numbers(library):
        return error(
            f"hailort.service {package}, library {library}",
            "programs that share the chip get HAILO_INVALID_SERVICE_VERSION",
            f"{same_version(facts)}\nsudo systemctl restart hailort.service",
        )
    return ok("hailort.service runs; after an upgrade: sudo systemctl restart hailort.service")


def _node(facts: DeviceFacts) -> Finding | None:
    nodes = facts.raw.nodes
    shut = [node.path for node in nodes if not node.usable]
    if not shut:
        return None
    return error(f"this login may not open {shut[0]}", "every program fails to open the chip",
                 "sudo udevadm control --reload; sudo udevadm trigger  # rule: "
                 "51-hailo-udev.rules, mode 0666")  # fmt: skip


def _firmware(facts: DeviceFacts) -> Finding | None:
    if not facts.raw.pci or facts.identity.emulated:
        return None
    missing = re.search(r"Firmware file not found \(([^)]+)\)", facts.kernel_log)
    if missing is None and (facts.raw.firmware or facts.identity.chip is not None):
        return None
    package = facts.package("firmware")
    return error(
        f"the chip's firmware is missing: {missing[1] if missing else '/lib/firmware/hailo'}",
        "the driver cannot start the chip",
        f"sudo apt install --reinstall {package}; sudo reboot",
    )


def _dkms(facts: DeviceFacts) -> Finding | None:
    status, kernel = facts.out("dkms"), facts.identity.kernel or ""
    lines = [line for line in status.splitlines() if line.startswith("hailo")]
    broken = half_installed(facts)
    if facts.identity.driver_version is not None and not broken:
        return None
    if not broken and (not lines or any(kernel in line and "installed" in line for line in lines)):
        return None
    why = "no driver was built for this kernel" + does_not_compile(kernel, facts.identity.hailort)
    return error(
        f"{broken} is only half installed" if broken else f"{lines[0]} (kernel {kernel})",
        why,
        f"{HEADERS} && sudo dkms autoinstall && sudo dpkg --configure -a\n"
        f"then keep what works together: {hold(facts)}",
    )


def _apt(facts: DeviceFacts) -> Finding | None:
    policy = facts.out("policy")
    found = dict(re.findall(r"^(\S+):\n(?:.*\n)*?\s+Candidate: (\S+)", policy, re.MULTILINE))
    if facts.line is None or not found:
        return None
    wanted = facts.package("library")
    other = next(line.packages["library"] for line in chips.LINES if line.runtime != facts.line)
    if found.get(wanted, "(none)") == "(none)" and found.get(other, "(none)") != "(none)":
        return warning(
            f"apt offers {other} {found[other]}, but no {wanted}",
            "instructions that pin a version fail: Package is not available",
            f"apt-cache policy {wanted}  # Hailo-8 packages are in Raspberry Pi OS as hailo-all",
        )
    held = facts.out("held").split()
    if facts.identity.driver_version is not None and wanted not in held:
        return info(
            f"{wanted} may be upgraded by apt at any time",
            "a kernel or library update alone breaks the pair of driver and library",
            hold(facts),
        )
    return None


def _pairing(facts: DeviceFacts) -> Finding | None:
    version = _numbers(facts.identity.hailort)
    if len(version) < 2:
        return None
    if version[0] == 4:
        compiler = f"3.{version[1] + 10}"
        return info(
            f"HailoRT {facts.identity.hailort} pairs with Dataflow Compiler {compiler}",
            "a HEF of a newer compiler may not load, or fail while it runs",
            f"Compile with {compiler} or older, or upgrade the device.",
        )
    return info(
        f"HailoRT {facts.identity.hailort} pairs with Dataflow Compiler {version[0]}.{version[1]}",
        "some models demand exactly this version",
        "Compile with the same version.",
    )


def _api(facts: DeviceFacts) -> Finding | None:
    chip = chips.find(facts.identity.chip or "")
    if chip is None or chip.older_api:
        return None
    return info(
        f"a {chip.title} has only the newer Python API",
        "programs with InferVStreams end in HAILO_NOT_IMPLEMENTED",
        "Use VDevice().create_infer_model(...), as hefsmith's own jobs do.",
    )


def _power(facts: DeviceFacts) -> Finding | None:
    flags = facts.identity.throttled
    if flags is None:
        return None
    if not flags:
        return ok("no under-voltage, no throttling since boot")
    bad = any("under-voltage" in flag for flag in flags)
    return warning(
        ", ".join(flags),
        "the chip times out and measurements are worth nothing",
        "Use the 27 W supply (5 V, 5 A) and a short cable." if bad else "Cool the board.",
    )


def _temperature(facts: DeviceFacts) -> Finding | None:
    value = facts.identity.temperature_c
    if value is None or value < HOT_C:
        return None
    return warning(f"the board is at {value:.0f} C", "it throttles from 80 C on",
                   "Mount the active cooler, keep the air holes free.")  # fmt: skip


def _link(facts: DeviceFacts) -> Finding | None:
    link = facts.identity.pcie
    if link is None or link.generation is None:
        return None
    found = f"PCIe generation {link.generation}, width x{link.width}"
    if link.generation >= 3:
        return ok(found)
    if re.search(
        r"^\s*dtparam=pciex1_gen=3", facts.file("/boot/firmware/config.txt"), re.MULTILINE
    ):
        return info(
            f"{found}, although generation 3 is set",
            "the link fell back, or the setting waits for a reboot",
            "sudo reboot; if it stays, generation 3 does not work over this cable: take the "
            "setting out",
        )
    return info(
        found,
        "generation 3 carries about twice as much; it matters for large or multi-context models",
        "echo 'dtparam=pciex1_gen=3' | sudo tee -a /boot/firmware/config.txt; sudo reboot",
    )


def _clock(facts: DeviceFacts) -> Finding | None:
    skew = facts.identity.clock_skew_s
    if skew is None or abs(skew) < 120:
        return None
    return warning(f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
                   "times in reports and logs are wrong, apt may refuse its sources",
                   "sudo timedatectl set-ntp true")  # fmt: skip


def _shipped_chip(facts: DeviceFacts) -> Finding | None:
    chip = facts.identity.chip
    for model, shelf in facts.shelves.items():
        arch = shelf.arch
        if chip is not None and arch and not chips.runs_on(arch, chip):
            return error(
                f"{model}: the release there was compiled for {arch}, the chip is a {chip}",
                "loading it fails: HEF format is not compatible with device",
                f"hef build {model} --arch {chip} && "
                f"hef ship {model} --device {device_word(facts.name)}",
            )
    return None


def _shipped_labels(facts: DeviceFacts) -> Finding | None:
    for model, shelf in facts.shelves.items():
        labels, classes = shelf.labels, shelf.classes
        if classes and labels and classes != labels:
            return warning(
                f"{model}: {counted(labels, 'label')} for {counted(classes, 'class', 'classes')}",
                "wrong names are shown, or the program ends with an index error",
                f"Correct labels in the recipe of {model}, build and ship it again.",
            )
        if classes and not labels:
            return info(f"{model}: was shipped without labels",
                        "programs then show the names of another data set (COCO)",
                        "Name them in the recipe: postprocess: {labels: labels.txt}")  # fmt: skip
    return None


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:3])


def _check(
    name: str, title: str, run: Callable[[DeviceFacts], Finding | None]
) -> Check[DeviceFacts]:
    def check(facts: DeviceFacts) -> Finding | None:
        finding = run(facts)
        cause = first_cause(facts) if finding is not None else None
        if finding is None or cause is None or name not in cause.hides:
            return finding
        if finding.severity == OK:
            # That two versions agree is no comfort while the driver is of the wrong line.
            return None
        return info(finding.message, f"follows from: {cause.found}", "Mend that first.")

    return Check(f"device.{name}", "device", title, check)


#: In the order in which a person would look.
CHECKS: tuple[Check[DeviceFacts], ...] = (
    _check("chip", "Hailo chip", _chip),
    _check("firmware", "Firmware (R18)", _firmware),
    _check("versions", "Driver and library (R03)", _versions),
    _check("firmware-version", "Firmware and driver (R34)", _firmware_version),
    _check("line", "HailoRT fits the chip (R09)", _line_fits),
    _check("reboot", "Driver on disk (R03)", _reboot_pending),
    _check("dkms", "Driver built for the kernel (R19)", _dkms),
    _check("two-drivers", "One driver only (R08)", _two_drivers),
    _check("node", "Right to use the chip", _node),
    _check("holders", "Chip is free (R08, R17)", _holders),
    _check("service", "HailoRT's service", _service),
    _check("page-size", "Page size (R07)", _page_size),
    _check("python", "Python", _python),
    _check("binding", "Python binding (R10, R12)", _binding),
    _check("numpy", "numpy (R11)", _numpy),
    _check("api", "Python API (R16)", _api),
    _check("power", "Power supply (R17)", _power),
    _check("temperature", "Temperature (R17)", _temperature),
    _check("pcie", "PCIe link", _link),
    _check("disk", "Free disk", check_disk),
    _check("clock", "Clock", _clock),
    _check("apt", "Packages (R09)", _apt),
    _check("pairing", "Compiler for this HailoRT (R04, R05, R06)", _pairing),
    _check("shipped-chip", "Shipped releases fit the chip (R01, R02)", _shipped_chip),
    _check("shipped-labels", "Shipped labels (R21, R22)", _shipped_labels),
)
