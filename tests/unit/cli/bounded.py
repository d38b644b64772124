"""Run a command line in a child process that may neither take long nor much memory."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli.app import run

#: Of processor time; of the clock three times as much, since other tests run beside.
SECONDS = 10


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``code`` is ``None`` when it had to be killed.

    ``megabytes`` is what it held beside what this process had when it was forked.
    """

    code: int | None
    out: str
    err: str
    seconds: float
    megabytes: float


def run_bounded(argv: Sequence[str], *, memory: int = 3 << 30) -> Ended:
    """Run ``hef argv`` with 10 s of processor time, ``memory`` bytes beside ours."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        ours = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)
        child = os.fork()
        if child == 0:
            code = 99
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, 3 * SECONDS)
                resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
                used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
                resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
                for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out.fileno()),
                                     (2, err.fileno())):  # fmt: skip
                    os.dup2(file, number)
                import sys

                sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
                sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
                code = run(argv)
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(code)
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - began
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "replace"))
    code = os.waitstatus_to_exitcode(status)
    return Ended(
        code if code >= 0 else None, *texts, seconds, max(0.0, usage.ru_maxrss / 1024 - ours)
    )
