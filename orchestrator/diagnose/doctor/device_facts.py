"""What doctor knows of a device, and how it is asked; and the names of packages by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hefsmith_worker.contract.chips import ProductLine

    from orchestrator.device.base import DeviceSpec, Identity
    from orchestrator.device.replies import Facts, OnShelf


#: The packages of a line that must be of one version.
TOGETHER = ("library", "driver", "firmware", "binding")

#: What Hailo's own package is called where Raspberry Pi OS has another name.
_HAILOS_OWN = {"hailo-dkms": "hailort-pcie-driver"}


def packages(line: ProductLine, *what: str) -> str:
    """Return names of a line's Debian packages, by what they hold; of all where nothing is said."""
    return " ".join(dict.fromkeys(line.packages[one] for one in what or line.packages))


@dataclass(frozen=True)
class DeviceFacts:
    """What the checks look at: the identity, the raw facts behind it, what has been shipped."""

    name: str
    identity: Identity
    raw: Facts
    shelves: Mapping[str, OnShelf] = field(default_factory=dict)
    shared: bool = False
    """Whether several programs shall use the chip, through HailoRT's service."""

    def __post_init__(self) -> None:
        """Read a record of facts (JSON) where one is given."""
        from orchestrator.device.replies import facts_from

        object.__setattr__(self, "raw", facts_from(self.raw))

    @property
    def card(self) -> str:
        """What is on the PCIe bus, for people."""
        from orchestrator.device.identity import card_name

        names = [card_name(card.device) for card in self.raw.pci]
        return names[0] if names else "the card"

    def out(self, command: str) -> str:
        """Return what a command printed on the device, both streams."""
        entry = self.raw.output(command)
        return f"{entry.out}\n{entry.err}"

    def file(self, path: str) -> str:
        """Return the text of a file of the device, empty when there is none."""
        return self.raw.files.get(path, "")

    def package(self, what: str) -> str:
        """Return the name of a package for this device's line; an unknown line is taken for 4.x.

        The driver's has two names: that of Raspberry Pi OS, and that of Hailo's own package.
        """
        name = packages(self.product_line, what)
        other, there = _HAILOS_OWN.get(name, name), self.identity.packages
        return other if other in there and name not in there else name

    @property
    def together(self) -> str:
        """The names of the packages that must be of one version."""
        return " ".join(dict.fromkeys(self.package(one) for one in TOGETHER))

    @property
    def raspberry_os(self) -> bool:
        """Whether the system has Raspberry Pi OS's packages; a system that says nothing is one."""
        release = self.file("/etc/os-release")
        named = re.search(r"^ID=\"?([\w.-]+)", release, re.MULTILINE)
        if named is not None and named[1] not in ("debian", "raspbian"):
            return False
        return (self.identity.machine or "aarch64") not in ("x86_64", "amd64", "i686")

    @property
    def raspberry_board(self) -> bool:
        """Whether the board is a Raspberry Pi, as far as it says."""
        board = self.identity.board_model
        return self.raspberry_os if board is None else "Raspberry" in board

    @property
    def virtual(self) -> bool:
        """Whether it is a virtual machine."""
        return (
            re.search(r"^flags\s*:.*\bhypervisor\b", self.file("/proc/cpuinfo"), re.MULTILINE)
            is not None
        )

    @property
    def kernel_log(self) -> str:
        """The kernel's messages, as far as the login may read them."""
        return self.out("kernel_log") + self.out("kernel_log_sudo")

    @property
    def line(self) -> int | None:
        """HailoRT's major version that drives the chip, by its name or by its PCI id."""
        return None if self._line is None else self._line.runtime

    @property
    def product_line(self) -> ProductLine:
        """The line of the chip; an unknown one is taken for the older."""
        return self._line or chips.LINES[0]

    @property
    def other_line(self) -> ProductLine:
        """The line that the chip is not of."""
        return next(line for line in chips.LINES if line is not self.product_line)

    @property
    def own_server(self) -> bool:
        """Whether the chip lets several programs in by itself, without HailoRT's service."""
        chip = chips.find(self.identity.chip or "")
        return chip.own_server if chip is not None else self.product_line.runtime >= 5

    @property
    def _line(self) -> ProductLine | None:
        chip = chips.find(self.identity.chip or "")
        if chip is not None:
            return chip.line
        ids = {str(card.device).lower() for card in self.raw.pci}
        found = next((one.line for one in chips.CHIPS if one.pci in ids), None)
        # A card of a chip that is not known here is newer than all that are.
        return found or (chips.LINES[-1] if ids else None)


def collect(spec: DeviceSpec, *, password: Callable[[str], str] | None = None) -> DeviceFacts:
    """Connect to a device and collect the facts; raises ``DeviceError`` when that fails."""
    import time

    from orchestrator.device.connection_pool import default_pool
    from orchestrator.device.identity import read_identity
    from orchestrator.device.replies import SHELVES

    with default_pool().connect(spec, password=password) as session:
        asked = time.time()
        raw = session.facts("deep")
        shelves = session.ask(SHELVES).shelves
    identity = read_identity(raw, host_time=asked)
    return DeviceFacts(spec.name, identity, raw, shelves, spec.shared)
