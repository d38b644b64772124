"""One container as its engine shows it: its state, signals to it, and whether it is gone."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engine.failures import all_errors
from orchestrator.engine.process_watch import ProcessWatch, watch

if TYPE_CHECKING:
    from orchestrator.engine.client import Connection

#: Seconds in which an engine must have noted the end of a job whose process is gone.
NOTED_WITHIN = 30.0

#: Seconds that a request may take while we stop a job.
URGENT = 3.0


@dataclass(frozen=True, slots=True)
class State:
    """What the engine says of a container."""

    running: bool
    exit_code: int
    oom_killed: bool
    error: str


def read_state(found: Any) -> State:
    """Return the state in what ``inspect`` says of a container (JSON)."""
    state = found.get("State") or {}
    return State(
        running=bool(state.get("Running") or state.get("Restarting")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
    )


class Container:
    """A container of ours.

    ``asked`` tells that we want it stopped, ``broken`` that the connection to it was lost once,
    ``lost`` that its engine did not come back.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.asked = False
        self.broken = False
        self.lost = False
        self._watch: ProcessWatch | None = None

    def look(self) -> State | None:
        """Return the container's state; reconnects when the engine is gone.

        ``None``: the engine did not come back, or has no such container any more.
        """
        import docker.errors

        # An engine may need seconds to note the end of what is gone, and then tells how it ended.
        deadline = time.monotonic() + (NOTED_WITHIN if self.process_gone(0.0) else 2.0)
        while not self.lost:
            try:
                found = self.connection.api.inspect_container(self.name)
            except docker.errors.NotFound:
                return None
            except all_errors():
                self.broken = True
                self.lost = not self.connection.reconnect(1.5 if self.asked else None)
                continue
            state = read_state(found)
            # The stream ends a moment before the engine has noted the end.
            if not state.running or self.broken or time.monotonic() > deadline:
                return state
            time.sleep(0.03)
        return None

    def has_ended(self) -> bool:
        """Tell whether the engine says now that the container runs no more; asked once."""
        try:
            return not read_state(self.connection.api.inspect_container(self.name)).running
        except all_errors():
            return False

    def ping(self) -> bool:
        """Tell whether the engine answers."""
        try:
            api = self.connection.api
            response = api.get(f"{api.base_url}/_ping", timeout=URGENT * 2)
        except all_errors():
            return False
        return bool(response.ok)

    def watch(self) -> None:
        """Look for the job's process among those of this system, if it can be there."""
        with contextlib.suppress(*all_errors(), KeyError):
            found = self.connection.api.inspect_container(self.name)
            self._watch = watch(str(found["Id"]), int(found["State"].get("Pid") or 0))

    def process_gone(self, seconds: float) -> bool:
        """Tell whether the job's process is seen to be gone within some seconds."""
        return self._watch is not None and self._watch.gone(seconds)

    def close(self) -> None:
        """Let go of the process that is watched."""
        if self._watch is not None:
            self._watch.close()

    def signal(self, name: str) -> None:
        """Send a signal; one that is over already takes none, and that is no error."""
        import docker.errors

        # 404 and 409: it is gone already.
        with contextlib.suppress(docker.errors.NotFound):
            try:
                self.connection.api.kill(self.name, name)
            except docker.errors.APIError as error:
                if "is not running" not in str(error) and error.status_code != 409:
                    raise

    def wait_gone(self, seconds: float) -> bool:
        """Tell whether it ends within some seconds."""
        import docker.errors

        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.connection.api.inspect_container(self.name)
            except docker.errors.NotFound:
                return True
            if not read_state(found).running:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
