"""Which versions belong together, and which compiler's HEF a device can load.

Two lines that do not mix: 3.x with HailoRT 4.x for Hailo-8, 8R and 8L; 5.x with HailoRT 5.x
for Hailo-10H and 15. Figures: Model Zoo changelogs, HailoRT's source at its tags, and reports
of users for the newest releases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hefsmith_worker.contract import chips

Line = Literal[3, 5]

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """Three numbers; what follows them (``.dev0``, ``-3``) does not count."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the AI Software Suite. ``evidence`` tells how sure the pairing is."""

    name: str
    line: Line
    dfc: Version
    hailort: Version
    model_zoo: str
    evidence: Literal["vendor", "users", "inferred"]


def parse_version(text: str | None) -> Version | None:
    """Return the first version in ``text``, ``None`` when there is none."""
    match = _VERSION.search(text or "")
    if match is None:
        return None
    return Version(int(match[1]), int(match[2]), int(match[3] or 0))


#: Releases of the suite, oldest first (hailo.md 1.2 and 1.3). ``inferred`` ones carry the name
#: that follows from the dates of their parts: the vendor names a release by year and month.
RELEASES: tuple[Release, ...] = (
    Release("2023-07", 3, Version(3, 24), Version(4, 14), "2.8", "users"),
    Release("2024-01", 3, Version(3, 26), Version(4, 16), "2.10", "inferred"),
    Release("2024-04", 3, Version(3, 27), Version(4, 17), "2.11", "inferred"),
    Release("2024-07", 3, Version(3, 28), Version(4, 18), "2.12", "inferred"),
    Release("2024-10", 3, Version(3, 29), Version(4, 19), "2.13", "inferred"),
    Release("2025-01", 3, Version(3, 30), Version(4, 20), "2.14", "users"),
    Release("2025-04", 3, Version(3, 31), Version(4, 21), "2.15", "users"),
    Release("2025-07", 3, Version(3, 32), Version(4, 22), "2.16", "users"),
    Release("2025-10", 3, Version(3, 33), Version(4, 23), "2.17", "users"),
    Release("2026-07", 3, Version(3, 34), Version(4, 24), "2.19", "users"),
    Release("2025-07", 5, Version(5, 0), Version(5, 0), "5.0", "inferred"),
    Release("2025-10", 5, Version(5, 1), Version(5, 1), "5.1", "inferred"),
    Release("2026-01", 5, Version(5, 2), Version(5, 2), "5.2", "users"),
    Release("2026-08", 5, Version(5, 4), Version(5, 4), "5.4", "users"),
)

#: Highest HEF header that a HailoRT understands, from this version on (hailo.md 7.1).
HEADERS: tuple[tuple[Version, int], ...] = (
    (Version(4, 21), 3),
    (Version(4, 20), 2),
    (Version(4, 0), 1),
)


def line_of_chip(arch: str) -> Line | None:
    """Return the line that compiles for a chip, ``None`` for a chip that nobody knows."""
    chip = chips.by_name().get(arch)
    return None if chip is None else line_of(chip.line)


def line_of(line: chips.ProductLine) -> Line:
    """Return a product line as the number that records and lock files have."""
    return 3 if line is chips.LINE_3 else 5


def line_of_compiler(dfc: Version) -> Line | None:
    """Return the line of a compiler version."""
    line = chips.line_of_compiler(dfc.major)
    return None if line is None else line_of(line)


def runtime_of_compiler(dfc: Version) -> Version | None:
    """Return the HailoRT that a compiler is released with: 3.N with 4.(N-10), 5.x.y with itself.

    The rule holds for every pair of the vendor's changelogs from 3.24 to 3.34.
    """
    if dfc.major == 5:
        return dfc
    if dfc.major == 3 and dfc.minor >= 10:
        return Version(4, dfc.minor - 10)
    return None


def compiler_of_runtime(hailort: Version) -> Version | None:
    """Return the newest compiler whose HEFs a HailoRT is made for."""
    if hailort.major == 5:
        return Version(5, hailort.minor, hailort.patch)
    if hailort.major == 4:
        return Version(3, hailort.minor + 10)
    return None


def highest_header(hailort: Version) -> int:
    """Return the highest HEF header version that a HailoRT can read."""
    for since, header in HEADERS:
        if hailort >= since:
            return header
    return 0


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a device loads what a compiler makes, and why in one sentence."""

    ok: bool
    why: str


def fits(dfc: Version, hailort: Version | None) -> Fit:
    """Tell whether a HailoRT loads the HEFs of a compiler.

    An older compiler's HEF runs on a newer HailoRT of the same line. A newer compiler's may
    use a header, extensions or firmware actions that the older runtime does not know (3.33 on
    4.20 is a reported failure), so it counts as not fitting. Patch numbers do not matter.
    """
    if hailort is None:
        return Fit(True, "the device's HailoRT is not known")
    made_for = runtime_of_compiler(dfc)
    if made_for is None:
        return Fit(False, f"compiler {dfc} belongs to no product line that hefsmith knows")
    if made_for.major != hailort.major:
        return Fit(False, f"compiler {dfc} is for HailoRT {made_for.major}.x, not for {hailort}")
    if (made_for.major, made_for.minor) <= (hailort.major, hailort.minor):
        return Fit(True, f"compiler {dfc} goes with HailoRT {made_for}, the device has {hailort}")
    headers = ""
    if highest_header(hailort) < highest_header(made_for):
        headers = f" (it reads HEF headers up to version {highest_header(hailort)})"
    return Fit(False, f"compiler {dfc} needs HailoRT {made_for}, the device has {hailort}{headers}")


def release_for(line: Line, hailort: Version | None) -> Release | None:
    """Return the newest known suite release of a line that fits a device."""
    fitting = [one for one in RELEASES if one.line == line and fits(one.dfc, hailort).ok]
    return max(fitting, key=lambda one: one.dfc, default=None)


def archive_name(release: Release) -> str:
    """Return the name of the download; the prefix ``hailo8_`` came in mid-2025."""
    prefix = "hailo8_" if release.line == 3 and release.name >= "2025-07" else "hailo_"
    return f"{prefix}ai_sw_suite_{release.name}_docker.zip"
