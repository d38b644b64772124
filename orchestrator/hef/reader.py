"""Read HEF files: header, checks, metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.hef import formats
from orchestrator.hef.container import Container, read_container
from orchestrator.hef.errors import HefError
from orchestrator.hef.model import Check, Header, Hef, NetworkGroup
from orchestrator.hef.resources import check_resources
from orchestrator.hef.source import open_source

if TYPE_CHECKING:
    from orchestrator.hef.metadata import Metadata
    from orchestrator.hef.source import Source

_VERSION: Final = re.compile(r"^\s*(?:sdk-version:\s*)?v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})")


@dataclass(frozen=True)
class Examination:
    """All that could be learned of a file, good or bad.

    ``hef`` is ``None`` when the metadata cannot be read, ``header`` when even that cannot.
    ``problems`` are in the order in which they were found; empty means a sound file.
    ``vendor_status`` is what HailoRT returns when it opens the file, ``vendor_exit`` what
    ``hailortcli parse-hef`` exits with; ``None`` means that it crashes, or that we refuse to
    read what it would. ``name`` is the file's name.
    """

    name: str
    size: int
    header: Header | None
    checks: tuple[Check, ...]
    hef: Hef | None
    problems: tuple[HefError, ...]
    vendor_status: int | None
    vendor_exit: int | None

    @property
    def opens(self) -> bool:
        """True when HailoRT opens the file."""
        return self.vendor_status == 0


def read_hef(source: Path | bytes, *, verify: bool = True) -> Hef:
    """Read a HEF from a file or from its bytes.

    ``verify`` computes every checksum that the header version has (the whole file is read
    once) and judges every configuration action; without it only lengths are checked and
    actions are counted. Raises the :class:`HefError` of the first problem; nothing else,
    whatever the bytes are.
    """
    examination = examine_hef(source, verify=verify)
    if examination.problems:
        problem = examination.problems[0]
        raise problem.in_file(source.name) if isinstance(source, Path) else problem
    assert examination.hef is not None
    return examination.hef


def examine_hef(source: Path | bytes, *, verify: bool = True) -> Examination:
    """Like :func:`read_hef`, but bad content does not raise: its problems are in the answer.

    Only ``HefUnreadableError`` is raised, for a file that the system does not let us read.
    """
    with open_source(source) as opened:
        container = read_container(opened, verify=verify)
        metadata: Metadata | None = None
        groups: tuple[NetworkGroup, ...] = ()
        problems = list(container.problems)
        status: int | None = container.vendor_status
        if not container.fatal and container.proto_complete:
            metadata, groups, fault = _read_inside(opened, container, deep=verify)
            if fault is not None:
                problems.append(fault)
                status = fault.status if status == 0 else status
            if metadata is not None:
                checks, faults = check_resources(
                    opened, container, metadata.resources(), verify=verify
                )
                container = replace(container, checks=container.checks + checks)
                problems += faults
        elif not status:
            status = 91  # the metadata is cut, which HailoRT notices when it decodes it
    hef = None
    if metadata is not None:
        path = str(source) if isinstance(source, Path) else None
        hef = _describe(container, metadata, groups, path)
        problems += [problem for group in groups for problem in group.problems.values()]
    return Examination(
        name=opened.name,
        size=container.size,
        header=container.header,
        checks=container.checks,
        hef=hef,
        problems=tuple(dict.fromkeys(problems)),
        vendor_status=status,
        vendor_exit=status if status != 0 or hef is None else _exit_of(hef.network_groups),
    )


def _read_inside(
    source: Source, container: Container, *, deep: bool
) -> tuple[Metadata | None, tuple[NetworkGroup, ...], HefError | None]:
    from orchestrator.hef.groups import read_groups
    from orchestrator.hef.metadata import read_metadata

    try:
        metadata = read_metadata(source, container, deep=deep)
    except HefError as error:
        return None, (), error
    try:
        return metadata, read_groups(metadata), None
    except HefError as error:
        return metadata, (), error


def _exit_of(groups: tuple[NetworkGroup, ...]) -> int | None:
    """Return the status with which the vendor's tool leaves when it lists the groups."""
    for group in groups:
        if "group" in group.problems:
            return group.problems["group"].status
    for group in groups:
        for view in group.views:
            for key in ("inputs", "outputs"):
                if key in view.problems:
                    return view.problems[key].status
    return 0


def _describe(
    container: Container,
    metadata: Metadata,
    groups: tuple[NetworkGroup, ...],
    path: str | None,
) -> Hef:
    assert container.header is not None
    header = metadata.message.header
    version = header.sdk_version
    sdk_version = (version.major, version.minor, version.revision)
    emulated = header.sdk_version_str.startswith(formats.EMULATED)
    return Hef(
        size=container.size,
        header=container.header,
        checks=container.checks,
        hw_arch_id=header.hw_arch,
        hw_arch=formats.HW_ARCHS.get(header.hw_arch),
        chips=formats.compatible_chips(header.hw_arch),
        compiler=header.sdk_version_str,
        compiler_version=None if emulated else _version(sdk_version, header.sdk_version_str),
        sdk_version=sdk_version,
        format_version=header.version,
        timestamp=header.timestamp,
        network_groups=groups,
        extensions=metadata.extensions(),
        resources=metadata.resources(),
        sections=_sections(container),
        emulated=emulated,
        path=path,
    )


def _version(number: tuple[int, int, int], text: str) -> tuple[int, int, int] | None:
    """Newer files fill the numbers, those of DFC 3.30 and 3.31 only the text."""
    if any(number):
        return number
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _sections(container: Container) -> dict[str, int]:
    """Return the sections with their sizes in bytes, in file order, as far as the file goes."""
    header = container.header
    assert header is not None
    padding = header.padding_size or 0
    stated = {
        "header": header.size,
        "metadata": header.proto_size,
        "padding": padding,
        "weights": max((header.ccws_size or 0) - padding, 0),
        "additional": header.additional_info_size or 0,
    }
    found: dict[str, int] = {}
    left = container.size
    for name, size in stated.items():
        found[name] = min(size, left)
        left -= found[name]
    found["trailing"] = left
    return {name: size for name, size in found.items() if size}
