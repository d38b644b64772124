"""Read what a device shows about itself. Pure: raw facts in, :class:`Identity` out.

Success is judged by outputs alone: ``hailortcli fw-control identify`` ends with 0 and prints
nothing when there is no chip (HailoRT 4.23 and 5.1 on), and other versions differ.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

from orchestrator.device.base import Holder, Identity, PcieLink, unit_name
from orchestrator.device.replies import facts_from
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.device.replies import Facts

#: ``vcgencmd get_throttled``: bit -> meaning (Raspberry Pi documentation).
THROTTLE_FLAGS = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}

_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5}
#: What a loader, a shell and the system say of a program that they cannot start.
_NOT_RUN = re.compile(
    r"error while loading shared libraries|: version `\S+' not found|symbol lookup error"
    r"|Exec format error|Permission denied: '?/\S*hailortcli|required file not found"
    r"|No such file or directory: '?/\S*hailortcli|cannot execute"
)
_VERSION = r"(\d+\.\d+\.\d+)"
_FIRMWARE = rf"^Firmware Version: {_VERSION}"


def read_identity(
    recorded: Facts | Mapping[str, object], *, host_time: float | None = None
) -> Identity:
    """Return the identity that raw facts (``agent/facts.py``, or a record of them) amount to."""
    raw = facts_from(recorded)
    identify = _output(raw, "identify")
    chips = tuple(
        _chip_name(name)
        for name in re.findall(r"^Device Architecture: (\S+)", identify, re.MULTILINE)
    )
    versions = read_versions(raw)
    binding = _read_binding(raw)
    files = raw.files
    release = _read_pairs(files.get("/etc/os-release", ""))
    skew = raw.time - host_time if host_time is not None and raw.time is not None else None
    # An emulated Hailo-10H says it beside its answer: like a real one it shows no product name.
    said = identify + raw.output("identify").err + _output(raw, "version")
    emulated = bool(re.search("emulated", said, re.IGNORECASE))
    identity = Identity(
        chip=chips[0] if chips else None,
        chips=chips,
        firmware=_field(_FIRMWARE, identify),
        board_name=_field(r"^Board Name: (.+)$", identify),
        serial=_field(r"^Serial Number: (.+)$", identify),
        part_number=_field(r"^Part Number: (.+)$", identify),
        product_name=_field(r"^Product Name: (.+)$", identify),
        emulated=emulated or binding.get("emulated") is True,
        hailort=versions["library"],
        cli_version=versions["cli"],
        driver_version=versions["driver"],
        driver_module=_driver_module(raw),
        driver_on_disk=versions["driver_on_disk"],
        binding_version=_text(binding.get("binding")),
        binding_place=_text(binding.get("file")),
        binding_error=_text(binding.get("binding_error")),
        python_version=_text(binding.get("python")),
        numpy_version=_text(binding.get("numpy")),
        binding_numpy2=_flag(binding.get("numpy2")),
        versions_agree=None,
        hostname=raw.hostname,
        board_model=_board_model(files),
        os_name=release.get("PRETTY_NAME") or raw.system,
        os_version=release.get("VERSION_CODENAME") or release.get("VERSION_ID"),
        kernel=raw.kernel,
        machine=raw.machine,
        page_size=raw.page_size,
        pcie=_read_link(raw),
        temperature_c=_read_temperature(raw),
        throttled=read_throttled(_output(raw, "throttled")),
        disk_free=raw.disk.free,
        disk_total=raw.disk.total,
        disk_folder=raw.disk.folder,
        disk_refuses=raw.disk.refuses,
        memory_total=_memory(files, "MemTotal"),
        memory_free=_memory(files, "MemAvailable"),
        device_nodes=tuple(node.path for node in raw.nodes),
        holders=_read_holders(raw),
        model_zoo=raw.model_zoo,
        packages=read_packages(_output(raw, "packages")),
        clock_skew_s=round(skew, 1) if skew is not None else None,
        home=raw.home,
    )
    agree, notes = _compare(identity, raw)
    return replace(identity, versions_agree=agree, notes=notes)


def read_versions(raw: Facts) -> dict[str, str | None]:
    """Return the versions of library, command line tool and driver, from all that shows them."""
    errors = _errors(raw)
    cli = _field(rf"HailoRT-CLI version {_VERSION}", _output(raw, "version") + errors)
    library, driver = cli, None  # the tool refuses to run with a library of another version
    if found := re.search(
        rf"libhailort version \({_VERSION}\) does not match HailoRT-CLI version \({_VERSION}\)",
        errors,
    ):
        library, cli = found.groups()
    if found := re.search(
        rf"Driver version \({_VERSION}\) is different from library version \({_VERSION}\)", errors
    ):
        driver, library = found.groups()
    if library is None:
        names = [re.search(rf"libhailort\.so\.{_VERSION}$", path) for path in raw.libraries]
        known = sorted({name[1] for name in names if name is not None})
        library = known[0] if len(known) == 1 else None
    files = raw.files
    for module in (line.driver for line in chips.LINES):
        text = files.get(f"/sys/module/{module}/version", "")
        if driver is None and (found := re.match(_VERSION, text)):
            driver = found[1]
    on_disk = None
    for module in _module_order(raw):
        if found := re.match(_VERSION, _output(raw, f"modinfo_{module}")):
            on_disk = found[1]
            break
    return {"library": library, "cli": cli, "driver": driver, "driver_on_disk": on_disk}


def read_throttled(text: str) -> tuple[str, ...] | None:
    """Return the meanings of ``throttled=0x50000``; ``None`` when there is no such tool."""
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", text)
    if found is None:
        return None
    bits = int(found[1][:18], 16)
    return tuple(meaning for bit, meaning in THROTTLE_FLAGS.items() if bits >> bit & 1)


def read_packages(text: str) -> dict[str, str]:
    """Return installed packages and versions of ``dpkg-query`` lines."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        version, _, status = rest.partition(" ")
        if name and version and status.strip().startswith(("ii", "hi")):
            found[name] = version
    return found


