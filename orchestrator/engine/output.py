"""The lines of a container, read over broken connections.

One attach socket serves the whole build. When it breaks, the engine is asked what became of the
container; if that still runs, its output goes on from where it was.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from orchestrator.engine.box import BEAT
from orchestrator.engine.failures import all_errors
from orchestrator.engine.wire import LogStream, Wire, open_wire, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engine.container import Container

#: How the guard's report begins; it is ours and not the job's.
GUARD_LINE = '{"event": "guard"'

#: Seconds in which the process of a job whose output ended must be gone, to be taken for ended.
SEEN_AT_ONCE = 0.2

#: Seconds of silence after which the engine is asked whether the job has ended.
SILENT = 10.0

#: Seconds between questions whether the engine is there, and how many may fail in a row.
PING_EVERY = 15.0
PINGS_LOST = 3


class Output:
    """What a container prints, from its beginning to its end; ``wire`` is the attach socket."""

    def __init__(self, container: Container, wire: Wire | None, *, beats: bool) -> None:
        self._container = container
        self._wire = wire
        self._beats = beats
        self._tail: deque[str] = deque(maxlen=40)
        self._taken = {1: 0, 2: 0}
        self._over = False
        self._left = False
        self._cut = False
        self._log: LogStream | None = None
        self._pulse: Pulse | None = None
        # A thread reads, so that Ctrl-C in the caller's loop never tears a frame apart.
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="hefsmith-reader", daemon=True)
        self._reader.start()

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last lines."""
        return tuple(self._tail)

    def first_line(self, seconds: float) -> str | None:
        """Return the next line, ``None`` when the output is over or nothing comes in time."""
        try:
            line = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        self._over = line is None
        return line

    def lines(self) -> Iterator[str]:
        """Yield the lines of the job; see :meth:`orchestrator.engine.protocols.Running.lines`."""
        heard = time.monotonic()
        while not self._over:
            try:
                # With a time limit, since Windows cannot interrupt a wait without one.
                line = self._queue.get(timeout=0.5)
            except queue.Empty:
                if time.monotonic() - heard > SILENT:
                    self._read_what_was_kept()
                    heard = time.monotonic()
                continue
            heard = time.monotonic()
            if line is None:
                self._over = True
            elif not line.startswith(GUARD_LINE):
                yield line

    def _read(self) -> None:
        """Read to the end of the job, over broken connections, into the queue."""
        try:
            frames = self._wire.frames() if self._wire is not None else self._logs()
            while True:
                self._take(frames)
                if self._cut and not self._left:
                    self._cut = False
                    frames = self._logs(follow=False)
                    continue
                if self._left or self._seen_to_end():
                    return
                state = self._container.look()
                if state is None or not (state.running or self._container.broken):
                    return
                if not state.running and self._wire is None:
                    return
                frames = self._resume(running=state.running)
        finally:
            self._queue.put(None)

    def _read_what_was_kept(self) -> None:
        """Follow a log no longer whose container has ended.

        A followed log of Podman 4.3 was seen not to end, with its last line kept back.
        """
        if self._wire is None and self._log is not None and self._container.has_ended():
            self._cut = True
            self._log.close()

    def _seen_to_end(self) -> bool:
        """Tell whether the job is over, before the engine has noted it.

        Its output has ended; with the engine there, that is not a connection that broke.
        """
        return self._container.process_gone(SEEN_AT_ONCE) and self._container.ping()

    def _take(self, frames: Iterator[tuple[int, bytes]]) -> None:
        """Queue the lines of ``frames``, without those that we have from an earlier attempt."""
        skip = dict(self._taken)
        if self._wire is not None and not self._container.broken:
            skip = {}
        for stream, line in split_lines(frames):
            if skip.get(stream, 0) > 0:
                skip[stream] -= 1
                continue
            self._taken[stream] = self._taken.get(stream, 0) + 1
            self._tail.append(line)
            self._queue.put(line)

    def _resume(self, *, running: bool) -> Iterator[tuple[int, bytes]]:
        """Return the output again from its beginning, after the connection broke."""
        container = self._container
        if container.broken:
            time.sleep(0.3)
        container.broken = True
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if self._beats and running:
            with contextlib.suppress(*all_errors()):
                self._wire = open_wire(container.connection.api, container.name, output=False)
        return self._logs()

    def _logs(self, *, follow: bool = True) -> Iterator[tuple[int, bytes]]:
        """Yield the output that the engine kept, from the beginning, and what still comes."""
        container = self._container
        try:
            stream = LogStream(container.connection.api, container.name, follow=follow)
        except all_errors():
            return
        self._log = stream
        yield from stream.frames()

    # To the job

    def say(self, word: bytes) -> bool:
        """Write to the job's standard input; tell whether that went out."""
        if self._wire is None or not self._wire.send(word):
            return False
        if self._pulse is None:
            self._pulse = Pulse(self, self._container, beat=self._beats)
            self._pulse.start()
        return True

    def beat(self) -> None:
        """Tell the job that we live."""
        wire = self._wire
        if wire is not None and not wire.send(b"\n"):
            self.hang_up()

    def hang_up(self) -> None:
        """Close a connection that is dead, so that the reader comes back."""
        for stream in (self._wire, self._log):
            if stream is not None:
                stream.close()

    def close(self) -> None:
        """Close the connection to the job, whatever becomes of it."""
        self._left = True
        if self._pulse is not None:
            self._pulse.end()
        self.hang_up()
        self._reader.join(2.0)


class Pulse(threading.Thread):
    """Tells a far job that we live, and notices an engine that does not answer any more."""

    def __init__(self, output: Output, container: Container, *, beat: bool) -> None:
        super().__init__(name="hefsmith-pulse", daemon=True)
        self._output = output
        self._container = container
        self._beat = beat
        self._over = threading.Event()

    def run(self) -> None:
        """Beat and ping until :meth:`end`."""
        lost = 0
        pinged = time.monotonic()
        while not self._over.wait(BEAT if self._beat else PING_EVERY):
            if self._beat:
                self._output.beat()
            if time.monotonic() - pinged < PING_EVERY:
                continue
            pinged = time.monotonic()
            lost = 0 if self._container.ping() else lost + 1
            if lost >= PINGS_LOST:
                # The reader wakes up and looks for itself.
                self._output.hang_up()
                lost = 0

    def end(self) -> None:
        """Stop; does not wait."""
        self._over.set()
