"""The event loop that all SSH work runs on: one thread, started when first needed."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_log = logging.getLogger(__name__)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    """Log what asyncio would print: a lost link leaves tasks whose error was reported elsewhere."""
    _log.debug("%s", context.get("message"), exc_info=context.get("exception"))


class LoopThread:
    """Runs coroutines for callers of other threads."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_report)
        self._calls: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name="hefsmith-device", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and return its result.

        When the waiting caller is interrupted, ``work`` is cancelled and given a moment to
        clean up before the interruption goes on.
        """
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            with suppress(CancelledError, Exception):
                future.result(timeout=5)
            raise

    def cancel_calls(self) -> None:
        """Cancel what other threads wait for; they get ``CancelledError``."""
        for future in list(self._calls):
            future.cancel()

    def close(self) -> None:
        """Cancel what still runs, then end the thread."""
        if self.loop.is_closed():
            return
        self.call(self._drain())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self.loop.close()

    async def _drain(self) -> None:
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()
