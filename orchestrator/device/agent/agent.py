"""Answer the host's requests on a device, one after the other (Python 3.9).

When the host goes away (end of file, or silence), the running job is killed, stopped services
are started, temporary folders are removed, locks are freed, and this process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path

from .facts import collect
from .files import (
    Json,
    Refused,
    as_refusal,
    copy_or_link,
    flush_folder,
    read_json,
    remove_tree,
    safe_name,
)
from .link import MAGIC, Link
from .store import MARKER, RECORD, ReleaseStore
from .transfer import describe_part, receive_file, send_file
from .work import Job, Services

PROTOCOL = 1
STALE_JOB_SECONDS = 24 * 3600.0


class Agent:
    """The requests: every ``do_NAME`` method is one; its keywords come from the host."""

    def __init__(self, link: Link, home: Path) -> None:
        self.link = link
        self.home = home
        self.root = home / ".hefsmith"
        self.services = Services()
        self._store: ReleaseStore | None = None
        self._job: Job | None = None
        link.on_gone.append(self._kill_job)

    @property
    def store(self) -> ReleaseStore:
        """The opened model folder."""
        if self._store is None:
            msg = "no model is open"
            raise Refused(msg, code="failed")
        return self._store

    @property
    def job(self) -> Job:
        """The opened job."""
        if self._job is None:
            msg = "no job is open"
            raise Refused(msg, code="failed")
        return self._job

    def serve(self) -> None:
        """Answer until the host says goodbye or goes away."""
        try:
            while True:
                kind, payload = self.link.receive()
                if kind != b"J":
                    continue  # the rest of an upload that was refused
                request = json.loads(payload.decode("utf-8"))
                name = request.pop("do")
                if name == "bye":
                    return
                try:
                    answer = getattr(self, f"do_{name}")(**request)
                except (Refused, OSError) as error:
                    answer = as_refusal(error).answer
                if answer is not None:
                    self.link.send_json(b"J", answer)
        except (EOFError, BrokenPipeError):
            return
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        """Undo what must not stay: the job, the stopped services, the lock."""
        if self._job is not None:
            self._job.close()
            self._job = None
        self.services.start_all()
        if self._store is not None:
            self._store.lock.release()

    def _kill_job(self) -> None:
        if self._job is not None:
            self._job.kill()

    def do_hello(self) -> Json:
        """Say who answers."""
        return {
            "protocol": PROTOCOL,
            "home": str(self.home),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "disk_free": shutil.disk_usage(self.home).free,
        }

    def do_facts(self, python: list[str], level: str) -> Json:
        """Collect what the device shows about itself."""
        return {"facts": collect(python, level)}

    # Releases.

    def do_peek(self, model: str) -> Json:
        """Say what is there, without a lock and without changing anything."""
        return ReleaseStore(self.root, model).state()

    def do_shelves(self) -> Json:
        """Say for each model which release is current, with what it says of labels."""
        shelves: Json = {}
        for marker in sorted(self.root.glob(f"*/{MARKER}")):
            store = ReleaseStore(self.root, marker.parent.name)
            current = store.current()
            if current is None:
                continue
            folder = store.releases / current
            shelves[store.model] = {
                "release": current,
                "record": read_json(folder / RECORD),
                "decoder": read_json(folder / "decoder.json"),
                "labels": count_lines(folder / "labels.txt"),
            }
        return {"shelves": shelves}

    def do_open(self, model: str, wait: float, who: Json) -> Json:
        """Lock a model's folder for this agent; say what is there."""
        self.root.mkdir(exist_ok=True)
        store = ReleaseStore(self.root, model)
        state = store.open(wait, who)
        self._store = store
        return state

    def do_close(self) -> Json:
        """Free the model's folder."""
        if self._store is not None:
            self._store.lock.release()
            self._store = None
        return {}

    def do_have(self, files: list[Json]) -> Json:
        """Say for each file whether it is whole already, or how much of it has arrived."""
        fates: list[Json] = []
        for item in files:
            whole = self.store.find(item["sha256"], item["bytes"])
            part = self.store.incoming / f"{safe_name(item['sha256'])}.part"
            fates.append({"whole": str(whole)} if whole else describe_part(part))
        return {"files": fates}

    def do_receive(self, sha256: str, size: int, offset: int) -> Json | None:
        """Receive one file of a release."""
        whole = self.store.incoming / f"{safe_name(sha256)}.whole"
        part = whole.with_suffix(".part")
        if not receive_file(self.link, part, offset, sha256, size):
            return None
        part.replace(whole)
        flush_folder(self.store.incoming)
        return {"sha256": sha256}

    def do_publish(self, record: Json) -> Json:
        """Make a release of what has arrived."""
        return {"release": self.store.publish(record)}

    def do_activate(self, release: str) -> Json:
        """Check a release and make it the current one."""
        wrong = self.store.verify(release)
        if wrong is not None:
            msg = f"release {release[:12]}: {wrong}"
            raise Refused(msg, code="damaged")
        return {"previous": self.store.activate(release)}

    def do_verify(self, release: str) -> Json:
        """Check a release."""
        return {"wrong": self.store.verify(release)}

    def do_rollback(self) -> Json:
        """Go back to the release before."""
        previous, release = self.store.roll_back()
        return {"previous": previous, "release": release}

    def do_prune(self, keep: int) -> Json:
        """Remove what is older than the last ``keep`` releases."""
        return {"removed": self.store.prune(keep)}

    # Single files.

    def do_put(self, path: str, sha256: str, size: int) -> Json | None:
        """Receive one file to any path: another name first, digest compared, renamed."""
        target = self.home / path
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            if not receive_file(self.link, part, 0, sha256, size):
                return None
            part.replace(target)
            flush_folder(target.parent)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
        return {"sha256": sha256}

    def do_get(self, path: str) -> Json:
        """Send one file."""
        return send_file(self.link, self.home / path)

    # Jobs.

    def do_job_open(self, files: list[Json]) -> Json:
        """Make a job's folder; link what a release has; say which files are missing."""
        folder = self.root / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if time.time() - path.stat().st_mtime > STALE_JOB_SECONDS:
                remove_tree(path)
        self._job = Job(folder / f"{os.getpid()}.{secrets.token_hex(4)}")
        missing: list[str] = []
        for item in files:
            source = self._find_anywhere(item["sha256"], item["bytes"])
            if source is None:
                missing.append(item["name"])
            else:
                copy_or_link(source, self._job.folder / safe_name(item["name"]))
        return {"folder": str(self._job.folder), "missing": missing}

    def _find_anywhere(self, sha256: str, size: int) -> Path | None:
        for marker in sorted(self.root.glob(f"*/{MARKER}")):
            path = ReleaseStore(self.root, marker.parent.name).find(sha256, size)
            if path is not None:
                return path
        return None

    def do_job_run(
        self, python: list[str], script: str, request: Json, env: dict[str, str], timeout: float
    ) -> Json:
        """Run the job's script."""
        return self.job.run(
            self.link, python=python, script=script, request=request, env=env, timeout=timeout
        )

    def do_job_close(self) -> Json:
        """Remove the job's folder."""
        if self._job is not None:
            self._job.close()
            self._job = None
        return {}

    # Services.

    def do_stop_service(self, unit: str) -> Json:
        """Stop a unit until :meth:`do_start_service`, or until this agent ends."""
        return {"was_active": self.services.stop(unit)}

    def do_start_service(self, unit: str) -> Json:
        """Start a unit again."""
        self.services.start(unit)
        return {}


def count_lines(path: Path) -> int | None:
    """Return how many lines a small text file has."""
    try:
        return len(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return None


def _leave(signum: int, frame: object) -> None:  # noqa: ARG001
    raise EOFError


def main() -> None:
    """Speak with the host until it goes."""
    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    sys.stdout.buffer.write(MAGIC)
    sys.stdout.buffer.flush()
    Agent(Link(sys.stdin.buffer, sys.stdout.buffer), Path.home()).serve()
    # An ordinary end would wait a second for the thread that still reads stdin.
    os._exit(0)
