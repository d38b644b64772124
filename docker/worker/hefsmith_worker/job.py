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
from typing import List, Optional, Sequence, Set

from hefsmith_worker import events, protocol
from hefsmith_worker.contract.events import (
    SCHEMA,
    Done,
    Hello,
    Interrupted,
    StageFailed,
    StageFinished,
    StageStarted,
)
from hefsmith_worker.contract.findings import LONGEST_TEXT
from hefsmith_worker.contract.layout import LOGS
from hefsmith_worker.contract.stages import BY_NAME
from hefsmith_worker.workspace import Workspace


class Warmth:
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
    """Run the plan's stages; return 0, or 1 after telling which stage failed and why.

    Where a stage leaves what the host knows, stages of which that has the results are left out;
    and with them those that would read them, since they are not here.
    """
    channel.send(_hello())
    started = time.monotonic()
    workspace = Workspace(plan, channel)
    remaining = list(plan.stages)
    left_out: Set[str] = set()
    while remaining and not left_out.intersection(BY_NAME[remaining[0]].after):
        stage = remaining.pop(0)
        channel.enter(stage)
        channel.send(StageStarted())
        begun = time.monotonic()
        try:
            if warmth is not None:
                # What is still to be loaded is this stage's time: it needs it.
                warmth.wait()
            module = import_module(BY_NAME[stage].module)
            result = module.run(workspace)
        except KeyboardInterrupt:
            channel.send(Interrupted("signal"))
            return 130
        except BaseException as error:
            channel.send(_failure(error))
            return 1
        passed = BY_NAME[stage].passed_on(channel.announced.items())
        channel.send(StageFinished(time.monotonic() - begun, result, len(channel.announced)))
        known = plan.known.get(stage, {}).get(passed)
        if known is not None:
            left_out.update(set(remaining).difference(known))
            remaining = [name for name in remaining if name in known]
    channel.enter(None)
    channel.send(Done(time.monotonic() - started))
    return 0


def _failure(error: BaseException) -> StageFailed:
    known: Optional[str] = None
    fix: Optional[str] = None
    if isinstance(error, protocol.StageError):
        known, fix = error.code, error.fix or None
    elif isinstance(error, MemoryError):
        known, fix = "memory", "Give the engine more memory, or use fewer images."
    elif isinstance(error, OSError) and error.errno == 28:
        known, fix = "disk-full", "Free some space where the build folder lies."
    return StageFailed(
        "%s.%s" % (type(error).__module__, type(error).__qualname__),
        (str(error) or type(error).__name__)[:LONGEST_TEXT],
        known,
        fix,
        traceback.format_exc(),
    )


def _hello() -> Hello:
    return Hello(SCHEMA, platform.python_version(), platform.machine(), os.getpid(), sys.executable)


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
        channel.send(_failure(error))
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
