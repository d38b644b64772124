"""Take external resources out of a HEF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.hef.container import Container, read_container, xxh3
from orchestrator.hef.errors import HefCorruptError, HefError, ResourceNotFoundError
from orchestrator.hef.metadata import read_metadata
from orchestrator.hef.model import Check
from orchestrator.hef.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.hef.model import ExternalResource
    from orchestrator.hef.source import Source

_MAX_CHECKED: Final = 1_000


def read_resource(source: Path | bytes, name: str) -> bytes:
    """Return the bytes of external resource ``name``, checked against its XXH3-64.

    Raises ``ResourceNotFoundError`` when there is none of that name, when it reaches past the
    end of the file, or when it is damaged; and the errors of :func:`read_hef` for a file that
    cannot be read at all. The other checksums of the file are not computed.
    """
    with open_source(source) as opened:
        container = read_container(opened, verify=False)
        if container.fatal or not container.proto_complete:
            raise container.problems[0]
        metadata = read_metadata(opened, container, deep=False)
        for resource in metadata.resources():
            if resource.name == name:
                return _read(opened, container, resource)
        known = ", ".join(sorted(item.name for item in metadata.resources())) or "none"
        message = f"{opened.name} has no external resource {name!r} (it has: {known})"
        raise ResourceNotFoundError(message)


def check_resources(
    source: Source,
    container: Container,
    resources: tuple[ExternalResource, ...],
    *,
    verify: bool,
) -> tuple[tuple[Check, ...], list[HefError]]:
    """Test that resources lie inside the file and, when it is damaged, which of them are hurt.

    A file whose whole-file hash is right needs no second pass over its resources.
    """
    damaged = any(check.name == "xxh3_64" and check.ok is False for check in container.checks)
    left = source.size if verify and damaged else 0
    checks: list[Check] = []
    problems: list[HefError] = []
    for resource in resources[:_MAX_CHECKED]:
        name, start = f"resource:{resource.name}", container.payload_offset + resource.offset
        if start + resource.size > source.size:
            expected, found = f"ends at byte {start + resource.size}", f"{source.size} bytes"
            checks.append(Check(name, False, expected, found, start, vendor=False))
            message = f"external resource {resource.name!r} reaches past the end of the file"
            problems.append(
                HefCorruptError(
                    message,
                    code="hef.resource-truncated",
                    hint="Copy or download the file again; the transfer stopped early.",
                    offset=start,
                    status=0,
                )
            )
        elif resource.xxh3_64 and resource.size <= left:
            # overlapping resources could ask for more than the file has: then only the first ones
            left -= resource.size
            found = _hash(source, start, start + resource.size)
            expected = f"{resource.xxh3_64:016x}"
            checks.append(Check(name, found == expected, expected, found, start, vendor=False))
    return tuple(checks), problems


def _hash(source: Source, start: int, end: int) -> str:
    state = xxh3()
    for piece in source.pieces(start, end):
        state.update(piece)
    return state.hexdigest()


def _read(source: Source, container: Container, resource: ExternalResource) -> bytes:
    import xxhash

    start = container.payload_offset + resource.offset
    if start + resource.size > source.size:
        missing = start + resource.size - source.size
        message = f"external resource {resource.name!r}: {missing} bytes of it are missing"
        raise ResourceNotFoundError(message, code="hef.resource-truncated", offset=start)
    data = source.read(start, resource.size)
    # HailoRT takes 0 for "no checksum given"
    if resource.xxh3_64 and xxhash.xxh3_64_intdigest(data) != resource.xxh3_64:
        message = f"external resource {resource.name!r} is damaged: its XXH3 does not match"
        raise ResourceNotFoundError(message, code="hef.resource-damaged", offset=start)
    return data
