"""Entry point of the ``hef`` command."""

from __future__ import annotations

import gc
import signal
import sys

# Imports make many objects and no garbage: with the usual 700, a tenth of a short command's time
# goes into looking for some.
gc.set_threshold(50_000, 20, 20)

from orchestrator.cli.app import run  # noqa: E402


def main() -> None:
    """Run ``hef`` with the process's arguments and leave with its exit code."""
    code = run(sys.argv[1:])
    # It is decided: an impatient signal while Python takes itself down must not change it.
    for name in ("SIGINT", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
