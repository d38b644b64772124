"""Finished stages that people share: entries by key, files by content, in a place of objects.

``entries/<k[:2]>/<key>.json`` is an entry as the cache has it, ``files/<s[:2]>/<sha256>`` a file
of any number of entries, as it is: networks and pictures hardly get smaller by compression. An
entry is written when its files are there, so one that was cut off is not there.

What comes out of a store is a stranger's. An entry counts only if it is well formed, is what its
key was made of, and names plain paths; its files only if they have the announced content.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import names, stages
from hefsmith_worker.contract.findings import Finding

from orchestrator import files
from orchestrator.errors import escape_control
from orchestrator.pipeline.cache import entry_document, read_entry
from orchestrator.pipeline.digests import digest_of
from orchestrator.pipeline.plan import first_mark
from orchestrator.pipeline.sharing import content as contents
from orchestrator.pipeline.sharing.objects import StoreError, room_at
from orchestrator.pipeline.sharing.signing import UNSIGNED, Signing, check_entry, signed_document
from orchestrator.reading import need, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.sharing.objects import Objects, Told

#: The first part of every object's name: another layout will have another one.
LAYOUT = "v1"

#: Bounds of what is read of an entry: bytes, files, and levels of brackets.
ENTRY_BYTES = 16 << 20
ENTRY_FILES = 20_000
DEPTH = 40

#: Fetched files are dated back by so much (ns), so that any later write shows in their time.
_BACK = 10_000_000_000

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
#: What no part of a path may have in it, on any system.
_ODD = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]|[. ]\Z')

#: What the judgement of a build takes from ``ran``; other names are only shown.
_NUMBERS = frozenset(
    {"level_asked", "level_run", "images_given", "images_used", "images_finetune", "contexts"}
)
_LISTS = frozenset({"skipped", "four_bit_layers", "demoted_layers", "normalization_warnings"})
_MAPPINGS = frozenset({"snr", "versions"})


class RefusedError(StoreError):
    """An entry of a store that is not taken, and why."""

    default_code = "store.refused"


class UnsignedError(RefusedError):
    """An entry that none of those has signed whose word counts here."""

    default_code = "store.unsigned"


@dataclass(frozen=True)
class Parcel:
    """An entry on its way: which of its files the other side lacks, each content once."""

    entry: CacheEntry
    lacking: tuple[CachedFile, ...]
    known: bool = False

    @property
    def bytes(self) -> int:
        """Size of what must travel."""
        return sum(file.bytes for file in self.lacking)

    @property
    def needless(self) -> bool:
        """Whether the other side has all of it already."""
        return self.known and not self.lacking


class SharedStore:
    """The shared entries in one place."""

    def __init__(self, objects: Objects, signing: Signing = UNSIGNED) -> None:
        self.objects = objects
        self.signing = signing

    @property
    def address(self) -> str:
        """What to call it on a screen."""
        return self.objects.address

    # --- to the store ---------------------------------------------------------------------------

    def compare(self, entry: CacheEntry, *, anew: bool = False) -> Parcel:
        """Return what of an entry the store lacks; ``anew`` takes nothing there for right.

        An entry that is there whole is as good as ours, though its files may differ.
        """
        if anew:
            return Parcel(entry, unique(entry.files))
        try:
            theirs = self.look(entry.key)
        except RefusedError:
            theirs = None
        if theirs is not None and not self._lacking(theirs):
            return Parcel(theirs, (), known=True)
        return Parcel(entry, self._lacking(entry))

    def _lacking(self, entry: CacheEntry) -> tuple[CachedFile, ...]:
        return tuple(
            file
            for file in unique(entry.files)
            if self.objects.size(file_name(file.sha256)) != file.bytes
        )

    def send(
        self, parcel: Parcel, cache: StageCache, told: Told, hidden: Mapping[str, str]
    ) -> None:
        """Send what is lacking, then the entry; paths of ``hidden`` in it become words.

        Raises :class:`RefusedError` for an entry that nobody would take.
        """
        document = entry_document(parcel.entry)
        for part in ("result", "findings", "ran"):
            document[part] = without_paths(document[part], hidden)
        content = json.dumps(signed_document(document, self.signing), indent=1).encode()
        self._need_signature(self._need_entry(content, parcel.entry.key), content)
        for file in parcel.lacking:
            self.objects.send(file_name(file.sha256), cache.file(parcel.entry, file), told)
        self.objects.write(entry_name(parcel.entry.key), content)

    # --- from the store -------------------------------------------------------------------------

    def look(self, key: str) -> CacheEntry | None:
        """Return the entry of a key, ``None`` when there is none.

        Raises :class:`RefusedError` for one that must not be taken, :class:`UnsignedError` for
        one that nobody has signed whose word is asked for.
        """
        content = self.objects.read(entry_name(key), ENTRY_BYTES + 1)
        if content is None:
            return None
        entry = self._need_entry(content, key)
        self._need_signature(entry, content)
        return entry

    def listed(self, key: str) -> CacheEntry | None:
        """Return the entry of a key, whoever has signed it: for those who count and tidy up."""
        content = self.objects.read(entry_name(key), ENTRY_BYTES + 1)
        return None if content is None else self._need_entry(content, key)

    def _need_signature(self, entry: CacheEntry, content: bytes) -> None:
        fault = check_entry(parse_json(content), self.signing)
        if fault is not None:
            msg = f"{self.address}: {entry.stage} ({entry.key[:12]}) is refused: {fault}"
            hint = f"Its author can sign it: hef cache push --anew ({self.signing.asked})"
            raise UnsignedError(msg, hint=hint)

    def _need_entry(self, content: bytes, key: str) -> CacheEntry:
        try:
            return _checked(content, key)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            msg = f"{self.address}: the entry {key[:12]} is refused: {_said(error)}"
            raise RefusedError(msg) from error

    def take(
        self,
        entry: CacheEntry,
        cache: StageCache,
        memory: DigestMemory,
        here: dict[str, Path],
        told: Told,
    ) -> int:
        """Bring an entry into the cache, whole or not at all; return the bytes that came.

        ``here`` knows files of the cache by their sha256; those need not come, and the entry's
        are added. Raises :class:`RefusedError` when a file is not what the entry says.
        """
        needed = [file for file in unique(entry.files) if file.sha256 not in here]
        coming = sum(file.bytes for file in needed)
        part: Path | None = None
        try:
            cache.incoming.mkdir(parents=True, exist_ok=True)
            if coming > room_at(cache.incoming):
                msg = (
                    f"{self.address}: {entry.stage}: {coming} bytes are more than the disk has free"
                )
                raise RefusedError(msg)
            part = Path(tempfile.mkdtemp(prefix=".pull-", dir=cache.incoming))
            found = dict(here)
            for file in needed:
                found[file.sha256] = self._fetch(file, part / file.sha256, told)
            if entry.stage == stages.NAMES[0]:
                # First the mark: an entry must never be without it.
                cache.note(first_mark(entry.why))
            kept = {file.path: found[file.sha256] for file in entry.files}
            cache.publish(entry, part, kept, check=contents.check_content)
        except contents.OtherContentError as error:
            msg = f"{self.address}: {entry.stage} ({entry.key[:12]}) is refused: {error}"
            raise RefusedError(msg) from error
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
                msg = f"{self.address}: the files of {entry.stage} have no place in the cache"
                raise RefusedError(msg) from error
            msg = f"the cache at {cache.root} cannot be written: {error.strerror or error}"
            raise StoreError(msg, hint="hef cache gc makes room.", code="cache.write") from error
        finally:
            if part is not None:
                files.remove_tree(part)
        cache.learn(entry, kept, memory)
        here.update({file.sha256: cache.file(entry, file) for file in entry.files})
        return coming

    def _fetch(self, file: CachedFile, target: Path, told: Told) -> Path:
        name = file_name(file.sha256)
        digest = self.objects.fetch(name, file.bytes, target, told)
        if digest != file.sha256 or target.stat().st_size != file.bytes:
            what = "is missing" if digest is None else "has another content"
            msg = f"{self.address}: {escape_control(file.path)} {what} ({name})"
            raise RefusedError(msg)
        then = target.stat().st_mtime_ns - _BACK
        os.utime(target, ns=(then, then))
        return target


def unique(files: Iterable[CachedFile]) -> tuple[CachedFile, ...]:
    """Return one file of each content."""
    return tuple({file.sha256: file for file in files}.values())


def entry_name(key: str) -> str:
    """Return the object of an entry."""
    return f"{LAYOUT}/entries/{key[:2]}/{key}.json"


def file_name(sha256: str) -> str:
    """Return the object of a file's content."""
    return f"{LAYOUT}/files/{sha256[:2]}/{sha256}"


