"""The child process of :mod:`.pool`: reads chunks of tasks, answers with outcomes.

It ends when its input ends, so it never outlives its parent, however that one dies.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from hefsmith_worker.calibration.work import run_task


def main() -> None:
    """Serve until the input ends."""
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks_in = sys.stdin.buffer
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        setup = pickle.load(tasks_in)  # noqa: S301  from our parent
        while True:
            tasks = pickle.load(tasks_in)  # noqa: S301
            pickle.dump([run_task(setup, task) for task in tasks], answers)
            answers.flush()
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
