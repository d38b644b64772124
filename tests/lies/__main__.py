"""Print the table: what was planted and what was told, ``N planted, M caught``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.lies.bench import Bench
from tests.lies.table import ROWS


def main() -> int:
    """Run every row, planted and honest; 0 when all lies are caught and no control is blamed."""
    caught = blamed = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hefsmith-lies-") as folder:
        bench = Bench(Path(folder))
        for row in ROWS:
            told, honest = row.look(bench, True), row.look(bench, False)
            caught += told is not None
            blamed += honest is not None
            verdict = "MISSED" if told is None else "BLAMED" if honest is not None else "ok"
            print(f"{verdict:<7} {row.group:<16} {row.name}")
            if verdict != "ok" or "-v" in sys.argv:
                print(f"        planted: {told}\n        honest:  {honest}")
    print(
        f"\n{len(ROWS)} planted, {caught} caught; {len(ROWS)} controls, {blamed} blamed"
        f"  ({time.monotonic() - began:.0f} s)"
    )
    return 0 if caught == len(ROWS) and not blamed else 1


if __name__ == "__main__":
    sys.exit(main())
