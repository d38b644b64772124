"""Entry point of the ``hef`` command."""

from __future__ import annotations

import os
import signal
import sys


def _leave(_signum: int, _frame: object) -> None:
    """End before anything was begun: the program is still being loaded."""
    sys.stderr.write("interrupted: nothing was begun\n")
    sys.stderr.flush()
    os._exit(130)


if __name__ in ("__main__", "orchestrator.__main__") and hasattr(signal, "SIGINT"):
    try:  # noqa: SIM105 (contextlib takes as long to load as all the rest here)
        signal.signal(signal.SIGINT, _leave)
    except ValueError:
        pass  # loaded by another thread of a program, whose signals are its own

import gc  # noqa: E402

# Imports make many objects and no garbage: with the usual 700, a tenth of a short command's time
# goes into looking for some.
gc.set_threshold(50_000, 20, 20)

from orchestrator.cli.app import run  # noqa: E402


def main() -> None:
    """Run ``hef`` with the process's arguments and leave with its exit code."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run(sys.argv[1:])
    # It is decided: an impatient signal while Python takes itself down must not change it.
    for name in ("SIGINT", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
