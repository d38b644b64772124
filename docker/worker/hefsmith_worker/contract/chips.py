"""The chips: one row each, read by recipe, linter, toolchain choice, HEF room, devices, emulator.

A new chip is one row of :data:`CHIPS`. Figures: HailoRT's public sources at 4.17 to 5.2, the
vendor's drivers, Model Zoo changelogs; the emulated ones are explained in the emulator's README.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple


@dataclass(frozen=True)
class ProductLine:
    """One of the two lines, which do not mix: a compiler, a runtime, a driver, packages.

    ``compiler`` and ``runtime`` are major versions. ``default_chip`` is what the compiler takes
    without ``--hw-arch``. ``packages`` are Debian's, by what they hold.
    """

    compiler: int
    runtime: int
    default_chip: str
    driver: str
    packages: Mapping[str, str]
    emulated_compiler: str
    emulated_runtime: Tuple[int, int, int]


LINE_3 = ProductLine(
    compiler=3,
    runtime=4,
    default_chip="hailo8",
    driver="hailo_pci",
    packages={
        "everything": "hailo-all",
        "library": "hailort",
        "driver": "hailo-dkms",
        "binding": "python3-hailort",
        "firmware": "hailofw",
    },
    emulated_compiler="3.33.0",
    emulated_runtime=(4, 23, 0),
)
LINE_5 = ProductLine(
    compiler=5,
    runtime=5,
    default_chip="hailo10h",
    driver="hailo1x_pci",
    packages={
        "everything": "hailo-h10-all",
        "library": "h10-hailort",
        "driver": "h10-hailort-pcie-driver",
        "binding": "python3-h10-hailort",
        "firmware": "h10-hailort-pcie-driver",
    },
    emulated_compiler="5.2.0",
    emulated_runtime=(5, 2, 0),
)
LINES = (LINE_3, LINE_5)


@dataclass(frozen=True)
class HefCode:
    """A number that HEF files carry for a chip, the vendor's word for it, and its NMS unit.

    ``nms`` is the generation of the on-chip NMS that HailoRT 5.2 knows for the number, ``None``
    where it knows none.
    """

    number: int
    name: str
    nms: Optional[int] = None


@dataclass(frozen=True)
class Figures:
    """What the emulator plays: cost model and identity; no measurement of a real chip.

    ``tops`` at 8 bits, ``weight_bytes`` of one context, ``link`` bytes per second (PCIe Gen3 x1).
    """

    tops: float
    weight_bytes: int
    board: str
    product: str
    part: str
    link: float = 0.8e9


@dataclass(frozen=True)
class Chip:
    """A chip. ``name`` is the ``hw_arch`` of compilers and recipes.

    ``codes`` are the numbers in HEF files, the one to write first; two chips may share them.
    ``shows`` is the ``Device Architecture`` that HailoRT's library gives, ``device_number`` its
    number there, ``identifies`` what ``hailortcli fw-control identify`` prints where that differs.
    ``takes`` names the chips whose HEFs run there besides those with a code of its own.
    ``listed`` are the numbers of the files that it takes by HailoRT's list, which counted up to
    5.0 and has it since ``listed_since``.
    ``since`` is the first compiler of the line that knows it. ``older_api``: InferVStreams works.
    ``refused`` says why nothing can be built for it; figures are needed only without that.
    """

    name: str
    title: str
    line: ProductLine
    codes: Tuple[HefCode, ...]
    shows: str
    device_number: Optional[int] = None
    identifies: Optional[str] = None
    pci: Optional[str] = None
    also_called: Tuple[str, ...] = ()
    takes: Tuple[str, ...] = ()
    listed: Tuple[int, ...] = ()
    listed_since: Tuple[int, int] = (4, 0)
    since: Tuple[int, int] = (0, 0)
    multi_layout: bool = False
    integrated: bool = False
    older_api: bool = True
    zoo_scripts_of: Optional[str] = None
    refused: Optional[str] = None
    figures: Optional[Figures] = None

    @property
    def code(self) -> int:
        """The number that a compiler writes into a HEF."""
        return self.codes[0].number

    @property
    def printed(self) -> str:
        """The ``Device Architecture`` as ``hailortcli`` prints it."""
        return self.identifies or self.shows

    @property
    def own_server(self) -> bool:
        """Whether it runs HailoRT's server itself, and shares the chip without a service.

        Fact: HailoRT 5.1 on refuses the multi-process service for a Hailo-10H.
        """
        return self.line.runtime >= 5 and not self.integrated


_MIB = 1024 * 1024
_HAILO15 = (HefCode(103, "HAILO1XH", 15), HefCode(104, "GINGER", 15), HefCode(105, "LAVENDER", 15))
_LISTED_15 = (4, 5, 103, 104, 105)

#: A HEF names the chips that take it in this order, its own before those that take it too.
CHIPS: Tuple[Chip, ...] = (
    Chip(
        "hailo8",
        "Hailo-8",
        LINE_3,
        # Files of the real compiler for hailo8 carry 8P.
        (
            HefCode(1, "HAILO8P", 8),
            HefCode(0, "HAILO8", 8),
            HefCode(101, "SAGE_B0", 8),
            HefCode(102, "PAPRIKA_B0"),
        ),
        "HAILO8",
        device_number=1,
        pci="0x2864",
        takes=("hailo8l", "hailo8r"),
        listed=(1, 2, 3),
        figures=Figures(
            26.0, 12 * _MIB, "Hailo-8", "HAILO-8 AI ACC M.2 M KEY MODULE", "HM218B1C2FAE"
        ),
    ),
    Chip(
        "hailo8l",
        "Hailo-8L",
        LINE_3,
        (HefCode(3, "HAILO8L", 8),),
        "HAILO8L",
        device_number=2,
        pci="0x2864",
        listed=(3,),
        multi_layout=True,
        figures=Figures(13.0, 6 * _MIB, "Hailo-8", "HAILO-8L AI ACC M.2 B+M KEY", "HM21LB1C2LAE"),
    ),
    Chip(
        "hailo8r",
        "Hailo-8R",
        LINE_3,
        (HefCode(2, "HAILO8R", 8),),
        # HailoRT has no architecture of that name: it is a Hailo-8 with another clock.
        "HAILO8",
        pci="0x2864",
        takes=("hailo8", "hailo8l"),
        listed=(1, 2, 3),
        figures=Figures(20.0, 12 * _MIB, "Hailo-8", "HAILO-8R", "H8R"),
    ),
    Chip(
        "hailo8a0",
        "Hailo-8 A0",
        LINE_3,
        (HefCode(100, "SAGE_A0"),),
        "HAILO8_A0",
        device_number=0,
        refused="it is an engineering sample, and no compiler of today names it",
    ),
    Chip(
        "hailo15h",
        "Hailo-15H",
        LINE_5,
        _HAILO15,
        "HAILO15H",
        device_number=3,
        also_called=("mercury",),
        takes=("hailo15m",),
        listed=_LISTED_15,
        integrated=True,
        figures=Figures(20.0, 8 * _MIB, "Hailo-15H", "HAILO-15H", "H15H"),
    ),
    Chip(
        "hailo10h",
        "Hailo-10H",
        LINE_5,
        # Its files cannot be told from those for Hailo-15H.
        _HAILO15,
        "HAILO10H",
        device_number=6,
        pci="0x45c4",
        takes=("hailo15m",),
        listed=_LISTED_15,
        older_api=False,
        zoo_scripts_of="hailo15h",
        figures=Figures(20.0, 8 * _MIB, "Hailo-10H", "HAILO-10H AI ACC", "HM10HB1C2LAE"),
    ),
    Chip(
        "hailo15m",
        "Hailo-15M",
        LINE_5,
        (HefCode(4, "HAILO15M", 15),),
        "HAILO15M",
        device_number=5,
        listed=(4,),
        multi_layout=True,
        integrated=True,
        figures=Figures(11.0, 6 * _MIB, "Hailo-15M", "HAILO-15M", "H15M"),
    ),
    Chip(
        "hailo15l",
        "Hailo-15L",
        LINE_5,
        (HefCode(6, "HAILO15L", 15), HefCode(106, "PLUTO", 15)),
        "HAILO15L",
        device_number=4,
        pci="0x43a2",
        also_called=("pluto",),
        listed=(6, 106),
        integrated=True,
        figures=Figures(7.0, 4 * _MIB, "Hailo-15L", "HAILO-15L", "H15L"),
    ),
    Chip(
        "hailo12l",
        "Hailo-12L",
        LINE_5,
        (HefCode(108, "MARS"),),
        "HAILO12L",
        device_number=7,
        identifies="MARS",
        pci="0x26a2",
        also_called=("mars",),
        listed=(108,),
        listed_since=(5, 0),
        since=(5, 1),
        older_api=False,
        figures=Figures(7.0, 4 * _MIB, "Hailo-12L", "HAILO-12L", "H12L"),
    ),
    Chip(
        "hailo10p",
        "Hailo-10P",
        LINE_5,
        (),
        "HAILO10P",
        refused="compilers 5.x name it, but HailoRT's sources up to 5.2 know no such device",
    ),
)


def by_name() -> Dict[str, Chip]:
    """Return the chips by name. Read at each use: a test may add a row."""
    return {chip.name: chip for chip in CHIPS}


def usable() -> Tuple[Chip, ...]:
    """Return the chips that can be built for, those of the older line first."""
    return tuple(chip for chip in CHIPS if chip.refused is None)


def of_line(compiler: int) -> Tuple[Chip, ...]:
    """Return the chips that the compilers of a line (3 or 5) can build for."""
    return tuple(chip for chip in usable() if chip.line.compiler == compiler)


def line_of_compiler(major: int) -> Optional[ProductLine]:
    """Return the line of a compiler's major version, ``None`` for one of neither line."""
    return next((line for line in LINES if line.compiler == major), None)


