"""The same work on many devices at once: bounded, one failure never stops the others."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from orchestrator.errors import HefsmithError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.connection_pool import ConnectionPool
    from orchestrator.device.session import SshSession

T = TypeVar("T")

#: Connections at a time. More would only share the same network and CPU.
CONNECTIONS = 16


@dataclass(frozen=True, kw_only=True)
class VisitResult(Generic[T]):
    """What came of one device: a result, or the error that ended it."""

    spec: DeviceSpec
    result: T | None
    error: HefsmithError | None
    seconds: float

    @property
    def ok(self) -> bool:
        """True when nothing went wrong."""
        return self.error is None


def run_fleet(
    pool: ConnectionPool,
    specs: Sequence[DeviceSpec],
    work: Callable[[SshSession], T],
    *,
    connections: int = CONNECTIONS,
    password: Callable[[str], str] | None = None,
    on_end: Callable[[VisitResult[T]], None] | None = None,
) -> list[VisitResult[T]]:
    """Do ``work`` on every device; return the outcomes in the order of ``specs``.

    On Ctrl-C the devices that have not begun are left out, the others are cut off, and
    ``KeyboardInterrupt`` goes on. A bug in ``work`` is raised when all have ended.
    """

    def visit(spec: DeviceSpec) -> VisitResult[T]:
        started = time.monotonic()
        result: T | None = None
        error: HefsmithError | None = None
        try:
            with pool.connect(spec, password=password) as session:
                result = work(session)
        except HefsmithError as caught:
            error = caught
        except CancelledError:
            error = Interrupted(f"{spec.name}: interrupted")
        outcome = VisitResult(
            spec=spec, result=result, error=error, seconds=time.monotonic() - started
        )
        if on_end is not None:
            on_end(outcome)
        return outcome

    if len(specs) == 1:  # on this thread, so that Ctrl-C reaches it at once
        return [visit(specs[0])]
    workers = max(1, min(connections, len(specs)))
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hefsmith-fleet") as threads:
        futures = [threads.submit(visit, spec) for spec in specs]
        try:
            return [future.result() for future in futures]
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            pool.abort()
            raise