# --- paths of this machine -----------------------------------------------------------------------


def without_paths(value: Any, hidden: Mapping[str, str]) -> Any:
    """Return a JSON value in whose texts the folders of this machine are words (``~``)."""
    if isinstance(value, str):
        for path, word in hidden.items():
            value = re.sub(re.escape(path) + r"(?![\w-])", word, value)
        return value
    if isinstance(value, dict):
        return {name: without_paths(one, hidden) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(one, hidden) for one in value]
    return value


# --- what a stranger says ------------------------------------------------------------------------


def _checked(content: bytes, key: str) -> CacheEntry:
    """Return the entry in ``content``; raises ``ValueError`` and its like when it is none."""
    if len(content) > ENTRY_BYTES:
        msg = f"it is larger than {ENTRY_BYTES >> 20} MiB"
        raise ValueError(msg)
    document = parse_json(content)
    _check_values(document, DEPTH)
    entry = read_entry(document)
    need(entry.key == key and digest_of(entry.why) == key, "it belongs to another key")
    need(entry.stage in stages.NAMES and entry.why["stage"] == entry.stage, "no such stage")
    need(0 < len(entry.files) <= ENTRY_FILES, "so many files are not possible")
    for file in entry.files:
        _check_file(file)
    _check_paths([file.path for file in entry.files])
    need(isinstance(entry.result, dict), "its result is none")
    need(all(type(one) in (int, float) for one in (entry.seconds, entry.created)), "its times")
    for finding in entry.findings:
        Finding.from_json(finding)
    _check_ran(entry.ran)
    return entry


