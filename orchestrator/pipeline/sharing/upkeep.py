"""Keeping caches and stores whole and small: what is damaged, and what nobody has used for long."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of
from orchestrator.pipeline.digests import digest_of
from orchestrator.pipeline.sharing.store import RefusedError, UnsignedError, entry_name, file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.pipeline.cache import CacheEntry, StageCache
    from orchestrator.pipeline.sharing.objects import Listed, Objects
    from orchestrator.pipeline.sharing.store import SharedStore

#: A file younger than this may belong to an entry that is on its way (seconds).
ON_ITS_WAY = 86400.0


# --- verify --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """An entry that is not what it says, and why."""

    key: str
    stage: str
    why: str


@dataclass
class Verified:
    """What a look at every entry found; ``bytes`` is what was read."""

    place: str
    entries: int = 0
    files: int = 0
    bytes: int = 0
    damaged: list[Damage] = field(default_factory=list)
    removed: int = 0

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "place": self.place,
            "entries": self.entries,
            "files": self.files,
            "bytes": self.bytes,
            "damaged": [vars(one) for one in self.damaged],
            "removed": self.removed,
        }


def verify_cache(cache: StageCache, *, repair: bool = False) -> Verified:
    """Read every file of the cache; ``repair`` removes damaged entries: the next build mends."""
    found = Verified(str(cache.root))
    for key in cache.keys_there():
        found.entries += 1
        entry = cache.find(key)
        why = "it is not whole" if entry is None else _wrong_here(cache, key, entry, found)
        if why is None:
            continue
        found.damaged.append(Damage(key, entry.stage if entry is not None else "?", why))
        if repair:
            cache.discard(key)
            found.removed += 1
    return found


def _wrong_here(cache: StageCache, key: str, entry: CacheEntry, found: Verified) -> str | None:
    """Return what is wrong with an entry of the cache; count what was read of it."""
    if digest_of(entry.why) != key:
        return "its key is not that of what it was made of"
    for file in entry.files:
        try:
            digest = sha256_of(cache.file(entry, file))
        except OSError as error:
            return f"{file.path} cannot be read: {error.strerror}"
        found.files += 1
        found.bytes += file.bytes
        if digest != file.sha256:
            return f"{file.path} has another content"
    return None


def verify_store(store: SharedStore, *, repair: bool = False) -> Verified:
    """Check every entry of a store, and that its files are there in their sizes.

    Contents are checked whenever something is taken. ``repair`` removes damaged entries: whoever
    has them whole sends them again.
    """
    found = Verified(store.address)
    sizes = {one.name: one.bytes for one in store.objects.listed()}
    for name in [name for name in sizes if _is_entry(name)]:
        key = name.rpartition("/")[2].removesuffix(".json")
        found.entries += 1
        found.bytes += sizes[name]
        stage, why = "?", None
        try:
            entry = store.look(key)
            if entry is None:
                continue  # somebody removes it just now
            stage = entry.stage
            why = _wrong_there(sizes, entry, found)
        except UnsignedError as error:
            # It may be whole, and good for people who ask for no signatures: it stays.
            found.damaged.append(Damage(key, stage, error.message))
            continue
        except RefusedError as error:
            why = error.message
        if why is not None:
            found.damaged.append(Damage(key, stage, why))
            if repair:
                store.objects.remove(name)
                found.removed += 1
    return found


def _wrong_there(sizes: Mapping[str, int], entry: CacheEntry, found: Verified) -> str | None:
    """Return which file of an entry a store lacks; count those that were looked for."""
    for file in entry.files:
        found.files += 1
        size = sizes.get(file_name(file.sha256))
        if size != file.bytes:
            return f"{file.path} " + ("is missing" if size is None else "is cut off")
    return None


# --- garbage -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """An entry of a store: its object, when it was written (epoch seconds), and its files."""

    name: str
    written: float
    files: Mapping[str, int]


@dataclass(frozen=True)
class Garbage:
    """What is to be removed of a store: entries first, then files that no entry names."""

    entries: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int


def find_garbage(
    kept: Sequence[Kept],
    objects: Iterable[Listed],
    *,
    now: float,
    older_than_s: float | None,
    down_to_bytes: int | None,
) -> Garbage:
    """Decide what to remove: entries by age, then the oldest until the rest fits.

    A file goes with its last entry; one that no entry names goes when it cannot be on its way.
    """
    listed = list(objects)
    files = {one.name: one for one in listed if _is_file(one.name)}
    own = {one.name: one.bytes for one in listed if _is_entry(one.name)}
    users = Counter(name for entry in kept for name in entry.files)
    size = sum(own.values()) + sum(files[name].bytes for name in users if name in files)
    leaving: list[str] = []
    loose: dict[str, int] = {}
    for entry in sorted(kept, key=lambda one: one.written):
        too_old = older_than_s is not None and now - entry.written > older_than_s
        too_much = down_to_bytes is not None and size > down_to_bytes
        if not (too_old or too_much):
            continue
        leaving.append(entry.name)
        size -= own.get(entry.name, 0)
        for name in entry.files:
            users[name] -= 1
            if not users[name] and name in files:
                loose[name] = files[name].bytes
                size -= files[name].bytes
    for name, one in files.items():
        if name not in users and now - one.changed > ON_ITS_WAY:
            loose[name] = one.bytes
    freed = sum(loose.values()) + sum(own.get(name, 0) for name in leaving)
    return Garbage(tuple(sorted(leaving)), tuple(sorted(loose)), freed)


def collect_store(
    store: SharedStore,
    *,
    older_than_s: float | None,
    down_to_bytes: int | None,
    dry_run: bool = False,
) -> Garbage:
    """Remove from a store what is old or too much; return it.

    An entry counts from when it was written last; ``hef cache push --anew`` makes it young again.
    """
    objects: Objects = store.objects
    listed = list(objects.listed())
    if listed and not any(_is_entry(one.name) or _is_file(one.name) for one in listed):
        msg = f"{store.address} is not a store of hefsmith"
        raise ConfigError(msg, hint="Check the address.", code="store.address")
    kept = []
    for one in listed:
        if not _is_entry(one.name):
            continue
        try:
            entry = store.listed(one.name.rpartition("/")[2].removesuffix(".json"))
        except RefusedError:
            entry = None
        files = {} if entry is None else {file_name(f.sha256): f.bytes for f in entry.files}
        kept.append(Kept(one.name, one.changed, files))
    garbage = find_garbage(
        kept,
        listed,
        now=time.time(),
        older_than_s=older_than_s,
        down_to_bytes=down_to_bytes,
    )
    if not dry_run:
        # Entries first: one without its files is refused by whoever takes it.
        for name in (*garbage.entries, *garbage.files):
            objects.remove(name)
    return garbage


_ENTRIES = entry_name("").split("/", maxsplit=2)[:2]
_FILES = file_name("").split("/", maxsplit=2)[:2]


def _is_entry(name: str) -> bool:
    return name.split("/")[:2] == _ENTRIES and name.endswith(".json")


def _is_file(name: str) -> bool:
    return name.split("/")[:2] == _FILES
