"""The job itself: all stages of a plan in one process, since the SDK takes long to import."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from hefsmith_worker import events, protocol
from hefsmith_worker.contract.layout import LOGS
from hefsmith_worker.contract.stages import BY_NAME
from hefsmith_worker.workspace import Workspace


class Warmth(object):
    """Modules that are loaded while the host makes ready what the first stage works on."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._thread = threading.Thread(target=self._load, name="warmth", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        for name in self._names:
            # The stage that needs it fails in its turn, and says so.
            with contextlib.suppress(Exception):
                import_module(name)

    def wait(self) -> None:
        """Return when all is loaded: two threads must not load the same library at once."""
        self._thread.join()


def run(channel: events.Channel, plan: protocol.Plan, warmth: Optional[Warmth] = None) -> int:
    """Run the plan's stages; return 0, or 1 after telling which stage failed and why."""
    channel.send("hello", schema=events.SCHEMA, **_environment())
    started = time.monotonic()
    workspace = Workspace(plan, channel)
    for stage in plan.stages:
        channel.enter(stage)
        channel.send("stage_started")
        begun = time.monotonic()
        try:
            if warmth is not None:
                # What is still to be loaded is this stage's time: it needs it.
                warmth.wait()
            module = import_module(BY_NAME[stage].module)
            result = module.run(workspace)
        except KeyboardInterrupt:
            channel.send("interrupted", why="signal")
            return 130
        except BaseException as error:
            channel.send("stage_failed", **_failure(error))
            return 1
        channel.send("stage_finished", seconds=time.monotonic() - begun, result=result)
    channel.enter(None)
    channel.send("done", seconds=time.monotonic() - started)
    return 0


def _failure(error: BaseException) -> Dict[str, Any]:
    details: Dict[str, Any] = {
        "class": "%s.%s" % (type(error).__module__, type(error).__qualname__),
        "message": str(error) or type(error).__name__,
        "traceback": traceback.format_exc(),
    }
    if isinstance(error, protocol.StageError):
        details.update(known=error.code, fix=error.fix or None)
    elif isinstance(error, MemoryError):
        details.update(known="memory", fix="Give the engine more memory, or use fewer images.")
    elif isinstance(error, OSError) and error.errno == 28:
        details.update(known="disk-full", fix="Free some space where the build folder lies.")
    return details


def _environment() -> Dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "pid": os.getpid(),
        "executable": sys.executable,
    }


def main(arguments: List[str]) -> int:
    """Entry point: plan file, inputs folder, work folder; then what to load while waiting."""
    channel = events.open_channel()
    plan_file, inputs, work = (Path(argument) for argument in arguments[:3])
    warmth: Optional[Warmth] = None
    # SDKs write their logs into the current folder; it must be one that takes them.
    logs = work / LOGS
    try:
        logs.mkdir(parents=True, exist_ok=True)
        os.chdir(str(logs))
        if not os.access(os.path.expanduser("~"), os.W_OK):
            # They may write below the home folder too.
            os.environ["HOME"] = str(logs)
        if len(arguments) > 3:
            warmth = Warmth([name for name in arguments[3].split(",") if name])
            if sys.stdin.buffer.readline().strip() != b"begin":
                return 143
        plan = protocol.read_plan(plan_file, inputs, work)
    except KeyboardInterrupt:
        return 130
    except (protocol.PlanError, OSError) as error:
        channel.send("stage_failed", **_failure(error))
        return 2
    return run(channel, plan, warmth)


def leave(code: int) -> None:
    """End this process at once, with everything written.

    Everything that counts has been told and is on the disk. Taking torch and the SDK down in
    order takes the better part of a second, for which somebody waits.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
