"""Take external resources out of a HEF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hef.container import Container, read_container
from orchestrator.hef.errors import ResourceNotFoundError
from orchestrator.hef.metadata import read_metadata
from orchestrator.hef.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.hef.model import ExternalResource
    from orchestrator.hef.source import Source


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
