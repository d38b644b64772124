"""Run as a program: change a device's store and die at the n-th file operation, for every n.

A second argument other than 1 makes it every ``stride``-th operation.

Prints one JSON object: how many deaths there were, and what was wrong after any of them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
from pathlib import Path

from orchestrator.device.agent.files import Refused
from orchestrator.device.agent.store import ReleaseStore, release_id

EVENTS = {
    "open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.symlink",
    "os.chmod", "os.truncate", "shutil.rmtree",
}  # fmt: skip
WHO = {"who": "test"}
ROUNDS = 4  # releases shipped one after the other; the last one dies


def record_of(number: int) -> tuple[dict[str, object], dict[str, bytes]]:
    contents = {"net.hef": bytes([number]) * 5000, "labels.txt": b"cat\ndog\n"}
    files = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in sorted(contents.items())
    ]
    return {"schema": 1, "model": "net", "arch": "hailo8l", "hef": "net.hef", "files": files}, {
        str(item["sha256"]): contents[str(item["name"])] for item in files
    }


def bring(store: ReleaseStore, number: int, *, keep: int = 2) -> None:
    """Do what a ship does on the device."""
    record, contents = record_of(number)
    store.open(0.0, WHO)
    for sha256, data in contents.items():
        if store.find(sha256, len(data)) is None:
            part = store.incoming / f"{sha256}.part"
            part.write_bytes(data)
            part.replace(store.incoming / f"{sha256}.whole")
    store.activate(store.publish(record))
    store.prune(keep)


def back(store: ReleaseStore) -> None:
    """Do what a rollback does on the device."""
    store.open(0.0, WHO)
    store.roll_back()


def die_at(count: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == count:
                os._exit(9)

    sys.addaudithook(hook)


def check(store: ReleaseStore, allowed: set[str], when: str) -> list[str]:
    """Return what is wrong with a store that a killed process left."""
    wrong = []
    current = store.current()
    if current not in allowed:
        wrong.append(f"{when}: current is {current}")
    elif (problem := store.verify(current)) is not None:
        wrong.append(f"{when}: current is incomplete: {problem}")
    return wrong


def run_all(root: Path, action: str, stride: int) -> dict[str, object]:
    before, after = release_id(record_of(ROUNDS - 1)[0]), release_id(record_of(ROUNDS)[0])
    earlier = release_id(record_of(ROUNDS - 2)[0])
    wrong: list[str] = []
    for deaths in itertools.count():
        count = 1 + deaths * stride
        folder = root / f"{action}-{count}"
        store = ReleaseStore(folder, "net")
        folder.mkdir(parents=True)
        for number in range(1, ROUNDS):
            bring(store, number)
            store.lock.release()
        child = os.fork()
        if child == 0:
            die_at(count)
            bring(store, ROUNDS) if action == "ship" else back(store)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        when = f"{action}, operation {count}"
        allowed = {before, after} if action == "ship" else {before, earlier}
        wrong += check(store, allowed, when)
        try:
            bring(store, ROUNDS)
            store.lock.release()
            wrong += check(store, {after}, f"{when}, next ship")
            if list(store.drafts.iterdir()) or list(store.folder.glob("*.tmp")):
                wrong.append(f"{when}: drafts are left over")
            before_back = store.current()
            back(store)
            store.lock.release()
            wrong += check(store, allowed | {earlier, before}, f"{when}, rollback after")
            if store.current() == before_back:
                wrong.append(f"{when}: the rollback went nowhere")
        except (Refused, OSError) as error:
            wrong.append(f"{when}: the next run failed: {error}")
        if os.waitstatus_to_exitcode(status) == 0:
            assert deaths, "the hook saw nothing"
            return {"deaths": deaths, "wrong": wrong}
    raise AssertionError


if __name__ == "__main__":
    os.fsync = lambda _: None  # a killed process loses nothing that it has written
    root, stride = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({action: run_all(root, action, stride) for action in ("ship", "back")}))
