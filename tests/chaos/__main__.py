"""Run the families, print what each tried and lost, and write the table on request."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests import figures
from tests.chaos.count import Count, Family, Ground
from tests.chaos.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261129


def run_one(family: Family, wanted: int, seed: int) -> Count:
    """Run a family in this process."""
    count = Count(wanted)
    with tempfile.TemporaryDirectory(prefix=f"chaos-{family.name}-") as folder:
        family.run(Ground(Path(folder), random.Random(f"{seed}/{family.name}")), count)
    return count


def run_beside(family: Family, wanted: int, seed: int) -> Count:
    """Run a family in a process of its own, so that none leaves threads to another."""
    # Folders of other tests that ran here stay out: somebody who is not root may not read them.
    kept = [one for one in sys.path[1:] if one and not one.startswith(tempfile.gettempdir())]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.chaos", "--one", family.name, "--count", str(wanted),
         "--seed", str(seed)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False,
        # hefsmith as it is installed comes first, which need not be that of this folder.
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*kept, str(ROOT)])},
    )  # fmt: skip
    try:
        return Count(**json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        return Count(wanted, 1, 0, [f"the family itself ended with {done.returncode}"])


def row(family: Family, count: Count) -> str:
    """Return the line that a family prints."""
    if count.skipped is not None:
        return f"{family.name}: not run: {count.skipped}"
    return f"{family.name}: {count.tried} tried, {len(count.lost)} lost"


HEAD = "| family | fault | wanted | tried | lost | made |\n|---|---|---:|---:|---:|---|\n"


def table(found: list[tuple[Family, Count]], before: str) -> str:
    """Return the table as Markdown; families that did not run now keep their rows of ``before``."""
    rows = {line.split(" | ")[0].lstrip("| "): line for line in before.splitlines()}
    day = time.strftime("%Y-%m-%d", time.gmtime())
    for family, count in found:
        tried = "not run" if count.skipped is not None else str(count.tried)
        cells = (family.name, family.what, count.wanted, tried, len(count.lost), day)
        rows[family.name] = f"| {' | '.join(map(str, cells))} |"
    kept = [rows[name].strip() for name in FAMILIES if name in rows]
    numbers = [[int(n) if n.isdigit() else 0 for n in one.split(" | ")[3:5]] for one in kept]
    tried, lost = (sum(column) for column in zip(*numbers, strict=True))
    total = f"| **all** | | | **{tried}** | **{lost}** | |"
    return HEAD + "\n".join([*kept, total]) + f"\n\n{figures.machine()}.\n"


def main() -> int:
    """Return 0 when nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("families", nargs="*", choices=[[], *FAMILIES], metavar="FAMILY")
    parser.add_argument("--long", action="store_true", help="500 faults and more")
    parser.add_argument("--write", action="store_true", help="the table into docs/chaos.md")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(asdict(run_one(FAMILIES[asked.one], asked.count, asked.seed))))
        return 0
    found = []
    for name in asked.families or FAMILIES:
        family = FAMILIES[name]
        wanted = asked.count or (family.long if asked.long else family.short)
        if not wanted:
            continue
        since = time.monotonic()
        count = run_beside(family, wanted, asked.seed)
        found.append((family, count))
        print(f"{row(family, count)}  ({time.monotonic() - since:.0f} s)", flush=True)
        for one in count.lost[:5]:
            print(f"    {one}", flush=True)
        if asked.write:
            # now: a run may be stopped
            figures.show("chaos.md", table([(family, count)], figures.shown("chaos.md")))
    lost = sum(len(count.lost) for _, count in found)
    print(f"\n{sum(count.tried for _, count in found)} tried, {lost} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
