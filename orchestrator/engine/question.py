"""A short program in a container: started, heard to its end, ended when it takes too long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from orchestrator.engine.base import Completed
from orchestrator.engine.box import ContainerSpec, create_config
from orchestrator.engine.client import Connection
from orchestrator.engine.failures import all_errors
from orchestrator.engine.removal import remove_named, undisturbed
from orchestrator.engine.wire import LogStream, split_lines
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable


def ask(
    connection: Connection,
    spec: ContainerSpec,
    *,
    timeout: float,
    on_output: Callable[[str], None] | None = None,
) -> Completed:
    """Run the program of ``spec``; raises :class:`EngineError` after ``timeout`` seconds."""
    api = connection.api
    try:
        with connection.calls(f"running {spec.command[0]}"):
            config = {**create_config(spec, api), "OpenStdin": False, "AttachStdin": False}
            api.create_container_from_config(config, spec.name)
            api.start(spec.name)
            return _hear(connection, spec.name, timeout, on_output)
    finally:
        undisturbed(lambda: remove_named(connection, spec.name))


def _hear(
    connection: Connection, name: str, timeout: float, on_output: Callable[[str], None] | None
) -> Completed:
    api = connection.api
    late = threading.Event()

    def end() -> None:
        late.set()
        other = Connection(connection.address)
        try:
            other.api.kill(name, "SIGKILL")
        except all_errors():
            return
        finally:
            other.close()

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    try:
        for _, line in split_lines(LogStream(api, name, follow=True).frames()):
            if on_output is not None:
                on_output(line)
        code = int(api.wait(name, timeout=10)["StatusCode"])
    finally:
        timer.cancel()
    if late.is_set():
        msg = f"the program in the container did not end within {timeout:.0f} s"
        raise EngineError(msg, code="engine.timeout")
    return Completed(
        code,
        api.logs(name, stdout=True, stderr=False).decode("utf-8", "replace"),
        api.logs(name, stdout=False, stderr=True).decode("utf-8", "replace"),
    )
