"""The team's store beside the cache: asked before stages run, written after they ran.

Nobody waits for it longer than :data:`PATIENCE`: a store that is slow or away is told of once, and
the command goes on without it. What goes to it goes in the background; what is not sent when the
command ends stays noted in the cache, and goes with the next command.

What is taken and what is refused is :mod:`.store`'s to say, which reads and checks every entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.errors import HefsmithError, escape_control
from orchestrator.pipeline.cache import KEY
from orchestrator.pipeline.sharing.objects import (
    StoreError,
    load_library,
    open_objects,
    without_password,
)
from orchestrator.pipeline.sharing.places import private_folders
from orchestrator.pipeline.sharing.signing import signing_of, unsigned_note
from orchestrator.pipeline.sharing.store import RefusedError, SharedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.pipeline.cache import CacheEntry, StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.plan import Plan
    from orchestrator.project.settings import Settings

Found = TypeVar("Found")

#: Seconds that a command may lose by a store that is slow or away.
PATIENCE = 2.0
#: The same where nothing goes without the store: on a cluster.
PATIENCE_NEEDED = 60.0
#: Part of a command's time that questions without a find may take besides.
SHARE = 0.05
#: Questions at once: each is one small object.
AT_ONCE = 8
#: Bytes of a calibration set, and of any stage, that go to the store by themselves.
LIGHT = 64 << 20
LARGEST = 8 << 30
#: Stages noted for later that one command takes along.
MOST_NOTED = 500


class TooLate(Exception):
    """No answer came in time."""


class TooSlow(Exception):
    """A transfer takes longer than making the stage here."""


class Transfer:
    """One fetch on its way: how far it is, and whether it is still wanted."""

    def __init__(self, total: int, worth: float, patience: float) -> None:
        self.done = 0
        self.moved = self.began = time.monotonic()
        self._total = total
        self._worth = worth
        self._patience = patience
        self.given_up = False

    def told(self, count: int) -> None:
        """Take the number of further bytes; ends the transfer when it is no longer wanted."""
        self.done += count
        self.moved = time.monotonic()
        if self.given_up:
            raise TooSlow

    def check(self, now: float) -> None:
        """Raise :class:`TooSlow` for one that stands still, or ends after the stage would."""
        if now - self.began < self._patience:
            return
        stands = now - self.moved > self._patience
        rate = self.done / (now - self.began)
        late = rate * self._worth < self._total - self.done
        if stands or late:
            self.given_up = True
            raise TooSlow


class TeamStore:
    """The store of one command, opened when it is first needed."""

    def __init__(
        self,
        address: str,
        open_store: Callable[[], SharedStore],
        cache: StageCache,
        memory: DigestMemory,
        note: Callable[[str], None],
        hidden: Callable[[], Mapping[str, str]],
    ) -> None:
        self.address = address
        self._open = open_store
        self._cache = cache
        self._memory = memory
        self._note = note
        self._hidden = hidden
        self._store: SharedStore | None = None
        self._sink: SharedStore | None = None
        self._opening = threading.Lock()
        self._asking = threading.Lock()
        self._off = threading.Event()
        self._began = time.monotonic()
        self._wasted = 0.0
        self._from_there: set[str] = set()
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        #: Stages that are to be sent, or are being sent.
        self._unsent = 0
        self._sending = threading.Condition()
        #: Nothing goes without the store: then it is waited for, however slow it is.
        self.needed = False
        #: Called with the key of each stage that has come to the store.
        self.on_sent: Callable[[str], None] = lambda _: None
        cache.listeners.append(self.offer)

    @property
    def _patience(self) -> float:
        return PATIENCE_NEEDED if self.needed else PATIENCE

    # --- before stages run ----------------------------------------------------------------------

    def bring(self, made: Plan) -> int:
        """Bring what the plan must make and the store has into the cache; return how many stages.

        It may be worth to ask again with a new plan: later stages' keys depend on what came.
        """
        wanted = {stage.key: stage.name for stage in made.stages if stage.runs}
        if not wanted or self._off.is_set():
            return 0
        with self._asking:
            return self._bring(wanted)

    def _bring(self, wanted: Mapping[str, str]) -> int:
        began = time.monotonic()
        try:
            entries = self._within(lambda: self._look(tuple(wanted)), self._patience)
        except TooLate:
            self._leave(f"it did not answer within {self._patience:g} s")
            return 0
        except HefsmithError as error:
            self._leave(error.message, error.hint)
            return 0
        if entries:
            self._tell_unsigned()
        quantised = any(one.stage == "optimize" for one in entries)
        count = 0
        for entry in entries:
            if entry.stage == "calibrate" and quantised and _bytes(entry) > LIGHT:
                continue  # only quantising reads it
            if not self._take(entry):
                break
            count += 1
        if not count and not self.needed:
            now = time.monotonic()
            self._wasted += now - began
            if self._wasted > PATIENCE + SHARE * (now - self._began):
                self._leave("its answers take too long")
        return count

    def _tell_unsigned(self) -> None:
        text = unsigned_note(self._opened().signing, self.address, self._cache)
        if text is not None:
            self._note(text)

    def _look(self, keys: tuple[str, ...]) -> list[CacheEntry]:
        """Return the entries of several keys, asked at once."""
        store = self._opened()
        asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        answers: queue.SimpleQueue[CacheEntry | HefsmithError | None] = queue.SimpleQueue()
        for key in keys:
            asked.put(key)

        def look() -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    answers.put(_answer(store, asked.get_nowait()))

        # Threads that Python does not wait for at its end: a store may never answer.
        for _ in range(min(AT_ONCE, len(keys))):
            threading.Thread(target=look, name="hefsmith-store-look", daemon=True).start()
        found: list[CacheEntry] = []
        for _ in keys:
            answer = answers.get()
            if isinstance(answer, RefusedError):
                self._note(f"warning: {answer.message}")
            elif isinstance(answer, HefsmithError):
                raise answer
            elif answer is not None:
                found.append(answer)
        return sorted(found, key=lambda entry: keys.index(entry.key))

    def _take(self, entry: CacheEntry) -> bool:
        """Bring one entry; ``False`` when the store is no use any more."""
        total = _bytes(entry)
        worth = math.inf if self.needed else entry.seconds + PATIENCE
        transfer = Transfer(total, worth, self._patience)
        self._from_there.add(entry.key)
        began = time.monotonic()
        self._note(f"store: {entry.stage} is there ({total / 1e6:.1f} MB)")
        try:
            self._within(
                lambda: self._opened().take(entry, self._cache, self._memory, {}, transfer.told),
                None,
                transfer,
            )
        except TooSlow:
            rate = transfer.done / 1e6 / max(time.monotonic() - began, 1e-3)
            why = "stands still" if self.needed else "is made here sooner"
            self._leave(f"{entry.stage} comes at {rate:.1f} MB/s, and {why}")
            return False
        except RefusedError as error:
            self._note(f"warning: {error.message}")
        except HefsmithError as error:
            self._leave(error.message, error.hint)
            return False
        return True

    def _within(
        self, act: Callable[[], Found], seconds: float | None, transfer: Transfer | None = None
    ) -> Found:
        """Do something in another thread, and wait for it no longer than it is worth."""
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put((act(), None))
            except BaseException as error:  # it belongs to whoever waits
                answer.put((None, error))

        # What takes long to load is no fault of the store.
        load_library(self.address)
        threading.Thread(target=run, name="hefsmith-store", daemon=True).start()
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                found, error = answer.get(timeout=0.05)
            except queue.Empty:
                now = time.monotonic()
                if transfer is not None:
                    transfer.check(now)
                if until is not None and now > until:
                    raise TooLate from None
                continue
            if error is not None:
                raise error
            result: Found = found
            return result

    def _opened(self) -> SharedStore:
        with self._opening:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _opened_to_write(self) -> SharedStore:
        # A connection of its own: questions do not wait behind what is sent.
        if self._sink is None:
            load_library(self.address)
            self._sink = self._open()
        return self._sink

    def _leave(self, why: str, hint: str | None = None) -> None:
        """Go on without the store, and say so once."""
        if self._off.is_set():
            return
        self._off.set()
        self._note(f"warning: going on without the store {escape_control(self.address)}: {why}")
        for line in (hint or "").splitlines():
            self._note(f"  {line}")

    # --- after stages ran -----------------------------------------------------------------------

    def offer(self, entry: CacheEntry) -> None:
        """Note that a stage shall go to the store, and send it when there is time."""
        size = _bytes(entry)
        if entry.key in self._from_there or size > LARGEST:
            return
        if entry.stage == "calibrate" and size > LIGHT:
            return  # hef cache push --calibration
        with contextlib.suppress(OSError):
            self._outbox.mkdir(parents=True, exist_ok=True)
            (self._outbox / entry.key).touch()
        self._enqueue(entry.key)

    def _enqueue(self, key: str) -> None:
        self._put(key)
        if self._writer is None:
            for noted in self._noted():
                if noted != key:
                    self._put(noted)
            self._writer = threading.Thread(
                target=self._write, name="hefsmith-store-writer", daemon=True
            )
            self._writer.start()

    def _put(self, key: str) -> None:
        with self._sending:
            self._unsent += 1
        self._queue.put(key)

    @property
    def _outbox(self) -> Path:
        return self._cache.root / "outbox" / hashlib.sha256(self.address.encode()).hexdigest()[:16]

    def _noted(self) -> list[str]:
        """Return the stages that were not sent yet, the oldest first."""
        found: list[tuple[float, str]] = []
        with contextlib.suppress(OSError):
            found += [
                (file.stat().st_mtime, file.name)
                for file in self._outbox.iterdir()
                if KEY.fullmatch(file.name)
            ]
        return [key for _, key in sorted(found)[:MOST_NOTED]]

    def _write(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                if not self._off.is_set():
                    self._send(key)
            except Exception as error:  # a library's: nobody else would tell of it
                self._leave(f"{type(error).__name__}: {error}")
            finally:
                with self._sending:
                    self._unsent -= 1
                    self._sending.notify_all()

    def _send(self, key: str) -> None:
        try:
            entry = self._cache.find(key)
            if entry is not None:
                store = self._opened_to_write()
                parcel = store.compare(entry)
                if not parcel.needless:
                    store.send(parcel, self._cache, lambda _: None, self._hidden())
        except RefusedError as error:
            self._note(f"warning: {error.message}")
        except HefsmithError as error:
            self._leave(error.message, error.hint)
            return
        except OSError:
            return  # the cache is being emptied; the note stays
        with contextlib.suppress(OSError):
            (self._outbox / key).unlink(missing_ok=True)
        self.on_sent(key)

    def flush(self, seconds: float) -> bool:
        """Wait until all that was made is sent; tell whether it is."""
        with self._sending:
            sent = self._sending.wait_for(lambda: not self._unsent, seconds)
        return sent and not self._off.is_set()

    def finish(self) -> None:
        """Give what is on its way a moment at the end of a command; the rest goes later."""
        with contextlib.suppress(ValueError):
            self._cache.listeners.remove(self.offer)
        if self._writer is None:
            return
        self._queue.put(None)
        if not self._off.is_set():
            self.flush(PATIENCE)
        if left := len(self._noted()):
            stages = "stage goes" if left == 1 else "stages go"
            self._note(
                f"store: {left} {stages} to it with the next build (at once: hef cache push)"
            )


def team_store(
    settings: Settings,
    project: Path,
    cache: StageCache,
    memory: DigestMemory,
    note: Callable[[str], None],
) -> TeamStore:
    """Return the store that settings name, relative to the project; ``note`` takes what is told.

    It is opened when something is asked or sent.
    """
    address, signing = settings.text("store") or "", signing_of(settings, project)
    return TeamStore(
        without_password(address),
        lambda: SharedStore(open_objects(address, project, writing=True), signing),
        cache,
        memory,
        note,
        lambda: private_folders(cache.root, project),
    )


def _answer(store: SharedStore, key: str) -> CacheEntry | HefsmithError | None:
    try:
        return store.look(key)
    except HefsmithError as error:
        return error
    except Exception as error:
        return StoreError(f"the store {store.address} cannot be asked: {error!r}")


def _bytes(entry: CacheEntry) -> int:
    return sum({file.sha256: file.bytes for file in entry.files}.values())
