"""The event loop that all SSH work runs on: one thread, started when first needed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

#: After how many seconds a wait is told, and told again.
TOLD_AFTER = (2.0, 15.0, 60.0, 180.0, 600.0)

#: A wait looks up so often: on Windows nothing else lets Ctrl-C in.
_SLICE = 0.5

_log = logging.getLogger(__name__)

_Question = tuple["Callable[[], Any]", Future[Any]]

#: Where the thread that waits for this work looks for what it shall do meanwhile.
_questions: ContextVar[SimpleQueue[_Question] | None] = ContextVar("questions", default=None)

#: One question at a time is on a terminal.
_asking = threading.Lock()


async def on_callers_thread(act: Callable[[], T]) -> T:
    """Run ``act`` on the thread that waits for this work: what asks a person stays where Ctrl-C
    comes in, keeps no other device waiting, and leaves the terminal as it was."""
    waiting = _questions.get()
    if waiting is None:
        return act()
    answer: Future[T] = Future()
    waiting.put((act, answer))
    return await asyncio.wrap_future(answer)


def _answer(question: _Question) -> float:
    """Do what is asked; return how many seconds it took."""
    act, answer = question
    began = time.monotonic()
    try:
        with _asking:
            answer.set_result(act())
    except Exception as error:
        answer.set_exception(error)
    return time.monotonic() - began


# What asyncio says of a child that is gone already (a ProxyCommand) is for a log, not for people;
# without any handler Python would print it.
logging.getLogger("asyncio").addHandler(logging.NullHandler())


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    """Log what asyncio would print: a lost link leaves tasks whose error was reported elsewhere."""
    _log.debug("%s", context.get("message"), exc_info=context.get("exception"))


class LoopThread:
    """Runs coroutines for callers of other threads."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_report)
        self._calls: set[Future[Any]] = set()
        self.on_wait: Callable[[str], None] | None = None
        """Is told in a sentence what is waited for, once a wait gets long."""
        self._thread = threading.Thread(target=self._serve, name="hefsmith-device", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T], *, doing: str | None = None) -> T:
        """Run ``work`` on the loop and return its result; ``doing`` says what a long wait is for.

        When the waiting caller is interrupted, ``work`` is cancelled and given a moment to
        clean up before the interruption goes on.
        """
        asked: SimpleQueue[_Question] = SimpleQueue()
        before = _questions.set(asked)  # the work takes the variables of this moment along
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        _questions.reset(before)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        began, told = time.monotonic(), 0
        try:
            while not _ended(future, _SLICE):
                while not asked.empty():
                    began += _answer(asked.get())
                seconds = time.monotonic() - began
                if told < len(TOLD_AFTER) and seconds > TOLD_AFTER[told]:
                    told += 1
                    if doing is not None and self.on_wait is not None:
                        self.on_wait(f"{doing} ({seconds:.0f} s)")
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            _ended(future, 5)
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
        """Cancel what runs; what does not let itself be cancelled is left behind."""
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.loop.shutdown_asyncgens()
                await self.loop.shutdown_default_executor()


def _ended(future: Future[Any], seconds: float) -> bool:
    """Wait for a future's end, whatever that is."""
    done, _ = wait([future], seconds)
    return bool(done)
