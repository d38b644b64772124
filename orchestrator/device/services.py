"""Have a systemd service off while the chip is needed, and on again in every case."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.device.replies import START_SERVICE, STOP_SERVICE
from orchestrator.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.device.session import SshSession


@contextmanager
def service_stopped(session: SshSession, unit: str | None) -> Iterator[bool]:
    """Stop ``unit`` for the time of the block; yields whether it was running.

    It is started again at the block's end, also on an error or Ctrl-C. When this process or
    the link dies, the agent on the device starts it again by itself.
    """
    if unit is None:
        yield False
        return
    was_active = session.ask(STOP_SERVICE, unit=unit).was_active
    try:
        yield was_active
    except BaseException:
        # The first error is the one to report; the agent tries once more when it ends.
        with suppress(DeviceError):
            session.ask(START_SERVICE, unit=unit)
        raise
    session.ask(START_SERVICE, unit=unit)
