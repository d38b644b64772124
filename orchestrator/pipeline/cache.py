"""Finished stages by key: published whole by rename, checked when used, never in the way.

An entry is ``stages/<k[:2]>/<key>/`` with ``files/`` and ``entry.json``, which is written
last. A damaged entry counts as absent, with a warning; it is removed so that the next build
mends it. ``CACHEDIR.TAG`` marks the folder as ours, and nothing is deleted without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import names
from hefsmith_worker.contract.stages import BY_NAME

from orchestrator import files
from orchestrator.errors import ConfigError
from orchestrator.pipeline import locks
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchestrator.pipeline.digests import DigestMemory

SCHEMA = 1
TAG = "CACHEDIR.TAG"
TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Cache of hefsmith; it may be deleted at any time (hef cache gc).\n"
)

#: What a key looks like.
KEY = re.compile(r"[0-9a-f]{64}")
#: Earlier results of a stage that a new one is compared with.
MEANINGS = 32

#: Files of these roles are large and never edited: they are linked, not copied.
LINKED_ROLES = frozenset({"calibration"})


@dataclass(frozen=True)
class CachedFile:
    """One file of a stage: path relative to the build folder, digest, size in bytes."""

    role: str
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class CacheEntry:
    """What a finished stage left: files, its own result, findings, what really ran.

    ``same_as`` is the key of an earlier entry that passed the same on to later stages.
    """

    key: str
    stage: str
    files: tuple[CachedFile, ...]
    result: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    ran: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    created: float = 0.0
    why: Mapping[str, Any] = field(default_factory=dict)
    same_as: str | None = None

    @property
    def meaning(self) -> str:
        """The key that later stages know this result by."""
        return self.same_as or self.key

    @property
    def passed_on(self) -> str:
        """A digest of what later stages read of it."""
        return BY_NAME[self.stage].passed_on((file.path, file.sha256) for file in self.files)


@dataclass(frozen=True)
class Usage:
    """Size of a cache: entries, bytes, and the time of the oldest use (epoch seconds)."""

    entries: int
    bytes: int
    oldest: float | None


class StageCache:
    """The cache of one user (or one project)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: Called with each entry that is there now, by whoever has published it.
        self.listeners: list[Callable[[CacheEntry], None]] = []

    def _folder(self, key: str) -> Path:
        return self.root / "stages" / key[:2] / key

    def find(self, key: str) -> CacheEntry | None:
        """Return the entry of a key; a damaged one is ``None`` like an absent one."""
        folder = self._folder(key)
        try:
            document = read_json(folder / "entry.json")
            entry = read_entry(document)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if entry.key != key:
            return None
        for file in entry.files:
            try:
                if (folder / "files" / file.path).stat().st_size != file.bytes:
                    return None
            except OSError:
                return None
        return entry

    def keys_there(self) -> Iterator[str]:
        """Yield the key of everything that is there, whole or not."""
        for folder in sorted((self.root / "stages").glob("??/*")):
            if KEY.fullmatch(folder.name):
                yield folder.name

    def entries(self) -> Iterator[CacheEntry]:
        """Yield every whole entry."""
        for folder, _, _ in self._entries():
            if (entry := self.find(folder.name)) is not None:
                yield entry

    def file(self, entry: CacheEntry, file: CachedFile) -> Path:
        """Return where a file of an entry lies in the cache."""
        return self._folder(entry.key) / "files" / file.path

    def damaged(self, key: str) -> bool:
        """Tell whether there is something under the key that is no whole entry."""
        return self._folder(key).exists() and self.find(key) is None

    def discard(self, key: str) -> None:
        """Remove an entry."""
        files.remove_tree(self._folder(key))

    @property
    def incoming(self) -> Path:
        """Folder for copies that will be published; what is left in one is collected later."""
        return self.root / "stages" / "in"

    def publish(
        self,
        entry: CacheEntry,
        work: Path,
        kept: Mapping[str, Path] = MappingProxyType({}),
        check: Callable[[CacheEntry, Path], None] | None = None,
    ) -> None:
        """Make a stage's files an entry in one rename, and tell the listeners.

        They are copied out of the build folder, or linked where a copy is ``kept`` already, by
        the file's path, on the cache's own disk. ``check`` gets the entry and the folder of its
        files before anybody else sees them; what it raises leaves no entry.
        """
        self._publish(entry, work, kept, check)
        for hear in tuple(self.listeners):
            hear(entry)

    def _publish(
        self,
        entry: CacheEntry,
        work: Path,
        kept: Mapping[str, Path],
        check: Callable[[CacheEntry, Path], None] | None,
    ) -> None:
        target = self._folder(entry.key)
        if self.find(entry.key) is not None:
            return
        self._prepare()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{entry.key[:12]}-", dir=target.parent))
        try:
            for file in entry.files:
                copy = kept.get(file.path)
                link = copy is not None or file.role in LINKED_ROLES
                place(copy or work / file.path, part / "files" / file.path, link=link)
            if check is not None:
                check(entry, part / "files")
            (part / "entry.json").write_text(
                json.dumps(entry_document(entry), indent=1), encoding="utf-8", newline="\n"
            )
            try:
                part.rename(target)
            except OSError:
                # Another process may have published the same key meanwhile; its entry is as good.
                if self.find(entry.key) is not None:
                    return
                self.discard(entry.key)
                part.rename(target)
        finally:
            files.remove_tree(part)

    def learn(self, entry: CacheEntry, names: Iterable[str], memory: DigestMemory) -> None:
        """Note what is known of files that were read on their way into an entry."""
        source = self._folder(entry.key) / "files"
        known = {file.path: file for file in entry.files}
        for name in names:
            with contextlib.suppress(OSError):
                memory.learn(source / name, known[name].sha256, known[name].bytes)

    def note(self, mark: str) -> None:
        """Note that there is, or was, an entry whose key begins as ``mark`` says."""
        with contextlib.suppress(OSError):
            place = self.root / "marks" / mark
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()

    def noted(self, mark: str) -> bool:
        """Tell whether there may be such an entry."""
        return (self.root / "marks" / mark).exists()

    def note_meaning(self, scope: str, entry: CacheEntry) -> None:
        """Note what an entry passes on, for later runs of the stage in the same ``scope``."""
        with contextlib.suppress(OSError):
            place = self.root / "meanings" / scope / entry.passed_on
            files.write_atomic(place, entry.meaning)

    def meanings(self, scope: str) -> dict[str, str]:
        """Return what the stage of a ``scope`` has passed on before: its digest, and its key.

        The latest come first, and no more of them than one may want to look at.
        """
        found: list[tuple[float, str, str]] = []
        with contextlib.suppress(OSError):
            for place in (self.root / "meanings" / scope).iterdir():
                with contextlib.suppress(OSError, ValueError):
                    text = place.read_text(encoding="ascii")
                    if KEY.fullmatch(place.name) and KEY.fullmatch(text):
                        found.append((place.stat().st_mtime, place.name, text))
        return {digest: key for _, digest, key in sorted(found, reverse=True)[:MEANINGS]}

    def restore(self, entry: CacheEntry, work: Path, memory: DigestMemory) -> bool:
        """Put an entry's files into a build folder; ``False`` when one has changed."""
        source = self._folder(entry.key) / "files"
        for file in entry.files:
            try:
                if memory.file(source / file.path) != file.sha256:
                    return False
                place(source / file.path, work / file.path, link=file.role in LINKED_ROLES)
            except OSError:
                return False
        with contextlib.suppress(OSError):
            os.utime(self._folder(entry.key))
        return True

    def _prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        tag = self.root / TAG
        if not tag.exists():
            files.write_atomic(tag, TAG_TEXT)

    def lock(
        self,
        key: str,
        *,
        what: str = "builds the same",
        tell: Callable[[str], None] | None = None,
        waiting: Callable[[], None] | None = None,
        signed: bool = True,
    ) -> contextlib.AbstractContextManager[bool]:
        """Hold the lock of a key, see :func:`orchestrator.pipeline.locks.hold`.

        A cache that cannot be written has none: nobody keeps anything in it.
        """
        with contextlib.suppress(OSError):
            self._prepare()
        file = self.root / "locks" / f"{key[:32]}.lock"
        return locks.hold(file, what=what, tell=tell, waiting=waiting, signed=signed)

    def _entries(self) -> Iterator[tuple[Path, float, int]]:
        for folder in sorted((self.root / "stages").glob("??/*")):
            if folder.name.startswith("."):
                continue
            size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            yield folder, folder.stat().st_mtime, size

    def usage(self) -> Usage:
        """Return how much is kept."""
        found = list(self._entries()) if self.root.exists() else []
        return Usage(
            len(found),
            sum(size for _, _, size in found),
            min((used for _, used, _ in found), default=None),
        )

    def collect(self, *, older_than_s: float = 0.0, down_to_bytes: int | None = None) -> Usage:
        """Remove entries by age and size, longest unused first; return what was removed.

        Refuses a folder without our tag, so that a wrong path can never cost anything.
        """
        if not self.root.exists():
            return Usage(0, 0, None)
        if not (self.root / TAG).is_file():
            msg = f"{self.root} is not a cache of hefsmith (it has no {TAG})"
            raise ConfigError(msg, hint="Check HEFSMITH_CACHE, or cache: in hef.yaml.")
        entries = sorted(self._entries(), key=lambda item: item[1])
        total = sum(size for _, _, size in entries)
        now = time.time()
        removed, freed = 0, 0
        for folder, used, size in entries:
            too_old = now - used >= older_than_s
            too_much = down_to_bytes is not None and total - freed > down_to_bytes
            if (down_to_bytes is None and too_old) or (too_much and too_old):
                files.remove_tree(folder)
                removed, freed = removed + 1, freed + size
        for left in (self.root / "stages").glob("??/.*"):
            if now - left.stat().st_mtime > 86400:
                files.remove_tree(left)
        return Usage(removed, freed, None)