def read_generation(speed: str | None) -> int | None:
    """Return the PCIe generation of a sysfs speed such as ``8.0 GT/s PCIe``."""
    found = re.match(r"([\d.]+) ?GT/s", speed or "")
    return _GENERATIONS.get(found[1]) if found else None


def _compare(identity: Identity, raw: Facts) -> tuple[bool | None, tuple[str, ...]]:
    """Say whether all that has a version has the same, and what else is odd."""
    notes: list[str] = []
    versions = {
        "library": identity.hailort,
        "hailortcli": identity.cli_version,
        "driver": identity.driver_version,
        "firmware": identity.firmware,
        "Python binding": identity.binding_version,
    }
    known = {name: version for name, version in versions.items() if version is not None}
    agree: bool | None = None
    if len(known) > 1:
        agree = len(set(known.values())) == 1
        if not agree:
            listed = ", ".join(f"{name} {version}" for name, version in known.items())
            notes.append(f"versions differ: {listed}")
    if identity.chip is None:
        notes.append(_why_no_chip(identity, raw))
    if len(set(identity.chips)) > 1:
        notes.append(f"several chips: {', '.join(identity.chips)}; the first is used")
    if identity.binding_error is not None:
        notes.append(f"Python cannot use the chip: {identity.binding_error.splitlines()[0]}")
    on_disk = identity.driver_on_disk
    if identity.driver_version and on_disk and on_disk != identity.driver_version:
        notes.append(
            f"the driver on disk is {on_disk}, the loaded one {identity.driver_version}:"
            " it changes with the next boot"
        )
    return agree, tuple(notes)


def _why_no_chip(identity: Identity, raw: Facts) -> str:
    errors = _errors(raw)
    cards = [card_name(card.device) for card in raw.pci]
    identify = raw.commands.get("identify")
    if identify is None:
        return "hailortcli is not installed"
    if identify.timed_out:
        return "hailortcli fw-control identify did not end: the chip or its driver hangs"
    if identity.hailort and "Driver version (" in errors:
        return "the chip cannot be asked: driver and library differ"
    if cards and identity.driver_module is None:
        return f"{cards[0]} is on the PCIe bus, and no driver is loaded"
    if broken := tool_failure(raw):
        return broken
    if shut := [node.path for node in raw.nodes if not node.usable]:
        return f"this login may not open {shut[0]}"
    if identity.holders:
        return f"process {identity.holders[0].pid} uses the chip"
    if cards and (said := last_words(raw)):
        return f"{cards[0]} is on the PCIe bus, and hailortcli says: {said}"
    if cards:
        return f"{cards[0]} is on the PCIe bus, but {identity.driver_module} does not offer it"
    if first := next((line for line in errors.splitlines() if "[error]" in line), None):
        return f"hailortcli found no chip: {first.split('[error]', 1)[1].strip()}"
    return "hailortcli found no chip"


