"""Entry point of the ``hef`` command."""

from __future__ import annotations

import sys

from orchestrator.cli.app import run


def main() -> None:
    """Run ``hef`` with the process's arguments and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