def place(source: Path, target: Path, *, link: bool) -> None:
    """Copy a file, or link it where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or target.is_symlink():
        # Never written through: it may be a link that a job has left.
        target.unlink()
    if link:
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copy2(source, target)


def entry_document(entry: CacheEntry) -> dict[str, object]:
    """Return an entry as ``entry.json`` has it."""
    same = {} if entry.same_as is None else {"same_as": entry.same_as}
    return {
        **same,
        "schema": SCHEMA,
        "key": entry.key,
        "stage": entry.stage,
        "files": [vars(file) for file in entry.files],
        "result": entry.result,
        "findings": list(entry.findings),
        "ran": entry.ran,
        "seconds": entry.seconds,
        "created": entry.created,
        "why": entry.why,
    }


def read_entry(document: Mapping[str, Any]) -> CacheEntry:
    """Return the entry that a document describes.

    Raises ``ValueError``, ``KeyError`` or ``TypeError`` when it describes none.
    """
    if document["schema"] != SCHEMA:
        msg = "another schema"
        raise ValueError(msg)
    for file in document["files"]:
        names.parts(file["path"])
    same_as = document.get("same_as")
    if same_as is not None and not KEY.fullmatch(same_as):
        msg = "same_as is not a key"
        raise ValueError(msg)
    return CacheEntry(
        key=document["key"],
        stage=document["stage"],
        files=tuple(CachedFile(**file) for file in document["files"]),
        result=document["result"],
        findings=tuple(document["findings"]),
        ran=document["ran"],
        seconds=document["seconds"],
        created=document["created"],
        why=document["why"],
        same_as=same_as,
    )