def line_of_runtime(major: int) -> Optional[ProductLine]:
    """Return the line of a HailoRT's major version, ``None`` for one of neither line."""
    return next((line for line in LINES if line.runtime == major), None)


def plain_name(text: str) -> str:
    """Return a chip's name as ``--hw-arch`` has it, from ``HAILO8L``, ``hailo-8l`` or ``mars``."""
    name = re.sub(r"[\s_-]", "", text.strip().lower())
    for chip in CHIPS:
        if name in chip.also_called:
            return chip.name
    return name


def find(text: str) -> Optional[Chip]:
    """Return the chip that any of its names means, ``None`` for an unknown one."""
    return by_name().get(plain_name(text))


def takes(chip: Chip, hef: Chip) -> bool:
    """Tell whether a HEF compiled for ``hef`` runs on ``chip``."""
    shared = {code.number for code in chip.codes} & {code.number for code in hef.codes}
    return hef.name == chip.name or hef.name in chip.takes or bool(shared)


def runs_on(arch: str, chip: str) -> bool:
    """Tell whether a HEF compiled for ``arch`` runs on a device with ``chip`` (plain names)."""
    known = by_name()
    if arch not in known or chip not in known:
        return arch == chip
    return takes(known[chip], known[arch])


def suitable_for(chip: str) -> Tuple[str, ...]:
    """Return the chips whose HEFs a device takes, its own first (an unknown one: only itself)."""
    return (chip, *(one.name for one in usable() if one.name != chip and runs_on(one.name, chip)))


def devices_for(code: int) -> Tuple[str, ...]:
    """Return what devices show (``HAILO8L``) that take a HEF with this number, its own first."""
    own = [chip for chip in CHIPS if any(one.number == code for one in chip.codes)]
    other = [chip for chip in CHIPS if any(takes(chip, one) for one in own)]
    return tuple(dict.fromkeys(chip.shows for chip in (*own, *other)))
