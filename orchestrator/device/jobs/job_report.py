"""What every job says to hefsmith, and how: it lies beside each of them on the device."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Callable

#: Status of the library -> the word that hefsmith uses for it.
KINDS = {
    4: "timeout",
    7: "api",
    26: "hef",
    64: "no-driver",
    73: "busy",
    74: "busy",
    76: "versions",
    87: "timeout",
    91: "hef",
    92: "hef",
    93: "wrong-chip",
}
CLASSES = {
    "HailoRTTimeout": 4,
    "HailoRTInvalidHEFException": 26,
    "HailoRTHEFNotCompatibleWithDevice": 93,
}


def tell(event: str, **facts: object) -> None:
    """Print one event."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def holders() -> list[dict[str, object]]:
    """Return the other processes that have the chip's device node open."""
    nodes = {str(node) for kind in ("hailo*", "h1x-*") for node in Path("/dev").glob(kind)}
    if os.environ.get("HEFSMITH_EMULATED_NODE"):
        nodes.add(os.environ["HEFSMITH_EMULATED_NODE"])
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            links = {str(link.readlink()) for link in (folder / "fd").iterdir()}
            name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue  # the process ended, or belongs to somebody else
        if nodes & links:
            found.append({"pid": int(folder.name), "command": name})
    return found


def explain(error: BaseException) -> dict[str, object]:
    """Return what hefsmith needs to know about an exception."""
    name = type(error).__name__
    number = re.search(r"error: (\d+) \((HAILO_\w+)\)", str(error))
    status = int(number.group(1)) if number else CLASSES.get(name)
    kind = KINDS.get(status, "runtime") if status is not None else "runtime"
    if isinstance(error, ImportError):
        kind = "versions" if "version" in str(error) or ".so" in str(error) else "no-binding"
    facts: dict[str, object] = {
        "class": name,
        "message": str(error),
        "status": status,
        "kind": kind,
    }
    if kind == "busy":
        facts["holders"] = holders()
    return facts


def run_job(work: Callable[[dict[str, Any]], None]) -> int:
    """Do what the request on standard input says, tell how it ends; return the exit status."""
    request = json.load(sys.stdin)
    start = time.monotonic()
    try:
        work(request)
    except Exception as error:
        tell("failed", **explain(error))
        return 1
    tell("done", seconds=round(time.monotonic() - start, 3))
    return 0
