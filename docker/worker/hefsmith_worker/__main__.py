"""Run a plan: ``python -m hefsmith_worker --plan PLAN --inputs DIR --work DIR``."""

from __future__ import annotations

import argparse
import sys

from hefsmith_worker.supervisor import supervise


def main() -> int:
    """Start the job under supervision and return its exit status."""
    parser = argparse.ArgumentParser(prog="hefsmith_worker", description=__doc__)
    parser.add_argument("--plan", required=True, help="JSON file: stages and their parameters")
    parser.add_argument("--inputs", required=True, help="folder that holds the plan's inputs")
    parser.add_argument("--work", required=True, help="folder that takes the results")
    parser.add_argument(
        "--detached",
        action="store_true",
        help="go on when standard input ends; else its end stops the job",
    )
    parser.add_argument(
        "--wait",
        metavar="MODULES",
        help="load these modules (names with commas), and begin at the line `begin` on standard "
        "input; the plan need not be there before",
    )
    options = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "hefsmith_worker.job",
        options.plan,
        options.inputs,
        options.work,
    ]
    if options.wait is not None:
        command.append(options.wait)
    return supervise(command, detached=options.detached, waits=options.wait is not None)


if __name__ == "__main__":
    sys.exit(main())