def tool_failure(raw: Facts) -> str | None:
    """Return what kept ``hailortcli`` itself from running; ``None`` where it could ask.

    HailoRT's own lines name it; the loader's, the shell's and the system's do not.
    """
    asked = raw.output("identify")
    if asked.code is not None and asked.code < 0:
        return f"hailortcli crashed (signal {-asked.code})"
    lines = [line.strip() for line in asked.err.splitlines() if line.strip()]
    if not lines or asked.code == 0 or asked.out.strip() or not _NOT_RUN.search(lines[-1]):
        return None
    return f"hailortcli does not run: {lines[-1].removeprefix('hailortcli: ')}"


def last_words(raw: Facts) -> str | None:
    """Return the last line in which ``hailortcli`` told of an error when it asked the chip."""
    lines = [line.strip() for line in raw.output("identify").err.splitlines() if line.strip()]
    return re.sub(r"^(?:\[[^\]]*\] ?)+", "", lines[-1]) or None if lines else None


def _chip_name(architecture: str) -> str:
    """Return the short name of a ``Device Architecture``; the tool calls the 12L MARS."""
    known = (chip for chip in chips.CHIPS if architecture in (chip.shows, chip.printed))
    return next((chip.name for chip in known), architecture.strip().lower())


def card_name(pci: str | None) -> str:
    """Return what a PCI id stands for; chips of one board share theirs."""
    titles = [chip.title for chip in chips.usable() if chip.pci == str(pci).lower()]
    return f"a {' or '.join(titles)}" if titles else "a Hailo chip"


def _read_binding(raw: Facts) -> dict[str, object]:
    for line in reversed(_output(raw, "binding").splitlines()):
        try:
            found = parse_json(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _read_link(raw: Facts) -> PcieLink | None:
    for card in raw.pci:
        return PcieLink(
            generation=read_generation(card.current_link_speed),
            width=_whole(card.current_link_width),
            max_generation=read_generation(card.max_link_speed),
            max_width=_whole(card.max_link_width),
        )
    return None


def _read_temperature(raw: Facts) -> float | None:
    """Return the SoC's temperature in degrees Celsius."""
    if found := re.search(r"temp=(\d{1,4}(?:\.\d{1,4})?)'", _output(raw, "temperature"), re.ASCII):
        return float(found[1])
    thousandths = _whole(raw.files.get("/sys/class/thermal/thermal_zone0/temp"))
    return thousandths / 1000 if thousandths is not None else None


def _read_holders(raw: Facts) -> tuple[Holder, ...] | None:
    """Return who has the chip open; ``None`` when not everybody could be looked at."""
    found = raw.holders
    if found is None:
        return None
    holders = tuple(
        Holder(
            pid=entry.pid,
            command=entry.command,
            user=entry.user,
            # It is the name of a folder that any process may make; here it goes into commands.
            unit=entry.unit if entry.unit is not None and unit_name(entry.unit) else None,
        )
        for entry in found.processes
    )
    return holders if found.complete or holders else None


def _driver_module(raw: Facts) -> str | None:
    loaded = [line.split(" ", 1)[0] for line in raw.files.get("/proc/modules", "").splitlines()]
    names = [name for name in loaded if name in ("hailo_pci", "hailo1x_pci", "hailo1x")]
    return ", ".join(sorted(names)) or None


def _module_order(raw: Facts) -> tuple[str, ...]:
    """Return the driver modules to look at on disk, the loaded one first."""
    loaded = _driver_module(raw) or ""
    if "hailo1x" in loaded and "hailo_pci" not in loaded:
        return ("hailo1x_pci", "hailo_pci")
    return ("hailo_pci", "hailo1x_pci")


def _read_pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip('"') for name, _, value in pairs}


def _board_model(files: Mapping[str, str]) -> str | None:
    """Return the board's name; in containers the device tree is hidden, cpuinfo is not."""
    named = _field(r"^Model\s*: (.+)$", files.get("/proc/cpuinfo", ""))
    return files.get("/proc/device-tree/model") or named


def _memory(files: Mapping[str, str], name: str) -> int | None:
    found = re.search(
        rf"^{name}:\s+([0-9]{{1,12}}) kB", files.get("/proc/meminfo", ""), re.MULTILINE
    )
    return int(found[1]) * 1024 if found else None


def _output(raw: Facts, name: str) -> str:
    return raw.output(name).out


def _errors(raw: Facts) -> str:
    return "\n".join(command.err for command in raw.commands.values() if command is not None)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:1000]


def _whole(text: str | None) -> int | None:
    """Return a small whole number that a text is, as sysfs writes it."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None


def _field(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None or found[1].strip() in ("", "<N/A>"):
        return None
    return found[1].strip()
