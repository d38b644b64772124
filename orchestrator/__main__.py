"""Entry point of the ``hef`` command."""

from __future__ import annotations

import signal
import sys

from orchestrator.cli.app import run


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
