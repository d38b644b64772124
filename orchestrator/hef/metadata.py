"""The metadata of a HEF as decoded protobuf, with the switches that extensions turn on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.hef import formats
from orchestrator.hef.errors import HefCorruptError, HefVersionError
from orchestrator.hef.model import Extension, ExternalResource
from orchestrator.hef.operations import OperationReader
from orchestrator.hef.schema import message_class
from orchestrator.hef.wire import Reducer

if TYPE_CHECKING:
    from orchestrator.hef.container import Container
    from orchestrator.hef.operations import Operation
    from orchestrator.hef.source import Source


@dataclass(frozen=True)
class Metadata:
    """Decoded metadata: ``message`` is a ``Hef`` of the schema, ``operations`` are by number."""

    message: Any
    operations: tuple[Operation, ...]
    hw_arch: int
    needed: frozenset[int]
    optional: frozenset[int]

    @property
    def multi_layout(self) -> bool:
        """True when the content lies in partial core ops (8L and 15M)."""
        return self.hw_arch in formats.MULTI_LAYOUT

    def extensions(self) -> tuple[Extension, ...]:
        """Return the extensions in file order, needed ones first."""
        needed = tuple(
            Extension(item.id, _name(item), known=item.id in formats.EXTENSIONS)
            for item in self.message.extensions
        )
        optional = tuple(
            Extension(
                item.id,
                _name(item),
                optional=True,
                known=formats.extension_name(item.id) is not None,
            )
            for item in self.message.optional_extensions
        )
        return needed + optional

    def resources(self) -> tuple[ExternalResource, ...]:
        """Return the external resources in file order."""
        return tuple(
            ExternalResource(item.name, item.offset, item.size, item.xxhash)
            for item in self.message.resources
        )

    def require_supported(self) -> None:
        """Raise ``HefVersionError`` for extensions that HailoRT 5.2 refuses."""
        unknown = [item for item in self.extensions() if not item.optional and not item.known]
        if unknown:
            names = ", ".join(item.name for item in unknown)
            message = f"the file needs extensions that HailoRT 5.2 does not have: {names}"
            raise HefVersionError(
                message,
                code="hef.extension",
                hint="A newer compiler made it: the device needs a newer HailoRT.",
            )
        if formats.PERIPH_IN_HAILORT not in self.needed:
            message = "the file lacks extension PERIPH_CALCULATION_IN_HAILORT (26)"
            raise HefVersionError(
                message,
                code="hef.outdated",
                hint="A compiler older than 3.24 made it: compile the model again.",
            )


def _name(extension: Any) -> str:
    """Return the name that HailoRT has for an extension, else the file's, else the number."""
    known = formats.extension_name(extension.id)
    return known or extension.name or f"number {extension.id}"


def read_metadata(source: Source, container: Container, *, deep: bool) -> Metadata:
    """Decode the metadata section. ``deep`` judges every configuration action as well.

    Raises ``HefCorruptError`` for bytes that are no protobuf, ``HefTooLargeError`` for more
    than any real file has.
    """
    from google.protobuf.message import DecodeError

    assert container.header is not None
    start, end = container.proto_span
    window = source.window(end)
    reader = OperationReader(header_version=container.header.version, deep=deep)
    reduced = Reducer(reader).reduce(window, start, end)
    message = message_class()()
    try:
        message.ParseFromString(reduced)
    except (DecodeError, UnicodeDecodeError) as error:  # the second: protobuf in pure Python
        # Structure and lengths were checked: what is left are texts that are not UTF-8.
        reason = f"the metadata is not valid protobuf: {error}"
        raise HefCorruptError(reason, code="hef.proto", offset=start) from None
    # Before format version 1 features were a message of flags, and only one of them counts here.
    modern = message.header.version > 0
    legacy = {formats.MULTI_CONTEXT} if message.features.is_multi_context else set()
    needed = {item.id for item in message.extensions} if modern else legacy
    optional = {item.id for item in message.optional_extensions} if modern else set()
    return Metadata(
        message,
        tuple(reader.seen),
        message.header.hw_arch,
        frozenset(needed),
        frozenset(optional),
    )