def _check_values(value: object, depth: int) -> None:
    """Take plain JSON that can be written again as UTF-8, and not too deep to walk through."""
    need(depth > 0, "it is nested too deep")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, float):
        need(math.isfinite(value), "a number that is none")
    elif isinstance(value, dict):
        for name, one in value.items():
            name.encode()
            _check_values(one, depth - 1)
    elif isinstance(value, list):
        for one in value:
            _check_values(one, depth - 1)


def _check_file(file: CachedFile) -> None:
    texts = (file.role, file.path, file.sha256)
    need(all(isinstance(one, str) for one in texts), "a file without a name")
    need(_SHA256.match(file.sha256) is not None, "a file without a sha256")
    need(type(file.bytes) is int and file.bytes >= 0, "a file without a size")
    fault = names.fault(file.path)
    need(fault is None, f"the path {names.shown(file.path)} {fault}")
    parts = names.parts(file.path)
    plain = "/".join(parts) == file.path and not any(_ODD.search(one) for one in parts)
    need(plain, f"the path {names.shown(file.path)} is not plain")


def _check_paths(paths: list[str]) -> None:
    """No path may be another's folder, nor be another's on a system that ignores case."""
    folded = {path.casefold() for path in paths}
    need(len(folded) == len(paths), "two files of one name")
    folders = {parent.as_posix() for path in folded for parent in PurePosixPath(path).parents}
    need(not folders & folded, "a file that is a folder, too")


def _check_ran(ran: Any) -> None:
    for name, value in ran.items():
        if value is None:
            continue
        right = True
        if name in _NUMBERS:
            right = type(value) is int
        elif name == "gpu":
            right = type(value) is bool
        elif name in _LISTS:
            right = isinstance(value, list) and all(isinstance(one, str) for one in value)
        elif name in _MAPPINGS:
            right = isinstance(value, dict)
        need(right, f"what ran: {name[:40]!r}")


def _said(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not a JSON document"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "it is not what an entry looks like"
    return escape_control(str(error))
