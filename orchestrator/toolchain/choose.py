"""Which toolchain compiles for a chip: a pure decision, told in sentences.

Chip -> line -> the newest imported toolchain of that line whose HEFs the device's HailoRT can
load. A pin in ``hef.lock`` or a name given by the user goes before all of it, and is checked
against the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

from orchestrator.errors import ConfigError
from orchestrator.toolchain import versions as table
from orchestrator.toolchain.lock import difference, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.toolchain.lock import Pin
    from orchestrator.toolchain.registry import ImportedToolchain
    from orchestrator.toolchain.versions import Line, Version


class NoToolchainError(ConfigError):
    """Nothing that is imported can compile what is wanted; the hint names the download."""

    default_code = "toolchain.none"


@dataclass(frozen=True)
class ToolchainChoice:
    """The toolchain to compile with, why, and what the user should know about it."""

    toolchain: ImportedToolchain
    why: str
    warnings: tuple[str, ...] = ()


def choose(
    arch: str,
    imported: Sequence[ImportedToolchain],
    *,
    hailort: Version | None = None,
    pin: Pin | None = None,
    named: ImportedToolchain | None = None,
) -> ToolchainChoice:
    """Return the toolchain for ``arch``.

    ``hailort`` is the device's, if one is known; ``pin`` that of the project for this line;
    ``named`` what the user asked for by name.

    :raises NoToolchainError: with the sentence that says what to download.
    """
    line = table.line_of_chip(arch)
    if line is None:
        known = ", ".join(chip.name for chip in chips.usable())
        msg = f"no toolchain compiles for {arch!r}"
        raise NoToolchainError(msg, hint=f"Chips: {known}", code="toolchain.chip")
    if named is not None:
        return _named(arch, line, named, hailort, pin)
    if pin is not None:
        return _pinned(arch, line, pin, imported, hailort)
    able = [one for one in imported if arch in one.chips]
    fitting = [one for one in able if table.fits(one.dfc, hailort).ok]
    if not fitting:
        raise _none(arch, line, able, hailort)
    best = max(fitting, key=lambda one: (one.dfc, one.imported))
    device = f" and loads on HailoRT {hailort}" if hailort else ""
    return ToolchainChoice(
        best, f"{best.name} compiles for {arch}{device}", _strictness(best, hailort)
    )


def _strictness(chosen: ImportedToolchain, hailort: Version | None) -> tuple[str, ...]:
    """Tell where an older compiler of the 5.x line is taken: strict HEFs want the very one."""
    if chosen.line != 5 or hailort is None or chosen.dfc.minor == hailort.minor:
        return ()
    return (
        (
            f"compiler {chosen.dfc} is older than the device's HailoRT {hailort}: its HEFs run, "
            "but not those of a script with hef_param(strict_runtime_versioning)"
        ),
    )


def _named(
    arch: str, line: Line, named: ImportedToolchain, hailort: Version | None, pin: Pin | None
) -> ToolchainChoice:
    if arch not in named.chips:
        msg = f"toolchain {named.name} (compiler {named.dfc}) cannot compile for {arch}"
        raise NoToolchainError(msg, hint=download_hint(line, hailort), code="toolchain.line")
    warnings: list[str] = []
    fit = table.fits(named.dfc, hailort)
    if not fit.ok:
        warnings.append(f"the device may refuse the HEF: {fit.why}")
    if pin is not None:
        different = difference(pin, named)
        if different:
            warnings.append(different)
    return ToolchainChoice(named, f"{named.name} was asked for by name", tuple(warnings))


def _pinned(
    arch: str, line: Line, pin: Pin, imported: Sequence[ImportedToolchain], hailort: Version | None
) -> ToolchainChoice:
    for one in imported:
        if one.is_image(pin.image, pin.content):
            fit = table.fits(one.dfc, hailort)
            warnings = () if fit.ok else (f"the device may refuse the HEF: {fit.why}",)
            return ToolchainChoice(one, f"{one.name} is pinned in hef.lock", warnings)
    inside = ", ".join(f"{name} {version}" for name, version in sorted(pin.versions.items()))
    msg = f"hef.lock pins image {short(pin.image)} for {arch}, which is not imported here"
    differences = [difference(pin, one) for one in imported if one.line == line]
    hint = [f"Inside it: {inside}." if inside else "", *filter(None, differences)]
    hint.append("Import the same release, or pin another one: hef toolchain use NAME")
    raise NoToolchainError(msg, hint="\n".join(filter(None, hint)), code="toolchain.lock")


def _none(
    arch: str, line: Line, able: Sequence[ImportedToolchain], hailort: Version | None
) -> NoToolchainError:
    if able:
        reasons = "; ".join(table.fits(one.dfc, hailort).why for one in able)
        msg = f"no imported toolchain makes HEFs for {arch} that the device loads: {reasons}"
    else:
        since = chips.by_name()[arch].since
        newer = f" from {since[0]}.{since[1]} on" if since > (0, 0) else ""
        msg = f"no toolchain of the {line}.x line{newer} is imported, which {arch} needs"
    return NoToolchainError(msg, hint=download_hint(line, hailort))


def download_hint(line: Line, hailort: Version | None) -> str:
    """Return the sentence that says which release to download; the login is the user's own."""
    release = table.release_for(line, hailort)
    wanted = table.compiler_of_runtime(hailort) if hailort else None
    if hailort is not None and hailort.major != (4 if line == 3 else 5):
        return (
            f"The device runs HailoRT {hailort}, which cannot drive this chip's line. Look at the\n"
            "device's architecture again: hef device identify NAME"
        )
    if release is None:
        asked = f"with compiler {wanted}" if wanted else f"of the {line}.x line"
        return (
            f"Download the AI Software Suite {asked} from Hailo's developer zone\n"
            "(it needs your own login), then run: hef toolchain import FILE.zip"
        )
    lines = [
        f"Download AI Software Suite {release.name} (compiler {release.dfc}, file",
        f"{table.archive_name(release)}) from Hailo's developer zone; the download",
        "needs your own login. Then run: hef toolchain import FILE.zip",
    ]
    if release.evidence == "inferred":
        lines.append(f"The name follows from dates: what counts is the compiler, {release.dfc}.")
    if wanted is not None and release.dfc.minor != wanted.minor:
        exact = f"{wanted.major}.{wanted.minor}"
        lines.append(f"An exact match for HailoRT {hailort} would have compiler {exact}.")
    return "\n".join(lines)
