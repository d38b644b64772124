"""One model's folder on a device: releases by content, and the link to the current one.

``~/.hefsmith/<model>/releases/<id>/`` is made whole under another name and renamed; ``current``
is replaced in one rename. A process killed at any moment leaves at worst drafts, which the
next run removes. Python 3.9, standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .files import (
    FileLock,
    Json,
    Refused,
    copy_or_link,
    flush_file,
    flush_folder,
    has_content,
    read_json,
    remove_tree,
    safe_name,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "store.json"
RECORD = "release.json"
HISTORY_LENGTH = 100

#: Parts of uploads are kept so long for a resume.
PART_SECONDS = 7 * 24 * 3600.0


def canonical(record: Json) -> bytes:
    """Return a release's record as the bytes that its id is made of."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode("utf-8")


def release_id(record: Json) -> str:
    """Return the id of a release: the sha256 of its record, which names all its contents."""
    return hashlib.sha256(canonical(record)).hexdigest()


class ReleaseStore:
    """One model's folder; changes only between :meth:`open` and the end of the process."""

    def __init__(self, root: Path, model: str) -> None:
        self.model = safe_name(model)
        self.folder = root / self.model
        self.releases = self.folder / "releases"
        self.incoming = self.folder / "incoming"
        self.drafts = self.folder / "drafts"
        self.link = self.folder / "current"
        self.lock = FileLock(self.folder / "lock")

    # What is there.

    def current(self) -> str | None:
        """Return the id of the release in use, if it is there."""
        try:
            target = str(self.link.readlink())
        except OSError:
            try:  # where users may not make links (Windows), a file names the release
                target = self.link.read_text(encoding="utf-8").strip()
            except OSError:
                return None
        name = target.replace("\\", "/").rsplit("/", 1)[-1]
        return name if (self.releases / name).is_dir() else None

    def history(self) -> list[str]:
        """Return the ids that were current, oldest first."""
        known = read_json(self.folder / "history.json")
        return [name for name in known if isinstance(name, str)] if isinstance(known, list) else []

    def records(self) -> Iterator[tuple[str, Json]]:
        """Yield id and record of every release."""
        with contextlib.suppress(OSError):
            for folder in sorted(self.releases.iterdir()):
                record = read_json(folder / RECORD)
                if isinstance(record, dict) and isinstance(record.get("files"), list):
                    yield folder.name, record

    def state(self) -> Json:
        """Return what the host needs to plan a ship."""
        there = self.folder.is_dir()
        return {
            "current": self.current(),
            "history": self.history(),
            "disk_free": shutil.disk_usage(self.folder).free if there else None,
            "folder": str(self.folder),
        }

    def verify(self, release: str) -> str | None:
        """Return what is wrong with a release, or ``None``."""
        folder = self.releases / safe_name(release)
        record = read_json(folder / RECORD)
        if not isinstance(record, dict) or release_id(record) != release:
            return "its record is missing or damaged"
        for item in record["files"]:
            path = folder / safe_name(item["name"])
            if not has_content(path, item["sha256"], item["bytes"]):
                return f"{item['name']} is {'damaged' if path.exists() else 'missing'}"
        return None

    def find(self, sha256: str, size: int) -> Path | None:
        """Return a whole file with this content, newly arrived or from any release."""
        candidates = [self.incoming / f"{safe_name(sha256)}.whole"]
        candidates += [
            self.releases / name / safe_name(item["name"])
            for name, record in self.records()
            for item in record["files"]
            if item.get("sha256") == sha256
        ]
        return next((path for path in candidates if has_content(path, sha256, size)), None)

    # Changing it.

    def open(self, wait: float, who: Json) -> Json:
        """Take the lock, and put right what a killed run left behind."""
        self._claim()
        self.lock.acquire(wait, who)
        for folder in (self.releases, self.incoming):
            folder.mkdir(exist_ok=True)
        if self.drafts.is_dir():
            remove_tree(self.drafts)
        self.drafts.mkdir(exist_ok=True)
        now = time.time()
        for path in self.incoming.iterdir():
            if now - path.stat().st_mtime > PART_SECONDS:
                path.unlink()
        for path in self.folder.glob("*.tmp"):
            path.unlink()
        current = self.current()
        if current is not None and current not in self.history():
            self._write_history([*self.history(), current])
        return self.state()

    def _claim(self) -> None:
        """Make the folder ours, or refuse one that something else made."""
        marker = self.folder / MARKER
        if self.folder.exists() and not self.folder.is_dir():
            msg = f"{self.folder} is not a folder"
            raise Refused(msg, code="not_ours")
        record = read_json(marker)
        if isinstance(record, dict) and record.get("hefsmith") == 1:
            return
        if self.folder.is_dir():
            strangers = [p for p in self.folder.iterdir() if not p.name.startswith(MARKER)]
            if strangers:
                msg = f"{self.folder} was not made by hefsmith (it has {strangers[0].name!r})"
                raise Refused(msg, code="not_ours")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(marker, json.dumps({"hefsmith": 1, "model": self.model}).encode("utf-8"))

    def publish(self, record: Json) -> str:
        """Make a whole release of files that have all arrived; return its id."""
        name = release_id(record)
        target = self.releases / name
        if target.is_dir():
            self._mend(target, record)
            self._clear_incoming(record)
            return name
        draft = self.drafts / name
        draft.mkdir()
        for item in record["files"]:
            self._place(item, draft / safe_name(item["name"]))
        write_whole(draft / RECORD, canonical(record))
        draft.rename(target)
        flush_folder(self.releases)
        self._clear_incoming(record)
        return name

    def _clear_incoming(self, record: Json) -> None:
        for item in record["files"]:
            with contextlib.suppress(OSError):
                (self.incoming / f"{safe_name(item['sha256'])}.whole").unlink()

    def _mend(self, folder: Path, record: Json) -> None:
        """Replace what is damaged in a release, file by file: ``current`` may point to it."""
        for item in record["files"]:
            path = folder / safe_name(item["name"])
            if not has_content(path, item["sha256"], item["bytes"]):
                draft = self.drafts / f"{item['name']}.{secrets.token_hex(4)}"
                self._place(item, draft)
                draft.replace(path)
        if read_json(folder / RECORD) != record:
            write_whole(folder / RECORD, canonical(record))
        flush_folder(folder)

    def _place(self, item: Json, path: Path) -> None:
        """Put an arrived file under a name, read-only and flushed."""
        source = self.find(item["sha256"], item["bytes"])
        if source is None:
            msg = f"{item['name']} has not arrived"
            raise Refused(msg, code="incomplete")
        copy_or_link(source, path)
        path.chmod(0o444)
        flush_file(path)

    def activate(self, name: str) -> str | None:
        """Make a release the current one; return the one before.

        The link is switched first and the history written after: killed in between, the
        history ends with the old release, which is what a rollback should find.
        """
        before = self.current()
        history = self.history()
        self._switch(name)
        if before in history:
            history = history[: len(history) - history[::-1].index(before)]
        if not history or history[-1] != name:
            history.append(name)
        self._write_history(history)
        return before

    def roll_back(self) -> tuple[str | None, str]:
        """Go to the release before the current one, checked; return both ids."""
        current, history = self.current(), self.history()
        if current in history:
            history = history[: len(history) - 1 - history[::-1].index(current)]
        while history and (history[-1] == current or not (self.releases / history[-1]).is_dir()):
            history.pop()
        if not history:
            msg = f"there is no earlier release of {self.model}"
            raise Refused(msg, code="no_earlier")
        wrong = self.verify(history[-1])
        if wrong is not None:
            msg = f"the previous release, {history[-1][:12]}, is incomplete: {wrong}"
            raise Refused(msg, code="damaged")
        self._switch(history[-1])
        self._write_history(history)
        return current, history[-1]

    def prune(self, keep: int) -> list[str]:
        """Remove old releases; never the current one, nor one that a process uses."""
        current = self.current()
        there = [folder.name for folder in self.releases.iterdir()]
        order = [name for name in dict.fromkeys(reversed(self.history())) if name in there]
        order = [name for name in order if name != current]
        never_current = [name for name in there if name not in order and name != current]
        old = order[max(keep - 1, 0) :] + never_current
        used = releases_in_use(self.releases) if old else set()
        removed = [name for name in old if name not in used]
        for name in removed:
            self._discard(name)
        return removed

    def _switch(self, name: str) -> None:
        """Replace the link in one rename."""
        target = f"releases/{name}"
        draft = self.link.with_name(f"current.{secrets.token_hex(4)}.tmp")
        try:
            draft.symlink_to(target)
        except (OSError, NotImplementedError):
            if os.name != "nt":
                raise
            draft.write_text(target, encoding="utf-8")
        draft.replace(self.link)
        flush_folder(self.folder)

    def _write_history(self, names: list[str]) -> None:
        data = json.dumps(names[-HISTORY_LENGTH:]).encode("utf-8")
        write_whole(self.folder / "history.json", data)

    def _discard(self, name: str) -> None:
        """Take a release away in one rename, then delete it."""
        grave = self.drafts / f"{name}.{secrets.token_hex(4)}"
        (self.releases / name).rename(grave)
        remove_tree(grave)


def releases_in_use(folder: Path) -> set[str]:
    """Return the releases that a process has open, mapped, or as its working directory."""
    base = f"{folder.resolve()}{os.sep}"
    paths: list[str] = []
    processes = list(Path("/proc").glob("[0-9]*")) if os.name != "nt" else []
    for process in processes:
        with contextlib.suppress(OSError):
            paths.append(str((process / "cwd").readlink()))
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    paths.append(str(handle.readlink()))
        with contextlib.suppress(OSError, UnicodeDecodeError):
            maps = (process / "maps").read_text()
            paths += [line.split(None, 5)[5] for line in maps.splitlines() if base in line]
    return {Path(path[len(base) :]).parts[0] for path in paths if path.startswith(base)}
