"""A program in a container whose standard streams are ours, until we close it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.box import create_config
from orchestrator.engine.removal import remove_named, undisturbed
from orchestrator.engine.wire import open_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engine.box import ContainerSpec
    from orchestrator.engine.client import Connection


class Program:
    """The running program. It ends by itself when this process does, since its input ends."""

    def __init__(self, connection: Connection, spec: ContainerSpec) -> None:
        self._connection = connection
        self._name = spec.name
        with connection.calls("starting a program in a container"):
            api = connection.api
            try:
                api.create_container_from_config(create_config(spec, api), spec.name)
                self._wire = open_wire(api, spec.name)
                api.start(spec.name)
            except BaseException:
                undisturbed(lambda: remove_named(connection, spec.name))
                raise

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, data) until the program ends."""
        return self._wire.frames()

    def send(self, data: bytes) -> bool:
        """Write to the program's standard input; tell whether the socket took it."""
        return self._wire.send(data)

    def close(self) -> None:
        """End the program and remove its container."""
        self._wire.close()
        undisturbed(lambda: remove_named(self._connection, self._name))
